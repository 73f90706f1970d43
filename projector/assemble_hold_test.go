package projector

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"jangbu/domain/event"
	"jangbu/domain/product"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/history"
)

func told(folded []*folding) string {
	var names []string
	for _, f := range folded {
		names = append(names, f.stream)
	}
	return strings.Join(names, " ")
}

// TestHolding: the streams of a source that rested longest leave until half the room is free, by number or by size.
func TestHolding(t *testing.T) {
	h := newHolding(4, 4, 100)
	of, others := new(view.Source), new(view.Source)
	for i := range 3 {
		h.add(newFolding(&change{stream: fmt.Sprint("other", i), source: others}))
	}
	add := func(name string, bytes int) *folding {
		f := newFolding(&change{stream: name, source: of})
		h.add(f)
		f.touch(bytes)
		return f
	}
	a := add("a", 10)
	for _, name := range []string{"b", "c", "d"} {
		add(name, 10)
	}
	r := a.ring
	leave := func() string { // as an assembler lets them
		names := ""
		for full := r.full(); full && r.over() > 0; {
			leaving := r.longest(r.over())
			names += told(leaving) + ", "
			for _, f := range leaving {
				h.remove(f)
			}
		}
		return names
	}
	a.touch(5)
	if got := leave(); got != "" || r.bytes != 40 {
		t.Errorf("%q leave of four, of %d bytes", got, r.bytes)
	}
	e := add("e", 10)
	if got := leave(); got != "b c d, " || r.bytes != 20 {
		t.Errorf("%q leave of five, want b c d", got)
	}
	e.touch(95)
	if got := leave(); got != "a, e, " || r.bytes != 0 {
		t.Errorf("%q leave of 105 bytes, want both, since e alone is too large", got)
	}
	if got := told(h.ring(others).longest(9)); got != "other0 other1 other2" || len(h.streams) != 3 {
		t.Errorf("of another source %q are left, and %d of all", got, len(h.streams))
	}
}

// TestHoldingGrows: a source gets more room where a quarter of the streams that leave come back, up to the most.
func TestHoldingGrows(t *testing.T) {
	for back, want := range map[int]int{0: 100, 5: 100, 3: 400} { // every so many-th, 0 for none
		h := newHolding(100, 400, 1000)
		of := new(view.Source)
		for i := range 2000 {
			revision := event.NoStream
			if back > 0 && i%back == 0 {
				revision = 0
			}
			f := newFolding(&change{stream: fmt.Sprint(i), source: of, to: revision})
			h.add(f)
			h.remove(f)
		}
		if got := h.ring(of).maxStreams; got != want {
			t.Errorf("room for %d streams, want %d", got, want)
		}
	}
}

// TestFoldingLeavesItsBase: the state that landed stays as it is, also where an event after it was passed over.
func TestFoldingLeavesItsBase(t *testing.T) {
	for _, passed := range []int64{0, 1} {
		source := view.From(product.Category, product.Codec, func(n int, _ any) int { return n + 1 }, nil)
		landed, err := source.Load([]byte("7"))
		if err != nil {
			t.Fatal(err)
		}
		f := newFolding(&change{stream: "product-1", source: &source, state: landed})
		f.revision += passed
		for range 2 {
			e := event.Recorded{Type: "product.discontinued.v1", Data: []byte("{}"), Revision: f.revision + 1}
			decoded, err := source.Decode(e)
			if err != nil {
				t.Fatal(err)
			}
			if !f.fold([]arrival{{Recorded: e, decoded: decoded}}) {
				t.Fatal("an event that needs no care was not folded")
			}
		}
		if base, state := string(row.JSON(f.base)), string(row.JSON(f.state)); base != "7" || state != "9" {
			t.Errorf("after two events the state is %s, and what landed %s", state, base)
		}
	}
}

// TestCutter: whatever the size of the chunks, each event leaves once, a stream's in their order.
func TestCutter(t *testing.T) {
	history.Seeds(t, 50, func(t *testing.T, r *rand.Rand) {
		h := history.Random(t, r, 200)
		b := &build{view: view.All()[r.IntN(len(view.All()))]}
		k := newCutter(sources([]*build{b}), 1+r.IntN(30))
		next, events := map[string]int64{}, int64(0)
		take := func(c chunk) {
			events += c.events
			wanted := 0
			for _, g := range c.groups {
				wanted += len(g.arrivals)
				for _, a := range g.arrivals {
					if a.Stream != g.stream || a.Revision != next[a.Stream] {
						t.Fatalf("%s@%d left when %d was due", a.Stream, a.Revision, next[a.Stream])
					}
					next[a.Stream]++
				}
			}
			if wanted > k.events {
				t.Fatalf("%d events in a chunk of %d", wanted, k.events)
			}
		}
		for _, e := range h.Events() {
			if k.add(e) {
				take(k.cut())
			}
		}
		if k.more() {
			take(k.cut())
		}
		for _, e := range h.Events() {
			if _, ok := b.view.Source(e.Stream); ok && next[e.Stream] != h.Last(e.Stream)+1 {
				t.Errorf("%s left up to %d of %d", e.Stream, next[e.Stream], h.Last(e.Stream)+1)
			}
		}
		if events != int64(h.Len()) {
			t.Errorf("%d events of %d", events, h.Len())
		}
	})
}

func TestKnown(t *testing.T) {
	var k known
	if k.has("nothing") {
		t.Error("the empty set holds something")
	}
	for i := range 5000 {
		name := fmt.Sprint(i)
		if k.has(name) {
			t.Errorf("%s before it was added", name)
		}
		k.add(name)
		k.add(name)
		if !k.has(name) {
			t.Errorf("%s is not held", name)
		}
	}
	if k.used != 5000 || len(k.hashes) != 8192 {
		t.Errorf("%d names in %d slots", k.used, len(k.hashes))
	}
}

func TestRecent(t *testing.T) {
	r := newRecent[int](2)
	r.add("a", 1)
	r.add("b", 2)
	if !r.full() {
		t.Error("not full")
	}
	r.turn()
	r.add("b", 2)
	if got := r.leaving(); !slices.Equal(got, []int{1}) {
		t.Errorf("leaving: %v", got)
	}
	if all := r.all(); len(all) != 2 {
		t.Errorf("all: %v", all)
	}
	r.turn()
	if _, ok := r.get("a"); ok {
		t.Error("a was not used since the last turn, and is remembered")
	}
	if v, ok := r.get("b"); !ok || v != 2 {
		t.Errorf("b is %d, %t", v, ok)
	}
	r.remove("b")
	if _, ok := r.get("b"); ok {
		t.Error("b was removed, and is remembered")
	}
}
