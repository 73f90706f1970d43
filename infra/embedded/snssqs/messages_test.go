package snssqs_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"jangbu/infra/embedded/snssqs"
)

func TestVisibilityTimeout(t *testing.T) {
	c := newClock()
	h := start(t, snssqs.Config{Now: c.Now})
	url := h.queue("q", "VisibilityTimeout", "30")
	h.send(url, "a")
	first := h.one(url)
	c.advance(h, 29*time.Second)
	if got := h.receive(url, 0); len(got) != 0 {
		t.Fatalf("visible after 29 of 30 seconds: %v", bodies(got))
	}
	h.wantDepth("q", snssqs.Depth{InFlight: 1})
	c.advance(h, time.Second)
	h.wantDepth("q", snssqs.Depth{Visible: 1})
	second := h.one(url)
	if *second.MessageId != *first.MessageId || *second.ReceiptHandle == *first.ReceiptHandle {
		t.Errorf("received again as message %s with receipt %s", *second.MessageId, *second.ReceiptHandle)
	}
	if err := h.hide(url, second, 100); err != nil {
		t.Fatal(err)
	}
	c.advance(h, 99*time.Second)
	h.wantDepth("q", snssqs.Depth{InFlight: 1})
	if err := h.hide(url, second, 0); err != nil {
		t.Fatal(err)
	}
	h.wantDepth("q", snssqs.Depth{Visible: 1})
	wantCode(t, h.hide(url, second, 10), "AWS.SimpleQueueService.MessageNotInflight")
}

func TestReceiptHandles(t *testing.T) {
	c := newClock()
	h := start(t, snssqs.Config{Now: c.Now})
	url := h.queue("q")
	h.send(url, "a")
	old := h.one(url)
	c.advance(h, time.Minute)
	latest := h.one(url)
	h.delete(url, old) // a success that deletes nothing
	h.wantDepth("q", snssqs.Depth{InFlight: 1})
	c.advance(h, time.Minute)
	h.wantDepth("q", snssqs.Depth{Visible: 1})
	h.delete(url, latest) // still the latest, although the message is visible again
	h.wantDepth("q", snssqs.Depth{})
	if got := h.receive(url, 0); len(got) != 0 {
		t.Errorf("deleted while visible, and received again: %v", bodies(got))
	}
	h.delete(url, latest) // again
	other := start(t, snssqs.Config{})
	foreign := other.queue("q")
	_, err := other.sqs.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &foreign, ReceiptHandle: latest.ReceiptHandle})
	wantCode(t, err, "ReceiptHandleIsInvalid")
}

func TestReceiptsAreOfOneQueue(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.queue("q")
	h.send(url, "a")
	receipt := h.one(url).ReceiptHandle
	if _, err := h.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &url}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"other", "q"} {
		url := h.queue(name)
		h.send(url, "b")
		h.one(url)
		_, err := h.sqs.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: receipt})
		wantCode(t, err, "ReceiptHandleIsInvalid")
		h.wantDepth(name, snssqs.Depth{InFlight: 1})
	}
}

func TestSystemAttributes(t *testing.T) {
	c := newClock()
	h := start(t, snssqs.Config{Now: c.Now})
	url := h.queue("q")
	h.send(url, "a")
	sent := c.Now()
	c.advance(h, 5*time.Second)
	first := c.Now()
	for receives := 1; receives <= 3; receives++ {
		m := h.one(url)
		for name, want := range map[string]string{
			"ApproximateReceiveCount":          strconv.Itoa(receives),
			"SentTimestamp":                    strconv.FormatInt(sent.UnixMilli(), 10),
			"ApproximateFirstReceiveTimestamp": strconv.FormatInt(first.UnixMilli(), 10),
		} {
			if m.Attributes[name] != want {
				t.Errorf("receive %d: %s is %q, want %q", receives, name, m.Attributes[name], want)
			}
		}
		c.advance(h, time.Minute)
	}
}

