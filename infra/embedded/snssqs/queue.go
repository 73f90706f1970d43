package snssqs

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// maxInFlight is AWS's limit for a standard queue.
const maxInFlight = 120_000

// queue holds the messages of one SQS queue. Every message is in exactly one place: ready, or timed (delayed or in
// flight) until its due time. A message deleted while ready stays in the ready list, marked gone, until it is reached.
type queue struct {
	name    string
	arn     string
	created time.Time
	now     func() time.Time
	dice    *dice
	tag     uint32 // marks this queue's receipt handles

	mu       sync.Mutex
	settings settings
	bySeq    map[uint64]*message
	lastSeq  uint64
	ready    readyList
	timed    timedHeap
	delayed  int // of the timed ones; the others are in flight
	waiters  []chan struct{}
	timer    *time.Timer
	armed    time.Time // when the timer fires; zero when it is not set
	purged   time.Time
	closed   bool
}

func newQueue(s *Server, name string, set settings) *queue {
	return &queue{name: name, arn: s.queueARN(name), created: s.cfg.Now(), now: s.cfg.Now, dice: &s.dice, tag: rand.Uint32(),
		settings: set, bySeq: map[uint64]*message{}}
}

// arrival is a message on its way into a queue, sent now where sent is zero: one moved to a dead-letter queue keeps its time.
type arrival struct {
	delivery
	delay time.Duration // -1: the queue's own
}

func newArrival(c *content) arrival {
	return arrival{delivery{content: c, id: uuid.NewString()}, -1}
}

// enqueue takes messages in, all at once, with whatever faults are switched on. Messages that come from another queue
// suffer none: a move is not a delivery.
func (q *queue) enqueue(arrivals ...arrival) {
	now := q.now()
	faults := q.dice.faults.Load()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.expire(now) // nobody else may ever come by
	for _, a := range arrivals {
		copies, faults := 1, faults
		if a.deadFrom != "" {
			faults = nil
		}
		if faults != nil && q.dice.hit(faults.Drop) {
			copies = 0
		} else if faults != nil && q.dice.hit(faults.Duplicate) {
			copies = 2
		}
		for range copies {
			q.insert(a, now, faults)
		}
	}
	q.arm(now)
	q.signal()
}

func (q *queue) insert(a arrival, now time.Time, faults *Faults) {
	q.lastSeq++
	m := &message{delivery: a.delivery, seq: q.lastSeq}
	if m.sent.IsZero() {
		m.sent = now
	}
	q.bySeq[m.seq] = m
	delay := a.delay
	if delay < 0 {
		delay = q.settings.delay
	}
	if faults != nil {
		delay += time.Duration(q.dice.below(int64(faults.DelayMax)))
	}
	if delay > 0 {
		m.state, m.due = delayed, now.Add(delay)
		q.delayed++
		heap.Push(&q.timed, m)
		return
	}
	q.ready.push(m)
	if faults != nil && q.dice.hit(faults.Reorder) {
		q.ready.swapLast(q.dice.below(int64(q.ready.live)))
	}
}

// received is a message as it is handed out once.
type received struct {
	delivery
	receipt string
}

// take hands out up to n messages and hides them. Those received too often already leave the queue and come back as
// dead instead, if deadLetters is where the redrive policy sends them, and another queue than this one: the caller moves
// them, without this queue's lock.
func (q *queue) take(n int, visibility time.Duration, deadLetters *queue) (out []received, dead []arrival, err *apiError) {
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, nil, errNoQueue()
	}
	q.release(now)
	if len(q.timed)-q.delayed >= maxInFlight {
		return nil, nil, refuse("OverLimit", "Too many messages are in flight.")
	}
	if visibility < 0 {
		visibility = q.settings.visibility
	}
	redrive := q.settings.redrive
	if redrive != nil && (deadLetters == nil || deadLetters == q || deadLetters.arn != redrive.target) {
		redrive = nil
	}
	var again []*message // received with no time to hide
	for len(out) < n {
		m := q.ready.pop()
		if m == nil {
			break
		}
		switch {
		case q.expired(m, now):
			delete(q.bySeq, m.seq)
			continue
		case redrive != nil && m.receives >= redrive.max:
			delete(q.bySeq, m.seq)
			m.deadFrom = q.arn
			dead = append(dead, arrival{delivery: m.delivery})
			continue
		}
		m.receives++
		if m.first.IsZero() {
			m.first = now
		}
		out = append(out, received{m.delivery, makeReceipt(q.tag, m.seq, m.receives)})
		if visibility == 0 {
			again = append(again, m)
			continue
		}
		m.state, m.due = inFlight, now.Add(visibility)
		heap.Push(&q.timed, m)
	}
	for _, m := range again {
		q.ready.push(m)
	}
	q.arm(now)
	q.signal() // what is left is for the next waiter
	return out, dead, nil
}

// deadLetterARN is where the redrive policy sends messages; empty without one.
func (q *queue) deadLetterARN() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.settings.redrive == nil {
		return ""
	}
	return q.settings.redrive.target
}

