package projector

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/servers"
)

// fragile is a view of orders whose code fails on some of them, while broken: by the order's id.
type fragile struct{ broken bool }

type fragileState struct {
	Events int     `json:"events"`
	Fault  string  `json:"fault,omitempty"` // what the event asks for
	Rate   float64 `json:"rate,omitempty"`  // what the rows say nothing of
}

// panicky panics when it is marshalled.
type panicky struct{}

func (panicky) MarshalJSON() ([]byte, error) { panic("cannot marshal") }

func (f *fragile) view() *view.View {
	fails := func(fault, step string) bool { return f.broken && fault == step }
	return &view.View{
		Name: "orders", Version: view.Orders.Version,
		Sources: []view.Source{view.Sharing(view.From(order.Category, order.Codec,
			func(s fragileState, e any) fragileState {
				s = fragileState{Events: s.Events + 1}
				if e, ok := e.(order.Cancelled); ok {
					s.Fault = e.Reason
				}
				if fails(s.Fault, "state") {
					s.Rate = math.NaN()
				}
				if fails(s.Fault, "fold") {
					panic("cannot fold")
				}
				return s
			},
			func(id string, s fragileState) []row.Row {
				if fails(s.Fault, "rows") {
					panic("cannot make rows")
				}
				s.Rate = 0
				r := row.Row{Doc: id, Part: row.PartOf(s), Sums: map[string]int64{"events": 1}, Key: "k", Item: 1}
				switch {
				case fails(s.Fault, "part"):
					r.Part = row.PartOf(math.NaN())
				case fails(s.Fault, "marshal"):
					r.Part = row.PartOf(panicky{})
				case fails(s.Fault, "item"):
					r.Item = math.Inf(1)
				case fails(s.Fault, "sums"):
					r.Sums["events"] = -row.MaxSum - 1
				}
				return []row.Row{r}
			}), func(_ string, s fragileState) any {
			if fails(s.Fault, "share") {
				return math.NaN()
			}
			return s.Events
		})},
		Compose: func(d row.Document) ([]byte, error) {
			if len(d.Parts) == 0 {
				return nil, nil
			}
			s, err := row.Decode[fragileState](d.Parts[order.Stream(d.Doc)])
			if err != nil {
				return nil, err
			}
			if fails(s.Fault, "compose") {
				return nil, errors.New("cannot compose")
			}
			return json.Marshal(s)
		},
	}
}

// parking is a generation of a fragile view.
type parking struct {
	*counter
	fragile fragile
	view    *view.View
}

func newParking(t *testing.T) *parking {
	p := &parking{counter: newCounter(t), fragile: fragile{broken: true}}
	p.goLive()
	p.view = p.fragile.view()
	return p
}

// fault records an event that makes a step of the view fail.
func (p *parking) fault(id, step string) {
	p.Helper()
	if step == "decode" {
		p.log.AddRaw(order.Stream(id), "order.teleported.v1", []byte("{}"))
		return
	}
	p.log.Add(p, order.Stream(id), order.Cancelled{Reason: step})
}

func (p *parking) apply(events ...event.Recorded) {
	p.Helper()
	if err := NewApplier(p.view, p.live, p.model, p.log).Apply(p.Context(), events); err != nil {
		p.Fatal(err)
	}
}

// applyAll lands the log, in one batch or event by event.
func (p *parking) applyAll(batch bool) {
	p.Helper()
	size := 1
	if batch {
		size = p.log.Len()
	}
	for events := range slices.Chunk(p.log.Events(), size) {
		p.apply(events...)
	}
}

func (p *parking) replay() {
	p.Helper()
	if _, err := NewReplay(p.model.store, p.log, ReplayConfig{Builder: p.model.builder, AllowDrift: true}).Run(p.Context(), []*view.View{p.view}); err != nil {
		p.Fatal(err)
	}
	p.refresh()
}

func (p *parking) parked() []row.Parked {
	p.Helper()
	parked, err := p.model.store.ParkedIn(p.Context(), p.live)
	if err != nil {
		p.Fatal(err)
	}
	return parked
}

