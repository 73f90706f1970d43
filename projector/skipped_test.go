package projector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/history"
)

// skip does what an operator does.
func (p *parking) skip(stream string, revision int64) {
	p.Helper()
	if err := p.note(stream, revision); err != nil {
		p.Fatal(err)
	}
	p.retry(stream)
}

// note is the first half of it.
func (p *parking) note(stream string, revision int64) error {
	return p.model.store.Skip(p.Context(), p.view.Name, stream, skipOf(p.log, stream, revision))
}

func skipOf(log *history.History, stream string, revision int64) row.Skip {
	return row.Skip{Revision: revision, ID: log.Stream(stream)[revision].ID}
}

func (p *parking) retry(streams ...string) {
	p.Helper()
	for _, stream := range streams {
		if err := Land(p.Context(), p.model, p.log, p.view, stream); err != nil {
			p.Fatal(err)
		}
	}
}

// retryAll tries all that is parked again.
func (p *parking) retryAll() {
	p.Helper()
	for _, one := range p.parked() {
		p.retry(one.Stream)
	}
}

// agrees requires that an audit, a sample and a replay find no drift.
func (p *parking) agrees(cfg ReplayConfig) {
	p.Helper()
	cfg.Builder = p.model.builder
	if _, err := NewReplay(p.model.store, p.log, cfg).Sample(p.Context(), p.view, 10); err != nil {
		p.Errorf("sample: %v", err)
	}
	if _, err := NewReplay(p.model.store, p.log, cfg).Audit(p.Context(), p.view, false); err != nil {
		p.Errorf("audit: %v", err)
	}
	if _, err := NewReplay(p.model.store, p.log, cfg).Run(p.Context(), []*view.View{p.view}); err != nil {
		p.Errorf("replay: %v", err)
	}
	p.refresh()
}

// TestSkippedStaysOut: what is left out is so whatever comes after it, and when the code has come to take it.
func TestSkippedStaysOut(t *testing.T) {
	type tried struct {
		step  string
		first bool // of its stream
	}
	all := []tried{{"rows", true}, {"compose", true}}
	for _, step := range fragileSteps {
		all = append(all, tried{step: step})
	}
	for _, test := range all {
		t.Run(fmt.Sprintf("%s, the first event %v", test.step, test.first), func(t *testing.T) {
			t.Parallel()
			p := newParking(t)
			p.order("good")
			events := 1
			if !test.first {
				p.order("bad")
				events++
			}
			p.fault("bad", test.step)
			p.applyAll(false)
			last := p.log.Last("order-bad")
			p.skip("order-bad", last)
			if test.first {
				p.expect("bad", last, "")
			}
			p.agrees(ReplayConfig{})
			p.fault("bad", "more")
			p.apply(p.log.Stream("order-bad")[last+1])
			want := fmt.Sprintf(`{"events":%d,"fault":"more"}`, events)
			p.expect("bad", last+1, want)
			p.fragile.broken = false
			p.agrees(ReplayConfig{})
			p.expect("bad", last+1, want)
			p.nothingParked()
		})
	}
}

// TestSkippedMeanwhile: what is left out while a generation is built that has it already is left out of that, too; and of the one before, when
// that is gone back to.
func TestSkippedMeanwhile(t *testing.T) {
	for _, open := range []bool{true, false} {
		t.Run(fmt.Sprintf("the generation is open %v", open), func(t *testing.T) {
			p := newParking(t)
			p.order("bad")
			p.fault("bad", "rows")
			p.applyAll(false)
			p.fault("bad", "more") // with which it lands
			replay := NewReplay(p.model.store, p.log, ReplayConfig{Builder: p.model.builder, NoSwitch: open, AllowDrift: true, Progress: func(now Progress) {
				if !open && now.Phase == PhaseBuild && now.Events > 0 && len(p.parked()) > 0 {
					p.skip("order-bad", 1)
				}
			}})
			if _, err := replay.Run(t.Context(), []*view.View{p.view}); err != nil {
				t.Fatal(err)
			}
			if open {
				p.skip("order-bad", 1)
				if _, err := NewReplay(p.model.store, p.log, ReplayConfig{Builder: p.model.builder}).Run(t.Context(), []*view.View{p.view}); err != nil {
					t.Error(err)
				}
			}
			was := p.live
			if p.refresh(); p.live == was {
				t.Fatal("nothing was switched to")
			}
			p.expect("bad", 2, `{"events":2,"fault":"more"}`)
			p.skip("order-bad", 2) // which has landed in both
			p.expect("bad", 2, `{"events":1}`)
			if _, err := NewReplay(p.model.store, p.log, ReplayConfig{}).Rollback(t.Context(), p.view); err != nil {
				t.Fatal(err)
			}
			p.refresh()
			p.expect("bad", 2, `{"events":1}`)
		})
	}
}

