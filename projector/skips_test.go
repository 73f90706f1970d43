package projector

import (
	"context"
	"iter"
	"strings"
	"testing"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/history"
)

// interrupted is a model where something else happens before a call goes on.
type interrupted struct {
	faultyModel
	built, land func()
}

func (m interrupted) Built(ctx context.Context, g row.Generation, token string, to event.Position) error {
	if m.built != nil {
		m.built()
	}
	return m.faultyModel.Built(ctx, g, token, to)
}

func (m interrupted) Land(ctx context.Context, g row.Generation, landings []row.Landing) ([]row.Document, error) {
	if m.land != nil {
		m.land()
	}
	return m.faultyModel.Land(ctx, g, landings)
}

// interruptedLog is a log where something else happens after a stream was read.
type interruptedLog struct {
	*history.History
	read func()
}

func (l interruptedLog) ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		for e, err := range l.History.ReadStream(ctx, stream, from) {
			if !yield(e, err) {
				return
			}
		}
		l.read()
	}
}

// inTurn gives a function that does one of some things each time it is called, and nothing any more after them.
func inTurn(things ...func()) func() {
	return func() {
		if len(things) > 0 {
			next := things[0]
			things = things[1:]
			next()
		}
	}
}

// TestSkippedInCatchUp: what a replay or a rollback has landed in a generation that is open, before an event of it was left out, is not what
// it goes on from.
func TestSkippedInCatchUp(t *testing.T) {
	t.Run("rollback", func(t *testing.T) {
		p := newParking(t)
		p.order("bad")
		p.fault("bad", "one")
		p.apply(p.log.Events()...)
		p.replay()
		p.skip("order-bad", 1) // which the generation before has
		p.fault("bad", "two")
		p.apply(p.log.Events()...)
		model := interrupted{faultyModel: p.model, built: inTurn(func() { p.fault("bad", "three") })}
		if _, err := NewReplay(model, p.log, ReplayConfig{}).Rollback(t.Context(), p.view); err != nil {
			t.Fatal(err)
		}
		p.refresh()
		p.expect("bad", 3, `{"events":3,"fault":"three"}`)
	})
	t.Run("replay", func(t *testing.T) {
		p := newParking(t)
		p.order("bad")
		p.apply(p.log.Events()...)
		model := interrupted{faultyModel: p.model, built: inTurn(func() {
			for _, fault := range []string{"sums", "more", "again"} {
				p.fault("bad", fault)
			}
			p.apply(p.log.Stream("order-bad")[1])
		}, func() { p.skip("order-bad", 1) })}
		r := NewReplay(model, p.log, ReplayConfig{Builder: p.model.builder})
		r.chunkEvents = 2
		if _, err := r.Run(t.Context(), []*view.View{p.view}); err != nil {
			t.Fatal(err)
		}
		p.refresh()
		p.expect("bad", 3, `{"events":3,"fault":"again"}`)
	})
}

// TestSkippedWhileLanding: what someone lands who has not heard of it that an event is left out does not stay.
func TestSkippedWhileLanding(t *testing.T) {
	t.Run("further", func(t *testing.T) {
		p := newParking(t)
		p.order("bad")
		for _, fault := range []string{"sums", "two"} { // together they can be landed
			p.fault("bad", fault)
		}
		p.apply(p.log.Events()...)
		p.expect("bad", 2, `{"events":3,"fault":"two"}`)
		if err := p.note("order-bad", 1); err != nil {
			t.Fatal(err)
		}
		log := interruptedLog{p.log, inTurn(func() {
			p.fault("bad", "three")
			states, err := p.model.States(t.Context(), p.live, []string{"order-bad"})
			if err != nil {
				t.Fatal(err)
			}
			states[0].Revision++ // as a consumer saves that read what is left out before
			if err := p.model.SaveStates(t.Context(), p.live, states); err != nil {
				t.Fatal(err)
			}
		})}
		if err := Land(t.Context(), p.model, log, p.view, "order-bad"); err != nil {
			t.Fatal(err)
		}
		p.expect("bad", 3, `{"events":3,"fault":"three"}`)
	})
	t.Run("as far", func(t *testing.T) {
		for _, before := range []bool{false, true} { // another event was left out
			p := newParking(t)
			want := `{"events":3,"fault":"more"}`
			p.order("bad")
			p.fault("bad", "none")
			if before {
				want = `{"events":2,"fault":"more"}`
				if err := p.note("order-bad", 1); err != nil {
					t.Fatal(err)
				}
			}
			p.apply(p.log.Events()...)
			p.fault("bad", "sums")
			p.apply(p.log.Stream("order-bad")[2])
			p.fault("bad", "more")
			model := interrupted{faultyModel: p.model, land: inTurn(func() { p.skip("order-bad", 2) })}
			if err := NewApplier(p.view, p.live, model, p.log).Apply(t.Context(), p.log.Stream("order-bad")[2:]); err != nil {
				t.Fatal(err)
			}
			p.expect("bad", 3, want)
		}
	})
}

