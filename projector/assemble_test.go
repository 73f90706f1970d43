package projector

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/folded"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// TestAssembled: whatever is held back, remembered and forgotten, and however often a call has to be repeated, what is built equals
// the fold; so it does after more has landed in it, which takes rows and states as land.lua leaves them.
func TestAssembled(t *testing.T) {
	for _, redis := range servers.Redises() {
		t.Run(redis.Name, func(t *testing.T) {
			m := openModel(t, redis.Start(t))
			history.Seeds(t, 3, func(t *testing.T, r *rand.Rand) {
				h := history.Random(t, r, 20+r.IntN(200))
				model := newFaultyModel(m)
				run := func(ctx context.Context) error {
					replay := NewReplay(model, h, ReplayConfig{Builder: model.builder, Patience: time.Minute, AllowDrift: true})
					replay.chunkEvents = 1 + r.IntN(50)
					replay.room = randomRoom(r)
					_, err := replay.Run(ctx, view.All())
					return err
				}
				for range r.IntN(4) {
					interruptedAt(t, model, model.calls.Load()+r.Int64N(100), run)
				}
				model.outages.Store(r.Int64N(50))
				if err := run(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, v := range view.All() {
					folded.Want(t, m, v, liveOf(t, m, v), h.Events())
				}
				built := h.Len()
				h.Grow(t, r, 60)
				for _, v := range view.All() {
					if err := NewApplier(v, liveOf(t, m, v), m, h).Apply(t.Context(), h.Events()[built:]); err != nil {
						t.Fatal(err)
					}
					folded.Want(t, m, v, liveOf(t, m, v), h.Events())
				}
			})
		})
	}
}

// TestAssembledWhateverCallFails: each call of the model in its turn fails once, and what is built still equals the fold.
func TestAssembledWhateverCallFails(t *testing.T) {
	m := openModel(t, servers.MiniRedis(t))
	history.Seeds(t, 1, func(t *testing.T, r *rand.Rand) {
		h := history.Random(t, r, 60)
		room := room{hold: 4, remember: 10, bulk: 3, putDocs: 3, putRows: 2}
		for failing := int64(1); ; failing++ {
			model := newFaultyModel(m)
			model.atCall = func(n int64) { model.down.Store(n == failing) }
			replay := NewReplay(model, h, ReplayConfig{Builder: model.builder, Patience: time.Minute, AllowDrift: true, Workers: 1})
			replay.chunkEvents, replay.room = 10, room
			if _, err := replay.Run(t.Context(), []*view.View{view.Products}); err != nil {
				t.Fatal(err)
			}
			folded.Want(t, m, view.Products, liveOf(t, m, view.Products), h.Events())
			if model.calls.Load() < failing {
				return
			}
		}
	})
}

// liveOf is the generation of a view that queries read.
func liveOf(t *testing.T, m *readmodel.Store, v *view.View) row.Generation {
	t.Helper()
	registry, err := m.Registry(t.Context(), v.Name)
	if err != nil {
		t.Fatal(err)
	}
	return registry.Live
}

// randomRoom is so little that everything an assembler does for want of room happens.
func randomRoom(r *rand.Rand) room {
	return room{hold: r.IntN(30), remember: 1 + r.IntN(20), bulk: r.IntN(10), putDocs: 1 + r.IntN(5), putRows: 1 + r.IntN(40)}
}

// interruptedAt runs a replay, whose context ends with the model's call of that number, if it comes to it.
func interruptedAt(t *testing.T, model faultyModel, call int64, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	model.atCall = func(n int64) {
		if n == call {
			cancel()
		}
	}
	if err := run(ctx); err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
}

// TestAssembledInFewCalls: the members of a batch of orders, whom nobody remembers, are read together.
func TestAssembledInFewCalls(t *testing.T) {
	const n = 100
	m, h := newFaultyModel(openModel(t, servers.MiniRedis(t))), &history.History{}
	for i := range 4 * n {
		h.Add(t, member.Stream(fmt.Sprint(i)), member.Registered{Name: "Kim"})
	}
	for i := range n {
		h.Add(t, order.Stream(fmt.Sprint(i)), order.Placed{MemberID: fmt.Sprint(i), PlacedOn: "2026-01-01"})
	}
	replay := NewReplay(m, h, ReplayConfig{Builder: m.builder})
	replay.chunkEvents, replay.room.hold, replay.room.remember = n, n-1, 1
	if _, err := replay.Run(t.Context(), []*view.View{view.Orders}); err != nil {
		t.Fatal(err)
	}
	if calls := m.calls.Load(); calls > n/2 {
		t.Errorf("%d calls of the model for %d orders", calls, n)
	}
	folded.Want(t, m.store, view.Orders, liveOf(t, m.store, view.Orders), h.Events())
}

// TestAssembledRenames: documents that were written before the members they show were renamed show the last name, however many renames wait
// for the end.
func TestAssembledRenames(t *testing.T) {
	for _, remember := range []int{2, 1000} { // some wait, or all
		m, h := openModel(t, servers.MiniRedis(t)), &history.History{}
		for i := range 10 {
			h.Add(t, member.Stream(fmt.Sprint(i)), member.Registered{Name: "Kim"})
			h.Add(t, order.Stream(fmt.Sprint(i)), order.Placed{MemberID: fmt.Sprint(i), PlacedOn: "2026-01-01"})
		}
		for i := range 20 {
			h.Add(t, member.Stream(fmt.Sprint(i%10)), member.Renamed{Name: fmt.Sprint("Lee ", i)})
		}
		replay := NewReplay(m, h, ReplayConfig{Builder: func() Builder { return m.NewBuilder() }})
		replay.chunkEvents, replay.room.hold, replay.room.remember = 1, 0, remember
		if _, err := replay.Run(t.Context(), []*view.View{view.Orders}); err != nil {
			t.Fatal(err)
		}
		folded.Want(t, m, view.Orders, liveOf(t, m, view.Orders), h.Events())
	}
}

// TestDocumentForgetsWhatChangedAgain: however often a part changes before its document is put, it is kept a few times at most, and put as
// it is last.
func TestDocumentForgetsWhatChangedAgain(t *testing.T) {
	for changes := range int64(50) {
		d := newDocument("d")
		show := func(source string, revision int64) {
			d.show(row.Sourced{Source: source, Revision: revision, Row: &row.Row{Part: row.PartOf(revision)}})
		}
		for i := range int64(3) {
			show("a", i)
		}
		for i := range changes + 1 {
			show("b", i)
		}
		put, err := d.put(nil)
		if err != nil {
			t.Fatal(err)
		}
		last := map[string]int64{}
		for _, part := range put.Parts {
			last[part.Source] = part.Revision
		}
		if len(put.Parts) > 20 || last["a"] != 2 || last["b"] != changes {
			t.Fatalf("%d parts, the last %v of %d", len(put.Parts), last, changes)
		}
	}
}