// TestParkedInReplay: a replay leaves a document that cannot be composed as it was composed last, as consumers do, and parks no stream at an
// event that has nothing to do with it.
func TestParkedInReplay(t *testing.T) {
	p := newParking(t)
	p.view = crowded(&p.fragile.broken)
	for _, id := range []string{"a", "b", "c"} {
		p.order(id)
	}
	for _, id := range []string{"a", "b"} {
		p.log.Add(t, order.Stream(id), order.Cancelled{}, order.Cancelled{Reason: " cursed"})
	}
	for range 2 {
		p.replay()
		if parked := p.parked(); len(parked) != 2 || parked[0].Stream == parked[1].Stream || parked[0].Revision != 2 || parked[1].Revision != 2 {
			t.Errorf("parked: %+v", parked)
		}
		got, err := p.model.store.Document(t.Context(), p.live, "shelf")
		if want := `["member-M Mina","order-a 2","order-b 2","order-c 1","5"]`; err != nil || string(got) != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
	p.skip("order-a", 2)
	p.skip("order-b", 2)
	p.retryAll()
	p.agrees(ReplayConfig{})
	p.nothingParked()
}

// TestSkippedAtRandom: whatever is left out, before it lands or after, and whoever lands the rest, the view ends as the fold without it.
func TestSkippedAtRandom(t *testing.T) {
	history.Seeds(t, 20, func(t *testing.T, r *rand.Rand) {
		p := newParking(t)
		p.view = crowded(&p.fragile.broken)
		skipped := row.Skipped{}
		add := func(stream string, e any, cursed bool) {
			if p.log.Add(t, stream, e); cursed {
				skipped[stream] = append(skipped[stream], skipOf(p.log, stream, p.log.Last(stream)))
			}
		}
		name := func() (string, bool) {
			if r.IntN(3) == 0 {
				return "cursed", true
			}
			return fmt.Sprint("Mina ", r.IntN(3)), false
		}
		first, cursed := name()
		add("member-M", member.Registered{Name: first}, cursed)
		for range 20 {
			switch stream := order.Stream(fmt.Sprint(r.IntN(5))); {
			case r.IntN(8) == 0:
				next, cursed := name()
				add("member-M", member.Renamed{Name: next}, cursed)
			case len(p.log.Stream(stream)) == 0 && r.IntN(4) > 0:
				add(stream, order.Placed{MemberID: "M", Currency: "USD", PlacedOn: "2026-01-02"}, false)
			default:
				shelf, cursed := fmt.Sprint(r.IntN(3)), r.IntN(3) == 0
				if cursed {
					shelf += " cursed"
				}
				add(stream, order.Cancelled{Reason: shelf}, cursed)
			}
		}
		before := r.IntN(2) == 0
		for stream, skips := range skipped {
			for _, skip := range skips {
				if before || r.IntN(4) == 0 {
					p.skip(stream, skip.Revision)
				}
			}
		}
		p.fromMany(r, func() {
			for stream, skips := range skipped {
				for _, skip := range skips {
					if err := errors.Join(p.note(stream, skip.Revision), Land(context.Background(), p.model, p.log, p.view, stream)); err != nil {
						p.Error(err)
					}
				}
			}
		})
		for stream, skips := range skipped {
			for _, skip := range skips {
				p.skip(stream, skip.Revision)
			}
		}
		p.retryAll()
		p.without(skipped)
		p.agrees(ReplayConfig{})
		p.without(skipped)
	})
}

// fromMany lands the log in batches, in no order, by several at once, and beside something else.
func (p *parking) fromMany(r *rand.Rand, beside func()) {
	p.Helper()
	var all sync.WaitGroup
	all.Go(beside)
	for range 3 {
		events := slices.Clone(p.log.Events())
		r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		size := 1 + r.IntN(6)
		all.Go(func() {
			for batch := range slices.Chunk(events, size) {
				if err := NewApplier(p.view, p.live, p.model, p.log).Apply(context.Background(), batch); err != nil {
					p.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// without requires that the view holds the fold of the log without some events, and that nothing is parked.
func (p *parking) without(skipped row.Skipped, docs ...string) {
	p.Helper()
	p.nothingParked()
	want, err := view.FoldWithout(p.view, p.log.Events(), skipped)
	if err != nil {
		p.Fatal(err)
	}
	for _, doc := range append(docs, "shelf", "shelf0", "shelf1", "shelf2") {
		body, err := p.model.store.Document(p.Context(), p.live, doc)
		if err != nil || string(body) != string(want.Documents[doc]) {
			p.Errorf("%s: %s, %v, want %s; left out: %v", doc, body, err, want.Documents[doc], skipped)
		}
	}
	var streams []string
	for _, e := range p.log.Events() {
		if _, feeds := p.view.Source(e.Stream); feeds && !slices.Contains(streams, e.Stream) {
			streams = append(streams, e.Stream)
		}
	}
	landed, err := p.model.store.Landed(p.Context(), p.live, streams)
	for i, stream := range streams {
		if err != nil || landed[i] != p.log.Last(stream) {
			p.Errorf("%s stands at %d of %d, %v", stream, landed[i], p.log.Last(stream), err)
		}
	}
}
