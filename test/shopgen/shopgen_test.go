package shopgen_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"

	"jangbu/domain/event"
	"jangbu/domain/order"
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
	if len(log) < 5000 || len(log) > 5010 || len(ids) != len(log) {
		t.Errorf("%d events, %d ids", len(log), len(ids))
	}
	for _, name := range []string{"member.renamed.v1", "product.renamed.v1", "product.repriced.v1", "order.placed.v1", "order.shipped.v1", "order.cancelled.v1"} {
		if types[name] < 10 {
			t.Errorf("%d events %s in %v", types[name], name, types)
		}
	}
	for _, v := range view.All() {
		if folded, err := view.Fold(v, log); err != nil || len(folded.Documents)+len(folded.Lists) < 3 {
			t.Errorf("view %s: %d documents, %v", v.Name, len(folded.Documents)+len(folded.Lists), err)
		}
	}
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
