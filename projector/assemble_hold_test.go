package projector

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

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

// TestHolding: the streams that rested longest leave, so many that there is room again, by number or by size.
func TestHolding(t *testing.T) {
	h := newHolding(4, 100)
	add := func(name string, bytes int) *folding {
		f := newFolding(name, nil, nil, 0)
		h.add(f)
		h.touch(f, bytes)
		return f
	}
	a := add("a", 10)
	for _, name := range []string{"b", "c", "d"} {
		add(name, 10)
	}
	h.touch(a, 5)
	if got := told(h.leaving()); got != "" || h.bytes != 40 {
		t.Errorf("%q leave of four, of %d bytes", got, h.bytes)
	}
	e := add("e", 10)
	leaving := h.leaving()
	if got := told(leaving); got != "b c" {
		t.Errorf("%q leave of five, want b c", got)
	}
	for _, f := range leaving {
		h.remove(f)
	}
	h.touch(e, 90)
	if got := told(h.leaving()); got != "d a e" || h.bytes != 110 {
		t.Errorf("%q leave of %d bytes, want d a e", got, h.bytes)
	}
	if got := told(h.longest(1, 0)); got != "d" {
		t.Errorf("%q rested longest, want d", got)
	}
}

// TestCutter: whatever the size of the chunks, each event leaves once, a stream's in their order.
func TestCutter(t *testing.T) {
	history.Seeds(t, 50, func(t *testing.T, r *rand.Rand) {
		h := history.Random(t, r, 200)
		b := &build{view: view.All()[r.IntN(len(view.All()))]}
		k := &cutter{sources: sources([]*build{b}), groups: map[string]*group{}, events: 1 + r.IntN(30)}
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
