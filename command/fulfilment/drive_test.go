package fulfilment

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/domain/payment"
)

// scene is one order's story: what happened before it is driven, and how it stands afterwards.
type scene struct {
	name   string
	before func(w *world) // the order is "o"; what came before may have been driven
	status order.Status
	code   string
	pay    payment.Status
	noted  bool // the step cannot be taken now
}

func confirmed(w *world, total int64, method string) {
	w.restock("a", 10)
	w.restock("b", 10)
	w.place("o", total, method, units("a", 2), units("b", 3))
	w.drive()
}

func (w *world) drive() {
	w.t.Helper()
	if result, _ := w.process(sound).attend(w.t.Context(), "o"); result != settled {
		w.t.Fatalf("the order is not settled: %+v", w.state("o"))
	}
}

func scenes() []scene {
	return []scene{
		{name: "by card", status: order.StatusConfirmed, pay: payment.StatusAuthorised,
			before: func(w *world) {
				w.restock("a", 10)
				w.restock("b", 10)
				w.place("o", 1000, order.Card, units("a", 2), units("b", 3))
			}},
		{name: "by invoice", status: order.StatusConfirmed, pay: payment.StatusAuthorised,
			before: func(w *world) {
				w.restock("a", 2)
				w.place("o", 1000, order.Invoice, units("a", 2))
			}},
		{name: "for nothing", status: order.StatusConfirmed, pay: payment.StatusAuthorised,
			before: func(w *world) {
				w.restock("a", 2)
				w.place("o", 0, order.Card, units("a", 2))
			}},
		{name: "sold out", status: order.StatusCancelled, code: order.SoldOut,
			before: func(w *world) {
				w.restock("a", 10)
				w.restock("b", 2)
				w.place("o", 1000, order.Card, units("a", 2), units("b", 3), units("c", 1))
			}},
		{name: "declined", status: order.StatusCancelled, code: order.PaymentDeclined, pay: payment.StatusVoided,
			before: func(w *world) {
				w.restock("a", 10)
				w.place("o", 1002, order.Card, units("a", 2))
			}},
		{name: "too late", status: order.StatusCancelled, code: order.PaymentTimeout,
			before: func(w *world) {
				w.restock("a", 10)
				w.place("o", 1000, order.Card, units("a", 2))
				w.pass(payWithin)
			}},
		{name: "on account and never too late", status: order.StatusConfirmed, pay: payment.StatusAuthorised,
			before: func(w *world) {
				w.restock("a", 10)
				w.place("o", 1000, order.Invoice, units("a", 2))
				w.pass(payWithin)
			}},
		{name: "cancelled at once", status: order.StatusCancelled,
			before: func(w *world) {
				w.restock("a", 10)
				w.place("o", 1000, order.Card, units("a", 2), units("b", 1))
				w.mustOrder(order.Cancel{ID: "o", Reason: "no"}, "o")
			}},
		{name: "cancelled when confirmed", status: order.StatusCancelled, pay: payment.StatusVoided,
			before: func(w *world) {
				confirmed(w, 1000, order.Card)
				w.mustOrder(order.Cancel{ID: "o", Reason: "no"}, "o")
			}},
		{name: "in two parcels", status: order.StatusShipped, pay: payment.StatusCaptured,
			before: func(w *world) {
				confirmed(w, 1000, order.Card)
				w.mustOrder(order.Ship{ID: "o", Carrier: "c", Lines: []order.LineQuantity{{Line: 1, Quantity: 1}, {Line: 2, Quantity: 1}}}, "o")
				w.mustOrder(order.Ship{ID: "o", Carrier: "c"}, "o")
			}},
		{name: "returned in part and then whole", status: order.StatusReturned, pay: payment.StatusCaptured,
			before: func(w *world) {
				confirmed(w, 1000, order.Card)
				w.mustOrder(order.Ship{ID: "o", Carrier: "c"}, "o")
				w.drive()
				w.mustOrder(order.TakeBack{ID: "o", Restock: true, Lines: []order.LineQuantity{{Line: 2, Quantity: 2}}}, "o")
				w.mustOrder(order.TakeBack{ID: "o", RefundShipping: true}, "o")
			}},
		{name: "returned on account", status: order.StatusReturned, pay: payment.StatusCaptured,
			before: func(w *world) {
				confirmed(w, 1000, order.Invoice)
				w.mustOrder(order.Ship{ID: "o", Carrier: "c"}, "o")
				w.mustOrder(order.TakeBack{ID: "o", Restock: true, RefundShipping: true}, "o")
			}},
		{name: "by hand", status: order.StatusShipped,
			before: func(w *world) {
				w.record(order.Codec, order.Stream("o"), order.Placed{MemberID: "m", Currency: "EUR", Manual: true,
					Lines: []order.Line{{ProductID: "a", Quantity: 1, Amount: 5}}}, order.Shipped{Carrier: "c"})
			}},
		{name: "nobody's", before: func(*world) {}},
		{name: "no answer", status: order.StatusPlaced, pay: payment.StatusRequested, noted: true,
			before: func(w *world) {
				w.restock("a", 10)
				w.place("o", 1007, order.Card, units("a", 2))
			}},
	}
}

