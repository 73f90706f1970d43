package snssqs_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"

	"jangbu/infra/embedded/snssqs"
)

type snsAttributes = map[string]snstypes.MessageAttributeValue

func word(name, value string) snsAttributes {
	return snsAttributes{name: {DataType: aws.String("String"), StringValue: &value}}
}

func (h *harness) publish(topic, message string, attrs snsAttributes) string {
	h.Helper()
	out, err := h.sns.Publish(h.Context(), &sns.PublishInput{TopicArn: &topic, Message: &message, MessageAttributes: attrs})
	if err != nil {
		h.Fatal(err)
	}
	return *out.MessageId
}

func (h *harness) publishBatch(topic string, messages ...string) (*sns.PublishBatchOutput, error) {
	entries := []snstypes.PublishBatchRequestEntry{}
	for i, m := range messages {
		entries = append(entries, snstypes.PublishBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), Message: &m, MessageAttributes: word("category", "order")})
	}
	return h.sns.PublishBatch(h.Context(), &sns.PublishBatchInput{TopicArn: &topic, PublishBatchRequestEntries: entries})
}

func TestRawDelivery(t *testing.T) {
	h := start(t, snssqs.Config{})
	topic := h.topic("events")
	url := h.subscribed(topic, "raw", "RawMessageDelivery", "true")
	attrs := snsAttributes{
		"type": {DataType: aws.String("String"), StringValue: aws.String("order <placed> & paid")},
		"n":    {DataType: aws.String("Number"), StringValue: aws.String("7")},
		"b":    {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255}},
	}
	const message = "{\"a\":\"<장부> & \\\"x\\\" +%20\"}\n"
	h.publish(topic, message, attrs)
	m := h.one(url)
	if *m.Body != message || len(m.MessageAttributes) != 3 || *m.MessageAttributes["type"].StringValue != "order <placed> & paid" ||
		*m.MessageAttributes["n"].DataType != "Number" || string(m.MessageAttributes["b"].BinaryValue) != "\x00\xff" {
		t.Errorf("received %q with %+v", *m.Body, m.MessageAttributes)
	}
}

func TestRawDeliveryDiscardsElevenAttributes(t *testing.T) {
	h := start(t, snssqs.Config{})
	topic := h.topic("events")
	raw := h.subscribed(topic, "raw", "RawMessageDelivery", "true")
	wrapped := h.subscribed(topic, "wrapped")
	attrs := snsAttributes{}
	for i := range 10 {
		attrs[fmt.Sprint("a", i)] = snstypes.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String("x")}
	}
	h.publish(topic, "ten", attrs)
	attrs["a10"] = attrs["a0"]
	h.publish(topic, "eleven", attrs)
	if got := bodies(h.receive(raw, 0)); !slices.Equal(got, []string{"ten"}) {
		t.Errorf("raw: %v", got)
	}
	if got := h.receive(wrapped, 0); len(got) != 2 {
		t.Errorf("in envelopes: %d messages, want both", len(got))
	}
}

func TestEnvelope(t *testing.T) {
	h := start(t, snssqs.Config{})
	topic := h.topic("events")
	url := h.subscribed(topic, "q")
	out, err := h.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &topic, Message: aws.String(`{"default":"for others","sqs":"for queues"}`),
		MessageStructure: aws.String("json"), Subject: aws.String("news"), MessageAttributes: word("category", "order")})
	if err != nil {
		t.Fatal(err)
	}
	m := h.one(url)
	var e struct {
		Type, MessageId, TopicArn, Subject, Message, Timestamp, SignatureVersion string
		MessageAttributes                                                        map[string]struct{ Type, Value string }
	}
	if err := json.Unmarshal([]byte(*m.Body), &e); err != nil {
		t.Fatal(err)
	}
	if e.Type != "Notification" || e.MessageId != *out.MessageId || e.TopicArn != topic || e.Subject != "news" || e.Message != "for queues" ||
		e.Timestamp == "" || e.MessageAttributes["category"].Value != "order" || e.MessageAttributes["category"].Type != "String" {
		t.Errorf("envelope %+v", e)
	}
	if len(m.MessageAttributes) != 0 {
		t.Errorf("the envelope has attributes of its own: %v", m.MessageAttributes)
	}
}

