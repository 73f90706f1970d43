package fulfilment

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jangbu/domain/order"
)

// verdict is what a scheduler says to a call that waits for it.
type verdict int

const (
	proceed verdict = iota
	lose            // made, but its answer is lost
	refuse          // not made
)

// gates hold every call of some processes until the scheduler lets it go.
type gates chan chan verdict

func (g gates) ask(string) (made, answered bool) {
	gate := make(chan verdict)
	g <- gate
	v := <-gate
	return v != refuse, v == proceed
}

// TestAnyInterleaving has several processes work on the same two orders, which want the last units of one product, while
// the customer cancels, or the parcel leaves and comes back, and while time passes. In an order of calls drawn from a seed,
// with calls that fail, answers that get lost, and workers that sleep over a call for as long as it takes. Whatever happens,
// the books balance in the end.
func TestAnyInterleaving(t *testing.T) {
	seeds := uint64(1500)
	if testing.Short() {
		seeds = 150
	}
	outcomes := map[string]int{}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { interleave(t, seed, outcomes) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Log(outcomes)
	for _, o := range []string{"confirmed ", "cancelled sold-out", "cancelled payment-timeout", "cancelled payment-declined", "cancelled ", "shipped ", "returned "} {
		if outcomes[o] < int(seeds/50) {
			t.Errorf("the seeds hardly ever lead to %q: %v", o, outcomes)
		}
	}
}

func interleave(t *testing.T, seed uint64, outcomes map[string]int) {
	random := rand.New(rand.NewPCG(seed, 11))
	w := newWorld(t)
	w.restock("a", 3)
	w.restock("b", 3)
	ids := []string{"o", "p"}
	w.place("o", 1000+[]int64{0, 0, 0, 2, 4, 5, 6, 8, 9}[random.IntN(9)], order.Card, units("a", 2), units("b", 1+random.Int64N(3)))
	w.place("p", 2000, []string{order.Card, order.Invoice}[random.IntN(2)], units("b", 2), units("a", 1))

	if random.IntN(3) == 0 { // a later part of their lives
		w.process(sound).attend(t.Context(), "o")
		w.process(sound).attend(t.Context(), "p")
		_ = w.order(order.Ship{ID: "o", Carrier: "c"}, "o")
	}

	g := make(gates)
	left := 0
	ended := make(chan struct{}, 64)
	work := func(m *Manager, id string) {
		left++
		go func() {
			m.attend(t.Context(), id)
			ended <- struct{}{}
		}()
	}
	var workers []*Manager
	for range 2 + random.IntN(2) {
		workers = append(workers, w.process(g.ask))
	}
	for _, m := range workers {
		for _, id := range ids {
			work(m, id)
		}
	}
	faulty := random.IntN(2) == 0
	happenings := 2 + random.IntN(6)
	var waiting []chan verdict
	for left > 0 {
		synctest.Wait()
		select {
		case gate := <-g:
			waiting = append(waiting, gate)
			continue
		case <-ended:
			left--
			continue
		default:
		}
		if len(waiting) == 0 {
			time.Sleep(10 * time.Millisecond) // everybody pauses before another try: let the bubble's clock go on
			continue
		}
		if happenings > 0 && random.IntN(12) == 0 {
			happenings--
			id := ids[random.IntN(2)]
			happen(w, random, id)
			work(workers[random.IntN(len(workers))], id)
			continue
		}
		i := random.IntN(len(waiting))
		if random.IntN(3) > 0 {
			i = len(waiting) - 1 // so that some go far ahead of others
		}
		gate := waiting[i]
		waiting = append(waiting[:i], waiting[i+1:]...)
		v := proceed
		if faulty && random.IntN(8) == 0 {
			v = lose + verdict(random.IntN(2))
		}
		gate <- v
	}
	last := w.process(sound)
	for _, id := range ids {
		for tries := 0; ; tries++ {
			if result, _ := last.attend(t.Context(), id); result == settled {
				break
			}
			if tries > 5 {
				t.Fatalf("order %s never settles: %+v", id, w.state(id))
			}
		}
		s := w.state(id)
		outcomes[fmt.Sprint(s.Status, " ", s.CancelCode)]++
	}
	w.wantBalance()
}

// happen is something that clients or time do. A refusal is as good as anything else.
func happen(w *world, random *rand.Rand, id string) {
	switch random.IntN(6) {
	case 0:
		_ = w.order(order.Cancel{ID: id, Reason: "no"}, id)
	case 1:
		if w.state(id).Status == order.StatusPlaced && random.IntN(2) == 0 {
			w.pass(payWithin)
		}
	case 2:
		_ = w.order(order.Ship{ID: id, Carrier: "c", Lines: []order.LineQuantity{{Line: 1, Quantity: 1}}}, id)
	case 3:
		_ = w.order(order.TakeBack{ID: id, Restock: random.IntN(2) == 0}, id)
	default:
		_ = w.order(order.Ship{ID: id, Carrier: "c"}, id)
	}
}

// TestRequestBesideVoid: a worker finds no payment and voids it; before that is recorded, a sleeper requests the payment, has it
// authorised, and dies. The gateway must not go on holding the amount.
func TestRequestBesideVoid(t *testing.T) {
	w := newWorld(t)
	w.restock("a", 2)
	w.place("o", 1000, order.Card, units("a", 2))
	asleep, wake, dead := make(chan struct{}), make(chan struct{}), make(chan struct{})
	died := false
	sleeper := w.process(func(call string) (bool, bool) {
		if call == "append payment-o" && !died {
			close(asleep)
			<-wake
		}
		defer func() { died = died || call == "gateway authorise" }()
		return !died, !died && call != "gateway authorise"
	})
	go func() {
		sleeper.attend(t.Context(), "o")
		close(dead)
	}()
	<-asleep
	w.mustOrder(order.Cancel{ID: "o", Reason: "no"}, "o")
	first := true
	voiding := w.process(func(call string) (bool, bool) {
		if call == "append payment-o" && first {
			first = false
			close(wake)
			<-dead
		}
		return true, true
	})
	if result, _ := voiding.attend(t.Context(), "o"); result != settled {
		t.Errorf("it is %v", result)
	}
	if b := w.gateway.Balances()["o"]; b.Authorised != 1000 || !b.Voided {
		t.Errorf("the gateway holds %+v", b)
	}
	w.wantBalance()
}

// TestForgoBesideReserve: the order is cancelled while its reservation is about to be appended, and another worker is about to append at
// the same place that it is forgone. Whoever is first appends what the one had claimed, both go by what stands there, and nothing stays
// set aside.
func TestForgoBesideReserve(t *testing.T) {
	for _, forgone := range []bool{true, false} {
		t.Run(fmt.Sprintf("forgone first %v", forgone), func(t *testing.T) {
			w := newWorld(t)
			w.restock("a", 2)
			w.place("late", 1000, order.Card, units("a", 2))
			w.place("fresh", 1000, order.Card, units("a", 2))
			var once, onceOther sync.Once
			var other *Manager
			both, done := make(chan struct{}), make(chan struct{})
			reserves := w.process(func(call string) (bool, bool) {
				if call == "append stock-a" {
					once.Do(func() {
						w.mustOrder(order.Cancel{ID: "late", Reason: "no"}, "late")
						go func() {
							defer close(done)
							other.attend(t.Context(), "late")
						}()
						<-both
						if forgone {
							<-done
						}
					})
				}
				return true, true
			})
			first := make(chan struct{})
			other = w.process(func(call string) (bool, bool) {
				if call == "append stock-a" {
					onceOther.Do(func() {
						close(both)
						if !forgone {
							<-first
						}
					})
				}
				return true, true
			})
			reserves.attend(t.Context(), "late")
			close(first)
			<-done
			if got := w.log.Stream("stock-a")[1].Type; got != "stock.reserved.v1" {
				t.Errorf("%s came first", got)
			}
			for _, m := range []*Manager{reserves, other} { // by what they remember of the stock
				if result, _ := m.attend(t.Context(), "late"); result != settled {
					t.Errorf("the late order is %v", result)
				}
				if result, _ := m.attend(t.Context(), "fresh"); result != settled || w.state("fresh").Status != order.StatusConfirmed {
					t.Errorf("the other is %v, %s", result, w.state("fresh").Status)
				}
			}
			w.wantBalance()
		})
	}
}
