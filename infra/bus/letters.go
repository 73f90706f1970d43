package bus

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"jangbu/domain/event"
)

// Letter is a message as it lies in a dead-letter queue.
type Letter struct {
	event.Delivery
	ID   string    // the message's own at SQS
	Sent time.Time // first, to the queue that it was moved from
	Body string
}

const (
	letterHold = 2 * time.Minute // how long a letter that is looked at stays hidden, if nobody lives to show it again
	letterWait = time.Second     // SQS asks all its servers only if it may wait
	showAgain  = 5 * time.Second
)

// Letters yields what lies in the queue, each message once, at most 10 together. They are hidden from other receivers
// meanwhile; when the iteration ends, by its own or the caller's doing or with ctx, those that the caller did not Delete
// are shown again. Looking counts as a receive. Messages that others hold at the moment are not seen. An error ends it
// and is as Receive's.
func (q *Queue) Letters(ctx context.Context) iter.Seq2[[]Letter, error] {
	return func(yield func([]Letter, error) bool) {
		seen := map[string]bool{}
		var held []event.Delivery
		defer func() {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), showAgain)
			defer cancel()
			_ = q.Hide(last, held, 0) // else they show themselves after letterHold
		}()
		for {
			letters, err := q.take(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			var fresh []Letter
			for _, l := range letters {
				held = append(held, l.Delivery)
				if !seen[l.ID] {
					seen[l.ID] = true
					fresh = append(fresh, l)
				}
			}
			if len(fresh) == 0 || !yield(fresh, nil) {
				return
			}
		}
	}
}

func (q *Queue) take(ctx context.Context) ([]Letter, error) {
	out, err := q.receive(ctx, letterWait, &sqs.ReceiveMessageInput{
		MaxNumberOfMessages: maxBatch,
		VisibilityTimeout:   wholeSeconds(letterHold),
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{
			sqstypes.MessageSystemAttributeNameApproximateReceiveCount, sqstypes.MessageSystemAttributeNameSentTimestamp},
	})
	if err != nil {
		return nil, err
	}
	letters := make([]Letter, len(out))
	for i, m := range out {
		letters[i] = Letter{Delivery: q.bus.deliveryOf(m), ID: aws.ToString(m.MessageId), Body: aws.ToString(m.Body)}
		if ms, err := strconv.ParseInt(m.Attributes[string(sqstypes.MessageSystemAttributeNameSentTimestamp)], 10, 64); err == nil {
			letters[i].Sent = time.UnixMilli(ms).UTC()
		}
	}
	return letters, nil
}

// Purge deletes every message in the queue, those that others hold, too. SQS does so once a minute at most, and may take
// a minute for it. Errors are as Receive's, or ErrPurging.
func (q *Queue) Purge(ctx context.Context) error {
	url, err := q.resolve(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := q.bus.sqs.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: &url}); err != nil {
		return q.failed("purge", url, err)
	}
	return nil
}
