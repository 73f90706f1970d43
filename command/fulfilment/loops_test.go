package fulfilment

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/domain/payment"
)

func TestQueue(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.restock("a", 10)
		w.place("o", 1000, order.Card, units("a", 1))
		w.place("p", 1007, order.Card, units("a", 1)) // the gateway rejects it
		w.record(order.Codec, order.Stream("m"), order.Placed{MemberID: "m", Currency: "EUR", Manual: true, Lines: []order.Line{{ProductID: "a", Quantity: 1}}})
		r := start(w, Config{Margin: time.Hour})
		defer r.stop()
		r.queue.put(event.Delivery{Err: errors.New("no event"), Receipt: "letter"}, event.Delivery{Receipt: "large", Hollow: true,
			Event: event.Recorded{Stream: order.Stream("o"), Type: "order.placed.v2"}})
		for _, id := range []string{"o", "p", "m"} {
			r.deliver(order.Stream(id))
		}
		settle(100 * time.Millisecond)
		if o, p := w.state("o"), w.state("p"); o.Status != order.StatusConfirmed || p.Status != order.StatusPlaced || !p.Reserved {
			t.Errorf("%+v, %+v", o, p)
		}
		if got, want := fmt.Sprint(r.queue.gone()), "[large order-m@0 order-o@0 order-p@0]"; got != want {
			t.Errorf("deleted %s, want %s", got, want)
		}
		if due := w.schedule.noted(); len(due) != 1 || due["p"].IsZero() {
			t.Errorf("noted %v", due)
		}
		r.wantGreen(t, LoopQueue, LoopSchedule, LoopSweep, LoopGateway)
		r.wantStuck(t, "order p has been stuck since", payment.ErrRejected.Error())

		// What fulfilment itself has recorded calls for nothing.
		before := r.readings
		r.queue.put(event.Delivery{Event: w.log.Stream(order.Stream("o"))[2], Receipt: "own"})
		settle(100 * time.Millisecond)
		if got := r.queue.gone(); !slices.Contains(got, "own") || r.readings != before {
			t.Errorf("deleted %v after %d more readings", got, r.readings-before)
		}
	})
}

// TestQueueKeepsWhatIsNotNoted: while neither the step can be taken nor the schedule be reached, the message stays.
func TestQueueKeepsWhatIsNotNoted(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.restock("a", 10)
		w.place("o", 1007, order.Card, units("a", 1))
		w.schedule.set(func() { w.schedule.away = true })
		r := start(w, Config{Margin: time.Hour})
		defer r.stop()
		r.deliver(order.Stream("o"))
		settle(5 * time.Second)
		if got := r.queue.gone(); len(got) != 0 {
			t.Errorf("deleted %v", got)
		}
		r.wantGreen(t, LoopQueue, LoopGateway)
	})
}

// TestQueueMissing: a queue that is not there is created, also when it went missing later.
func TestQueueMissing(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		r := start(w, Config{})
		defer r.stop()
		settle(time.Minute)
		if r.created != 1 {
			t.Errorf("created %d times", r.created)
		}
		away := func(err error) {
			r.queue.mu.Lock()
			r.queue.away = err
			r.queue.mu.Unlock()
			settle(time.Minute)
			r.wantGreen(t, LoopSchedule, LoopSweep, LoopGateway, LoopOrders)
		}
		if away(errAway); r.created != 1 {
			t.Errorf("created %d times while it only did not answer", r.created)
		}
		if away(event.ErrNotProvisioned); r.created < 2 || r.created > 1+int(time.Minute/provisionPause)+1 {
			t.Errorf("created %d times while it was missing for a minute", r.created)
		}
	})
}

func TestHints(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.restock("a", 10)
		w.place("o", 1000, order.Card, units("a", 1))
		r := start(w, Config{Margin: time.Hour, Workers: 1})
		defer r.stop()
		r.do(func() { r.broken = func(call string) bool { return call == "read order-o" } })
		for range 2 * hintsMax { // more than anybody can take
			r.m.Poke("o")
		}
		r.do(func() { r.broken = func(string) bool { return false } })
		settle(time.Second)
		if s := w.state("o"); s.Status != order.StatusConfirmed {
			t.Errorf("%+v", s)
		}
	})
}

