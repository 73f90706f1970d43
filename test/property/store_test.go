package property_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"jangbu/domain/event"
)

// store is an event store in memory, which keeps the contract that infra/eventstore's suite states: a real one would not
// heed the bubble's time.
type store struct {
	mu      sync.Mutex
	events  []event.Recorded
	streams map[string][]event.Recorded
	grew    chan struct{} // closed and renewed at every append
}

func newStore() *store {
	return &store{streams: map[string][]event.Recorded{}, grew: make(chan struct{})}
}

func (s *store) append(stream string, expected int64, events []event.Proposed) (event.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := int64(len(s.streams[stream])) - 1; expected != event.Any && expected != last {
		if at, repeated := s.repeats(stream, expected, events); repeated {
			return at, nil
		}
		return event.Position{}, fmt.Errorf("%s is at %d, not %d: %w", stream, last, expected, event.ErrConflict)
	}
	var recorded event.Recorded
	for _, e := range events {
		at := uint64(10 * (len(s.events) + 1)) // positions are sparse
		recorded = event.Recorded{
			ID: e.ID, Stream: stream, Revision: int64(len(s.streams[stream])), Position: event.Position{Commit: at, Prepare: at},
			Type: e.Type, Time: time.Now().UTC(), Data: e.Data, Metadata: e.Metadata,
		}
		s.events = append(s.events, recorded)
		s.streams[stream] = append(s.streams[stream], recorded)
	}
	close(s.grew)
	s.grew = make(chan struct{})
	return recorded.Position, nil
}

// repeats reports whether these events stand after the expected revision already.
func (s *store) repeats(stream string, expected int64, events []event.Proposed) (event.Position, bool) {
	recorded := s.streams[stream]
	if int(expected)+1+len(events) > len(recorded) {
		return event.Position{}, false
	}
	recorded = recorded[expected+1:]
	for i, e := range events {
		if recorded[i].ID != e.ID {
			return event.Position{}, false
		}
	}
	return recorded[len(events)-1].Position, true
}

// after is what has been recorded from the i-th event on, and a channel that closes when there is more.
func (s *store) after(i int) ([]event.Recorded, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[i:len(s.events):len(s.events)], s.grew
}

func (s *store) all() []event.Recorded {
	events, _ := s.after(0)
	return events
}

func (s *store) stream(name string) []event.Recorded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.streams[name])
}

// client is one process's way to the store: it ends with the process.
type client struct {
	*store
	life *life
}

func (c client) ReadStream(_ context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		if err := c.life.step(); err != nil {
			yield(event.Recorded{}, err)
			return
		}
		events := c.stream(stream)
		if len(events) == 0 {
			yield(event.Recorded{}, fmt.Errorf("%s: %w", stream, event.ErrStreamNotFound))
			return
		}
		for _, e := range events[min(int(from), len(events)):] {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (c client) ReadAll(_ context.Context, after event.Position) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		if err := c.life.step(); err != nil {
			yield(event.Recorded{}, err)
			return
		}
		for _, e := range c.all() {
			if e.Position.Compare(after) > 0 && !yield(e, nil) {
				return
			}
		}
	}
}

// Subscribe drops now and then, and goes on by itself.
func (c client) Subscribe(ctx context.Context, after event.Position, prefixes []string) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		for read := 0; ctx.Err() == nil; {
			events, grew := c.after(read)
			for _, e := range events {
				if err := c.life.step(); err != nil {
					if yield(event.Recorded{}, err) {
						<-ctx.Done()
					}
					return
				}
				read++
				wanted := slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(e.Stream, p) })
				if wanted && e.Position.Compare(after) > 0 && !yield(e, nil) {
					return
				}
			}
			select {
			case <-grew:
			case <-ctx.Done():
			}
		}
	}
}

func (c client) Last(_ context.Context, stream string) (event.Recorded, error) {
	if err := c.life.step(); err != nil {
		return event.Recorded{}, err
	}
	events := c.stream(stream)
	if len(events) == 0 {
		return event.Recorded{}, fmt.Errorf("%s: %w", stream, event.ErrStreamNotFound)
	}
	return events[len(events)-1], nil
}

func (c client) Head(context.Context) (event.Recorded, error) {
	if err := c.life.step(); err != nil {
		return event.Recorded{}, err
	}
	events := c.all()
	if len(events) == 0 {
		return event.Recorded{}, event.ErrStreamNotFound
	}
	return events[len(events)-1], nil
}

func (c client) Append(_ context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error) {
	if err := c.life.step(); err != nil {
		return event.Position{}, err
	}
	return c.append(stream, expected, events)
}

func (c client) SetMaxCount(context.Context, string, int) error { return c.life.step() }