func (p *parking) nothingParked() {
	p.Helper()
	if parked := p.parked(); len(parked) > 0 {
		p.Errorf("still parked: %+v", parked)
	}
}

func (p *parking) expect(id string, landed int64, body string) {
	p.Helper()
	at, err := p.model.store.Landed(p.Context(), p.live, []string{order.Stream(id)})
	got, failed := p.model.store.Document(p.Context(), p.live, id)
	if err != nil || failed != nil || at[0] != landed || string(got) != body {
		p.Errorf("order %s stands at %d with %q (%v, %v), want %d with %q", id, at, got, err, failed, landed, body)
	}
}

var fragileSteps = []string{"decode", "fold", "rows", "part", "marshal", "item", "sums", "share", "state", "compose"}

// TestParked: of a stream that the view's code fails on, what comes before lands; other streams of the batch land whole.
func TestParked(t *testing.T) {
	for _, step := range fragileSteps {
		for _, batch := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, in one batch %v", step, batch), func(t *testing.T) {
				p := newParking(t)
				p.order("bad")
				p.fault("bad", step)
				p.order("good")
				p.applyAll(batch)
				p.expect("good", 0, `{"events":1}`)
				parked := p.parked()
				if len(parked) != 1 || parked[0].Stream != "order-bad" || parked[0].Reason == "" || parked[0].Since.IsZero() {
					t.Fatalf("parked: %+v", parked)
				}
				if parked[0].Revision != 1 || parked[0].Type == "" {
					t.Errorf("parked: %+v", parked)
				}
				if step == "compose" && batch { // its document has the rows of both events, and cannot be composed
					p.expect("bad", event.NoStream, "")
					return
				}
				p.expect("bad", 0, `{"events":1}`)
			})
		}
	}
}

// TestParkedStaysAndReturns: later events of a parked stream wait; once the code is right, the next of them, or an operator,
// brings all.
func TestParkedStaysAndReturns(t *testing.T) {
	for _, step := range fragileSteps[1:] {
		t.Run(step, func(t *testing.T) {
			p := newParking(t)
			p.order("bad")
			p.fault("bad", step)
			for _, e := range p.log.Stream("order-bad") {
				p.apply(e)
			}
			first := p.parked()
			p.fault("bad", step)
			p.apply(p.log.Stream("order-bad")[2])
			p.expect("bad", 0, `{"events":1}`)
			if again := p.parked(); len(again) != 1 || again[0] != first[0] {
				t.Errorf("parked: %+v, at first %+v", again, first)
			}
			if err := Land(t.Context(), p.model, p.log, p.view, "order-bad"); err != nil || len(p.parked()) != 1 {
				t.Errorf("a retry that fails: %v, parked %+v", err, p.parked())
			}
			p.fragile.broken = false
			if step == "fold" {
				p.retry("order-bad")
			} else {
				p.fault("bad", "none")
				p.apply(p.log.Stream("order-bad")[3])
			}
			last, fault := p.log.Last("order-bad"), "none"
			if step == "fold" {
				fault = step
			}
			p.expect("bad", last, fmt.Sprintf(`{"events":%d,"fault":%q}`, last+1, fault))
			p.nothingParked()
		})
	}
}

// TestSkipped: an event that an operator left out is passed over where the code fails on it, in a replay, too.
func TestSkipped(t *testing.T) {
	for _, step := range fragileSteps[:2] {
		t.Run(step, func(t *testing.T) {
			p := newParking(t)
			p.order("bad")
			p.fault("bad", step)
			p.fault("bad", "none")
			p.apply(p.log.Events()...)
			p.expect("bad", 0, `{"events":1}`)
			p.skip("order-bad", 1)
			p.expect("bad", 2, `{"events":2,"fault":"none"}`)
			p.nothingParked()
			p.replay()
			p.expect("bad", 2, `{"events":2,"fault":"none"}`)
		})
	}
}

