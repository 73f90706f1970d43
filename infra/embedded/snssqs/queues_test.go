package snssqs_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"jangbu/infra/embedded/snssqs"
)

func TestCreateQueue(t *testing.T) {
	h := start(t, snssqs.Config{})
	first := h.queue("q", "VisibilityTimeout", "40")
	cases := []struct {
		name  string
		queue string
		attrs map[string]string
		code  string // of the error; none: the first queue's URL is the answer
	}{
		{"again with the same attributes", "q", map[string]string{"VisibilityTimeout": "40"}, ""},
		{"again with no attributes", "q", nil, ""},
		{"again with a default spelled out", "q", map[string]string{"DelaySeconds": "0"}, ""},
		{"again with another value", "q", map[string]string{"VisibilityTimeout": "41"}, "QueueAlreadyExists"},
		{"FIFO by attribute", "f", map[string]string{"FifoQueue": "true"}, "InvalidParameterValue"},
		{"FIFO by name", "f.fifo", nil, "InvalidParameterValue"},
		{"name with a space", "a b", nil, "InvalidParameterValue"},
		{"no name", "", nil, "InvalidParameterValue"},
		{"unknown attribute", "u", map[string]string{"Colour": "red"}, "InvalidAttributeName"},
		{"value out of range", "u", map[string]string{"DelaySeconds": "901"}, "InvalidAttributeValue"},
		{"value that is no number", "u", map[string]string{"DelaySeconds": "soon"}, "InvalidAttributeValue"},
		{"redrive to nowhere", "u", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:none","maxReceiveCount":3}`}, "InvalidAttributeValue"},
		{"redrive after no receive", "u", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:q","maxReceiveCount":0}`}, "InvalidAttributeValue"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, err := h.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &c.queue, Attributes: c.attrs})
			if c.code != "" {
				wantCode(t, err, c.code)
				return
			}
			if err != nil || *out.QueueUrl != first {
				t.Errorf("got %v, %v; want %s", out, err, first)
			}
		})
	}
	if names := h.server.Queues(); !slices.Equal(names, []string{"q"}) {
		t.Errorf("refused requests left queues %v", names)
	}
}

func TestMissingQueue(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.server.URL() + "/000000000000/none"
	_, lookUp := h.sqs.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("none")})
	_, receive := h.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
	_, send := h.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")})
	_, remove := h.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &url})
	for name, err := range map[string]error{"look up": lookUp, "receive": receive, "send": send, "delete": remove} {
		var missing *sqstypes.QueueDoesNotExist
		if !errors.As(err, &missing) {
			t.Errorf("%s: %v, want QueueDoesNotExist", name, err)
		}
	}
}

func TestDeleteQueueEndsLongPolls(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.queue("q")
	done := make(chan error, 1)
	go func() {
		_, err := h.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20})
		done <- err
	}()
	if _, err := h.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &url}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, <-done, "AWS.SimpleQueueService.NonExistentQueue")
}

func TestQueueAttributes(t *testing.T) {
	h := start(t, snssqs.Config{})
	dead := h.queue("dead")
	url := h.queue("q", "DelaySeconds", "7")
	redrive := `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"4"}`
	set := func(attrs map[string]string) error {
		_, err := h.sqs.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: attrs})
		return err
	}
	get := func(names ...sqstypes.QueueAttributeName) map[string]string {
		out, err := h.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: names})
		if err != nil {
			t.Fatal(err)
		}
		return out.Attributes
	}
	if err := set(map[string]string{"VisibilityTimeout": "55", "RedrivePolicy": redrive}); err != nil {
		t.Fatal(err)
	}
	all := get("All")
	for name, want := range map[string]string{"VisibilityTimeout": "55", "DelaySeconds": "7", "RedrivePolicy": redrive,
		"MaximumMessageSize": "1048576", "MessageRetentionPeriod": "345600", "ApproximateNumberOfMessages": "0",
		"QueueArn": "arn:aws:sqs:us-east-1:000000000000:q"} {
		if all[name] != want {
			t.Errorf("%s is %q, want %q", name, all[name], want)
		}
	}
	if some := get("DelaySeconds"); len(some) != 1 || some["DelaySeconds"] != "7" {
		t.Errorf("asked for one attribute, got %v", some)
	}
	wantCode(t, set(map[string]string{"Colour": "red"}), "InvalidAttributeName")
	wantCode(t, set(map[string]string{"QueueArn": "mine"}), "InvalidAttributeName")
	sources, err := h.sqs.ListDeadLetterSourceQueues(t.Context(), &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: &dead})
	if err != nil || !slices.Equal(sources.QueueUrls, []string{url}) {
		t.Errorf("dead letter sources %v, %v", sources, err)
	}
	if err := set(map[string]string{"RedrivePolicy": ""}); err != nil {
		t.Fatal(err)
	}
	if _, there := get("All")["RedrivePolicy"]; there {
		t.Error("the redrive policy was not taken away")
	}
}

func TestListQueues(t *testing.T) {
	h := start(t, snssqs.Config{})
	var want []string
	for i := range 7 {
		want = append(want, h.queue(fmt.Sprintf("list-%d", i)))
	}
	h.queue("other")
	var have []string
	pages := sqs.NewListQueuesPaginator(h.sqs, &sqs.ListQueuesInput{QueueNamePrefix: aws.String("list-"), MaxResults: aws.Int32(3)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		have = append(have, page.QueueUrls...)
	}
	if !slices.Equal(have, want) {
		t.Errorf("listed %v, want %v", have, want)
	}
}

func TestPurgeQueue(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.queue("q")
	h.send(url, "in flight")
	held := h.one(url)
	h.send(url, "visible")
	if _, err := h.sqs.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &url}); err != nil {
		t.Fatal(err)
	}
	h.wantDepth("q", snssqs.Depth{})
	h.delete(url, held)
	_, err := h.sqs.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &url})
	wantCode(t, err, "AWS.SimpleQueueService.PurgeQueueInProgress")
}
