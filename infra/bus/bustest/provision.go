package bustest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/bus"
)

func outcomes(r bus.Report) map[string]bus.Outcome {
	out := map[string]bus.Outcome{}
	for _, x := range r.Resources {
		out[x.Kind] = x.Outcome
	}
	return out
}

func wantOutcomes(t *testing.T, r bus.Report, want map[string]bus.Outcome) {
	t.Helper()
	have := outcomes(r)
	if len(have) != len(want) {
		t.Fatalf("report %+v, want kinds %v", r, want)
	}
	for kind, outcome := range want {
		if have[kind] != outcome {
			t.Errorf("%s was %s, want %s", kind, have[kind], outcome)
		}
	}
}

func all(o bus.Outcome) map[string]bus.Outcome {
	return map[string]bus.Outcome{"topic": o, "queue": o, "dead-letter queue": o, "subscription": o}
}

func (s *suite) provisionTwice(t *testing.T) {
	b := s.connect(t)
	sub := bus.Subscription{View: "orders", Categories: []string{"order", "member"}}
	wantOutcomes(t, provision(t, b, sub), all(bus.Created))
	wantOutcomes(t, provision(t, b, sub), all(bus.Unchanged))
}

func (s *suite) provisionDiffering(t *testing.T) {
	cfg := bus.Config{Topic: "differing-" + s.run, Endpoint: s.endpoint.URL}
	first := s.connectTo(t, cfg)
	provision(t, first, bus.Subscription{View: "orders", Categories: []string{"member"}})
	cfg.MaxReceives, cfg.Visibility = 3, time.Minute
	second := s.connectTo(t, cfg)
	report := provision(t, second, bus.Subscription{View: "orders", Categories: []string{"order"}})
	wantOutcomes(t, report, map[string]bus.Outcome{"topic": bus.Unchanged, "dead-letter queue": bus.Unchanged,
		"queue": bus.Updated, "subscription": bus.Updated})
	publish(t, first, order(1)) // heard through the changed filter only
	receive(t, second.Queue("orders"), 1)
}

func (s *suite) provisionAtOnce(t *testing.T) {
	cfg := bus.Config{Topic: "at-once-" + s.run, Endpoint: s.endpoint.URL}
	sub := bus.Subscription{View: "orders", Categories: []string{"order"}}
	var wg sync.WaitGroup
	for range 5 {
		b := s.connectTo(t, cfg)
		wg.Go(func() {
			if _, err := b.Provision(t.Context(), []bus.Subscription{sub}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b := s.connectTo(t, cfg)
	wantOutcomes(t, provision(t, b, sub), all(bus.Unchanged))
	publish(t, b, order(1))
	receive(t, b.Queue("orders"), 1)
	waitDepth(t, b.Queue("orders"), bus.Depth{InFlight: 1}) // two subscriptions would bring it twice
}

func (s *suite) notProvisioned(t *testing.T) {
	b := s.connect(t)
	q := b.Queue("orders")
	_, receiveErr := q.Receive(t.Context(), 10, 0)
	_, depthErr := q.Depth(t.Context())
	delivery := []event.Delivery{{Receipt: "none"}}
	for name, err := range map[string]error{
		"publish": b.Publish(t.Context(), orders(1))[0],
		"receive": receiveErr,
		"depth":   depthErr,
		"delete":  q.Delete(t.Context(), delivery),
		"hide":    q.Hide(t.Context(), delivery, time.Second),
	} {
		if !errors.Is(err, event.ErrNotProvisioned) || !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrNotProvisioned, which is ErrUnavailable", name, err)
		}
	}
	provision(t, b, bus.Subscription{View: "orders", Categories: []string{"order"}})
	publish(t, b, order(1))
	receive(t, q, 1)
}

func (s *suite) categories(t *testing.T) {
	b, q := s.provisioned(t)
	other := order(0)
	other.Stream, other.Type = "member-1", "member.registered.v1"
	publish(t, b, other, order(1))
	got := receive(t, q, 1)
	if _, ok := got[order(1).ID]; !ok {
		t.Errorf("received %v, want the order's event", got)
	}
	waitDepth(t, q, bus.Depth{InFlight: 1})
}

func (s *suite) everyCategory(t *testing.T) {
	b := s.connect(t)
	provision(t, b, bus.Subscription{View: "all"})
	other := order(0)
	other.Stream = "member-1"
	publish(t, b, other, order(1))
	receive(t, b.Queue("all"), 2)
}

func (s *suite) copies(t *testing.T) {
	b := s.connect(t)
	provision(t, b, bus.Subscription{View: "one", Categories: []string{"order"}}, bus.Subscription{View: "two", Categories: []string{"order", "member"}})
	publish(t, b, order(1))
	for _, view := range []string{"one", "two"} {
		q := b.Queue(view)
		if err := q.Delete(t.Context(), list(receive(t, q, 1))); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *suite) cancelledReceive(t *testing.T) {
	_, q := s.provisioned(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := q.Receive(ctx, 10, 20*time.Second)
		done <- err
	}()
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) || !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("a cancelled receive returned %v", err)
		}
	case <-time.After(patience):
		t.Fatal("a cancelled receive did not return")
	}
}
