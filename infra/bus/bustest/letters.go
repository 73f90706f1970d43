package bustest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/bus"
)

// letters returns a dead-letter queue with an event that was received too often, and a message that is no event.
func (s *suite) letters(t *testing.T) *bus.Queue {
	t.Helper()
	b, q := s.provisioned(t, func(c *bus.Config) { c.MaxReceives = 1 })
	publish(t, b, order(1))
	if err := q.Hide(t.Context(), []event.Delivery{receiveOne(t, q)}, 0); err != nil {
		t.Fatal(err)
	}
	wantNothing(t, q)
	dead := b.DeadLetters("orders")
	s.send(t, dead, "no event <&> 장부")
	waitDepth(t, dead, bus.Depth{Visible: 2})
	return dead
}

// look returns all letters by their bodies' being events.
func look(t *testing.T, q *bus.Queue) (events, others []bus.Letter) {
	t.Helper()
	for letters, err := range q.Letters(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range letters {
			if l.Err == nil {
				events = append(events, l)
			} else {
				others = append(others, l)
			}
		}
	}
	return events, others
}

func (s *suite) lettersLeft(t *testing.T) {
	began := time.Now().Add(-time.Minute) // clocks may differ a little
	dead := s.letters(t)
	for range 2 {
		events, others := look(t, dead)
		if len(events) != 1 || len(others) != 1 {
			t.Fatalf("letters %+v and %+v, want one event and one other", events, others)
		}
		same(t, events[0].Event, order(1))
		if body := others[0].Body; body != "no event <&> 장부" {
			t.Errorf("body %q", body)
		}
		for _, l := range append(events, others...) {
			if l.ID == "" || l.Receives < 1 || l.Sent.Before(began) {
				t.Errorf("letter %+v", l)
			}
		}
		waitDepth(t, dead, bus.Depth{Visible: 2})
	}
	for range dead.Letters(t.Context()) {
		break // looked at in part, and left
	}
	waitDepth(t, dead, bus.Depth{Visible: 2})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var failed error
	for _, err := range dead.Letters(ctx) {
		cancel()
		failed = err
	}
	if !errors.Is(failed, context.Canceled) {
		t.Errorf("interrupted: %v", failed)
	}
	waitDepth(t, dead, bus.Depth{Visible: 2})
}

func (s *suite) lettersDealtWith(t *testing.T) {
	dead := s.letters(t)
	for letters, err := range dead.Letters(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range letters {
			if l.Err == nil {
				if err := dead.Delete(t.Context(), []event.Delivery{l.Delivery}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	waitDepth(t, dead, bus.Depth{Visible: 1})
	if events, others := look(t, dead); len(events) != 0 || len(others) != 1 {
		t.Errorf("letters %+v and %+v, want the one that is no event", events, others)
	}
}

func (s *suite) manyLetters(t *testing.T) {
	const n = 35
	_, q := s.provisioned(t)
	for i := range n {
		s.send(t, q, fmt.Sprint("letter ", i))
	}
	waitDepth(t, q, bus.Depth{Visible: n})
	bodies := map[string]int{}
	_, others := look(t, q)
	for _, l := range others {
		bodies[l.Body]++
	}
	if len(bodies) != n || len(others) != n {
		t.Errorf("%d letters with %d bodies, want %d", len(others), len(bodies), n)
	}
	waitDepth(t, q, bus.Depth{Visible: n})
}

func (s *suite) purged(t *testing.T) {
	dead := s.letters(t)
	if err := dead.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitDepth(t, dead, bus.Depth{})
	if err := s.connect(t).DeadLetters("orders").Purge(t.Context()); !errors.Is(err, event.ErrNotProvisioned) {
		t.Errorf("purging a queue that does not exist: %v", err)
	}
}
