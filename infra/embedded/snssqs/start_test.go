package snssqs_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"jangbu/infra/embedded/snssqs"
)

// harness is one server and the official clients of it, which do not retry, so that each fault is seen.
type harness struct {
	*testing.T
	server *snssqs.Server
	sqs    *sqs.Client
	sns    *sns.Client
}

func start(t *testing.T, cfg snssqs.Config) *harness {
	t.Helper()
	server, err := snssqs.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	keys := credentials.NewStaticCredentialsProvider("key", "secret", "")
	client := &http.Client{Transport: plainBodies{&http.Transport{}}}
	t.Cleanup(client.CloseIdleConnections)
	return &harness{
		T:      t,
		server: server,
		sqs:    sqs.New(sqs.Options{BaseEndpoint: aws.String(server.URL()), Region: "us-east-1", Credentials: keys, HTTPClient: client, Retryer: aws.NopRetryer{}}),
		sns:    sns.New(sns.Options{BaseEndpoint: aws.String(server.URL()), Region: "us-east-1", Credentials: keys, HTTPClient: client, Retryer: aws.NopRetryer{}}),
	}
}

// plainBodies hides the WriteTo of the SDK's request bodies, which breaks connections to a server that answers fast (see
// infra/bus, httpClient).
type plainBodies struct{ *http.Transport }

func (p plainBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		plain := *r
		plain.Body = struct{ io.ReadCloser }{r.Body}
		r = &plain
	}
	return p.Transport.RoundTrip(r)
}

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// advance moves the clock and lets the server notice.
func (c *clock) advance(h *harness, d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
	h.server.Recheck()
}

func (h *harness) queue(name string, attrs ...string) string {
	h.Helper()
	out, err := h.sqs.CreateQueue(h.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: pairs(attrs)})
	if err != nil {
		h.Fatal(err)
	}
	return *out.QueueUrl
}

func pairs(list []string) map[string]string {
	out := map[string]string{}
	for i := 0; i < len(list); i += 2 {
		out[list[i]] = list[i+1]
	}
	return out
}

func (h *harness) send(url, body string) {
	h.Helper()
	if _, err := h.sqs.SendMessage(h.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
		h.Fatal(err)
	}
}

// receive asks once for up to 10 messages with everything known about them.
func (h *harness) receive(url string, wait int32) []sqstypes.Message {
	h.Helper()
	out, err := h.sqs.ReceiveMessage(h.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: wait,
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"All"}, MessageAttributeNames: []string{"All"}})
	if err != nil {
		h.Fatal(err)
	}
	return out.Messages
}

// one asks for the single message that must be there now.
func (h *harness) one(url string) sqstypes.Message {
	h.Helper()
	got := h.receive(url, 0)
	if len(got) != 1 {
		h.Fatalf("%d messages, want 1", len(got))
	}
	return got[0]
}

func (h *harness) delete(url string, m sqstypes.Message) {
	h.Helper()
	if _, err := h.sqs.DeleteMessage(h.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle}); err != nil {
		h.Fatal(err)
	}
}

func (h *harness) hide(url string, m sqstypes.Message, seconds int32) error {
	_, err := h.sqs.ChangeMessageVisibility(h.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: seconds})
	return err
}

func (h *harness) wantDepth(queue string, want snssqs.Depth) {
	h.Helper()
	if have, ok := h.server.Depth(queue); !ok || have != want {
		h.Errorf("depth of %s is %+v (exists: %v), want %+v", queue, have, ok, want)
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("error %v, want code %s", err, code)
	}
}

func bodies(ms []sqstypes.Message) []string {
	var out []string
	for _, m := range ms {
		out = append(out, *m.Body)
	}
	return out
}

func TestStartOnTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := snssqs.Start(snssqs.Config{Addr: taken.Addr().String()}); err == nil || !strings.Contains(err.Error(), "start sns/sqs") {
		t.Errorf("starting on a taken port: %v", err)
	}
}

func TestCloseEndsLongPolls(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.queue("q")
	done := make(chan error, 1)
	go func() {
		_, err := h.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20})
		done <- err
	}()
	h.server.UntilPolls(t, "q", 1)
	if err := h.server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the poll ended with %v", err)
	}
	if err := h.server.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestServersShareNothing(t *testing.T) {
	a, b := start(t, snssqs.Config{}), start(t, snssqs.Config{Region: "eu-west-1", AccountID: "123456789012"})
	a.queue("q")
	if names := b.server.Queues(); len(names) != 0 {
		t.Errorf("the other server has queues %v", names)
	}
	url := b.queue("q")
	out, err := b.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{"QueueArn"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "arn:aws:sqs:eu-west-1:123456789012:q"; out.Attributes["QueueArn"] != want {
		t.Errorf("ARN %s, want %s", out.Attributes["QueueArn"], want)
	}
	if want := fmt.Sprintf("http://%s/123456789012/q", b.server.Addr()); url != want {
		t.Errorf("URL %s, want %s", url, want)
	}
}
