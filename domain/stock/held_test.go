package stock

import (
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"testing"

	"jangbu/domain/domaintest"

	"pgregory.net/rapid"
)

// reservations are so many orders that are open at once.
func reservations(n int) []any {
	events := []any{Restocked{Quantity: MaxOnHand}}
	for i := range n {
		events = append(events, Reserved{OrderID: fmt.Sprint("order ", i), Quantity: 1})
	}
	return events
}

// TestFoldIsLinear: what an event costs does not grow with the orders that are open.
func TestFoldIsLinear(t *testing.T) {
	perEvent := func(n int) float64 {
		events := reservations(n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s := fold(events)
		runtime.ReadMemStats(&after)
		if s.Reserved != int64(n) {
			t.Fatalf("%d are reserved", s.Reserved)
		}
		return float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
	}
	few, many := perEvent(500), perEvent(16_000)
	if many > 4*few {
		t.Errorf("an event takes %.0f bytes where 16,000 orders are open, and %.0f where 500 are", many, few)
	}
}

func BenchmarkFold(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 60_000} {
		b.Run(fmt.Sprint(n, " open"), func(b *testing.B) {
			events := reservations(n)
			b.ReportAllocs()
			for b.Loop() {
				fold(events)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/event")
		})
	}
}

// TestHeld compares with a map, whatever order things come in: with the same content it is deeply equal, also through JSON, and what it
// was made of stays as it was.
func TestHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.IntRange(1, rapid.SampledFrom([]int{10, 40, 400}).Draw(t, "ids"))
		want := map[string]int64{}
		var h Held
		for range rapid.IntRange(0, 500).Draw(t, "changes") {
			id, units := fmt.Sprint(ids.Draw(t, "id")), rapid.SampledFrom([]int64{0, 0, 1, 2}).Draw(t, "units")
			before, was := h, maps.Clone(want)
			want[id] = units
			if units == 0 {
				delete(want, id)
			}
			if h = h.with(id, units); h.Of(id) != units {
				t.Fatalf("%d units for %s, want %d", h.Of(id), id, units)
			}
			if !maps.Equal(maps.Collect(before.All()), was) {
				t.Fatal("what it was made of has changed")
			}
		}
		if !maps.Equal(maps.Collect(h.All()), want) || !reflect.DeepEqual(h, HeldOf(want)) {
			t.Fatalf("%v, want %v", maps.Collect(h.All()), want)
		}
		domaintest.RoundTrip(t, State{For: h})
	})
	if s := (State{}); !reflect.DeepEqual(s, fold([]any{Reserved{OrderID: "a", Quantity: 1}, Released{OrderID: "a", Quantity: 1}})) {
		t.Error("a state that holds nothing is not the zero state")
	}
}
