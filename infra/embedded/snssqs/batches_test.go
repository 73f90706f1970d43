package snssqs_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"jangbu/infra/embedded/snssqs"
)

func entries(ids ...string) []sqstypes.SendMessageBatchRequestEntry {
	var out []sqstypes.SendMessageBatchRequestEntry
	for _, id := range ids {
		out = append(out, sqstypes.SendMessageBatchRequestEntry{Id: aws.String(id), MessageBody: aws.String("body " + id)})
	}
	return out
}

func TestBatchRefusals(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.queue("q")
	large := entries("a", "b")
	for i := range large {
		large[i].MessageBody = aws.String(strings.Repeat("x", 600<<10))
	}
	const service = "AWS.SimpleQueueService."
	cases := []struct {
		name    string
		entries []sqstypes.SendMessageBatchRequestEntry
		code    string
	}{
		{"empty", []sqstypes.SendMessageBatchRequestEntry{}, service + "EmptyBatchRequest"},
		{"eleven", entries("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"), service + "TooManyEntriesInBatchRequest"},
		{"equal ids", entries("a", "b", "a"), service + "BatchEntryIdsNotDistinct"},
		{"unfit id", entries("a b"), service + "InvalidBatchEntryId"},
		{"over 1 MiB in total", large, service + "BatchRequestTooLong"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := h.sqs.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: c.entries})
			wantCode(t, err, c.code)
		})
	}
	h.wantDepth("q", snssqs.Depth{})
}

func TestSendBatchPartly(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.queue("q")
	batch := entries("good", "bad", "fine")
	batch[1].MessageBody = aws.String("a\x00b")
	out, err := h.sqs.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: batch})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Successful) != 2 || len(out.Failed) != 1 || *out.Failed[0].Id != "bad" || !out.Failed[0].SenderFault || *out.Failed[0].Code != "InvalidMessageContents" {
		t.Errorf("answer %+v", out)
	}
	if got := bodies(h.receive(url, 0)); !slices.Equal(got, []string{"body good", "body fine"}) {
		t.Errorf("received %v", got)
	}
}

func TestDeleteAndHideBatches(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.queue("q")
	if _, err := h.sqs.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: entries("a", "b", "c")}); err != nil {
		t.Fatal(err)
	}
	got := h.receive(url, 0)
	removed, err := h.sqs.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: []sqstypes.DeleteMessageBatchRequestEntry{
		{Id: aws.String("0"), ReceiptHandle: got[0].ReceiptHandle}, {Id: aws.String("bad"), ReceiptHandle: aws.String("nonsense")}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(removed.Successful) != 1 || len(removed.Failed) != 1 || *removed.Failed[0].Code != "ReceiptHandleIsInvalid" {
		t.Errorf("deleting answered %+v", removed)
	}
	var hide []sqstypes.ChangeMessageVisibilityBatchRequestEntry
	for i, m := range got {
		hide = append(hide, sqstypes.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: int32(i - 1)})
	}
	// The first is deleted, the second shown at once, the third hidden for a second.
	hidden, err := h.sqs.ChangeMessageVisibilityBatch(t.Context(), &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &url, Entries: hide})
	if err != nil {
		t.Fatal(err)
	}
	if len(hidden.Successful) != 2 || len(hidden.Failed) != 1 || *hidden.Failed[0].Id != "0" {
		t.Errorf("hiding answered %+v", hidden)
	}
	if m := h.one(url); *m.Body != "body b" {
		t.Errorf("shown again: %s", *m.Body)
	}
}
