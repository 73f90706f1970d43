// Package scheduletest is what a schedule of orders promises, as a suite for any implementation.
package scheduletest

import (
	"context"
	"slices"
	"testing"
	"time"

	"jangbu/domain/event"
)

// Schedule is what is tested: the ports Schedule and Checkpoint of fulfilment.
type Schedule interface {
	Note(ctx context.Context, orderID string, due time.Time) error
	Take(ctx context.Context, now, until time.Time, limit int) (orderIDs []string, err error)
	Done(ctx context.Context, orderID string, due time.Time) error
	Checkpoint(ctx context.Context) (event.Position, error)
	Advance(ctx context.Context, known, to event.Position) (at event.Position, lost bool, err error)
	Forget(ctx context.Context, at event.Position) error
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }

// Run runs the suite; open gives an empty schedule, and whatever it is given next time is the same one.
func Run(t *testing.T, open func(t *testing.T) Schedule) {
	t.Run("due in order, held, done", func(t *testing.T) { due(t, open(t)) })
	t.Run("done later than noted anew", func(t *testing.T) { stale(t, open(t)) })
	t.Run("checkpoint", func(t *testing.T) { checkpoint(t, open(t)) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantTaken(t *testing.T, s Schedule, now, until time.Time, limit int, want ...string) {
	t.Helper()
	got, err := s.Take(t.Context(), now, until, limit)
	must(t, err)
	if !slices.Equal(got, want) {
		t.Errorf("taken %q, want %q", got, want)
	}
}

func due(t *testing.T, s Schedule) {
	ctx := t.Context()
	wantTaken(t, s, at(0), at(1), 10)
	must(t, s.Note(ctx, "late", at(5)))
	must(t, s.Note(ctx, "b", at(2)))
	must(t, s.Note(ctx, "a", at(1)))
	must(t, s.Note(ctx, "moved", at(1)))
	must(t, s.Note(ctx, "moved", at(3)))
	wantTaken(t, s, at(0), at(4), 10)
	wantTaken(t, s, at(3), at(4), 2, "a", "b")
	wantTaken(t, s, at(3), at(4), 2, "moved")
	wantTaken(t, s, at(3), at(4), 2)
	must(t, s.Done(ctx, "b", at(4)))
	must(t, s.Done(ctx, "b", at(4)))
	wantTaken(t, s, at(4), at(6), 10, "a", "moved") // their taker died
	must(t, s.Done(ctx, "a", at(6)))
	must(t, s.Done(ctx, "moved", at(6)))
	wantTaken(t, s, at(100), at(101), 10, "late")
}

// stale: who took an order and drove it must not take out what somebody noted meanwhile.
func stale(t *testing.T, s Schedule) {
	ctx := t.Context()
	must(t, s.Note(ctx, "o", at(1)))
	wantTaken(t, s, at(1), at(2), 10, "o")
	must(t, s.Note(ctx, "o", at(3)))
	must(t, s.Done(ctx, "o", at(2)))
	wantTaken(t, s, at(3), at(4), 10, "o")
	must(t, s.Done(ctx, "o", at(4)))
	must(t, s.Done(ctx, "nobody", at(4)))
	wantTaken(t, s, at(100), at(101), 10)
}

func checkpoint(t *testing.T, s Schedule) {
	pos := func(n uint64) event.Position { return event.Position{Commit: n, Prepare: n} }
	stands := func(want event.Position) {
		t.Helper()
		got, err := s.Checkpoint(t.Context())
		must(t, err)
		if got != want {
			t.Errorf("the checkpoint stands at %s, want %s", got, want)
		}
	}
	stands(event.Position{})
	for _, step := range []struct{ known, to, want uint64 }{
		{0, 0, 0},    // nothing yet
		{0, 9, 9},    // the first
		{9, 10, 10},  // a position is no text: 10 comes after 9
		{0, 5, 10},   // never back
		{10, 10, 10}, // again
		{9, 1e15, 1e15},
		{2e15, 3e15, 1e15}, // it has lost 2e15: it stays
		{1e15, 1<<63 + 7, 1<<63 + 7},
	} {
		got, lost, err := s.Advance(t.Context(), pos(step.known), pos(step.to))
		must(t, err)
		if got != pos(step.want) || lost != (step.want < step.known) {
			t.Errorf("Advance(%d, %d) = %s, lost %t, want %d", step.known, step.to, got, lost, step.want)
		}
		stands(pos(step.want))
	}
	must(t, s.Note(t.Context(), "o", at(1)))
	must(t, s.Forget(t.Context(), pos(1e15))) // it has moved since
	stands(pos(1<<63 + 7))
	must(t, s.Forget(t.Context(), pos(1<<63+7)))
	must(t, s.Forget(t.Context(), pos(1<<63+7)))
	stands(event.Position{})
	if got, lost, err := s.Advance(t.Context(), pos(9), pos(10)); err != nil || !lost || got != pos(0) {
		t.Errorf("who knows of the one that is gone gets %s, lost %t, %v", got, lost, err)
	}
	if got, lost, err := s.Advance(t.Context(), pos(0), pos(10)); err != nil || lost || got != pos(10) {
		t.Errorf("who begins anew gets %s, lost %t, %v", got, lost, err)
	}
	wantTaken(t, s, at(1), at(2), 10, "o")
}