// TestSkippedLast: so is one after which nothing comes, whatever the code fails in, and whether it came alone or not; what was read of the
// stream before and after it was left out is not lost.
func TestSkippedLast(t *testing.T) {
	for _, step := range fragileSteps {
		for _, batch := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, in one batch %v", step, batch), func(t *testing.T) {
				p := newParking(t)
				p.order("bad")
				p.fault("bad", "none")
				p.fault("bad", step)
				p.order("good")
				p.applyAll(batch)
				if parked := p.parked(); len(parked) != 1 || parked[0].Revision != 2 {
					t.Fatalf("parked: %+v", parked)
				}
				p.skip("order-bad", 2)
				landed := func() {
					t.Helper()
					p.expect("bad", 2, `{"events":2,"fault":"none"}`)
					p.expect("good", 0, `{"events":1}`)
					p.nothingParked()
				}
				landed()
				p.apply(p.log.Events()...)
				landed()
				p.replay()
				landed()
				p.fault("bad", "more")
				p.apply(p.log.Stream("order-bad")[3])
				p.expect("bad", 3, `{"events":3,"fault":"more"}`)
			})
		}
	}
}

// TestReplayParks: an event that nobody can read stops no replay.
func TestReplayParks(t *testing.T) {
	for _, step := range fragileSteps {
		t.Run(step, func(t *testing.T) {
			p := newParking(t)
			p.order("good")
			p.order("bad")
			p.fault("bad", step)
			p.fault("bad", "none")
			p.replay()
			p.expect("good", 0, `{"events":1}`)
			if parked := p.parked(); len(parked) > 1 || (step == "decode" || step == "fold") && len(parked) == 0 {
				t.Errorf("parked: %+v", parked)
			}
		})
	}
}

// TestReplayParksTheLast: nor does one after which nothing comes; what of the stream had come before it is there.
func TestReplayParksTheLast(t *testing.T) {
	for _, step := range fragileSteps {
		t.Run(step, func(t *testing.T) {
			p := newParking(t)
			p.order("good")
			p.order("bad")
			p.fault("bad", step)
			p.replay()
			p.expect("good", 0, `{"events":1}`)
			if parked := p.parked(); len(parked) != 1 || parked[0].Stream != order.Stream("bad") {
				t.Errorf("parked: %+v", parked)
			}
		})
	}
}

// TestConsumerParks: the message of an event that the view's code fails on is dealt with; the sweep passes over it.
func TestConsumerParks(t *testing.T) {
	p := newParking(t)
	p.consumer.view = p.view
	p.order("bad")
	p.fault("bad", "fold")
	p.order("good")
	p.queue.sendEvents(p.log.Events()...)
	p.run(2)
	p.emptied()
	p.expect("bad", 0, `{"events":1}`)
	p.expect("good", 0, `{"events":1}`)
	servers.Eventually(t, "it is parked", func() bool { return len(p.parked()) == 1 })
}

// crowded is a view in which an order stands on the shelf that its last event names, with others, and shows its member. While broken it cannot
// compose a shelf on which an order is cursed, or one of a member whose name is.
func crowded(broken *bool) *view.View {
	type state struct {
		Events int    `json:"events"`
		Shelf  string `json:"shelf"`
	}
	type named struct {
		Name string `json:"name"`
	}
	orders := view.From(order.Category, order.Codec,
		func(s state, e any) state {
			s.Events++
			if e, ok := e.(order.Cancelled); ok && e.Reason != "" {
				s.Shelf = e.Reason
			}
			return s
		},
		func(id string, s state) []row.Row {
			shelf, _, _ := strings.Cut(s.Shelf, " ")
			return []row.Row{{Doc: "shelf" + shelf, Part: row.PartOf(fmt.Sprint(s.Events, s.Shelf)), Sums: map[string]int64{"events": int64(s.Events)}, Refs: []string{"member-M"}}}
		})
	return &view.View{
		Name: "orders", Version: view.Orders.Version,
		Sources: []view.Source{
			view.Resting(orders, func(s state) bool { return s.Events > 2 }),
			view.Sharing(view.From(member.Category, member.Codec, func(s named, e any) named {
				switch e := e.(type) {
				case member.Registered:
					s.Name = e.Name
				case member.Renamed:
					s.Name = e.Name
				}
				return s
			}, nil), func(_ string, s named) any { return s.Name }),
		},
		Compose: listed(broken, "events"),
	}
}

