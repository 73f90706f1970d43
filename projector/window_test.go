package projector

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"jangbu/domain/event"
	"jangbu/query/view"
	"jangbu/test/history"
)

func waiting(stream string, revision int64, bytes int) arrival {
	return arrival{Recorded: event.Recorded{Stream: stream, Revision: revision, Data: make([]byte, bytes)}}
}

func told(groups []*group) string {
	var all []string
	for _, g := range groups {
		text := g.stream
		for _, a := range g.arrivals {
			text += fmt.Sprint(" ", a.Revision)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// TestWindow: the streams that rested longest leave, with all that is held of them; prompt ones at once.
func TestWindow(t *testing.T) {
	w := newWindow(5, 1000)
	w.add(waiting("a", 0, 10), false)
	w.add(waiting("b", 0, 10), false)
	w.add(waiting("m", 0, 10), true)
	w.add(waiting("a", 1, 10), false)
	w.add(waiting("m", 1, 10), true)
	if w.full() {
		t.Error("full with 5 events")
	}
	w.add(waiting("c", 0, 10), false)
	if !w.full() {
		t.Error("not full with 6 events")
	}
	for _, want := range []string{"m 0 1, b 0", "a 0 1, c 0", ""} {
		if got := told(w.release(3, 1000)); got != want {
			t.Errorf("released %q, want %q", got, want)
		}
	}
	if w.events != 0 || w.bytes != 0 || len(w.streams) != 0 {
		t.Errorf("left: %+v", w)
	}
}

// TestWindowBounds: bytes count as events do, and what is released is no more than it takes.
func TestWindowBounds(t *testing.T) {
	w := newWindow(100, 50)
	for i := range 6 {
		w.add(waiting(fmt.Sprint(i), 0, 10), false)
	}
	if !w.full() {
		t.Error("not full with 60 bytes of 50")
	}
	if got := told(w.release(100, 15)); got != "0 0, 1 0" || w.full() {
		t.Errorf("released %q", got)
	}
}

// TestCutter: whatever the bounds, each event leaves once, a stream's in their order, and never is more held than the window and a
// chunk have room for.
func TestCutter(t *testing.T) {
	history.Seeds(t, 50, func(t *testing.T, r *rand.Rand) {
		h := history.Random(t, r, 200)
		b := &build{view: view.All()[r.IntN(len(view.All()))]}
		k := &cutter{categories: categories([]*build{b}), window: newWindow(r.IntN(60), 1+r.IntN(5000)), held: r.IntN(4) > 0, events: 1 + r.IntN(30)}
		next, events := map[string]int64{}, int64(0)
		take := func(c chunk) {
			events += c.events
			for _, g := range c.groups {
				for _, a := range g.arrivals {
					if a.Stream != g.stream || a.Revision != next[a.Stream] {
						t.Fatalf("%s@%d left when %d was due", a.Stream, a.Revision, next[a.Stream])
					}
					next[a.Stream]++
				}
			}
		}
		for _, e := range h.Events() {
			if k.add(e) {
				take(k.cut())
			}
			if k.window.events > k.window.maxEvents+8*k.events {
				t.Fatalf("%d events are held", k.window.events)
			}
		}
		for k.more() {
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
