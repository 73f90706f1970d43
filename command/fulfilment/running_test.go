package fulfilment

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jangbu/domain/event"
)

// running is a whole manager at work in a bubble, with everything it is told.
type running struct {
	*world
	m     *Manager
	queue *fakeQueue
	stop  func()

	mu       sync.Mutex
	reports  map[string]error
	calls    map[string]int // to the outside
	broken   func(call string) bool
	created  int
	readings int // of order streams
}

// start runs a manager over the world, as a process of its own.
func start(w *world, cfg Config) *running {
	r := &running{world: w, queue: &fakeQueue{}, reports: map[string]error{}, calls: map[string]int{}, broken: func(string) bool { return false }}
	cfg.Report = func(loop string, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reports[loop] = err
	}
	cfg.Provision = func(context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.created++
		return nil
	}
	r.m = w.processWith(func(call string) (bool, bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls[call]++
		if strings.HasPrefix(call, "read order-") {
			r.readings++
		}
		return !r.broken(call), true
	}, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		_ = r.m.Run(ctx, r.queue, logFeed{w}, &w.schedule)
		close(ended)
	}()
	r.stop = sync.OnceFunc(func() { cancel(); <-ended })
	return r
}

func (r *running) do(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *running) wantGreen(t *testing.T, loops ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, loop := range Loops() {
		err, told := r.reports[loop]
		if !told || (err == nil) != slices.Contains(loops, loop) {
			t.Errorf("%s: told %v, %v", loop, told, err)
		}
	}
}

// logFeed follows the world's log.
type logFeed struct{ w *world }

// Head is the last event that is not the store's own.
func (f logFeed) Head(context.Context) (event.Recorded, error) {
	for _, e := range slices.Backward(f.w.log.Events()) {
		if !strings.HasPrefix(e.Type, "$") {
			return e, nil
		}
	}
	return event.Recorded{}, event.ErrStreamNotFound
}

func (f logFeed) Subscribe(ctx context.Context, after event.Position, prefixes []string) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		for length := 0; ; {
			events, grew := f.w.log.After(0)
			if cut := len(events) < length; cut && (!yield(event.Recorded{}, errAway) || !yield(event.Recorded{Position: after}, nil)) {
				return
			}
			i := slices.IndexFunc(events, func(e event.Recorded) bool { return e.Position.Compare(after) > 0 })
			length = len(events)
			if i < 0 {
				i = length
			}
			for _, e := range events[i:] {
				after = e.Position
				if !strings.HasPrefix(e.Stream, prefixes[0]) {
					e = event.Recorded{Position: e.Position} // a checkpoint
				}
				if !yield(e, nil) {
					return
				}
			}
			select {
			case <-grew:
			case <-ctx.Done():
				return
			}
		}
	}
}

// fakeQueue hands out what is put in, each message once, and remembers what was deleted.
type fakeQueue struct {
	mu      sync.Mutex
	waiting []event.Delivery
	deleted []string
	away    error
	more    chan struct{}
}

func (q *fakeQueue) put(deliveries ...event.Delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, deliveries...)
	if q.more != nil {
		close(q.more)
		q.more = nil
	}
}

func (q *fakeQueue) Receive(ctx context.Context, limit int, wait time.Duration) ([]event.Delivery, error) {
	timeout := time.After(wait)
	for {
		q.mu.Lock()
		if q.away != nil {
			defer q.mu.Unlock()
			return nil, q.away
		}
		if n := min(limit, len(q.waiting)); n > 0 {
			defer q.mu.Unlock()
			out := q.waiting[:n]
			q.waiting = q.waiting[n:]
			return out, nil
		}
		if q.more == nil {
			q.more = make(chan struct{})
		}
		more := q.more
		q.mu.Unlock()
		select {
		case <-more:
		case <-timeout:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *fakeQueue) Delete(_ context.Context, deliveries []event.Delivery) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.away != nil {
		return q.away
	}
	for _, d := range deliveries {
		q.deleted = append(q.deleted, d.Receipt)
	}
	return nil
}

func (q *fakeQueue) gone() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Sorted(slices.Values(q.deleted))
}

// deliver puts every event of a stream into the queue.
func (r *running) deliver(stream string) {
	for _, e := range r.log.Stream(stream) {
		r.queue.put(event.Delivery{Event: e, Receipt: fmt.Sprintf("%s@%d", stream, e.Revision), Receives: 1})
	}
}

// inBubble runs a test over a world whose clock is the bubble's.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.now = time.Time{}
		test(t, w)
	})
}

// settle lets time pass, and everybody do what they do in that time.
func settle(d time.Duration) {
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
}