// TestSweepAlone: without queue, schedule and hints, some seconds later.
func TestSweepAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.restock("a", 10)
		w.schedule.set(func() { w.schedule.away = true })
		r := start(w, Config{})
		defer r.stop()
		r.queue.mu.Lock()
		r.queue.away = errAway
		r.queue.mu.Unlock()
		settle(10 * time.Second) // it has given up asking for the checkpoint
		for i := range 100 {
			w.place(fmt.Sprint("o", i), 1000, order.Card, units("a", 1))
		}
		settle(DefaultMargin - time.Second)
		if s := w.state("o0"); s.Reserved {
			t.Error("it is too eager")
		}
		settle(10 * time.Second)
		n := map[order.Status]int{}
		for _, s := range w.books().Orders {
			n[s.Status]++
		}
		if n[order.StatusConfirmed] != 10 || n[order.StatusCancelled] != 90 {
			t.Errorf("%v", n)
		}
		w.mustOrder(order.Ship{ID: firstConfirmed(w), Carrier: "c"}, firstConfirmed(w))
		settle(10 * time.Second)
		w.wantBalance()
		r.wantGreen(t, LoopGateway, LoopOrders)
	})
}

func firstConfirmed(w *world) string {
	for id, s := range w.books().Orders {
		if s.Status == order.StatusConfirmed {
			return id
		}
	}
	return ""
}

// TestSweepLeavesTheOthersToIt: it does not so much as read an order that others settle in time.
func TestSweepLeavesTheOthersToIt(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.restock("a", 100)
		r := start(w, Config{})
		defer r.stop()
		for i := range 50 {
			id := fmt.Sprint("o", i)
			w.place(id, 1000, order.Card, units("a", 1))
			w.process(sound).attend(t.Context(), id) // another process
		}
		settle(time.Minute)
		if r.readings != 0 {
			t.Errorf("%d readings", r.readings)
		}
		if at := w.schedule.checkpoint; at != w.log.Events()[w.log.Len()-1].Position {
			t.Errorf("the checkpoint stands at %s of %d events", at, w.log.Len())
		}
	})
}

// TestDeadline: an order whose payment gets no answer expires, on time, although the process that noted it is dead.
func TestDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.restock("a", 10)
		w.place("o", 1000, order.Card, units("a", 1))
		placed := time.Now()
		silent := func(call string) bool { return call == "gateway authorise" }
		first := start(w, Config{})
		first.do(func() { first.broken = silent })
		first.m.Poke("o")
		settle(time.Minute)
		first.stop()
		second := start(w, Config{})
		second.do(func() { second.broken = silent })
		defer second.stop()
		settle(payWithin - time.Minute - time.Second)
		if s := w.state("o"); s.Status != order.StatusPlaced {
			t.Errorf("after %v: %+v", time.Since(placed), s)
		}
		settle(2 * time.Second)
		if s := w.state("o"); s.CancelCode != order.PaymentTimeout || !s.Released || !s.Voided {
			t.Errorf("after %v: %+v", time.Since(placed), s)
		}
		settle(time.Minute)
		if due := w.schedule.noted(); len(due) != 0 {
			t.Errorf("still noted: %v", due)
		}
		w.wantBalance()
	})
}