// listed composes the list of a document's parts, and one of its sums, without which there is no document. While broken it cannot if a part is
// cursed.
func listed(broken *bool, sum string) func(row.Document) ([]byte, error) {
	return func(d row.Document) ([]byte, error) {
		if d.Sums[sum] == 0 {
			return nil, nil
		}
		var all []string
		for source, part := range d.Parts {
			text, err := row.Decode[string](part)
			if err != nil {
				return nil, err
			}
			if *broken && strings.HasSuffix(text, "cursed") {
				return nil, errors.New("cannot compose")
			}
			all = append(all, source+" "+text)
		}
		slices.Sort(all)
		return row.JSON(append(all, fmt.Sprint(d.Sums[sum]))), nil
	}
}

// TestSkippedAmongOthers: what an event did that is left out since a document cannot be composed with it is undone wherever it had landed, and
// those who share the document go on: as soon as they are tried again where they were parked with it, at once in a replay.
func TestSkippedAmongOthers(t *testing.T) {
	for name, test := range map[string]struct {
		stream   string
		event    any
		revision int64
	}{
		"an order moves":  {"order-bad", order.Cancelled{Reason: "2 cursed"}, 1},
		"an order stays":  {"order-bad", order.Cancelled{Reason: " cursed"}, 1},
		"a member shared": {"member-M", member.Renamed{Name: "cursed"}, 1},
	} {
		for _, batch := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, in one batch %v", name, batch), func(t *testing.T) {
				p := newParking(t)
				p.view = crowded(&p.fragile.broken)
				p.order("a")
				p.order("bad")
				p.log.Add(p, order.Stream("b"), order.Placed{MemberID: "M", Currency: "USD", PlacedOn: "2026-01-02"}, order.Cancelled{Reason: "2"})
				p.log.Add(p, test.stream, test.event)
				p.order("c")
				p.applyAll(batch)
				if !slices.ContainsFunc(p.parked(), func(one row.Parked) bool { return one.Stream == test.stream }) {
					t.Errorf("parked: %+v", p.parked())
				}
				p.skip(test.stream, test.revision)
				p.retryAll()
				want := func(shelves ...string) {
					t.Helper()
					p.nothingParked()
					for i, doc := range []string{"shelf", "shelf2"} {
						if got, err := p.model.store.Document(t.Context(), p.live, doc); err != nil || string(got) != shelves[i] {
							t.Errorf("%s: %s, %v, want %s", doc, got, err, shelves[i])
						}
					}
				}
				first, second := `["member-M Mina","order-a 1","order-bad 1","order-c 1","3"]`, `["member-M Mina","order-b 22","2"]`
				want(first, second)
				p.replay()
				want(first, second)
			})
		}
	}
}

// TestSkippedAtRest: what is left out of a stream that rests is so, too, when its state is made of the log again.
func TestSkippedAtRest(t *testing.T) {
	p := newParking(t)
	p.view = crowded(&p.fragile.broken)
	p.order("bad")
	p.log.Add(p, "order-bad", order.Cancelled{}, order.Cancelled{}, order.Cancelled{Reason: " cursed"})
	p.apply(p.log.Events()...)
	p.skip("order-bad", 3)
	p.log.Add(p, "order-bad", order.Cancelled{})
	p.apply(p.log.Stream("order-bad")[4])
	got, err := p.model.store.Document(t.Context(), p.live, "shelf")
	if want := `["member-M Mina","order-bad 4","4"]`; err != nil || string(got) != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	for _, one := range p.parked() {
		if one.Stream == "order-bad" {
			t.Errorf("parked: %+v", one)
		}
	}
}