func TestDelayAndRetention(t *testing.T) {
	c := newClock()
	h := start(t, snssqs.Config{Now: c.Now})
	url := h.queue("q", "DelaySeconds", "10", "MessageRetentionPeriod", "60")
	h.send(url, "by the queue's delay")
	if _, err := h.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("by its own"), DelaySeconds: 20}); err != nil {
		t.Fatal(err)
	}
	h.wantDepth("q", snssqs.Depth{Delayed: 2})
	c.advance(h, 10*time.Second)
	if got := bodies(h.receive(url, 0)); !slices.Equal(got, []string{"by the queue's delay"}) {
		t.Errorf("after 10 s received %v", got)
	}
	c.advance(h, 10*time.Second)
	h.wantDepth("q", snssqs.Depth{Visible: 1, InFlight: 1})
	c.advance(h, 40*time.Second)
	if got := h.receive(url, 0); len(got) != 0 {
		t.Errorf("received after the retention period: %v", bodies(got))
	}
	h.wantDepth("q", snssqs.Depth{})
}

func TestDeadLetterQueue(t *testing.T) {
	c := newClock()
	h := start(t, snssqs.Config{Now: c.Now})
	dead := h.queue("dead")
	url := h.queue("q", "RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":2}`)
	h.send(url, "poison")
	for range 2 {
		h.one(url)
		c.advance(h, time.Minute)
	}
	h.send(url, "sound")
	if got := bodies(h.receive(url, 0)); !slices.Equal(got, []string{"sound"}) {
		t.Errorf("third receive got %v, want the sound message alone", got)
	}
	h.wantDepth("q", snssqs.Depth{InFlight: 1})
	m := h.one(dead)
	if *m.Body != "poison" || m.Attributes["ApproximateReceiveCount"] != "3" ||
		m.Attributes["DeadLetterQueueSourceArn"] != "arn:aws:sqs:us-east-1:000000000000:q" {
		t.Errorf("dead letter %q with %v", *m.Body, m.Attributes)
	}
}

func TestDeadLettersStayWhenTheirQueueIsGone(t *testing.T) {
	c := newClock()
	h := start(t, snssqs.Config{Now: c.Now})
	dead := h.queue("dead")
	url := h.queue("q", "RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":1}`)
	if _, err := h.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &dead}); err != nil {
		t.Fatal(err)
	}
	h.send(url, "poison")
	for range 3 {
		h.one(url)
		c.advance(h, time.Minute)
	}
}

// TestOwnDeadLetterQueue: a move to where a message already is changes nothing, so it is delivered on and on.
func TestOwnDeadLetterQueue(t *testing.T) {
	c := newClock()
	h := start(t, snssqs.Config{Now: c.Now})
	url := h.queue("q")
	if _, err := h.sqs.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:q","maxReceiveCount":1}`}}); err != nil {
		t.Fatal(err)
	}
	h.send(url, "poison")
	for n := range 3 {
		if m := h.one(url); m.Attributes["ApproximateReceiveCount"] != fmt.Sprint(n+1) || m.Attributes["DeadLetterQueueSourceArn"] != "" {
			t.Errorf("receive %d: %v", n, m.Attributes)
		}
		c.advance(h, time.Minute)
	}
}

