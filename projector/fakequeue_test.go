package projector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"jangbu/domain/event"
)

var errBroken = errors.New("the fake is broken just now")

// fakeQueue is a standard queue that does all a standard queue may do: it hands out in any order, hands out again what
// is being worked on, fails to receive and to delete, and fails to say that it did delete. Its faults are in a thousand
// calls; the zero faults make it a good queue.
type fakeQueue struct {
	mu       sync.Mutex
	random   *rand.Rand
	messages map[string]*fakeMessage // by receipt
	next     int
	arrived  chan struct{}

	duplicates, receiveFails, deleteFails int
	gone                                  bool // there is no such queue
	hides                                 []fakeHide
	receives                              int
}

type fakeMessage struct {
	delivery event.Delivery
	hidden   bool // until it is handed out again by duplicates, or comes back
}

type fakeHide struct {
	receipts []string
	d        time.Duration
}

func newFakeQueue(seed uint64) *fakeQueue {
	return &fakeQueue{random: rand.New(rand.NewPCG(seed, 1)), messages: map[string]*fakeMessage{}, arrived: make(chan struct{}, 1)}
}

func (q *fakeQueue) send(deliveries ...event.Delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range deliveries {
		q.next++
		d.Receipt = fmt.Sprint("receipt ", q.next)
		q.messages[d.Receipt] = &fakeMessage{delivery: d}
	}
	q.wake()
}

func (q *fakeQueue) sendEvents(events ...event.Recorded) {
	for _, e := range events {
		q.send(event.Delivery{Event: e})
	}
}

func (q *fakeQueue) wake() {
	select {
	case q.arrived <- struct{}{}:
	default:
	}
}

func (q *fakeQueue) fails(inAThousand int) bool { return q.random.IntN(1000) < inAThousand }

// handedOut reports whether somebody works on a message.
func (q *fakeQueue) handedOut() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.messages {
		if m.hidden {
			return true
		}
	}
	return false
}

func (q *fakeQueue) Receive(ctx context.Context, most int, wait time.Duration) ([]event.Delivery, error) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		deliveries, err := q.take(most)
		if err != nil || len(deliveries) > 0 {
			return deliveries, err
		}
		select {
		case <-q.arrived:
		case <-timeout.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *fakeQueue) take(most int) ([]event.Delivery, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.receives++
	if q.gone {
		q.wake()
		return nil, fmt.Errorf("receive: %w", event.ErrNotProvisioned)
	}
	if q.fails(q.receiveFails) {
		q.wake()
		return nil, fmt.Errorf("receive: %w", errBroken)
	}
	var deliveries []event.Delivery
	for _, m := range q.messages { // in any order
		if m.hidden && !q.fails(q.duplicates) {
			continue
		}
		m.hidden = true
		m.delivery.Receives++
		deliveries = append(deliveries, m.delivery)
		if len(deliveries) == min(most, 1+q.random.IntN(10)) {
			break
		}
	}
	if len(deliveries) > 0 {
		q.wake() // others may find more
	}
	return deliveries, nil
}

func (q *fakeQueue) Delete(_ context.Context, deliveries []event.Delivery) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	failed := q.fails(q.deleteFails)
	for _, d := range deliveries {
		if failed && q.random.IntN(2) == 0 {
			if m := q.messages[d.Receipt]; m != nil {
				m.hidden = false // its visibility timeout has passed
				q.wake()
			}
			continue
		}
		delete(q.messages, d.Receipt)
	}
	if failed {
		return fmt.Errorf("delete: %w", errBroken)
	}
	return nil
}

func (q *fakeQueue) Hide(_ context.Context, deliveries []event.Delivery, d time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	h := fakeHide{d: d}
	for _, one := range deliveries {
		h.receipts = append(h.receipts, one.Receipt)
	}
	q.hides = append(q.hides, h)
	return nil
}

// comeBack ends the visibility timeout of everything that was handed out.
func (q *fakeQueue) comeBack() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.messages {
		m.hidden = false
	}
	q.wake()
}

func (q *fakeQueue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages)
}

func (q *fakeQueue) hidings() []fakeHide {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]fakeHide(nil), q.hides...)
}

// receivesOf says how often a stream's messages have been handed out.
func (q *fakeQueue) receivesOf(stream string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, m := range q.messages {
		if m.delivery.Event.Stream == stream {
			n += m.delivery.Receives
		}
	}
	return n
}

// holds reports whether a message of a stream has not been deleted.
func (q *fakeQueue) holds(stream string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.messages {
		if m.delivery.Event.Stream == stream {
			return true
		}
	}
	return false
}
