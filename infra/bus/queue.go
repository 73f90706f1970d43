package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"jangbu/domain/event"
)

const (
	maxWait       = 20 * time.Second
	maxVisibility = 12 * time.Hour
	batchAttempts = 4 // of a batch whose entries partly fail
)

// Queue is one SQS queue. It is safe for concurrent use.
type Queue struct {
	bus         *Bus
	name        string
	deadLetters string // name of its dead-letter queue; empty for one that is a dead-letter queue itself
	url         atomic.Pointer[string]
}

// Name is the queue's name at SQS.
func (q *Queue) Name() string { return q.name }

// Receive returns up to limit messages, at most 10, and waits up to wait, at most 20 seconds and rounded up to whole ones,
// for the first. None in that time is no error. A message stays hidden from other receivers until it is deleted or
// its visibility ends. One that is no event comes with Delivery.Err; left alone, it ends in the dead-letter queue.
// Errors wrap event.ErrUnavailable, event.ErrNotProvisioned among them when the queue does not exist.
func (q *Queue) Receive(ctx context.Context, limit int, wait time.Duration) ([]event.Delivery, error) {
	messages, err := q.receive(ctx, min(wait, maxWait), &sqs.ReceiveMessageInput{
		MaxNumberOfMessages:         int32(max(1, min(limit, maxBatch))),
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{sqstypes.MessageSystemAttributeNameApproximateReceiveCount},
	})
	if err != nil {
		return nil, err
	}
	deliveries := make([]event.Delivery, len(messages))
	for i, m := range messages {
		deliveries[i] = q.bus.deliveryOf(m)
	}
	return deliveries, nil
}

// receive fills in where the request goes and how long it waits.
func (q *Queue) receive(ctx context.Context, wait time.Duration, in *sqs.ReceiveMessageInput) ([]sqstypes.Message, error) {
	url, err := q.resolve(ctx)
	if err != nil {
		return nil, err
	}
	in.QueueUrl, in.WaitTimeSeconds = &url, wholeSeconds(wait)
	ctx, cancel := context.WithTimeout(ctx, wait+callTimeout)
	defer cancel()
	out, err := q.bus.sqs.ReceiveMessage(ctx, in)
	if err != nil {
		return nil, q.failed("receive from", url, err)
	}
	return out.Messages, nil
}

func (b *Bus) deliveryOf(m sqstypes.Message) event.Delivery {
	d := event.Delivery{Receipt: aws.ToString(m.ReceiptHandle), Receives: 1}
	if n, err := strconv.Atoi(m.Attributes[string(sqstypes.MessageSystemAttributeNameApproximateReceiveCount)]); err == nil {
		d.Receives = n
	}
	d.Event, d.Hollow, d.Err = b.decoded.decode(aws.ToString(m.Body))
	return d
}

// wholeSeconds rounds up: what SQS counts in.
func wholeSeconds(d time.Duration) int32 {
	return int32((max(d, 0) + time.Second - 1) / time.Second)
}

// resolve returns the queue's URL, asking for it when it is not known.
func (q *Queue) resolve(ctx context.Context) (string, error) {
	if url := q.url.Load(); url != nil {
		return *url, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := q.bus.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &q.name})
	if err != nil {
		return "", q.failed("find", "", err)
	}
	q.url.Store(out.QueueUrl)
	return aws.ToString(out.QueueUrl), nil
}

// failed words an error, and forgets the queue's URL when the queue behind it has gone.
func (q *Queue) failed(step, url string, err error) error {
	if known := q.url.Load(); isGone(err) && known != nil && *known == url {
		q.url.CompareAndSwap(known, nil)
	}
	return fmt.Errorf("%s queue %s: %w", step, q.name, classify(err))
}

// Delete removes messages that have been dealt with. One that is gone already is no error. Entries that fail are tried
// again a few times; an error says how many remain, and wraps event.ErrUnavailable if they may be deleted later. What
// remains is delivered again.
func (q *Queue) Delete(ctx context.Context, ds []event.Delivery) error {
	return q.inBatches(ctx, "delete from", ds, func(ctx context.Context, url string, part []event.Delivery) ([]sqstypes.BatchResultErrorEntry, error) {
		entries := make([]sqstypes.DeleteMessageBatchRequestEntry, len(part))
		for i := range part {
			entries[i] = sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &part[i].Receipt}
		}
		out, err := q.bus.sqs.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: entries})
		if err != nil {
			return nil, err
		}
		return out.Failed, nil
	})
}