func TestFilteredFanOut(t *testing.T) {
	h := start(t, snssqs.Config{})
	topic := h.topic("events")
	queues := map[string]string{
		"orders":  h.subscribed(topic, "orders", "RawMessageDelivery", "true", "FilterPolicy", `{"category":["order"]}`),
		"members": h.subscribed(topic, "members", "RawMessageDelivery", "true", "FilterPolicy", `{"category":["member"]}`),
		"all":     h.subscribed(topic, "all", "RawMessageDelivery", "true"),
	}
	h.publish(topic, "o", word("category", "order"))
	h.publish(topic, "m", word("category", "member"))
	h.publish(topic, "none", nil)
	for name, want := range map[string][]string{"orders": {"o"}, "members": {"m"}, "all": {"o", "m", "none"}} {
		if got := bodies(h.receive(queues[name], 0)); !slices.Equal(got, want) {
			t.Errorf("%s received %v, want %v", name, got, want)
		}
	}
}

func TestPublishRefusals(t *testing.T) {
	h := start(t, snssqs.Config{})
	topic := h.topic("events")
	for name, in := range map[string]sns.PublishInput{
		"empty":            {Message: aws.String("")},
		"too long":         {Message: aws.String(strings.Repeat("x", 256<<10+1))},
		"too long in all":  {Message: aws.String(strings.Repeat("x", 256<<10)), MessageAttributes: word("a", "b")},
		"control":          {Message: aws.String("a\x02")},
		"no default":       {Message: aws.String(`{"email":"x"}`), MessageStructure: aws.String("json")},
		"other structure":  {Message: aws.String("x"), MessageStructure: aws.String("xml")},
		"FIFO":             {Message: aws.String("x"), MessageDeduplicationId: aws.String("1")},
		"to a phone":       {Message: aws.String("x"), PhoneNumber: aws.String("+1")},
		"too long subject": {Message: aws.String("x"), Subject: aws.String(strings.Repeat("x", 101))},
		"subject of lines": {Message: aws.String("x"), Subject: aws.String("a\nb")},
		"subject control":  {Message: aws.String("x"), Subject: aws.String("a\x7f")},
	} {
		t.Run(name, func(t *testing.T) {
			if in.PhoneNumber == nil {
				in.TopicArn = &topic
			}
			_, err := h.sns.Publish(t.Context(), &in)
			wantCode(t, err, "InvalidParameter")
		})
	}
	_, err := h.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &topic, Message: aws.String("x"), MessageAttributes: word("a", "")})
	wantCode(t, err, "ParameterValueInvalid")
	h.publish(topic, strings.Repeat("x", 256<<10), nil)
	if _, err := h.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &topic, Message: aws.String("x"), Subject: aws.String(strings.Repeat("장", 100))}); err != nil {
		t.Errorf("a subject of 100 characters: %v", err)
	}
}

func TestPublishBatch(t *testing.T) {
	h := start(t, snssqs.Config{})
	topic := h.topic("events")
	url := h.subscribed(topic, "q", "RawMessageDelivery", "true")
	out, err := h.publishBatch(topic, "a", "", "c")
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Successful) != 2 || len(out.Failed) != 1 || *out.Failed[0].Id != "1" || !out.Failed[0].SenderFault || *out.Failed[0].Code != "InvalidParameter" {
		t.Errorf("a batch with one empty message answered %+v", out)
	}
	if got := bodies(h.receive(url, 0)); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("received %v", got)
	}
	_, err = h.publishBatch(topic)
	wantCode(t, err, "EmptyBatchRequest")
	_, err = h.publishBatch(topic, slices.Repeat([]string{"x"}, 11)...)
	wantCode(t, err, "TooManyEntriesInBatchRequest")
	_, err = h.publishBatch(topic, slices.Repeat([]string{strings.Repeat("x", 26<<10)}, 10)...)
	wantCode(t, err, "BatchRequestTooLong")
	entry := snstypes.PublishBatchRequestEntry{Id: aws.String("a"), Message: aws.String("x")}
	_, err = h.sns.PublishBatch(t.Context(), &sns.PublishBatchInput{TopicArn: &topic, PublishBatchRequestEntries: []snstypes.PublishBatchRequestEntry{entry, entry}})
	wantCode(t, err, "BatchEntryIdsNotDistinct")
	h.wantDepth("q", snssqs.Depth{InFlight: 2})
}
