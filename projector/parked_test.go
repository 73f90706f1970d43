package projector

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/servers"
)

// fragile is a view of orders whose code fails on some of them, while broken: by the order's id.
type fragile struct{ broken bool }

type fragileState struct {
	Events int    `json:"events"`
	Fault  string `json:"fault,omitempty"` // what the event asks for
}

func (f *fragile) view() *view.View {
	fails := func(fault, step string) bool { return f.broken && fault == step }
	return &view.View{
		Name: "orders", Version: view.Orders.Version,
		Sources: []view.Source{view.From(order.Category, order.Codec,
			func(s fragileState, e any) fragileState {
				s.Events++
				s.Fault = ""
				if e, ok := e.(order.Cancelled); ok {
					s.Fault = e.Reason
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
				return []row.Row{{Doc: id, Part: row.PartOf(s)}}
			})},
		Compose: func(d row.Document) ([]byte, error) {
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

func (p *parking) expect(id string, landed int64, body string) {
	p.Helper()
	at, err := p.model.store.Landed(p.Context(), p.live, []string{order.Stream(id)})
	got, failed := p.model.store.Document(p.Context(), p.live, id)
	if err != nil || failed != nil || at[0] != landed || string(got) != body {
		p.Errorf("order %s stands at %d with %q (%v, %v), want %d with %q", id, at, got, err, failed, landed, body)
	}
}

var fragileSteps = []string{"decode", "fold", "rows", "compose"}

// TestParked: of a stream that the view's code fails on, what comes before lands; other streams of the batch land whole.
func TestParked(t *testing.T) {
	for _, step := range fragileSteps {
		for _, batch := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, in one batch %v", step, batch), func(t *testing.T) {
				p := newParking(t)
				p.order("bad")
				p.fault("bad", step)
				p.order("good")
				events := p.log.Events()
				if batch {
					p.apply(events...)
				} else {
					for _, e := range events {
						p.apply(e)
					}
				}
				p.expect("good", 0, `{"events":1}`)
				parked := p.parked()
				if len(parked) != 1 || parked[0].Stream != "order-bad" || parked[0].Reason == "" || parked[0].Since.IsZero() {
					t.Fatalf("parked: %+v", parked)
				}
				if step == "compose" && batch { // its document has the rows of both events, and cannot be composed
					p.expect("bad", event.NoStream, "")
					return
				}
				p.expect("bad", 0, `{"events":1}`)
				if parked[0].Revision != 1 {
					t.Errorf("parked: %+v", parked)
				}
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
				if err := Land(t.Context(), p.model, p.log, p.view, "order-bad"); err != nil {
					t.Error(err)
				}
			} else {
				p.fault("bad", "none")
				p.apply(p.log.Stream("order-bad")[3])
			}
			last, fault := p.log.Last("order-bad"), "none"
			if step == "fold" {
				fault = step
			}
			p.expect("bad", last, fmt.Sprintf(`{"events":%d,"fault":%q}`, last+1, fault))
			if len(p.parked()) > 0 {
				t.Errorf("still parked: %+v", p.parked())
			}
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
			if err := p.model.store.Skip(t.Context(), "orders", "order-bad", 1); err != nil {
				t.Fatal(err)
			}
			if err := Land(t.Context(), p.model, p.log, p.view, "order-bad"); err != nil {
				t.Fatal(err)
			}
			p.expect("bad", 2, `{"events":2,"fault":"none"}`)
			if len(p.parked()) > 0 {
				t.Errorf("still parked: %+v", p.parked())
			}
			p.replay()
			p.expect("bad", 2, `{"events":2,"fault":"none"}`)
		})
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
			if parked := p.parked(); len(parked) > 1 || step != "compose" && step != "rows" && len(parked) == 0 {
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