func (s scene) want(t *testing.T, w *world) {
	t.Helper()
	b := w.books()
	if o := b.Orders["o"]; o.Status != s.status || o.CancelCode != s.code {
		t.Errorf("the order is %q (%q), want %q (%q)", o.Status, o.CancelCode, s.status, s.code)
	}
	if p := b.Payments["o"]; p.Status != s.pay && (s.status != order.StatusCancelled || p.Status != payment.StatusVoided) {
		t.Errorf("the payment is %q, want %q", p.Status, s.pay)
	}
	if !s.noted {
		w.wantBalance()
	}
}

func TestDrive(t *testing.T) {
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			w := newWorld(t)
			s.before(w)
			result, _ := w.process(sound).attend(t.Context(), "o")
			if (result == noted) != s.noted || result == unsettled {
				t.Errorf("it is %v", result)
			}
			s.want(t, w)
			length := w.log.Len()
			if w.process(sound).attend(t.Context(), "o"); w.log.Len() != length {
				t.Errorf("driven again, it grows by %v", w.log.Events()[length:])
			}
		})
	}
}

// TestEveryEventSaysWhy: what fulfilment does belongs to the conversation in which the order was placed.
func TestEveryEventSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.restock("a", 10)
	w.place("o", 1000, order.Card, units("a", 2))
	w.drive()
	placed, correlation := w.log.Stream(order.Stream("o"))[0], ""
	for _, e := range w.log.Events() {
		meta := e.Meta()
		if meta.Actor == "" { // the test's own
			continue
		}
		if correlation == "" {
			correlation = meta.CorrelationID
		}
		if meta.Actor != "fulfilment" || meta.CausationID == meta.CommandID || event.Category(e.Stream) != "idempotency" && meta.CommandID == "" {
			t.Errorf("%s@%d: %+v", e.Stream, e.Revision, meta)
		}
	}
	if reserved := w.log.Stream(order.Stream("o"))[1]; reserved.Meta().CausationID != placed.ID.String() {
		t.Errorf("the reservation was caused by %s, want %s", reserved.Meta().CausationID, placed.ID)
	}
}

// TestCrashAnywhere kills the process at its n-th call to the outside, for every n, before the call or between the call and
// its answer. Another process then takes the order to its end. Nothing is done twice.
func TestCrashAnywhere(t *testing.T) {
	for _, s := range scenes() {
		if s.noted {
			continue
		}
		for _, persist := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s persist=%v", s.name, persist), func(t *testing.T) {
				n := int64(1)
				for more := true; more; n++ {
					synctest.Test(t, func(t *testing.T) { more = s.crash(t, n, persist) })
					if t.Failed() {
						t.Fatalf("crash at call %d", n)
					}
				}
				t.Logf("crashed at %d calls", n-2)
			})
		}
	}
}

// crash reports whether the n-th call was reached.
func (s scene) crash(t *testing.T, n int64, persist bool) bool {
	w := newWorld(t)
	s.before(w)
	var calls atomic.Int64
	first := w.process(func(string) (bool, bool) {
		at := calls.Add(1)
		return at < n || at == n && persist, at < n
	})
	first.attend(t.Context(), "o")
	if result, _ := w.process(sound).attend(t.Context(), "o"); result != settled {
		t.Errorf("the second process leaves it %v", result)
	}
	s.want(t, w)
	return calls.Load() >= n
}

// TestForgone: an order that is cancelled before its stock was touched takes nothing from those that are not, wherever its release stops.
func TestForgone(t *testing.T) {
	n := int64(1)
	for more := true; more && !t.Failed(); n++ {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.restock("a", 2)
			w.place("late", 1000, order.Card, units("a", 2))
			w.pass(payWithin)
			w.place("o", 1000, order.Card, units("a", 2))
			var calls atomic.Int64
			w.process(func(string) (bool, bool) {
				at := calls.Add(1)
				return at <= n, at < n
			}).attend(t.Context(), "late")
			w.drive()
			if s := w.state("o"); s.Status != order.StatusConfirmed {
				t.Errorf("while another is at its call %d, the order is %s: %s", n, s.Status, s.CancelReason)
			}
			if result, _ := w.process(sound).attend(t.Context(), "late"); result != settled {
				t.Errorf("the late one is left %v", result)
			}
			w.wantBalance()
			more = calls.Load() >= n
		})
	}
	t.Logf("stopped at %d calls", n-2)
}

// TestLostAnswers: every call of the process is made, and its first answer lost.
func TestLostAnswers(t *testing.T) {
	for _, s := range scenes() {
		if s.noted {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s.before(w)
				lost := map[string]bool{}
				var one = make(chan struct{}, 1)
				m := w.process(func(call string) (bool, bool) {
					one <- struct{}{}
					defer func() { <-one }()
					was := lost[call]
					lost[call] = true
					return true, was || strings.HasPrefix(call, "read")
				})
				tries := 0
				for result := unsettled; result != settled; tries++ {
					if result, _ = m.attend(t.Context(), "o"); tries > 50 {
						t.Fatal("it never settles")
					}
				}
				s.want(t, w)
			})
		})
	}
}

