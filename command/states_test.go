package command_test

import (
	"strings"
	"testing"
	"time"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/domain/event"
	"jangbu/domain/order"
)

// TestPlacedWhenItIsCarriedOut: an order whose first attempt came no further than its reservation is placed by the retry, and the time to
// pay for it begins then. What it costs is what the first attempt had reserved.
func TestPlacedWhenItIsCarriedOut(t *testing.T) {
	log := &fakeLog{}
	now := commandtest.Now
	c := commandtest.NewClient(t, log, command.Config{Now: func() time.Time { return now }})
	c.Shop()
	log.onAppend = func(stream string, _ []event.Proposed) fault {
		if event.Category(stream) == order.Category {
			return fault{err: event.ErrUnavailable}
		}
		return fault{}
	}
	const body = `{"id":"late","member_id":"vinet","lines":[{"product_id":"queso","quantity":1}]}`
	wantProblem(t, c.Post("/orders", body, "Idempotency-Key: k"), 503, "unavailable")
	log.onAppend = nil
	c.Must("/products/queso/reprice", `{"price":1}`)
	const payWithin = 15 * time.Minute
	now = now.Add(payWithin)
	placed := c.Must("/orders", body, "Idempotency-Key: k")
	stamped := now
	now = now.Add(payWithin - 1)
	if again := c.Must("/orders", body, "Idempotency-Key: k"); !again.Equal(placed) {
		t.Errorf("again %+v, first %+v", again, placed)
	}
	recorded := log.Stream(order.Stream("late"))
	if len(recorded) != 1 {
		t.Fatalf("%d events", len(recorded))
	}
	e, err := order.Codec.Decode(recorded[0].Type, recorded[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	p := e.(order.Placed)
	if !p.PlacedAt.Equal(stamped) || p.Lines[0].UnitPrice == 1 {
		t.Errorf("placed at %v, at the price of %d", p.PlacedAt, p.Lines[0].UnitPrice)
	}
	if step := order.Next(order.Apply(order.State{}, e), now, payWithin); step.Kind != order.StepReserve {
		t.Errorf("next is %+v", step)
	}
}

// TestRepetitionOfAnother: two processes carry out one keyed request at once, a day apart. The quicker one appends what the slower one has
// reserved, not what it would decide itself, but for when it was placed; so the slower one's append is a repetition of it. What the slower one answers, and
// decides by from then on, is what stands in the log.
func TestRepetitionOfAnother(t *testing.T) {
	log := &fakeLog{}
	slow := commandtest.NewClient(t, log, command.Config{})
	slow.Shop()
	quick := commandtest.NewClient(t, log, command.Config{Now: func() time.Time { return commandtest.Now.Add(24 * time.Hour) }})
	for _, r := range []struct{ name, path, body, stream, then, thenBody, want string }{
		{"create", "/orders", `{"id":"new","member_id":"vinet","manual":true,"lines":[{"product_id":"queso","quantity":1}]}`, "order-new",
			"/orders/new/ship", `{"carrier":"B"}`, `"placed_at":"2026-03-01T15:00:00Z"`},
		{"change", "/orders/open/ship", `{"carrier":"A"}`, "order-open",
			"/orders/open/deliver", `{}`, `"shipped_on":"2026-02-28"`},
	} {
		t.Run(r.name, func(t *testing.T) {
			headers := []string{"Idempotency-Key: " + r.name, "Prefer: return=representation"}
			var other commandtest.Answer
			overtaken := false
			log.onAppend = func(stream string, _ []event.Proposed) fault {
				if stream == r.stream && !overtaken {
					overtaken = true
					other = quick.Post(r.path, r.body, headers...)
				}
				return fault{}
			}
			if a := slow.Post(r.path, r.body, headers...); !a.Equal(other) || a.Status >= 300 {
				t.Errorf("answers\n%+v\n%+v", a, other)
			}
			log.onAppend = nil
			if a := slow.Post(r.then, r.thenBody, headers[1]); a.Status != 200 || !strings.Contains(a.Body, r.want) {
				t.Errorf("the slower one goes on from %s", a.Body)
			}
		})
	}
}
