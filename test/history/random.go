package history

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
)

// Random is the log of a shop: registrations, renames, reprices, orders that are shipped or cancelled, in any
// interleaving that the rules allow, over few ids so that they meet often.
func Random(t testing.TB, r *rand.Rand, n int) *History {
	h := &History{}
	h.Grow(t, r, n)
	return h
}

// Grow adds n such events.
func (h *History) Grow(t testing.TB, r *rand.Rand, n int) {
	for end := h.Len() + n; h.Len() < end; {
		m, p := fmt.Sprintf("M%d", r.IntN(4)), fmt.Sprintf("P%d", r.IntN(5))
		switch ms, ps := member.Stream(m), product.Stream(p); {
		case h.Last(ms) < 0:
			h.Add(t, ms, member.Registered{Name: "Name of " + m, Country: []string{"Korea", "Peru"}[r.IntN(2)]})
		case h.Last(ps) < 0:
			h.Add(t, ps, product.Created{Name: "Name of " + p, Category: fmt.Sprintf("C%d", r.IntN(2)), Price: r.Int64N(1000), Currency: "USD"})
		case r.IntN(6) == 0:
			h.Add(t, ms, member.Renamed{Name: fmt.Sprintf("%s, once more <%d>", m, r.IntN(100))})
		case r.IntN(6) == 0:
			h.Add(t, ps, product.Repriced{Price: r.Int64N(1000)})
		default:
			h.randomOrderEvent(t, r, m, p)
		}
	}
}

func (h *History) randomOrderEvent(t testing.TB, r *rand.Rand, m, p string) {
	id := fmt.Sprintf("O%d", r.IntN(1+h.Len()/3))
	stream := order.Stream(id)
	switch h.Last(stream) {
	case -1:
		currencies := []string{"USD", "USD", "USD", "EUR"}
		lines := []order.Line{{ProductID: p, Name: p, Category: "C1", UnitPrice: 100, Quantity: 1 + r.Int64N(9), Amount: 100 * r.Int64N(9)}}
		if r.IntN(2) == 0 {
			lines = append(lines, order.Line{ProductID: "P0", Name: "P0", Category: "C/0", UnitPrice: 7, Quantity: 3, Amount: 21})
		}
		h.Add(t, stream, order.Placed{MemberID: m, MemberCountry: "Korea", Currency: currencies[r.IntN(len(currencies))], Lines: lines,
			ShippingFee: r.Int64N(50), PlacedOn: fmt.Sprintf("2026-%02d-%02d", 1+r.IntN(12), 1+r.IntN(28))})
	case 0:
		if r.IntN(2) == 0 {
			h.Add(t, stream, order.Shipped{Carrier: "Post", ShippedOn: "2026-12-31"})
		} else {
			h.Add(t, stream, order.Cancelled{Reason: "changed my mind"})
		}
	}
}

// Seed is JANGBU_TEST_SEED, by which one failure is repeated, if it is set.
func Seed() (seed uint64, fixed bool) {
	seed, err := strconv.ParseUint(os.Getenv("JANGBU_TEST_SEED"), 10, 64)
	return seed, err == nil
}

// Seeds runs a test for n random seeds, or as many as JANGBU_TEST_SEEDS says. A failing seed is in the subtest's name;
// JANGBU_TEST_SEED repeats it alone.
func Seeds(t *testing.T, n int, test func(t *testing.T, r *rand.Rand)) {
	if many, err := strconv.Atoi(os.Getenv("JANGBU_TEST_SEEDS")); err == nil {
		n = many
	}
	Few(t, n, test)
}

// Few is Seeds for what takes long: n is what it is.
func Few(t *testing.T, n int, test func(t *testing.T, r *rand.Rand)) {
	one, fixed := Seed()
	if fixed {
		n = 1
	}
	for range n {
		seed := one
		if !fixed {
			seed = rand.Uint64()
		}
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { test(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}
