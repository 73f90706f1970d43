package projector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"jangbu/domain/event"
	"jangbu/test/history"
)

// fakeFeed follows a history as an event store would, with interruptions, and keeps checkpoints. When it is down nothing
// gets through.
type fakeFeed struct {
	log *history.History

	mu         sync.Mutex
	random     *rand.Rand
	interrupts int // in a thousand events
	down       bool
	grew       chan struct{} // closed and renewed when there may be more
	kept       []event.Recorded
	maxCounts  map[string]int
	onKeep     func(at event.Position) // told of every checkpoint that is kept
}

var errInterrupted = fmt.Errorf("subscription dropped: %w", event.ErrUnavailable)

func newFakeFeed(log *history.History, seed uint64) *fakeFeed {
	return &fakeFeed{log: log, random: rand.New(rand.NewPCG(seed, 2)), grew: make(chan struct{}), maxCounts: map[string]int{}, onKeep: func(event.Position) {}}
}

// wake makes subscriptions look for more.
func (f *fakeFeed) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.grew)
	f.grew = make(chan struct{})
}

func (f *fakeFeed) setDown(down bool) {
	f.mu.Lock()
	f.down = down
	f.mu.Unlock()
	f.wake()
}

func (f *fakeFeed) state() (interrupted bool, grew chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down || f.random.IntN(1000) < f.interrupts, f.grew
}

// restore puts the log back to its first n events, and to the relay's checkpoints among them.
func (f *fakeFeed) restore(n int, kept ...event.Recorded) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log.Cut(n)
	f.kept = kept
}

func (f *fakeFeed) Head(ctx context.Context) (event.Recorded, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return event.Recorded{}, errInterrupted
	}
	return f.log.Head(ctx)
}

func (f *fakeFeed) Subscribe(ctx context.Context, after event.Position, prefixes []string) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		for at := after; ctx.Err() == nil; {
			interrupted, grew := f.state()
			events := f.log.Events()
			i, found := slices.BinarySearchFunc(events, at, func(e event.Recorded, at event.Position) int { return e.Position.Compare(at) })
			if found {
				i++
			}
			switch {
			case interrupted:
				if !yield(event.Recorded{}, errInterrupted) {
					return
				}
				select { // and it goes on by itself, a little later
				case <-time.After(10 * time.Millisecond):
				case <-ctx.Done():
				}
			case i == len(events):
				if at != (event.Position{}) && !yield(event.Recorded{Position: at}, nil) {
					return
				}
				select {
				case <-grew:
				case <-ctx.Done():
				}
			default:
				e := events[i]
				at = e.Position
				wanted := slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(e.Stream, p) })
				if wanted && !yield(e, nil) {
					return
				}
			}
		}
	}
}

func (f *fakeFeed) Last(_ context.Context, stream string) (event.Recorded, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return event.Recorded{}, errInterrupted
	}
	for _, e := range slices.Backward(f.kept) {
		if e.Stream == stream {
			return e, nil
		}
	}
	return event.Recorded{}, fmt.Errorf("last of %s: %w", stream, event.ErrStreamNotFound)
}

func (f *fakeFeed) Append(_ context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return event.Position{}, errInterrupted
	}
	if expected != event.Any {
		return event.Position{}, errors.New("a checkpoint of a relay that may not be alone was appended at an exact revision")
	}
	for _, e := range events {
		var c relayCheckpoint
		if err := json.Unmarshal(e.Data, &c); err != nil {
			return event.Position{}, err
		}
		at, err := event.ParsePosition(c.Position)
		if err != nil {
			return event.Position{}, err
		}
		f.onKeep(at)
		f.kept = append(f.kept, event.Recorded{ID: e.ID, Stream: stream, Revision: int64(len(f.kept)), Type: e.Type, Data: e.Data})
	}
	return event.Position{}, nil
}

func (f *fakeFeed) SetMaxCount(_ context.Context, stream string, n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return errInterrupted
	}
	f.maxCounts[stream] = n
	return nil
}

// checkpoint is the newest that was kept.
func (f *fakeFeed) checkpoint() event.Position {
	last, err := f.Last(context.Background(), "relay-test")
	if err != nil {
		return event.Position{}
	}
	var c relayCheckpoint
	_ = json.Unmarshal(last.Data, &c)
	at, _ := event.ParsePosition(c.Position)
	return at
}

// fakePublisher accepts events, some late, some not at all, some without saying so.
type fakePublisher struct {
	mu       sync.Mutex
	random   *rand.Rand
	refuses  int // in a thousand events
	delay    time.Duration
	down     bool
	gone     bool           // there is no topic
	never    string         // stream@revision that is refused whenever it comes
	accepted map[string]int // by stream@revision
	inFlight int
	most     int                       // calls in flight at once
	largest  int                       // events in a call
	hold     func([]event.Recorded)    // called before anything is accepted
	deliver  func(e ...event.Recorded) // what is accepted goes here
}

func newFakePublisher(seed uint64) *fakePublisher {
	return &fakePublisher{
		random: rand.New(rand.NewPCG(seed, 3)), accepted: map[string]int{}, hold: func([]event.Recorded) {}, deliver: func(...event.Recorded) {},
	}
}

func name(e event.Recorded) string { return fmt.Sprintf("%s@%d", e.Stream, e.Revision) }

func (p *fakePublisher) Publish(ctx context.Context, events []event.Recorded) []error {
	p.mu.Lock()
	p.inFlight++
	p.most, p.largest = max(p.most, p.inFlight), max(p.largest, len(events))
	delay := time.Duration(0)
	if p.delay > 0 {
		delay = time.Duration(p.random.Int64N(int64(p.delay)))
	}
	p.mu.Unlock()
	p.hold(events)
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
	errs := make([]error, len(events))
	for i, e := range events {
		refused := p.down || p.gone || ctx.Err() != nil || name(e) == p.never || p.random.IntN(1000) < p.refuses
		if refused {
			errs[i] = fmt.Errorf("refused: %w", event.ErrUnavailable)
		}
		if p.gone {
			errs[i] = event.ErrNotProvisioned
		}
		if !refused || (!p.down && !p.gone && name(e) != p.never && p.random.IntN(4) == 0) { // accepted, and the answer lost
			p.accepted[name(e)]++
			p.deliver(e)
		}
	}
	return errs
}

func (p *fakePublisher) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *fakePublisher) has(e event.Recorded) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted[name(e)] > 0
}

func (p *fakePublisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, times := range p.accepted {
		n += times
	}
	return n
}
