package modeltest

import (
	"errors"
	"slices"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
)

// claims: what rests on earlier writes is refused by a Redis that may have lost them. That it has forgotten its scripts is
// how a restart shows.
func claims(s *suite) {
	at := event.Recorded{Position: event.Position{Commit: 7, Prepare: 7}, Time: time.UnixMilli(7)}
	live := s.live()
	b := s.begin(s.m, 1, "x")
	registry := s.registry()
	steps := []struct {
		name  string
		claim func(live, build row.Generation) error
	}{
		{"save states", func(g, _ row.Generation) error {
			return s.m.SaveStates(s.ctx, g, []row.State{{Stream: "a-1", Revision: 3}})
		}},
		{"save states of a build", func(_, g row.Generation) error {
			return s.m.NewBuilder().SaveStates(s.ctx, g, []row.State{{Stream: "a-1", Revision: 3}})
		}},
		{"put", func(_, g row.Generation) error {
			return s.m.NewBuilder().Put(s.ctx, g, row.Batch{States: []row.Save{{Stream: "z-1", Revision: 3}}})
		}},
		{"advance", func(g, _ row.Generation) error { return s.m.Advance(s.ctx, g, at) }},
		{"unpark", func(g, _ row.Generation) error { return s.m.Unpark(s.ctx, g, []string{"a-1"}) }},
		{"built", func(_, g row.Generation) error { return s.m.Built(s.ctx, g, "x", at.Position) }},
		{"open", func(_, g row.Generation) error { return s.m.OpenBuild(s.ctx, g, "x") }},
		{"switch", func(_, g row.Generation) error { return s.m.Switch(s.ctx, g, "x") }},
	}
	for _, step := range steps {
		before := s.registry()
		s.forgetScripts()
		for range 2 { // whoever noticed it first, the other claims of that time fail as well
			if err := step.claim(before.Live, before.Building); !errors.Is(err, row.ErrRestarted) || !errors.Is(err, event.ErrUnavailable) {
				s.Errorf("%s after a restart: %v", step.name, err)
			}
		}
		after := s.registry()
		if after.Live.Fence == before.Live.Fence || after.At != before.At || after.Built != before.Built || after.Open != before.Open ||
			unfenced(after.Live) != unfenced(before.Live) {
			s.Errorf("%s: registry %+v became %+v", step.name, before, after)
		}
		states, err := s.m.States(s.ctx, after.Live, []string{"a-1"})
		if s.must(err); step.name == "save states" && states[0].Revision != event.NoStream {
			s.Errorf("a state was saved: %+v", states[0])
		}
		s.must(step.claim(after.Live, after.Building)) // with what the registry says now
	}
	if r := s.registry(); unfenced(r.Live) != unfenced(b.Generation) || unfenced(r.Previous) != unfenced(live) || registry.Live != live {
		s.Errorf("registry: %+v", r)
	}
}

// restarted is for a restart of Redis that a Store notices at once.
func (s *suite) restarted(m *readmodel.Store) {
	s.Helper()
	s.forgetScripts()
	before, err := m.Registry(s.ctx, view) // of the former run, as far as m knows
	s.must(err)
	if err := m.Advance(s.ctx, before.Live, event.Recorded{}); !errors.Is(err, row.ErrRestarted) {
		s.Errorf("advance after a restart: %v", err)
	}
	after, err := m.Registry(s.ctx, view)
	if s.must(err); after.Live.Fence == before.Live.Fence {
		s.Errorf("the fence of the next run is that of the former: %s", after.Live.Fence)
	}
}

// readBefore: Redis is restarted while the answer to a question is on its way. No claim may rest on that answer.
func readBefore(s *suite) {
	was := s.live()
	m, tap := s.tapped()
	restarted := func() { s.restarted(m) }
	_, err := m.Registry(s.ctx, view)
	s.must(err)
	tap.after("hgetall", restarted)
	r, err := m.Registry(s.ctx, view)
	if s.must(err); unfenced(r.Live) != unfenced(was) {
		s.Fatalf("registry %+v", r)
	}
	if err := m.Advance(s.ctx, r.Live, event.Recorded{Position: event.Position{Commit: 9}}); !errors.Is(err, row.ErrRestarted) {
		s.Errorf("advance: %v", err)
	}
	tap.after("a-builder", restarted)
	if b, err := m.Begin(s.ctx, view, 1, "a-builder"); !errors.Is(err, row.ErrRestarted) {
		s.Errorf("begin: %+v, %v", b, err)
	}
	if !tap.done() {
		s.Error("nothing was restarted")
	}
}