// Hide keeps messages from other receivers for d from now, at most 12 hours and rounded up to whole seconds; zero shows
// them at once. A message that is no longer in flight is passed over: it is deleted, or visible again already. Entries
// that fail are tried again as by Delete.
func (q *Queue) Hide(ctx context.Context, ds []event.Delivery, d time.Duration) error {
	seconds := wholeSeconds(min(d, maxVisibility))
	return q.inBatches(ctx, "hide in", ds, func(ctx context.Context, url string, part []event.Delivery) ([]sqstypes.BatchResultErrorEntry, error) {
		entries := make([]sqstypes.ChangeMessageVisibilityBatchRequestEntry, len(part))
		for i := range part {
			entries[i] = sqstypes.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &part[i].Receipt, VisibilityTimeout: seconds}
		}
		out, err := q.bus.sqs.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &url, Entries: entries})
		if err != nil {
			return nil, err
		}
		return out.Failed, nil
	})
}

// batchCall does something to at most 10 messages, whose entry ids are their places, and returns what failed.
type batchCall func(ctx context.Context, url string, part []event.Delivery) ([]sqstypes.BatchResultErrorEntry, error)

func (q *Queue) inBatches(ctx context.Context, step string, ds []event.Delivery, do batchCall) error {
	if len(ds) == 0 {
		return nil
	}
	url, err := q.resolve(ctx)
	if err != nil {
		return err
	}
	var (
		remain int
		causes []error
	)
	for start := 0; start < len(ds); start += maxBatch {
		left, err := q.untilDone(ctx, step, url, ds[start:min(start+maxBatch, len(ds))], do)
		remain += left
		causes = append(causes, err)
	}
	if cause := errors.Join(causes...); cause != nil {
		return fmt.Errorf("%s queue %s: %d of %d messages remain: %w", step, q.name, remain, len(ds), cause)
	}
	return nil
}

// untilDone repeats one batch for its failed entries, a few times. It returns how many remain undone, and why.
func (q *Queue) untilDone(ctx context.Context, step, url string, part []event.Delivery, do batchCall) (int, error) {
	var lost int
	var final error // of entries that will never succeed
	for attempt := 1; ; attempt++ {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		failed, err := do(call, url, part)
		cancel()
		if err != nil {
			return lost + len(part), errors.Join(final, q.failed(step, url, err))
		}
		var again []event.Delivery
		var cause error
		for _, f := range failed {
			i, known := entryIndex(f.Id, len(part))
			if !known || notInFlight(aws.ToString(f.Code)) {
				continue
			}
			err := entryError(aws.ToString(f.Code), aws.ToString(f.Message))
			if f.SenderFault && errors.Is(err, ErrRefused) {
				lost, final = lost+1, err
				continue
			}
			again, cause = append(again, part[i]), err
		}
		if len(again) == 0 {
			return lost, final
		}
		if attempt == batchAttempts {
			return lost + len(again), errors.Join(final, cause)
		}
		part = again
	}
}

// notInFlight knows the codes of an entry whose message has been deleted or has become visible again: AWS documents the
// first two and answers the third. A receipt from before a restart of an endpoint that keeps its queues in memory is of the
// same kind.
func notInFlight(code string) bool {
	switch code {
	case "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", "InvalidParameterValue", "ReceiptHandleIsInvalid":
		return true
	}
	return false
}

// Depth counts the messages of a queue, approximately, as SQS does.
type Depth struct {
	Visible  int // wait to be received
	InFlight int // received and not yet deleted
	Delayed  int
	Dead     int // in its dead-letter queue
}

// Depth asks SQS how much waits in the queue and in its dead-letter queue.
func (q *Queue) Depth(ctx context.Context) (Depth, error) {
	d, err := q.count(ctx)
	if err != nil || q.deadLetters == "" {
		return d, err
	}
	dead, err := q.bus.queueNamed(q.deadLetters, "").count(ctx)
	d.Dead = dead.Visible + dead.InFlight + dead.Delayed
	return d, err
}

func (q *Queue) count(ctx context.Context) (Depth, error) {
	url, err := q.resolve(ctx)
	if err != nil {
		return Depth{}, err
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := q.bus.sqs.GetQueueAttributes(call, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{
		sqstypes.QueueAttributeNameApproximateNumberOfMessages,
		sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible,
		sqstypes.QueueAttributeNameApproximateNumberOfMessagesDelayed,
	}})
	if err != nil {
		return Depth{}, q.failed("count", url, err)
	}
	number := func(name sqstypes.QueueAttributeName) int {
		n, err := strconv.Atoi(out.Attributes[string(name)])
		if err != nil {
			return 0 // SQS leaves out what it does not know at the moment
		}
		return n
	}
	return Depth{
		Visible:  number(sqstypes.QueueAttributeNameApproximateNumberOfMessages),
		InFlight: number(sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible),
		Delayed:  number(sqstypes.QueueAttributeNameApproximateNumberOfMessagesDelayed),
	}, nil
}