// refunds notes what the gateway is told of refunds.
type refunds struct {
	Gateway
	told []string
}

func (g *refunds) Refund(ctx context.Context, c payment.Charge, n int, amount int64) (string, error) {
	g.told = append(g.told, fmt.Sprintf("%d: %d after %d", n, amount, c.Refunded))
	return g.Gateway.Refund(ctx, c, n, amount)
}

// TestRefundsKnowOfEachOther: with each, the gateway is told what was paid back before.
func TestRefundsKnowOfEachOther(t *testing.T) {
	w := newWorld(t)
	confirmed(w, 1000, order.Card)
	w.mustOrder(order.Ship{ID: "o", Carrier: "c"}, "o")
	for range 2 {
		w.mustOrder(order.TakeBack{ID: "o", Lines: []order.LineQuantity{{Line: 2, Quantity: 1}}}, "o")
	}
	w.mustOrder(order.TakeBack{ID: "o"}, "o")
	m, told := w.process(sound), &refunds{Gateway: w.gateway}
	m.gateway = told
	if result, _ := m.attend(t.Context(), "o"); result != settled {
		t.Errorf("it is %v", result)
	}
	if got, want := strings.Join(told.told, ", "), "1: 100 after 0, 2: 100 after 100, 3: 300 after 200"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	w.wantBalance()
}

// TestLapsedHold: when the gateway has let go of what it held before the order was shipped, what comes back is in stock all the same; and who
// has collected the money in another way tells by hand, as docs/payments.md says.
func TestLapsedHold(t *testing.T) {
	w := newWorld(t)
	confirmed(w, 1000, order.Card)
	if err := w.gateway.Void(t.Context(), payment.Charge{OrderID: "o", Amount: 1000, Currency: "EUR"}); err != nil {
		t.Fatal(err)
	}
	w.mustOrder(order.Ship{ID: "o", Carrier: "c"}, "o")
	attend := func(want outcome) order.State {
		t.Helper()
		if result, _ := w.process(sound).attend(t.Context(), "o"); result != want {
			t.Errorf("it is %v, want %v", result, want)
		}
		return w.state("o")
	}
	if s := attend(noted); s.Captured {
		t.Errorf("%+v", s)
	}
	w.mustOrder(order.TakeBack{ID: "o", Restock: true}, "o")
	if s := attend(noted); !s.Returns[0].Restocked || s.Captured {
		t.Errorf("%+v", s)
	}
	w.record(payment.Codec, payment.Stream("o"), payment.Captured{Amount: 1000})
	if s := attend(noted); !s.Captured || s.Returns[0].Refunded { // the gateway has nothing to pay back
		t.Errorf("%+v", s)
	}
	w.record(payment.Codec, payment.Stream("o"), payment.Refunded{Return: 1, Amount: w.state("o").Returns[0].Amount})
	if s := attend(settled); !s.Returns[0].Refunded {
		t.Errorf("%+v", s)
	}
}

// TestRetries: a step that fails is noted for later and later, but not for later than its deadline; then the order expires.
func TestRetries(t *testing.T) {
	w := newWorld(t)
	w.restock("a", 10)
	w.place("o", 1000, order.Card, units("a", 2))
	var reported error
	m := w.processWith(func(call string) (bool, bool) { return call != "gateway authorise", true },
		Config{Report: func(loop string, err error) { reported = err }})
	deadline := w.clock().Add(payWithin)
	var before time.Duration
	for tries := 0; ; tries++ {
		if result, _ := m.attend(t.Context(), "o"); result == settled {
			if tries < 8 {
				t.Errorf("it settled after %d tries", tries)
			}
			break
		}
		due := w.schedule.noted()["o"]
		pause := due.Sub(w.clock())
		if due.After(deadline) || pause < before/2 && due.Before(deadline) || pause > retryMost {
			t.Fatalf("try %d: again after %v, before that %v", tries, pause, before)
		}
		before = pause
		w.pass(pause)
	}
	if w.clock().After(deadline) {
		t.Errorf("it expired %v late", w.clock().Sub(deadline))
	}
	if s := w.state("o"); s.CancelCode != order.PaymentTimeout || reported != nil {
		t.Errorf("%+v, reported %v", s, reported)
	}
	w.wantBalance()
}

// TestRejected: what the gateway rejects is our fault, and shown, however well it goes with other orders.
func TestRejected(t *testing.T) {
	w := newWorld(t)
	w.restock("a", 10)
	w.place("o", 1007, order.Card, units("a", 2))
	red := map[string]error{}
	m := w.processWith(sound, Config{Report: func(loop string, err error) { red[loop] = err }})
	if result, _ := m.attend(t.Context(), "o"); result != noted || red[LoopOrders] == nil || !strings.Contains(red[LoopOrders].Error(), payment.ErrRejected.Error()) {
		t.Errorf("%v, %v", result, red)
	}
}
