package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/eventstore"
)

// follow ranges over a subscription until enough says so, and returns the events; checkpoints are checked and left out.
func follow(
	ctx context.Context, t *testing.T, s *eventstore.Store, after event.Position, prefixes []string, enough func([]event.Recorded) bool,
) []event.Recorded {
	t.Helper()
	var events []event.Recorded
	at := after
	for e, err := range s.Subscribe(ctx, after, prefixes) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Position.Compare(at) <= 0 {
			t.Fatalf("%s comes after %s", e.Position, at)
		}
		at = e.Position
		if e.Type == "" {
			if e.ID != uuid.Nil || e.Stream != "" {
				t.Fatalf("a checkpoint like an event: %+v", e)
			}
			continue
		}
		events = append(events, e)
		if enough(events) {
			return events
		}
	}
	t.Fatalf("the subscription ended after %d events: %v", len(events), ctx.Err())
	return nil
}

func count(n int) func([]event.Recorded) bool {
	return func(events []event.Recorded) bool { return len(events) >= n }
}

func subscribe(ctx context.Context, t *testing.T, s *eventstore.Store) {
	start := end(ctx, t, s)
	category := unique("suite")
	one, two := category+"-1", category+"-2"
	past, live := proposed(3), proposed(2)
	mustAppend(ctx, t, s, one, event.NoStream, past)
	got := follow(ctx, t, s, start, []string{category}, func(events []event.Recorded) bool {
		if len(events) == len(past) { // caught up: now something happens
			mustAppend(ctx, t, s, two, event.NoStream, live[:1])
			mustAppend(ctx, t, s, one, 2, live[1:])
		}
		return len(events) == len(past)+len(live)
	})
	wantIDs(t, ids(got), proposedIDs(past, live))
	same(t, one, 0, past, got[:3])
	same(t, two, 0, live[:1], got[3:4])
}

func subscribeFilters(ctx context.Context, t *testing.T, s *eventstore.Store) {
	start := end(ctx, t, s)
	a, b, c := unique("a"), unique("b"), unique("c")
	var want []uuid.UUID
	for range 4 {
		for _, category := range []string{a, b, c} {
			events := proposed(2)
			mustAppend(ctx, t, s, unique(category), event.NoStream, events)
			if category != b {
				want = append(want, proposedIDs(events)...)
			}
		}
	}
	got := follow(ctx, t, s, start, []string{a, c}, count(len(want)))
	wantIDs(t, ids(got), want)

	everything := follow(ctx, t, s, start, nil, func(events []event.Recorded) bool {
		return events[len(events)-1].ID == want[len(want)-1]
	})
	if i := slices.IndexFunc(everything, func(e event.Recorded) bool { return e.Type[0] == '$' || e.Stream[0] == '$' }); i >= 0 {
		t.Errorf("a system event: %+v", everything[i])
	}
	if len(everything) < 24 {
		t.Errorf("without prefixes there are %d events, want all 24 at least", len(everything))
	}
}

// subscribeCheckpoints: a subscription nothing matches still moves forward.
func subscribeCheckpoints(ctx context.Context, t *testing.T, s *eventstore.Store) {
	start := end(ctx, t, s)
	stream := unique("noise")
	var first, last event.Position
	for i := range int64(15) {
		last = mustAppend(ctx, t, s, stream, i*100-1, proposed(100))
		if i == 0 {
			first = last
		}
	}
	for e, err := range s.Subscribe(ctx, start, []string{unique("silence")}) {
		switch {
		case err != nil:
			t.Fatal(err)
		case e.Type != "":
			t.Fatalf("an event that does not match: %+v", e)
		case e.Position.Compare(first) > 0:
			t.Logf("checkpoint %s, log from %s to %s", e.Position, start, last)
			return
		}
	}
	t.Fatal(ctx.Err())
}

// subscribeResumes: from every event and every checkpoint of a subscription, another yields exactly the rest.
func subscribeResumes(ctx context.Context, t *testing.T, s *eventstore.Store) {
	start := end(ctx, t, s)
	category := unique("suite")
	var want []uuid.UUID
	for range 5 {
		events := proposed(2)
		mustAppend(ctx, t, s, unique(category), event.NoStream, events)
		mustAppend(ctx, t, s, unique("noise"), event.NoStream, proposed(3))
		want = append(want, proposedIDs(events)...)
	}
	type resumption struct {
		at   event.Position
		seen int
	}
	var points []resumption
	seen := 0
	for e, err := range s.Subscribe(ctx, start, []string{category}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != "" {
			seen++
		}
		if seen == len(want) {
			break
		}
		points = append(points, resumption{e.Position, seen})
	}
	for _, p := range points {
		got := follow(ctx, t, s, p.at, []string{category}, count(len(want)-p.seen))
		wantIDs(t, ids(got), want[p.seen:])
	}
	ctx, cancel := context.WithCancel(ctx)
	for _, err := range s.Subscribe(ctx, start, []string{category}) {
		if errors.Is(err, context.Canceled) {
			t.Fatal("the end of the context was yielded")
		}
		cancel()
	}
	cancel()
}