// TestSkippedBesideAnother: a stream that could not be landed without its event, as it shares a document with one that fails, is without it
// when that has been seen to.
func TestSkippedBesideAnother(t *testing.T) {
	p := newParking(t)
	p.view = crowded(&p.fragile.broken)
	p.order("a")
	p.order("bad")
	p.log.Add(t, "order-bad", order.Cancelled{})
	p.log.Add(t, "order-a", order.Cancelled{Reason: " cursed"})
	p.applyAll(false)
	p.skip("order-bad", 1)
	p.skip("order-a", 1)
	p.log.Add(t, "order-bad", order.Cancelled{})
	p.apply(p.log.Stream("order-bad")[2])
	p.retryAll()
	p.without(row.Skipped{"order-a": {skipOf(p.log, "order-a", 1)}, "order-bad": {skipOf(p.log, "order-bad", 1)}})
}

// TestSkippedTwice: a document that a stream stood in while one event was left out and another was not yet is rid of it.
func TestSkippedTwice(t *testing.T) {
	p := newParking(t)
	p.view = aisles(&p.fragile.broken)
	p.order("bad")
	p.log.Add(t, "order-bad", order.Cancelled{Reason: "a:1 cursed"})
	p.applyAll(false)
	p.skip("order-bad", 1)
	p.log.Add(t, "order-bad", order.Cancelled{Reason: "b:2 cursed"})
	p.apply(p.log.Stream("order-bad")[2])
	p.skip("order-bad", 2)
	p.fragile.broken = false
	p.log.Add(t, "order-good", order.Placed{MemberID: "M", Currency: "USD", PlacedOn: "2026-01-02"}, order.Cancelled{Reason: "b:2"})
	p.apply(p.log.Stream("order-good")...)
	p.without(row.Skipped{"order-bad": {skipOf(p.log, "order-bad", 1), skipOf(p.log, "order-bad", 2)}}, "doc", "doc1", "doc2", "doc12")
}

// aisles is a view in which two attributes of an order name the document that it is in, each said by another event. While broken it cannot
// compose a document with an order that is cursed.
func aisles(broken *bool) *view.View {
	type state struct{ A, B, Last string }
	return &view.View{
		Name: "orders", Version: view.Orders.Version,
		Sources: []view.Source{view.From(order.Category, order.Codec, func(s state, e any) state {
			if e, ok := e.(order.Cancelled); ok {
				s.Last = e.Reason
				what, _, _ := strings.Cut(e.Reason, " ")
				if a, ok := strings.CutPrefix(what, "a:"); ok {
					s.A = a
				} else {
					s.B = strings.TrimPrefix(what, "b:")
				}
			}
			return s
		}, func(id string, s state) []row.Row {
			return []row.Row{{Doc: "doc" + s.A + s.B, Part: row.PartOf(s.Last), Sums: map[string]int64{"orders": 1}}}
		})},
		Compose: listed(broken, "orders"),
	}
}

// TestSkippedInAnotherLog: it is the event that is left out, and not what a log that was restored has in its place.
func TestSkippedInAnotherLog(t *testing.T) {
	p := newParking(t)
	p.order("bad")
	before := p.log.Len()
	p.fault("bad", "rows")
	p.apply(p.log.Events()...)
	p.skip("order-bad", 1)
	p.log.Cut(before)
	p.fault("bad", "fine")
	p.replay()
	p.expect("bad", 1, `{"events":2,"fault":"fine"}`)
	p.agrees(ReplayConfig{})
	p.fault("bad", "rows")
	p.apply(p.log.Events()...)
	p.skip("order-bad", 2)
	p.expect("bad", 2, `{"events":2,"fault":"fine"}`)
	p.agrees(ReplayConfig{})
}

// TestSkippedCut: a stream of which the store no longer has the beginning stays as it has landed, and is parked where it had to be landed anew.
func TestSkippedCut(t *testing.T) {
	p := newParking(t)
	p.order("bad")
	for _, fault := range []string{"rows", "two", "three"} {
		p.fault("bad", fault)
	}
	p.apply(p.log.Stream("order-bad")[:2]...)
	p.skip("order-bad", 1)
	p.log.Truncate("order-bad", 2)
	p.retry("order-bad")
	p.expect("bad", 3, `{"events":3,"fault":"three"}`)
	p.replay()
	p.expect("bad", 3, `{"events":3,"fault":"three"}`)

	p.skip("order-bad", 3)
	p.expect("bad", 3, `{"events":3,"fault":"three"}`)
	if parked := p.parked(); len(parked) != 1 || !strings.Contains(parked[0].Reason, errCut.Error()) {
		t.Errorf("parked: %+v", parked)
	}
	if _, err := NewReplay(p.model.store, p.log, ReplayConfig{Builder: p.model.builder, AllowDrift: true}).Run(t.Context(), []*view.View{p.view}); err != nil {
		t.Fatal(err)
	}
	p.refresh()
	p.expect("bad", 3, `{"events":2,"fault":"two"}`)
	p.nothingParked()
}
