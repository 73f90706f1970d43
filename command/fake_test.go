package command_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"jangbu/domain/event"
)

// fakeLog is a Store in memory that keeps the contract, and misbehaves on demand as real ones do: it loses answers, is
// away, and lets rivals in between a load and an append.
type fakeLog struct {
	mu      sync.Mutex
	streams map[string][]event.Recorded
	length  uint64

	// Each hook, if set, is asked before the operation; what it returns is the operation's fault. They run without
	// the lock and may call the log.
	onRead   func(stream string) error
	onAppend func(stream string, events []event.Proposed) fault
}

// fault is what goes wrong with an append.
type fault struct {
	err     error
	persist bool // the events are written nevertheless
}

func newFakeLog() *fakeLog { return &fakeLog{streams: map[string][]event.Recorded{}} }

func (l *fakeLog) ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		if l.onRead != nil {
			if err := l.onRead(stream); err != nil {
				yield(event.Recorded{}, fmt.Errorf("fake: %w", err))
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(event.Recorded{}, err)
			return
		}
		l.mu.Lock()
		recorded := slices.Clone(l.streams[stream])
		l.mu.Unlock()
		if len(recorded) == 0 {
			yield(event.Recorded{}, fmt.Errorf("fake: %s: %w", stream, event.ErrStreamNotFound))
			return
		}
		for _, r := range recorded[min(int(from), len(recorded)):] {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (l *fakeLog) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error) {
	var f fault
	if l.onAppend != nil {
		f = l.onAppend(stream, events)
	}
	if f.err != nil && !f.persist {
		return event.Position{}, fmt.Errorf("fake: %w", f.err)
	}
	if err := ctx.Err(); err != nil {
		return event.Position{}, err
	}
	position, err := l.write(stream, expected, events)
	if err == nil && f.err != nil {
		return event.Position{}, fmt.Errorf("fake: %w", f.err)
	}
	return position, err
}

func (l *fakeLog) write(stream string, expected int64, events []event.Proposed) (event.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	recorded := l.streams[stream]
	if last := int64(len(recorded)) - 1; last != expected {
		if position, repeated := repeats(recorded, expected, events); repeated {
			return position, nil
		}
		return event.Position{}, fmt.Errorf("fake: %s is at %d, not %d: %w", stream, last, expected, event.ErrConflict)
	}
	for _, e := range events {
		l.length++
		recorded = append(recorded, event.Recorded{
			ID: e.ID, Stream: stream, Revision: int64(len(recorded)), Position: event.Position{Commit: l.length, Prepare: l.length},
			Type: e.Type, Time: time.Unix(0, 0).UTC(), Data: e.Data, Metadata: e.Metadata,
		})
	}
	l.streams[stream] = recorded
	return event.Position{Commit: l.length, Prepare: l.length}, nil
}

// repeats reports whether these events stand after the expected revision already.
func repeats(recorded []event.Recorded, expected int64, events []event.Proposed) (event.Position, bool) {
	first := int(expected) + 1
	if expected < event.NoStream || first+len(events) > len(recorded) {
		return event.Position{}, false
	}
	for i, e := range events {
		if recorded[first+i].ID != e.ID {
			return event.Position{}, false
		}
	}
	return recorded[first+len(events)-1].Position, true
}

func (l *fakeLog) events(stream string) []event.Recorded {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.streams[stream])
}

// sizes counts the events of every stream outside the claims.
func (l *fakeLog) sizes() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := map[string]int{}
	for stream, recorded := range l.streams {
		if event.Category(stream) != "idempotency" {
			n[stream] = len(recorded)
		}
	}
	return n
}
