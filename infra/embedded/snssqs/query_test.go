package snssqs_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"jangbu/infra/embedded/snssqs"
)

// query sends a request as SDKs older than the JSON protocol do.
func (h *harness) query(path string, fields ...string) (int, string) {
	h.Helper()
	form := url.Values{"Version": {"2012-11-05"}}
	for name, value := range pairs(fields) {
		form.Set(name, value)
	}
	res, err := http.PostForm(h.server.URL()+path, form)
	if err != nil {
		h.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func (h *harness) wantQuery(path string, want string, fields ...string) string {
	h.Helper()
	status, body := h.query(path, fields...)
	if status != http.StatusOK || !strings.Contains(body, want) {
		h.Fatalf("%v: %d %s\nwant in it %s", fields, status, body, want)
	}
	return body
}

func element(t *testing.T, body, name string) string {
	t.Helper()
	m := regexp.MustCompile("<" + name + ">([^<]*)</" + name + ">").FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("no %s in %s", name, body)
	}
	return m[1]
}

func TestQueryProtocol(t *testing.T) {
	h := start(t, snssqs.Config{})
	made := h.wantQuery("/", "<CreateQueueResult>", "Action", "CreateQueue", "QueueName", "q",
		"Attribute.1.Name", "VisibilityTimeout", "Attribute.1.Value", "77")
	queueURL := element(t, made, "QueueUrl")
	h.wantQuery("/", "<Attribute><Name>VisibilityTimeout</Name><Value>77</Value></Attribute>",
		"Action", "GetQueueAttributes", "QueueUrl", queueURL, "AttributeName.1", "QueueArn", "AttributeName.2", "VisibilityTimeout")
	h.wantQuery("/", "<ListQueuesResult><QueueUrl>"+queueURL+"</QueueUrl></ListQueuesResult>", "Action", "ListQueues")
	h.wantQuery("/000000000000/q", "<SendMessageBatchResultEntry><Id>a</Id>", "Action", "SendMessageBatch",
		"SendMessageBatchRequestEntry.1.Id", "a", "SendMessageBatchRequestEntry.1.MessageBody", "<first> & only",
		"SendMessageBatchRequestEntry.1.MessageAttribute.1.Name", "colour",
		"SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType", "String",
		"SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue", "red")
	got := h.wantQuery("/000000000000/q", "<Body>&lt;first&gt; &amp; only</Body>", "Action", "ReceiveMessage", "MaxNumberOfMessages", "10",
		"AttributeName.1", "All", "MessageAttributeName.1", "All")
	for _, want := range []string{"<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>",
		"<MessageAttribute><Name>colour</Name><Value><DataType>String</DataType><StringValue>red</StringValue></Value></MessageAttribute>"} {
		if !strings.Contains(got, want) {
			t.Errorf("received %s\nwant in it %s", got, want)
		}
	}
	h.wantQuery("/000000000000/q", "<BatchResultErrorEntry>", "Action", "DeleteMessageBatch",
		"DeleteMessageBatchRequestEntry.1.Id", "x", "DeleteMessageBatchRequestEntry.1.ReceiptHandle", "nonsense")
	h.wantQuery("/000000000000/q", "<DeleteMessageResponse", "Action", "DeleteMessage", "ReceiptHandle", element(t, got, "ReceiptHandle"))
	h.wantDepth("q", snssqs.Depth{})
	status, refused := h.query("/", "Action", "GetQueueUrl", "QueueName", "none")
	if status != http.StatusBadRequest || element(t, refused, "Code") != "AWS.SimpleQueueService.NonExistentQueue" || element(t, refused, "Type") != "Sender" {
		t.Errorf("a missing queue: %d %s", status, refused)
	}
}

func TestOtherRequests(t *testing.T) {
	h := start(t, snssqs.Config{})
	cases := []struct {
		name, method, path, contentType, body string
		want                                  int
	}{
		{"health", "GET", "/health", "", "", http.StatusOK},
		{"root", "GET", "/", "", "", http.StatusOK},
		{"elsewhere", "GET", "/favicon.ico", "", "", http.StatusNotFound},
		{"neither protocol", "POST", "/", "text/plain", "hello", http.StatusBadRequest},
		{"too large", "POST", "/", "text/plain", strings.Repeat("x", 9<<20), http.StatusRequestEntityTooLarge},
		{"unknown version", "POST", "/", "application/x-www-form-urlencoded", "Action=Publish&Version=1999-01-01", http.StatusBadRequest},
		{"no JSON", "POST", "/", "application/x-amz-json-1.0", "{", http.StatusBadRequest},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), c.method, h.server.URL()+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", c.contentType)
			if c.name == "no JSON" {
				req.Header.Set("X-Amz-Target", "AmazonSQS.CreateQueue")
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != c.want {
				t.Errorf("status %d, want %d", res.StatusCode, c.want)
			}
		})
	}
}