func TestMessageAttributes(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.queue("q")
	attrs := map[string]sqstypes.MessageAttributeValue{
		"b": {DataType: aws.String("Binary"), BinaryValue: []byte{0, 1, 255}},
		"n": {DataType: aws.String("Number"), StringValue: aws.String("12.5")},
		"a": {DataType: aws.String("String"), StringValue: aws.String("장부")},
		"c": {DataType: aws.String("String.custom"), StringValue: aws.String("x")},
	}
	out, err := h.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("hello"), MessageAttributes: attrs})
	if err != nil {
		t.Fatal(err)
	}
	const digest = "77ed66089b4bc851e69387cad2e3a83b" // as fauxqs 2.4.1 answers for the same message
	if *out.MD5OfMessageAttributes != digest {
		t.Errorf("digest of the attributes %s, want %s", *out.MD5OfMessageAttributes, digest)
	}
	m := h.one(url)
	if len(m.MessageAttributes) != len(attrs) || *m.MD5OfMessageAttributes != digest {
		t.Errorf("received attributes %v, digest %s", m.MessageAttributes, *m.MD5OfMessageAttributes)
	}
	for name, want := range attrs {
		have := m.MessageAttributes[name]
		if aws.ToString(have.DataType) != *want.DataType || aws.ToString(have.StringValue) != aws.ToString(want.StringValue) || string(have.BinaryValue) != string(want.BinaryValue) {
			t.Errorf("attribute %s came as %+v", name, have)
		}
	}
	if err := h.hide(url, m, 0); err != nil {
		t.Fatal(err)
	}
	some, err := h.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MessageAttributeNames: []string{"x.*", "a"}})
	if err != nil {
		t.Fatal(err)
	}
	if m := some.Messages[0]; len(m.MessageAttributes) != 1 || aws.ToString(m.MessageAttributes["a"].StringValue) != "장부" || *m.MD5OfMessageAttributes == digest {
		t.Errorf("asked for some attributes, got %v with digest %s", m.MessageAttributes, *m.MD5OfMessageAttributes)
	}
}

func TestSendRefusals(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.queue("q", "MaximumMessageSize", "2048")
	many := map[string]sqstypes.MessageAttributeValue{}
	for i := range 11 {
		many["a"+strconv.Itoa(i)] = sqstypes.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String("x")}
	}
	word := func(dataType, value string) map[string]sqstypes.MessageAttributeValue {
		return map[string]sqstypes.MessageAttributeValue{"a": {DataType: &dataType, StringValue: &value}}
	}
	cases := []struct {
		name string
		in   sqs.SendMessageInput
		code string
	}{
		{"no body", sqs.SendMessageInput{MessageBody: aws.String("")}, "MissingParameter"},
		{"too large", sqs.SendMessageInput{MessageBody: aws.String(strings.Repeat("x", 2049))}, "InvalidParameterValue"},
		{"too large with its attributes", sqs.SendMessageInput{MessageBody: aws.String(strings.Repeat("x", 2041)), MessageAttributes: word("String", "x")}, "InvalidParameterValue"},
		{"control character", sqs.SendMessageInput{MessageBody: aws.String("a\x01b")}, "InvalidMessageContents"},
		{"no character", sqs.SendMessageInput{MessageBody: aws.String("a\uffffb")}, "InvalidMessageContents"},
		{"eleven attributes", sqs.SendMessageInput{MessageBody: aws.String("x"), MessageAttributes: many}, "InvalidParameterValue"},
		{"attribute of unknown type", sqs.SendMessageInput{MessageBody: aws.String("x"), MessageAttributes: word("Colour", "red")}, "InvalidParameterValue"},
		{"number that is none", sqs.SendMessageInput{MessageBody: aws.String("x"), MessageAttributes: word("Number", "red")}, "InvalidParameterValue"},
		{"delay too long", sqs.SendMessageInput{MessageBody: aws.String("x"), DelaySeconds: 901}, "InvalidParameterValue"},
		{"FIFO", sqs.SendMessageInput{MessageBody: aws.String("x"), MessageDeduplicationId: aws.String("1")}, "InvalidParameterValue"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.in.QueueUrl = &url
			_, err := h.sqs.SendMessage(t.Context(), &c.in)
			wantCode(t, err, c.code)
		})
	}
	h.send(url, strings.Repeat("x", 2048))
	h.wantDepth("q", snssqs.Depth{Visible: 1})
}

func TestReceiveRefusals(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.queue("q")
	for name, in := range map[string]sqs.ReceiveMessageInput{
		"eleven messages":     {MaxNumberOfMessages: 11},
		"a wait of 21 s":      {WaitTimeSeconds: 21},
		"hidden for over 12h": {VisibilityTimeout: 43201},
	} {
		in.QueueUrl = &url
		_, err := h.sqs.ReceiveMessage(t.Context(), &in)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		wantCode(t, err, "InvalidParameterValue")
	}
}
