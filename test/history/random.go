package history

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"jangbu/test/race"
)

// Random is the log of a shop: members and products that change in every way, stock that comes and goes, and the whole
// lives of orders, in any interleaving that the rules allow, over few ids so that they meet often.
func Random(t testing.TB, r *rand.Rand, n int) *History {
	h := &History{}
	h.Grow(t, r, n)
	return h
}

// Grow adds n such events. What belongs together with the last of them comes first the next time.
func (h *History) Grow(t testing.TB, r *rand.Rand, n int) {
	t.Helper()
	for end := h.Len() + n; h.Len() < end; {
		if len(h.shop.due) == 0 {
			h.happen(t, r)
			continue
		}
		next := h.shop.due[0]
		h.shop.due = h.shop.due[1:]
		h.add(t, next.stream, next.actor, next.event)
	}
}

// Seed is JANGBU_TEST_SEED, by which one failure is repeated, if it is set.
func Seed() (seed uint64, fixed bool) {
	seed, err := strconv.ParseUint(os.Getenv("JANGBU_TEST_SEED"), 10, 64)
	return seed, err == nil
}

// Seeds runs a test for n random seeds, fewer under the race detector, or as many as JANGBU_TEST_SEEDS says. A failing seed is in the subtest's name;
// JANGBU_TEST_SEED repeats it alone.
func Seeds(t *testing.T, n int, test func(t *testing.T, r *rand.Rand)) {
	n = race.Fewer(n)
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
