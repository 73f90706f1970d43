package history_test

import (
	"math/rand/v2"
	"testing"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/domain/stock"
	"jangbu/test/history"
)

// TestEverythingHappens: random histories hold every event that views read, so that no view is tested without it.
func TestEverythingHappens(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(20) {
		h := history.Random(t, rand.New(rand.NewPCG(seed, 0)), 600)
		if h.Len() != 600 {
			t.Fatalf("seed %d: %d events", seed, h.Len())
		}
		for _, e := range h.Events() {
			seen[e.Type]++
		}
	}
	for _, codec := range []*event.Codec{member.Codec, product.Codec, stock.Codec, order.Codec} {
		for _, name := range codec.Names() {
			if seen[name] == 0 && name != "order.placed.v1" { // which is no longer written
				t.Errorf("there is no %s", name)
			}
		}
	}
	t.Log(seen)
}