// TestEmptied: what the schedule held is noted again when it was emptied, be it while a manager runs or while none does.
func TestEmptied(t *testing.T) {
	for _, during := range []bool{true, false} {
		t.Run(fmt.Sprintf("running=%v", during), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.restock("a", 10)
				for i := range 20 { // history, long settled
					id := fmt.Sprint("h", i)
					w.place(id, 1000, order.Invoice, units("b", 1))
					w.process(sound).attend(t.Context(), id)
				}
				silent := func(call string) bool { return call == "gateway authorise" }
				r := start(w, Config{})
				defer func() { r.stop() }()
				r.do(func() { r.broken = silent })
				w.place("o", 1000, order.Card, units("a", 1))
				settle(time.Minute)
				if due := w.schedule.noted(); len(due) != 1 {
					t.Fatalf("noted %v", due)
				}
				if during {
					w.schedule.empty()
				} else {
					r.stop()
					w.schedule.empty()
					r = start(w, Config{})
					r.do(func() { r.broken = silent })
				}
				settle(20 * time.Second)
				if due := w.schedule.noted(); len(due) != 1 || due["o"].IsZero() {
					t.Errorf("noted %v", due)
				}
				settle(payWithin)
				if s := w.state("o"); s.CancelCode != order.PaymentTimeout {
					t.Errorf("%+v", s)
				}
				r.wantGreen(t, Loops()...)
			})
		})
	}
}

// TestLastNoteLost: what the schedule was told last it may lose when it is restarted, without the checkpoint before that.
func TestLastNoteLost(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.restock("a", 10)
		r := start(w, Config{})
		defer r.stop()
		r.do(func() { r.broken = func(call string) bool { return call == "gateway authorise" } })
		w.schedule.set(func() { w.schedule.forgets = 2 }) // after the first the order has a new event, which brings it back in any case
		w.place("o", 1000, order.Card, units("a", 1))
		settle(time.Minute)
		if due := w.schedule.noted(); due["o"].IsZero() || w.schedule.forgets > 0 {
			t.Errorf("noted %v, and has still to forget %d", due, w.schedule.forgets)
		}
		settle(payWithin)
		if s := w.state("o"); s.CancelCode != order.PaymentTimeout {
			t.Errorf("%+v", s)
		}
		r.wantGreen(t, Loops()...)
	})
}

// TestRestart: a process that died had seen an order and not dealt with it. Its successor begins before that, and not at the
// beginning of the log.
func TestRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.restock("a", 100)
		for i := range 30 {
			id := fmt.Sprint("h", i)
			w.place(id, 1000, order.Card, units("a", 1))
			w.process(sound).attend(t.Context(), id)
		}
		r := start(w, Config{})
		settle(time.Minute)
		r.do(func() { r.broken = func(string) bool { return true } }) // it is cut off
		w.schedule.set(func() { w.schedule.away = true })
		w.place("o", 1000, order.Card, units("a", 1))
		settle(30 * time.Second)
		r.stop()
		w.schedule.set(func() { w.schedule.away = false })
		placed := w.log.Stream(order.Stream("o"))[0]
		if at := w.schedule.checkpoint; at == (event.Position{}) || at.Compare(placed.Position) >= 0 {
			t.Fatalf("the checkpoint stands at %s", at)
		}
		r = start(w, Config{})
		defer func() { r.stop() }()
		settle(10 * time.Second)
		if s := w.state("o"); s.Status != order.StatusConfirmed || r.calls["read order-h0"] > 0 {
			t.Errorf("%+v, %v", s, r.calls)
		}
		w.mustOrder(order.Ship{ID: "h3", Carrier: "c"}, "h3") // of which it has not seen the beginning
		settle(10 * time.Second)
		if s := w.state("h3"); !s.Captured {
			t.Errorf("%+v", s)
		}
		w.wantBalance()
	})
}

// TestAnOlderLog: the event store was restored from a backup, and the checkpoint is that of the log there was.
func TestAnOlderLog(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.schedule.checkpoint = event.Position{Commit: 1e9, Prepare: 1e9}
		w.restock("a", 1)
		w.place("o", 1000, order.Card, units("a", 1))
		r := start(w, Config{})
		defer r.stop()
		settle(20 * time.Second)
		if s := w.state("o"); s.Status != order.StatusConfirmed {
			t.Errorf("%+v", s)
		}
		if at, end := w.schedule.checkpoint, w.log.Events()[w.log.Len()-1].Position; at != end {
			t.Errorf("the checkpoint stands at %s, the log ends at %s", at, end)
		}
		r.wantGreen(t, Loops()...)
	})
}

