package command_test

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"

	"jangbu/command"
	"jangbu/domain/event"
	"jangbu/test/history"
)

// fakeLog is a log in memory that misbehaves on demand as real stores do: it loses answers, is away, and lets rivals in between
// a load and an append.
type fakeLog struct {
	history.History

	read atomic.Int64 // events handed out
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

// crashAt makes the n-th operation and all after it fail, the n-th append perhaps after it was written. What it returns ends that, and
// reports whether the n-th was reached. The hooks stay, since a read may go on after its command was answered.
func (l *fakeLog) crashAt(n int64, persist bool) (revive func() bool) {
	var steps atomic.Int64
	var over atomic.Bool
	l.onRead = func(string) error {
		if !over.Load() && steps.Add(1) >= n {
			return event.ErrUnavailable
		}
		return nil
	}
	l.onAppend = func(string, []event.Proposed) fault {
		step := steps.Add(1)
		if !over.Load() && step >= n {
			return fault{err: event.ErrUnavailable, persist: persist && step == n}
		}
		return fault{}
	}
	return func() bool {
		crashed := steps.Load() >= n
		over.Store(true)
		return crashed
	}
}

func (l *fakeLog) ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	if l.onRead != nil {
		if err := l.onRead(stream); err != nil {
			return func(yield func(event.Recorded, error) bool) { yield(event.Recorded{}, fmt.Errorf("fake: %w", err)) }
		}
	}
	return func(yield func(event.Recorded, error) bool) {
		for recorded, err := range l.History.ReadStream(ctx, stream, from) {
			l.read.Add(1)
			if !yield(recorded, err) {
				return
			}
		}
	}
}

func (l *fakeLog) Last(_ context.Context, stream string) (event.Recorded, error) {
	if l.onRead != nil {
		if err := l.onRead(stream); err != nil {
			return event.Recorded{}, fmt.Errorf("fake: %w", err)
		}
	}
	return l.LastOf(stream)
}

// SetMaxCount does nothing: a stream may hold more than it must.
func (l *fakeLog) SetMaxCount(context.Context, string, int) error { return nil }

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
	position, err := l.History.Append(ctx, stream, expected, events)
	if err == nil && f.err != nil {
		return event.Position{}, fmt.Errorf("fake: %w", f.err)
	}
	return position, err
}

// sizes counts the events of every stream outside the claims and snapshots.
func (l *fakeLog) sizes() map[string]int {
	n := map[string]int{}
	for _, e := range l.Events() {
		if c := event.Category(e.Stream); c != "idempotency" && c != command.SnapshotCategory {
			n[e.Stream]++
		}
	}
	return n
}
