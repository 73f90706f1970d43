package bus

import (
	"context"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"

	"jangbu/domain/event"
)

const (
	maxBatch = 10
	// maxBytes is what a message, and a batch in total, may weigh: SNS's 256 KiB less a little for what it may count that
	// we do not.
	maxBytes = 256<<10 - 1<<10

	attributeType     = "type"
	attributeCategory = "category"
	attributeKind     = "String"
)

// outgoing is an event on its way: its place among the arguments of Publish and its message.
type outgoing struct {
	index    int
	body     string
	typ      string
	category string
}

func newOutgoing(index int, e event.Recorded) outgoing {
	o := outgoing{index: index, typ: e.Type, category: event.Category(e.Stream)}
	o.body = string(encode(make([]byte, 0, 512+len(e.Data)+2*len(e.Metadata)), e, false))
	if o.size() > maxBytes {
		o.body = string(encode(nil, e, true))
	}
	return o
}

// size is what the message counts towards the limits, attributes included.
func (o outgoing) size() int {
	return len(o.body) + len(attributeType) + len(attributeCategory) + 2*len(attributeKind) + len(o.typ) + len(o.category)
}

func (o outgoing) attributes() map[string]snstypes.MessageAttributeValue {
	attrs := make(map[string]snstypes.MessageAttributeValue, 2)
	for _, a := range [2][2]string{{attributeType, o.typ}, {attributeCategory, o.category}} {
		if a[1] != "" { // SNS refuses an empty one
			attrs[a[0]] = snstypes.MessageAttributeValue{DataType: aws.String(attributeKind), StringValue: aws.String(a[1])}
		}
	}
	return attrs
}

// Publish sends events to the topic. result[i] says what became of events[i]: nil means that the topic has it. An
// error that wraps event.ErrUnavailable may be retried, and the event may have been published all the same; any other
// is final. Batches go out one after the other: who has many calls side by side. Nothing is promised about order. An
// event too large for a message goes hollow. Safe for concurrent use.
func (b *Bus) Publish(ctx context.Context, events []event.Recorded) []error {
	result := make([]error, len(events))
	if len(events) == 0 {
		return result
	}
	topic, err := b.topic(ctx)
	if err != nil {
		for i := range result {
			result[i] = fmt.Errorf("publish: %w", err)
		}
		return result
	}
	for _, batch := range batchesOf(events) {
		b.publishBatch(ctx, topic, batch, result)
	}
	return result
}

// batchesOf encodes events and cuts them, in their order, into batches within SNS's limits.
func batchesOf(events []event.Recorded) [][]outgoing {
	var batches [][]outgoing
	var batch []outgoing
	bytes := 0
	for i, e := range events {
		o := newOutgoing(i, e)
		if len(batch) == maxBatch || len(batch) > 0 && bytes+o.size() > maxBytes {
			batches = append(batches, batch)
			batch, bytes = nil, 0
		}
		batch = append(batch, o)
		bytes += o.size()
	}
	return append(batches, batch)
}

// publishBatch sends one batch. The entries' ids are their places in it, by which failures are told.
func (b *Bus) publishBatch(ctx context.Context, topic string, batch []outgoing, result []error) {
	entries := make([]snstypes.PublishBatchRequestEntry, len(batch))
	for i := range batch {
		entries[i] = snstypes.PublishBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), Message: &batch[i].body, MessageAttributes: batch[i].attributes()}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := b.sns.PublishBatch(ctx, &sns.PublishBatchInput{TopicArn: &topic, PublishBatchRequestEntries: entries})
	if err != nil {
		b.distrust(topic, err)
		err = fmt.Errorf("publish: %w", classify(err))
		for _, o := range batch {
			result[o.index] = err
		}
		return
	}
	// What the answer does not name did not happen.
	for _, o := range batch {
		result[o.index] = fmt.Errorf("publish: no answer for this event: %w", event.ErrUnavailable)
	}
	for _, ok := range out.Successful {
		if i, known := entryIndex(ok.Id, len(batch)); known {
			result[batch[i].index] = nil
		}
	}
	for _, failed := range out.Failed {
		if i, known := entryIndex(failed.Id, len(batch)); known {
			result[batch[i].index] = fmt.Errorf("publish: %w", entryError(aws.ToString(failed.Code), aws.ToString(failed.Message)))
		}
	}
}

// entryIndex reads an entry's id as its place in the batch.
func entryIndex(id *string, n int) (int, bool) {
	i, err := strconv.Atoi(aws.ToString(id))
	return i, err == nil && i >= 0 && i < n
}

// entryError says why one entry of a batch failed.
func entryError(code, message string) error {
	if refusedForEver(code) {
		return fmt.Errorf("%w: %s: %s", ErrRefused, code, message)
	}
	return fmt.Errorf("%w: %s: %s", event.ErrUnavailable, code, message)
}