// TestTheLogIsPutBack: so is a log under running managers. They look through it from its beginning, and go on with what comes, and the checkpoint
// is that of the log there is.
func TestTheLogIsPutBack(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.restock("a", 100)
		w.place("o", 1000, order.Card, units("a", 1))
		backup := w.log.Len()
		var all []*running
		for range 2 {
			r := start(w, Config{})
			defer r.stop()
			all = append(all, r)
		}
		for i := range 10 {
			w.place(fmt.Sprint("lost", i), 1000, order.Card, units("a", 1))
		}
		settle(20 * time.Second)
		if s := w.state("o"); s.Status != order.StatusConfirmed {
			t.Errorf("%+v", s)
		}
		w.log.Cut(backup)
		settle(20 * time.Second)
		w.place("n", 1000, order.Card, units("a", 1))
		settle(20 * time.Second)
		for _, id := range []string{"o", "n"} { // the first was confirmed after the backup
			if s := w.state(id); s.Status != order.StatusConfirmed {
				t.Errorf("order %s: %+v", id, s)
			}
		}
		if at, end := w.schedule.checkpoint, w.log.Events()[w.log.Len()-1].Position; at != end {
			t.Errorf("the checkpoint stands at %s, the log ends at %s", at, end)
		}
		for _, r := range all {
			r.wantGreen(t, Loops()...)
		}
	})
}

// TestSystemEventsAtTheEnd: a subscription's checkpoints go beyond the last event that is not the store's own. What is kept does not:
// the next process would take it for that of another log.
func TestSystemEventsAtTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.restock("a", 10)
		w.place("o", 1000, order.Card, units("a", 1))
		r := start(w, Config{})
		settle(20 * time.Second)
		w.restock("a", 10) // it moves on with any event
		for range 5 {
			w.log.AddRaw("$stats", "$statsCollected", []byte(`{}`))
			settle(20 * time.Second)
		}
		r.stop()
		head, err := logFeed{w}.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if at := w.schedule.checkpoint; at != head.Position {
			t.Errorf("the checkpoint stands at %s, the log ends at %s", at, head.Position)
		}
	})
}

// TestDeletedOrder: one that is not there any more needs nothing, whatever the log still tells of it.
func TestDeletedOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.restock("a", 10)
		w.place("o", 1000, order.Card, units("a", 1))
		w.record(order.Codec, order.Stream("o"), order.StockReserved{}, order.PaymentAuthorised{}, order.Confirmed{}, order.Shipped{Carrier: "c"})
		w.log.Delete(order.Stream("o"), w.log.Len())
		r := start(w, Config{})
		defer r.stop()
		settle(time.Minute)
		if at := w.schedule.checkpoint; at != w.log.Events()[w.log.Len()-1].Position || r.readings != 1 {
			t.Errorf("the checkpoint stands at %s of %d events after %d readings", at, w.log.Len(), r.readings)
		}
		r.wantGreen(t, Loops()...)
	})
}

// TestSeveralManagers: any number of them share the work, and do it once.
func TestSeveralManagers(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.restock("a", 40)
		var all []*running
		for range 4 {
			r := start(w, Config{Margin: time.Second})
			defer r.stop()
			all = append(all, r)
		}
		for i := range 60 {
			id := fmt.Sprint("o", i)
			w.place(id, 1000+int64(i%3)*2, order.Card, units("a", 1))
			for _, r := range all {
				r.m.Poke(id)
				r.deliver(order.Stream(id))
			}
		}
		settle(time.Minute)
		n := map[string]int{}
		for _, s := range w.books().Orders {
			n[fmt.Sprint(s.Status, s.CancelCode)]++
		}
		if n["confirmed"] < 20 || n["confirmed"]+n["cancelled"+order.SoldOut]+n["cancelled"+order.PaymentDeclined] != 60 {
			t.Errorf("%v", n)
		}
		w.wantBalance()
		for id, b := range w.gateway.Balances() {
			if p := w.books().Payments[id]; b.Authorised > 0 && p.Status != payment.StatusAuthorised {
				t.Errorf("order %s: %+v, %+v", id, b, p)
			}
		}
	})
}
