package projector

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/folded"
	"jangbu/test/history"
	"jangbu/test/servers"
)

func openModel(t testing.TB, url string) *readmodel.Store {
	t.Helper()
	m, err := readmodel.Open(url, readmodel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func newReplay(m *readmodel.Store, h *history.History) *Replay {
	return NewReplay(m, h, ReplayConfig{
		Builder: func() Builder { return m.NewBuilder() }, Patience: time.Second,
	})
}

// TestAnyDelivery: however events are duplicated, reordered, emptied and spread over concurrent workers, the views equal
// the fold. What is lost altogether is healed as soon as a later event of its stream, or the last one, arrives.
func TestAnyDelivery(t *testing.T) {
	for _, redis := range servers.Redises() {
		t.Run(redis.Name, func(t *testing.T) {
			m := openModel(t, redis.Start(t))
			generation := int64(0)
			history.Seeds(t, 4, func(t *testing.T, r *rand.Rand) {
				h, delivered := &history.History{}, 0
				generation++
				for range 3 { // so that later events change what earlier ones have joined
					h.Grow(t, r, 40)
					for _, v := range view.All() {
						g := row.Generation{View: v.Name, Number: generation}
						deliver(t, r, m, v, g, h, delivered)
						folded.Want(t, m, v, g, h.Events())
					}
					delivered = h.Len()
				}
			})
		})
	}
}

// deliver hands what of the log has not been delivered, mangled, to four workers.
func deliver(t *testing.T, r *rand.Rand, m *readmodel.Store, v *view.View, g row.Generation, h *history.History, delivered int) {
	var mangled []event.Recorded
	for _, e := range h.Events()[delivered:] {
		last := e.Revision == h.Last(e.Stream)
		if !last && r.IntN(5) == 0 {
			continue // lost
		}
		if r.IntN(8) == 0 {
			e.Data = nil // hollow
		}
		for range 1 + r.IntN(3) {
			mangled = append(mangled, e)
		}
	}
	r.Shuffle(len(mangled), func(i, k int) { mangled[i], mangled[k] = mangled[k], mangled[i] })
	batches := make(chan []event.Recorded, len(mangled))
	for batch := range slices.Chunk(mangled, 7) {
		batches <- batch
	}
	close(batches)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for batch := range batches {
				if err := NewApplier(v, g, m, h).Apply(t.Context(), batch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
}

func TestReplayEqualsFold(t *testing.T) {
	for _, redis := range servers.Redises() {
		t.Run(redis.Name, func(t *testing.T) {
			m := openModel(t, redis.Start(t))
			h := history.Random(t, rand.New(rand.NewPCG(1, 2)), 1500)
			for want := range int64(3) {
				if _, err := newReplay(m, h).Run(t.Context(), view.All()); err != nil {
					t.Fatal(err)
				}
				for _, v := range view.All() {
					registry, err := m.Registry(t.Context(), v.Name)
					if err != nil || registry.Live.Number != want+1 || registry.Building.Number != 0 {
						t.Fatalf("registry of %s after replay %d: %+v, %v", v.Name, want+1, registry, err)
					}
					folded.Want(t, m, v, registry.Live, h.Events())
				}
			}
			orders := row.Generation{View: "orders", Number: 1}
			if n, err := m.Documents(t.Context(), orders, true); err != nil || n != 0 {
				t.Errorf("generation 1 still has %d documents after two more (err %v)", n, err)
			}
		})
	}
}

// TestNothingLeft: documents that everything was withdrawn from are as if they had never been.
func TestNothingLeft(t *testing.T) {
	h := &history.History{}
	h.Add(t, "product-P", product.Created{Name: "Pen", Category: "Desk", Currency: "USD"})
	for _, id := range []string{"1", "2"} {
		h.Add(t, order.Stream(id), order.Placed{MemberID: "M", Currency: "USD", PlacedOn: "2026-01-02", Lines: []order.Line{{ProductID: "P", Category: "Desk", Quantity: 1, Amount: 5}}})
	}
	placed := h.Len()
	for _, id := range []string{"1", "2"} {
		h.Add(t, order.Stream(id), order.Cancelled{Reason: "changed my mind"})
	}
	for name, batches := range map[string][]int{"at once": {0, h.Len()}, "one after the other": {0, placed, h.Len()}} {
		t.Run(name, func(t *testing.T) {
			m := openModel(t, servers.MiniRedis(t))
			for _, v := range view.All() {
				g := row.Generation{View: v.Name, Number: 1}
				for i := range batches[1:] {
					if err := NewApplier(v, g, m, h).Apply(t.Context(), h.Events()[batches[i]:batches[i+1]]); err != nil {
						t.Fatal(err)
					}
				}
				folded.Want(t, m, v, g, h.Events())
			}
		})
	}
}

// TestAGapHoldsUpItsStreamAlone: while the store is away, what needs nothing from it lands.
func TestAGapHoldsUpItsStreamAlone(t *testing.T) {
	h := &history.History{}
	for _, id := range []string{"1", "2"} {
		h.Add(t, order.Stream(id), order.Placed{MemberID: "M", Currency: "USD", PlacedOn: "2026-01-02"}, order.Shipped{Carrier: "Post"})
	}
	m, g, away := openModel(t, servers.MiniRedis(t)), row.Generation{View: view.OrderLists.Name, Number: 1}, &faults{}
	away.down.Store(true)
	a := NewApplier(view.OrderLists, g, m, faultyLog{h, away})
	batch := append(h.Stream("order-1")[1:], h.Stream("order-2")...)
	if err := a.Apply(t.Context(), batch); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	for stream, want := range map[string]int64{"order-1": event.NoStream, "order-2": 1} {
		if at, err := m.Landed(t.Context(), g, []string{stream}); err != nil || at[0] != want {
			t.Errorf("%s has landed up to %d, want %d (err %v)", stream, at, want, err)
		}
	}
	away.down.Store(false)
	if err := a.Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	folded.Want(t, m, view.OrderLists, g, h.Events())
}

// rested gives orders of which all has arrived, in the order-lists view, whose states are not kept.
func rested(t *testing.T) (h *history.History, m *readmodel.Store, g row.Generation) {
	t.Helper()
	h = &history.History{}
	for _, id := range []string{"1", "2"} {
		h.Add(t, order.Stream(id), order.Placed{MemberID: "M", Currency: "USD", PlacedOn: "2026-01-02", Manual: true, Lines: []order.Line{{ProductID: "P", Quantity: 2, Amount: 5}}},
			order.Shipped{Carrier: "Post"}, order.Delivered{Parcel: 1})
	}
	m, g = openModel(t, servers.MiniRedis(t)), row.Generation{View: view.OrderLists.Name, Number: 1}
	if err := NewApplier(view.OrderLists, g, m, h).Apply(t.Context(), h.Events()); err != nil {
		t.Fatal(err)
	}
	states, err := m.States(t.Context(), g, []string{"order-1", "order-2"})
	if err != nil || states[0].Revision != 2 || len(states[0].Data) > 0 || states[1].Revision != 2 || len(states[1].Data) > 0 {
		t.Fatalf("states %+v, %v", states, err)
	}
	return h, m, g
}

// TestRested: a stream of which no state is kept goes on from what the store has; while that is away it waits, and no other of its batch.
func TestRested(t *testing.T) {
	h, m, g := rested(t)
	h.Add(t, "order-1", order.Returned{Lines: []order.LineQuantity{{Line: 1, Quantity: 2}}})
	h.Add(t, "order-3", order.Placed{MemberID: "M", Currency: "USD", PlacedOn: "2026-01-03"})
	away := &faults{}
	away.down.Store(true)
	a := NewApplier(view.OrderLists, g, m, faultyLog{h, away})
	if err := a.Apply(t.Context(), h.Events()[:4]); err != nil { // all of it has landed
		t.Errorf("a duplicate: %v", err)
	}
	if err := a.Apply(t.Context(), h.Events()); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	if at, err := m.Landed(t.Context(), g, []string{"order-1", "order-3"}); err != nil || at[0] != 2 || at[1] != 0 {
		t.Errorf("landed up to %v, %v", at, err)
	}
	away.down.Store(false)
	if err := a.Apply(t.Context(), h.Events()); err != nil {
		t.Fatal(err)
	}
	folded.Want(t, m, view.OrderLists, g, h.Events())
}

// TestRestedElsewhere: nothing lands on a state that the store does not have.
func TestRestedElsewhere(t *testing.T) {
	h, m, g := rested(t)
	h.Add(t, "order-1", order.Returned{Lines: []order.LineQuantity{{Line: 1, Quantity: 2}}})
	restored := &history.History{}
	restored.Add(t, "order-1", order.Placed{MemberID: "N"})
	if err := NewApplier(view.OrderLists, g, m, restored).Apply(t.Context(), h.Stream("order-1")[3:]); err == nil {
		t.Error("an event has landed on what is not there")
	}
	folded.Want(t, m, view.OrderLists, g, h.Events()[:h.Len()-1])
}

// TestDeleted: streams that have been deleted, and of which the log still holds their ends, hold up nothing: no consumer, and no replay.
func TestDeleted(t *testing.T) {
	h, m, g := rested(t)
	h.Add(t, "order-1", order.Returned{Lines: []order.LineQuantity{{Line: 1, Quantity: 2}}})
	h.Add(t, "order-3", order.Placed{MemberID: "M", Currency: "USD", PlacedOn: "2026-01-03"}, order.Confirmed{}, order.Shipped{Carrier: "Post"})
	h.Add(t, "order-4", order.Placed{MemberID: "M", Currency: "USD", PlacedOn: "2026-01-04"})
	all := slices.Clone(h.Events())
	h.Delete("order-1", 1)
	h.Delete("order-3", 1)
	without := func(streams ...string) []event.Recorded {
		return slices.DeleteFunc(slices.Clone(all), func(e event.Recorded) bool { return slices.Contains(streams, e.Stream) })
	}
	if err := NewApplier(view.OrderLists, g, m, h).Apply(t.Context(), h.Events()); err != nil {
		t.Fatal(err)
	}
	folded.Want(t, m, view.OrderLists, g, append(without("order-1", "order-3"), all[:3]...))
	replay := newReplay(m, h)
	replay.chunkEvents = 1
	if _, err := replay.Run(t.Context(), view.All()); err != nil {
		t.Fatal(err)
	}
	for _, v := range view.All() {
		folded.Want(t, m, v, liveOf(t, m, v), without("order-1", "order-3"))
	}
}

// TestDeletedAfterItRested: nor does one that rested before its last events, all of which the log still holds.
func TestDeletedAfterItRested(t *testing.T) {
	h, m, _ := rested(t)
	rest := h.Len()
	h.Add(t, "order-1", order.Returned{Lines: []order.LineQuantity{{Line: 1, Quantity: 2}}})
	all := h.Events()
	h.Delete("order-1", 4)
	replay := newReplay(m, h)
	replay.chunkEvents, replay.room.hold = 1, 0
	if _, err := replay.Run(t.Context(), []*view.View{view.OrderLists}); err != nil {
		t.Fatal(err)
	}
	folded.Want(t, m, view.OrderLists, liveOf(t, m, view.OrderLists), all[:rest])
}

// TestDeletedAndBegunAnew: of a stream that rested the store may have only what came later. It is parked, and holds up nothing else: no
// consumer, no sweep, and no replay; all leave the same.
func TestDeletedAndBegunAnew(t *testing.T) {
	again := order.Placed{MemberID: "N", Currency: "USD", PlacedOn: "2026-02-02", Lines: []order.Line{{ProductID: "Q", Quantity: 1, Amount: 7}}}
	for name, test := range map[string]struct {
		before int64
		next   any
	}{
		"deleted":   {3, again},
		"truncated": {1, order.Returned{Lines: []order.LineQuantity{{Line: 1, Quantity: 2}}}},
	} {
		t.Run(name, func(t *testing.T) {
			h, m, g := rested(t)
			rest := h.Len()
			h.Truncate("order-1", test.before)
			h.Add(t, "order-1", test.next)
			h.Add(t, "order-3", order.Placed{MemberID: "M", Currency: "USD", PlacedOn: "2026-01-03"})
			landed := slices.Delete(slices.Clone(h.Events()), rest, rest+1)
			left := func(v *view.View, g row.Generation) {
				t.Helper()
				folded.Want(t, m, v, g, landed)
				parked, err := m.ParkedIn(t.Context(), g)
				if _, feeds := v.Source("order-1"); err != nil || feeds && (len(parked) != 1 || parked[0].Stream != "order-1" || parked[0].Revision != 3) {
					t.Errorf("parked in %s: %+v, %v", g, parked, err)
				}
			}
			for _, queue := range []bool{true, false} {
				a := NewApplier(view.OrderLists, g, m, h)
				a.fromQueue = queue
				if err := a.Apply(t.Context(), h.Events()[rest:]); err != nil {
					t.Fatal(err)
				}
				left(view.OrderLists, g)
			}
			for _, assembled := range []bool{true, false} {
				replay := newReplay(m, h)
				replay.chunkEvents, replay.cacheStates, replay.room.hold = 1, 1, 0
				if !assembled {
					replay.cfg.Builder = nil
				}
				if _, err := replay.Run(t.Context(), view.All()); err != nil {
					t.Fatal(err)
				}
				for _, v := range view.All() {
					left(v, liveOf(t, m, v))
				}
			}
		})
	}
}