// garbageBefore: after what is garbage was looked up, Redis is emptied, and a generation of the same number built.
func garbageBefore(s *suite) {
	for range 3 {
		s.g = s.live()
	}
	m, tap := s.tapped()
	_, err := m.Registry(s.ctx, view)
	s.must(err)
	tap.after("hgetall", func() {
		s.restarted(m)
		for _, key := range s.keys() {
			s.must(s.client().Del(s.ctx, key).Err())
		}
		s.m = s.open(readmodel.Config{}) // another projector
		s.g = s.live()
		s.compose(s.land("doc", from("a-1", 4, part(4))))
		s.must(s.m.Park(s.ctx, s.g, []row.Parked{{Stream: "a-2"}}))
	})
	if err := m.DropGarbage(s.ctx, view); !errors.Is(err, row.ErrRestarted) {
		s.Errorf("drop garbage: %v", err)
	}
	if s.g.Number != 1 || !tap.done() {
		s.Fatalf("the generation is %+v", s.g)
	}
	body, err := s.m.Document(s.ctx, s.g, "doc")
	if s.must(err); body == nil {
		s.Error("the document is gone")
	}
	if r := s.registry(); unfenced(r.Live) != unfenced(s.g) || r.Version != 1 {
		s.Errorf("registry %+v", r)
	}
}

// namesakes: numbers start again in a Redis that was emptied, but what a slow worker still writes to a former generation
// is not taken for a part of the one that has its number now.
func namesakes(s *suite) {
	former := s.live()
	for _, key := range s.keys() {
		s.must(s.client().Del(s.ctx, key).Err())
	}
	now := s.begin(s.m, 1, "x").Generation
	if now.Number != former.Number || now.Salt == former.Salt {
		s.Fatalf("%+v came after %+v", now, former)
	}
	s.g = former
	s.compose(s.land("doc", from("a-1", 4, part(4))))
	s.must(s.m.SaveStates(s.ctx, former, []row.State{{Stream: "a-1", Revision: 4}}))
	body, err := s.m.Document(s.ctx, now, "doc")
	if s.must(err); body != nil {
		s.Errorf("the new generation shows %q", body)
	}
	states, err := s.m.States(s.ctx, now, []string{"a-1"})
	if s.must(err); states[0].Revision != event.NoStream {
		s.Errorf("the new generation has the state %+v", states[0])
	}
}

func savedTimes(s *suite) {
	from := time.Now().Add(-time.Hour) // the clock of Redis need not be ours
	for i := range int64(6) {
		s.must(s.m.SaveStates(s.ctx, s.g, []row.State{{Stream: "a-1", Revision: 2 * i, Data: []byte(`{"n":1}`)}}))
		states, err := s.m.States(s.ctx, s.g, []string{"a-1"})
		s.must(err)
		var revisions, want []int64
		for _, saved := range states[0].Saved {
			revisions = append(revisions, saved.Revision)
			if saved.Time.Before(from) || saved.Time.After(from.Add(2*time.Hour)) {
				s.Errorf("saved at %s", saved.Time)
			}
		}
		for r := 2 * i; r >= max(0, 2*i-6); r -= 2 {
			want = append(want, r)
		}
		if !slices.Equal(revisions, want) || states[0].Revision != 2*i || string(states[0].Data) != `{"n":1}` {
			s.Errorf("state after revision %d: %+v", 2*i, states[0])
		}
	}
	s.must(s.m.NewBuilder().SaveStates(s.ctx, s.g, []row.State{{Stream: "b-1", Revision: 9, Data: []byte("{}")}}))
	states, err := s.m.States(s.ctx, s.g, []string{"b-1"})
	if s.must(err); states[0].Revision != 9 || len(states[0].Saved) != 1 || string(states[0].Data) != "{}" {
		s.Errorf("state that a builder saved: %+v", states[0])
	}
}
