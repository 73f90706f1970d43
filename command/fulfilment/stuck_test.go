package fulfilment

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/order"
)

// wantStuck wants the health page to name the order and why, or, without words, to be green.
func (r *running) wantStuck(t *testing.T, words ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.reports[LoopOrders]
	if len(words) == 0 {
		if err != nil {
			t.Errorf("red: %v", err)
		}
		return
	}
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("the report does not say %q: %v", word, err)
		}
	}
}

// TestStuck: an order that cannot be read is shown, and tried again more and more rarely; others go on.
func TestStuck(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(w *world)
		words string
	}{
		"an unknown type": {func(w *world) { w.log.AddRaw(order.Stream("o"), "order.teleported.v1", []byte(`{"to":"Mars"}`)) },
			"order.teleported.v1: unknown event type"},
		"data that is no JSON": {func(w *world) { w.log.AddRaw(order.Stream("o"), "order.cancelled.v1", []byte(`Mars`)) }, "invalid character"},
	} {
		for _, by := range []string{"queue", "sweep"} {
			t.Run(name+", by the "+by, func(t *testing.T) {
				inBubble(t, func(t *testing.T, w *world) {
					w.restock("a", 10)
					w.place("o", 1000, order.Card, units("a", 1))
					tt.spoil(w)
					w.place("p", 1000, order.Card, units("a", 1))
					r := start(w, Config{})
					defer r.stop()
					if by == "queue" {
						r.deliver(order.Stream("o"))
						r.deliver(order.Stream("p"))
					}
					since := time.Now().Add(DefaultMargin) // at the latest
					settle(time.Hour)
					if p, err := w.log.LastOf(order.Stream("p")); err != nil || p.Type != "order.confirmed.v1" {
						t.Errorf("the other order ends with %s, %v", p.Type, err)
					}
					r.wantStuck(t, "order o has been stuck since "+since.UTC().Format("2006-01-02T15:"), tt.words, "jangbu trace order-o", "within 5m0s")
					r.wantGreen(t, LoopQueue, LoopSchedule, LoopSweep, LoopGateway)
					if n := r.calls["read order-o"]; n < 12 || n > 50 {
						t.Errorf("it was read %d times in an hour", n)
					}
				})
			})
		}
	}
}

// TestSweepSurvivesARuleThatPanics: it has the order driven, which tells.
func TestSweepSurvivesARuleThatPanics(t *testing.T) {
	w := newWorld(t)
	w.place("o", 1000, order.Card, units("a", 1))
	m := w.process(sound)
	m.cfg.Now = func() time.Time { panic("what a rule") } // which the rule asks
	next, needs := newSweep(m, logFeed{w}, &w.schedule).learn(folded{}, false, w.log.Stream(order.Stream("o"))[0])
	if !needs || !next.partial || next.revision != 0 {
		t.Errorf("%+v, %v", next, needs)
	}
}

// TestStuckNoMore: it is green again when the order can be read, whoever reads it.
func TestStuckNoMore(t *testing.T) {
	spoiled := func(call string) bool {
		if call == "read order-o" {
			panic("what a release")
		}
		return false
	}
	for name, mend := range map[string]func(r *running) (stop func()){
		"here": func(r *running) func() {
			r.do(func() { r.broken = func(string) bool { return false } })
			return func() {}
		},
		"by another process": func(r *running) func() {
			other := start(r.world, Config{})
			other.m.Poke("o")
			settle(time.Second)
			r.world.schedule.set(func() { clear(r.world.schedule.due) })   // as if the other had taken it from there
			r.do(func() { r.broken = func(string) bool { return false } }) // this one can read it, too, but nobody tells it to
			return other.stop
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.restock("a", 10)
				w.place("o", 1000, order.Card, units("a", 1))
				r := start(w, Config{})
				defer r.stop()
				r.do(func() { r.broken = spoiled })
				r.wantStuck(t)
				r.m.Poke("o")
				settle(time.Minute)
				r.wantStuck(t, "panic: what a release. See")
				r.do(func() { r.broken = func(string) bool { return true } }) // the store is away, which tells nothing of the order
				settle(10 * time.Minute)
				r.wantStuck(t, "panic: what a release. See")
				defer mend(r)()
				settle(retryMost + scheduleHold + time.Second)
				r.wantStuck(t)
				r.wantGreen(t, Loops()...)
				if len(w.schedule.noted()) != 0 {
					t.Errorf("noted: %v", w.schedule.noted())
				}
			})
		})
	}
}

// TestStuckIsBounded: many orders take neither much memory nor much of the page.
func TestStuckIsBounded(t *testing.T) {
	var told error
	s := stuck{report: func(err error) { told = err }, orders: map[string]*stuckOrder{}}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	long := errors.New(strings.Repeat("é", stuckText) + "\nstack")
	for i := range stuckMax + 500 {
		s.failed(fmt.Sprintf("o%04d", i), long, now.Add(time.Duration(i)), now)
	}
	if len(s.orders) != stuckMax || len(told.Error()) > 1000 || !strings.Contains(told.Error(), "order o0000 has") ||
		!strings.Contains(told.Error(), "Likewise 999 more: o0001, ") || strings.Contains(told.Error(), "stack") {
		t.Errorf("%d orders, %v", len(s.orders), told)
	}
	if got := s.overdue(now.Add(1), now.Add(time.Minute), stuckMax); len(got) != stuckMax {
		t.Errorf("%d are overdue", len(got))
	}
	if got := s.overdue(now.Add(time.Minute), now.Add(time.Hour), stuckMax); len(got) != 0 {
		t.Errorf("%d are overdue once more", len(got))
	}
	for i := range stuckMax {
		s.settled(fmt.Sprintf("o%04d", i))
	}
	if told != nil {
		t.Errorf("still told: %v", told)
	}
}

// TestPassing: what may pass by itself is no order that is stuck.
func TestPassing(t *testing.T) {
	for _, err := range []error{event.ErrUnavailable, event.ErrConflict} {
		var told error
		s := stuck{report: func(err error) { told = err }, orders: map[string]*stuckOrder{}}
		s.failed("o", fmt.Errorf("step: %w", err), time.Time{}, time.Time{})
		if told != nil || len(s.orders) != 0 {
			t.Errorf("%v is told: %v", err, told)
		}
	}
}