func (q *queue) expired(m *message, now time.Time) bool {
	return now.Sub(m.sent) >= q.settings.retention
}

// expire drops the oldest messages as long as their retention period is over.
func (q *queue) expire(now time.Time) {
	q.ready.dropWhile(func(m *message) bool {
		old := q.expired(m, now)
		if old {
			delete(q.bySeq, m.seq)
		}
		return old
	})
}

// wait blocks until there may be a message to take, and reports false when ctx ended, timeout fired or closing closed.
func (q *queue) wait(ctx context.Context, timeout <-chan time.Time, closing <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-timeout:
		return false
	case <-closing:
		return false
	default:
	}
	q.mu.Lock()
	if q.closed || q.ready.live > 0 {
		q.mu.Unlock()
		return true
	}
	wake := make(chan struct{})
	q.waiters = append(q.waiters, wake)
	q.mu.Unlock()
	select {
	case <-wake:
		if ctx.Err() == nil {
			return true
		}
	case <-ctx.Done():
	case <-timeout:
	case <-closing:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiters, wake); i >= 0 {
		q.waiters = slices.Delete(q.waiters, i, i+1)
	} else {
		q.signal() // it was woken and leaves without taking: the next one must be
	}
	return false
}

// signal wakes one waiter if there is something to take. Whoever takes signals again, so a burst wakes only as many
// waiters as it can feed.
func (q *queue) signal() {
	if len(q.waiters) > 0 && q.ready.live > 0 {
		close(q.waiters[0])
		q.waiters = slices.Delete(q.waiters, 0, 1)
	}
}

// release moves what is due to the ready list.
func (q *queue) release(now time.Time) {
	for len(q.timed) > 0 && !q.timed[0].due.After(now) {
		m := heap.Pop(&q.timed).(*message)
		if m.state == delayed {
			q.delayed--
		}
		q.ready.push(m)
	}
}

// arm sets the timer for the next message to become due, unless it fires by then anyway.
func (q *queue) arm(now time.Time) {
	if len(q.timed) == 0 || q.closed {
		return
	}
	due := q.timed[0].due
	if !q.armed.IsZero() && !q.armed.After(due) {
		return
	}
	q.armed = due
	if q.timer == nil {
		q.timer = time.AfterFunc(due.Sub(now), q.fire)
		return
	}
	q.timer.Reset(due.Sub(now))
}

func (q *queue) fire() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.armed = time.Time{}
	now := q.now()
	q.release(now)
	q.signal()
	q.arm(now)
}

func (q *queue) recheck() {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.release(now)
	q.signal()
	q.armed = time.Time{} // the clock jumped: the timer's remaining time means nothing
	q.arm(now)
}

// remove deletes the message of a receipt. A receipt that is not the message's latest deletes nothing and is no error,
// nor is one whose message has gone.
func (q *queue) remove(receipt string) *apiError {
	seq, receives, err := q.readReceipt(receipt)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errNoQueue()
	}
	m := q.bySeq[seq]
	if m == nil || m.receives != receives {
		return nil
	}
	delete(q.bySeq, seq)
	if m.state == ready {
		m.state = gone
		q.ready.live--
		return nil
	}
	heap.Remove(&q.timed, m.heapIndex)
	return nil
}

// hide sets when a message in flight becomes visible again, counted from now.
func (q *queue) hide(receipt string, d time.Duration) *apiError {
	seq, receives, err := q.readReceipt(receipt)
	if err != nil {
		return err
	}
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errNoQueue()
	}
	q.release(now)
	m := q.bySeq[seq]
	if m == nil || m.receives != receives || m.state != inFlight {
		q.signal()
		return refuseSQS("MessageNotInflight", "Message does not exist or is not available for visibility timeout change.")
	}
	m.due = now.Add(d)
	heap.Fix(&q.timed, m.heapIndex)
	q.release(now)
	q.arm(now)
	q.signal()
	return nil
}

func (q *queue) readReceipt(receipt string) (seq uint64, receives int, err *apiError) {
	tag, seq, receives, ok := parseReceipt(receipt)
	if !ok || tag != q.tag {
		return 0, 0, refuse("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
	}
	return seq, receives, nil
}

func (q *queue) purge() *apiError {
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.purged.IsZero() && now.Sub(q.purged) < time.Minute {
		return refuseSQS("PurgeQueueInProgress", "Only one PurgeQueue operation on %s is allowed every 60 seconds.", q.name)
	}
	q.purged = now
	q.clear()
	return nil
}

func (q *queue) clear() {
	q.bySeq = map[uint64]*message{}
	q.ready, q.timed, q.delayed = readyList{}, nil, 0
}

// close ends the queue: waiters wake, every later call is refused.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.clear()
	if q.timer != nil {
		q.timer.Stop()
	}
	for _, wake := range q.waiters {
		close(wake)
	}
	q.waiters = nil
}

func (q *queue) depth(now time.Time) Depth {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.release(now)
	q.signal()
	q.expire(now)
	return Depth{Visible: q.ready.live, InFlight: len(q.timed) - q.delayed, Delayed: q.delayed}
}
