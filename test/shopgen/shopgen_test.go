package shopgen_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/domain/stock"
	"jangbu/query/view"
	"jangbu/test/shopgen"
)

func digest(t *testing.T, cfg shopgen.Config) (sum string, appends []shopgen.Append) {
	t.Helper()
	appends = slices.Collect(shopgen.Appends(cfg))
	data, err := json.Marshal(appends)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(data)
	return hex.EncodeToString(hash[:]), appends
}

func TestTheSameSeedIsTheSameShop(t *testing.T) {
	first, _ := digest(t, shopgen.Config{Seed: 1, Events: 3000})
	again, _ := digest(t, shopgen.Config{Seed: 1, Events: 3000})
	other, _ := digest(t, shopgen.Config{Seed: 2, Events: 3000})
	if first != again || first == other {
		t.Errorf("seed 1: %s, again %s; seed 2: %s", first, again, other)
	}
}

func TestTheHistoryIsWhole(t *testing.T) {
	_, appends := digest(t, shopgen.Config{Seed: 3, Events: 5000})
	revisions, types, ids := map[string]int64{}, map[string]int{}, map[string]bool{}
	var log []event.Recorded
	for i, a := range appends {
		last, known := revisions[a.Stream]
		if !known {
			last = event.NoStream
		}
		if a.Expected != last {
			t.Fatalf("append %d to %s expects %d and finds %d", i, a.Stream, a.Expected, last)
		}
		for _, e := range a.Events {
			last++
			types[e.Type]++
			ids[e.ID.String()] = true
			log = append(log, event.Recorded{ID: e.ID, Stream: a.Stream, Revision: last, Type: e.Type, Data: e.Data})
		}
		revisions[a.Stream] = last
	}
	if len(log) < 5000 || len(log) > 5040 || len(ids) != len(log) {
		t.Errorf("%d events, %d ids", len(log), len(ids))
	}
	for _, name := range []string{"member.renamed.v1", "product.renamed.v1", "product.repriced.v1", "order.placed.v2", "order.confirmed.v1", "order.shipped.v1",
		"order.delivered.v1", "order.cancelled.v1", "order.returned.v1", "order.payment_refunded.v1", "stock.reserved.v1", "stock.shipped.v1", "stock.released.v1",
		"stock.returned.v1", "stock.counted.v1", "stock.restocked.v1"} {
		if types[name] < 5 {
			t.Errorf("%d events %s in %v", types[name], name, types)
		}
	}
	for _, v := range view.All() {
		if folded, err := view.Fold(v, log); err != nil || len(folded.Documents)+len(folded.Lists) < 3 {
			t.Errorf("view %s: %d documents, %v", v.Name, len(folded.Documents)+len(folded.Lists), err)
		}
	}
}

// TestNobodyWaits: at the end no order asks for a step of fulfilment, and each stock is what its orders left of it.
func TestNobodyWaits(t *testing.T) {
	for _, events := range []int{1, 500, 5000, 5001, 20_000} {
		orders, stocks := map[string]order.State{}, map[string]stock.State{}
		for a := range shopgen.Appends(shopgen.Config{Seed: 5, Events: events}) {
			for _, e := range a.Events {
				switch event.Category(a.Stream) {
				case order.Category:
					orders[event.StreamID(a.Stream)] = order.Apply(orders[event.StreamID(a.Stream)], decode(t, order.Codec, e))
				case stock.Category:
					s := stock.Apply(stocks[a.Stream], decode(t, stock.Codec, e))
					if stocks[a.Stream] = s; s.Available() < 0 || s.Reserved < 0 {
						t.Fatalf("%s: %+v", a.Stream, s)
					}
				}
			}
		}
		reserved := map[string]int64{}
		for id, s := range orders {
			if step := order.Next(s, s.PlacedAt, time.Hour); step.Kind != order.StepNone {
				t.Errorf("%d events: order %s waits for %+v", events, id, step)
			}
			if s.Status == order.StatusConfirmed {
				for _, p := range s.Products() {
					reserved[stock.Stream(p.ProductID)] += p.Quantity
				}
			}
		}
		for stream, s := range stocks {
			if s.Reserved != reserved[stream] {
				t.Errorf("%d events: %d units of %s are reserved, want %d", events, s.Reserved, stream, reserved[stream])
			}
		}
	}
}

// TestOrdersDoNotPileUp: however long the history, some hundred orders at most are between their confirmation and their arrival, but for the
// one in ten that stays open for good.
func TestOrdersDoNotPileUp(t *testing.T) {
	placed, underway := map[string]int{}, map[string]bool{}
	longest := 0
	for a := range shopgen.Appends(shopgen.Config{Seed: 6, Events: 60_000}) {
		if event.Category(a.Stream) != order.Category {
			continue
		}
		for _, e := range a.Events {
			switch decode(t, order.Codec, e).(type) {
			case order.Placed:
				placed[a.Stream] = len(placed)
			case order.Shipped:
				underway[a.Stream] = true
			case order.Delivered:
				delete(underway, a.Stream)
				longest = max(longest, len(placed)-placed[a.Stream])
			}
		}
		if len(underway) > 250 {
			t.Fatalf("%d orders are under way after %d", len(underway), len(placed))
		}
	}
	if longest > 1500 {
		t.Errorf("an order arrived %d orders after it was placed", longest)
	}
}

func decode(t *testing.T, codec *event.Codec, e event.Proposed) any {
	t.Helper()
	decoded, err := codec.Decode(e.Type, e.Data)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

func TestSomeMembersOrderMost(t *testing.T) {
	_, appends := digest(t, shopgen.Config{Seed: 4, Events: 20_000})
	orders, total := map[string]int{}, 0
	for _, a := range appends {
		if e, err := order.Codec.Decode(a.Events[0].Type, a.Events[0].Data); err == nil {
			if placed, ok := e.(order.Placed); ok {
				orders[placed.MemberID]++
				total++
			}
		}
	}
	if top := orders["m0"]; top < 5*total/len(orders) {
		t.Errorf("the first member has %d of %d orders of %d members", top, total, len(orders))
	}
}
