package projector

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/query/row"
	"jangbu/query/view"
)

// TestTries: a build that failed is tried again after longer and longer; one that Redis had no room for less and less often, a view at a time, by
// turns.
func TestTries(t *testing.T) {
	o := newOutpost(t)
	w, views := o.watch, view.All()
	broken, away := errors.New("broken"), fmt.Errorf("redis: %w", event.ErrUnavailable)
	full := fmt.Errorf("replay orders: %w", event.ErrNoRoom)
	w.pick(views)
	for i, step := range []struct {
		ended error
		wait  time.Duration // and half of it at least
		begin []*view.View
	}{
		{nil, time.Second, views},
		{away, time.Second, views},
		{broken, 2 * time.Second, views},
		{broken, 4 * time.Second, views},
		{row.ErrBusy, 4 * time.Second, views},
		{away, time.Second, views},
		{full, 2 * time.Second, views[1:2]},
		{full, 4 * time.Second, views[2:3]},
		{row.ErrBusy, 4 * time.Second, views[2:3]}, // another tries it, and finds no room either
		{full, 8 * time.Second, views[3:4]},
		{nil, time.Second, views[:1]}, // it fits, and maybe the next one
		{full, 2 * time.Second, views[1:2]},
	} {
		w.tries.note(step.ended, o.now)
		o.now = o.now.Add(step.wait/2 - time.Millisecond)
		if begin, _ := w.pick(views); len(begin) > 0 {
			t.Errorf("%d: after %v it is tried again too soon", i, step.ended)
		}
		o.now = o.now.Add(step.wait/2 + time.Millisecond)
		if begin, _ := w.pick(views); !slices.Equal(begin, step.begin) {
			t.Errorf("%d: after %v it begins %d views, want %d", i, step.ended, len(begin), len(step.begin))
		}
	}
	for _, test := range []struct {
		failed error
		most   time.Duration
	}{{full, fullRetryMost}, {broken, buildRetryMost}} {
		w.tries = tries{}
		for range 20 {
			w.tries.note(test.failed, o.now)
		}
		if wait := w.tries.next.Sub(o.now); wait < test.most/2 || wait > test.most {
			t.Errorf("%v: tried again after %s", test.failed, wait)
		}
	}
	w.pick(nil) // as when Redis is away for a moment, or well again
	if w.tries.failures == 0 {
		t.Error("what failed is forgotten before it is due")
	}
	o.now = o.now.Add(fullRetryMost)
	w.pick(nil)
	if begin, _ := w.pick(views); w.tries.failed != nil || len(begin) != len(views) {
		t.Errorf("%+v when nothing is wanted any more", w.tries)
	}
}

// TestTriesAlone: what Redis has no room for at once waits while anything is built.
func TestTriesAlone(t *testing.T) {
	w, views := newOutpost(t).watch, view.All()
	w.tries = tries{alone: true}
	w.building[views[0].Name] = &Replay{}
	if begin, idle := w.pick(views); len(begin) > 0 || idle {
		t.Errorf("beside a build %d views are begun", len(begin))
	}
}

// TestTriesForgotten: a view that goes missing does not wait until what failed before that is tried again.
func TestTriesForgotten(t *testing.T) {
	o := newOutpost(t)
	w, views := o.watch, view.All()
	one := views[:1]
	w.pick(one)
	for range 20 {
		w.tries.note(fmt.Errorf("replay orders: %w", event.ErrNoRoom), o.now)
	}
	for _, step := range []struct {
		what     string
		building map[string]*Replay
		wanted   []*view.View
		begin    []*view.View
	}{
		{"none", nil, nil, nil},
		{"what failed", nil, one, nil},
		{"more, beside a build", map[string]*Replay{views[1].Name: {}}, views, nil},
		{"more", nil, views, views},
	} {
		w.building = step.building
		if begin, _ := w.pick(step.wanted); !slices.Equal(begin, step.begin) {
			t.Errorf("where %s is wanted it begins %d views, want %d", step.what, len(begin), len(step.begin))
		}
	}
}

// TestTriesBesideAnothers: that another process builds a view says nothing against what was built here beside it.
func TestTriesBesideAnothers(t *testing.T) {
	o := newOutpost(t)
	w, views := o.watch, view.All()[:2]
	for range 5 {
		w.note(nil, views, nil, errors.New("broken"))
	}
	w.note(nil, views, []Result{{}, {}}, row.ErrBusy)
	if w.tries.failed == nil {
		t.Error("what failed is forgotten though nothing has been built since")
	}
	w.note(nil, views, []Result{{}, {Switched: true}}, errors.Join(row.ErrBusy))
	if w.tries.failed != nil || w.tries.failures > 0 {
		t.Errorf("after one has been built: %+v", w.tries)
	}
}
