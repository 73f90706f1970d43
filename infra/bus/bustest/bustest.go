// Package bustest is the conformance suite of infra/bus: what the bus promises, tried against one endpoint. It runs
// against the embedded endpoint and against others, so that a test against the embedded one means something.
package bustest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/bus"
)

// Endpoint is what the suite runs against.
type Endpoint struct {
	// URL is what AWS_ENDPOINT_URL would say.
	URL string
	// Differs names the cases the endpoint does not share, with the reason. They are skipped under that reason.
	Differs map[string]string
}

// patience bounds every wait for something that must happen. It is no measure: a correct endpoint never needs it.
const patience = 2 * time.Minute

// suite is one run.
type suite struct {
	endpoint Endpoint
	topics   atomic.Int64
	run      string
}

// Run tries every promise of the bus against an endpoint. Each case has topics and queues of its own, so the endpoint
// may be shared.
func Run(t *testing.T, endpoint Endpoint) {
	s := &suite{endpoint: endpoint, run: uuid.NewString()[:8]}
	cases := []struct {
		name string
		test func(*suite, *testing.T)
	}{
		{"provisioning again changes nothing", (*suite).provisionTwice},
		{"provisioning puts right what differs", (*suite).provisionDiffering},
		{"several may provision at once", (*suite).provisionAtOnce},
		{"nothing provisioned is said so", (*suite).notProvisioned},
		{"an event arrives as it was", (*suite).roundTrip},
		{"a large event arrives hollow", (*suite).hollow},
		{"a view hears its categories only", (*suite).categories},
		{"a view without categories hears all", (*suite).everyCategory},
		{"every view gets its own copy", (*suite).copies},
		{"many events arrive", (*suite).many},
		{"batches are cut by size", (*suite).cutBySize},
		{"a waiting receive gets what is published", (*suite).waitingReceive},
		{"an empty queue yields nothing", (*suite).emptyQueue},
		{"a received event is hidden from others", (*suite).hiddenAfterReceive},
		{"a deleted event stays away", (*suite).deletedStaysAway},
		{"an event shown again counts its receives", (*suite).shownAgain},
		{"hiding what is gone is no error", (*suite).hideGone},
		{"an event received too often is dead", (*suite).deadLetters},
		{"a message that is no event says so", (*suite).noEvent},
		{"letters are looked at and left", (*suite).lettersLeft},
		{"a letter that was dealt with is gone", (*suite).lettersDealtWith},
		{"many letters are seen once each", (*suite).manyLetters},
		{"a purged queue is empty", (*suite).purged},
		{"workers share a queue", (*suite).workers},
		{"a cancelled receive ends", (*suite).cancelledReceive},
	}
	known := map[string]bool{}
	for _, c := range cases {
		known[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			if reason := endpoint.Differs[c.name]; reason != "" {
				t.Skip("differs here: " + reason)
			}
			c.test(s, t)
		})
	}
	for name := range endpoint.Differs {
		if !known[name] {
			t.Errorf("no case is named %q", name)
		}
	}
}

// connect returns a bus with a topic of its own.
func (s *suite) connect(t *testing.T, change ...func(*bus.Config)) *bus.Bus {
	t.Helper()
	cfg := bus.Config{Topic: fmt.Sprintf("t%s-%d", s.run, s.topics.Add(1)), Endpoint: s.endpoint.URL}
	for _, c := range change {
		c(&cfg)
	}
	return s.connectTo(t, cfg)
}

func (s *suite) connectTo(t *testing.T, cfg bus.Config) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// provisioned returns a bus with one view, "orders", of the category "order".
func (s *suite) provisioned(t *testing.T, change ...func(*bus.Config)) (*bus.Bus, *bus.Queue) {
	t.Helper()
	b := s.connect(t, change...)
	provision(t, b, bus.Subscription{View: "orders", Categories: []string{"order"}})
	return b, b.Queue("orders")
}

func provision(t *testing.T, b *bus.Bus, subs ...bus.Subscription) bus.Report {
	t.Helper()
	report, err := b.Provision(t.Context(), subs)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// order makes event n of an order's stream.
func order(n int) event.Recorded {
	return event.Recorded{
		ID:       uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "order %d", n)),
		Stream:   fmt.Sprintf("order-%d", n/3),
		Revision: int64(n % 3),
		Position: event.Position{Commit: uint64(1000 + n), Prepare: uint64(999 + n)},
		Type:     "order.placed.v1",
		Time:     time.Date(2026, 3, 4, 5, 6, 7, 123456700, time.UTC),
		Data:     fmt.Appendf(nil, `{"number":%d,"note":"<a & b> \"quoted\" \\ 장부 €"}`, n),
		Metadata: []byte(`{"command_id":"c1","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`),
	}
}

func orders(n int) []event.Recorded {
	out := make([]event.Recorded, n)
	for i := range out {
		out[i] = order(i)
	}
	return out
}

func publish(t *testing.T, b *bus.Bus, events ...event.Recorded) {
	t.Helper()
	for i, err := range b.Publish(t.Context(), events) {
		if err != nil {
			t.Fatalf("publish event %d: %v", i, err)
		}
	}
}

// receive waits for exactly n different events and returns them by id. More deliveries than events may come.
func receive(t *testing.T, q *bus.Queue, n int) map[uuid.UUID]event.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got := map[uuid.UUID]event.Delivery{}
	for len(got) < n {
		ds, err := q.Receive(ctx, 10, 5*time.Second)
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(got), n, err)
		}
		for _, d := range ds {
			if d.Err != nil {
				t.Fatal(d.Err)
			}
			got[d.Event.ID] = d
		}
	}
	return got
}

// receiveOne waits for the next delivery.
func receiveOne(t *testing.T, q *bus.Queue) event.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		ds, err := q.Receive(ctx, 1, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if len(ds) > 0 {
			return ds[0]
		}
	}
}

func list(got map[uuid.UUID]event.Delivery) []event.Delivery {
	var out []event.Delivery
	for _, d := range got {
		out = append(out, d)
	}
	return out
}

// wantNothing looks once, without waiting.
func wantNothing(t *testing.T, q *bus.Queue) {
	t.Helper()
	ds, err := q.Receive(t.Context(), 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(ds) > 0 {
		t.Fatalf("%d deliveries from a queue with nothing visible, the first %+v", len(ds), ds[0])
	}
}

// waitDepth waits until the queue's counts are as wanted.
func waitDepth(t *testing.T, q *bus.Queue, want bus.Depth) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		have, err := q.Depth(ctx)
		if err != nil {
			t.Fatalf("want depth %+v, have %+v: %v", want, have, err)
		}
		if have == want {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("want depth %+v, have %+v", want, have)
		}
	}
}

func same(t *testing.T, have, want event.Recorded) {
	t.Helper()
	if !have.Time.Equal(want.Time) {
		t.Errorf("time %v, want %v", have.Time, want.Time)
	}
	have.Time = want.Time
	h, w := render(have), render(want)
	if h != w {
		t.Errorf("event\n%s\nwant\n%s", h, w)
	}
}

func render(e event.Recorded) string {
	return fmt.Sprintf("id %s stream %s@%d position %s type %s data %q metadata %q", e.ID, e.Stream, e.Revision, e.Position, e.Type, e.Data, e.Metadata)
}

// jsonOfSize is a JSON string literal of that many bytes.
func jsonOfSize(n int) []byte {
	b, err := json.Marshal(strings.Repeat("x", n-2))
	if err != nil {
		panic(err)
	}
	return b
}
