package modeltest

import (
	"errors"
	"reflect"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
)

func revive(s *suite) {
	if _, err := s.m.Revive(s.ctx, view, 1, "x"); !errors.Is(err, row.ErrNoPrevious) {
		s.Errorf("a rollback before anything was live: %v", err)
	}
	first := s.live()
	if _, err := s.m.Revive(s.ctx, view, 1, "x"); !errors.Is(err, row.ErrNoPrevious) {
		s.Errorf("a rollback before anything was replaced: %v", err)
	}
	at := event.Position{Commit: 5, Prepare: 4}
	s.must(s.m.Advance(s.ctx, first, event.Recorded{Position: at, Time: time.UnixMilli(9)}))
	second := s.live()
	if _, err := s.m.Revive(s.ctx, view, 2, "x"); !errors.Is(err, row.ErrNoPrevious) {
		s.Errorf("a rollback to what other code built: %v", err)
	}
	b, err := s.m.Revive(s.ctx, view, 1, "x")
	s.must(err)
	if b.Generation != first || b.Fresh || !b.Open || b.Built != at {
		s.Errorf("revived %+v", b)
	}
	if r := s.registry(); r.Live != second || r.Building != first || !r.Open || r.Previous.Number != 0 || r.BuildingVersion != 1 {
		s.Errorf("registry: %+v", r)
	}
	if _, err := s.m.Revive(s.ctx, view, 1, "y"); !errors.Is(err, row.ErrBusy) {
		s.Errorf("two at once: %v", err)
	}
	s.must(s.m.Switch(s.ctx, b.Generation, "x"))
	if r := s.registry(); r.Live != first || r.Previous != second || r.Building.Number != 0 || r.At != at {
		s.Errorf("registry: %+v", r)
	}
	b, err = s.m.Revive(s.ctx, view, 1, "x") // and forwards again
	s.must(err)
	s.must(s.m.Switch(s.ctx, b.Generation, "x"))
	if r := s.registry(); r.Live != second || r.Previous != first {
		s.Errorf("registry: %+v", r)
	}
}

func reviveInterrupted(s *suite) {
	first, second := s.live(), s.live()
	b, err := s.m.Revive(s.ctx, view, 1, "x")
	s.must(err)
	s.must(s.m.Leave(s.ctx, b.Generation, "x"))
	again, err := s.m.Revive(s.ctx, view, 1, "y")
	s.must(err)
	if again.Generation != first || !again.Open {
		s.Errorf("resumed %+v", again)
	}
	s.must(s.m.Leave(s.ctx, b.Generation, "y"))
	replayed := s.begin(s.m, 1, "z") // who replays wants to read the log, not what it is to replace
	if replayed.Number <= second.Number || !replayed.Fresh || replayed.Open {
		s.Errorf("after a rollback that was left, a replay began %+v", replayed)
	}
}

// reviveGivenUp: what a rollback that does not go on has taken up is the previous generation again, whoever gives it up.
func reviveGivenUp(s *suite) {
	first := s.live()
	at := event.Position{Commit: 5, Prepare: 4}
	s.must(s.m.Advance(s.ctx, first, event.Recorded{Position: at, Time: time.UnixMilli(9)}))
	second := s.live()
	for _, by := range []string{"itself", "a replay", "other code"} {
		b, err := s.m.Revive(s.ctx, view, 1, "x")
		s.must(err)
		if b.Generation != first || b.Built != at || !b.Open {
			s.Fatalf("before %s gives it up: %+v", by, b)
		}
		if by == "itself" {
			s.must(s.m.Abandon(s.ctx, b.Generation, "x"))
		} else {
			s.must(s.m.Leave(s.ctx, b.Generation, "x"))
			next := s.begin(s.m, map[string]int{"a replay": 1, "other code": 2}[by], "y")
			if !next.Fresh || next.Open {
				s.Errorf("%s began %+v", by, next)
			}
			if r := s.registry(); r.Building != next.Generation || r.Open || r.Previous != first {
				s.Errorf("given up by %s: %+v", by, r)
			}
			s.must(s.m.Abandon(s.ctx, next.Generation, "y"))
		}
		s.must(s.m.DropGarbage(s.ctx, view))
		if r := s.registry(); r.Live != second || r.Building.Number != 0 || r.Previous != first || r.PreviousVersion != 1 {
			s.Errorf("given up by %s: %+v", by, r)
		}
	}
	b, err := s.m.Revive(s.ctx, view, 1, "x")
	s.must(err)
	s.must(s.m.Leave(s.ctx, b.Generation, "x"))
	s.must(s.m.Forget(s.ctx, second)) // and what the same Redis held before
	s.begin(s.m, 1, "y")
	if r := s.registry(); r.Previous.Number != 0 {
		s.Errorf("registry: %+v", r)
	}
}

func abandonAndForget(s *suite) {
	former, live := s.live(), s.live()
	b := s.begin(s.m, 1, "x")
	if err := s.m.Abandon(s.ctx, b.Generation, "y"); !errors.Is(err, row.ErrLost) {
		s.Errorf("abandoned by another: %v", err)
	}
	s.must(s.m.Abandon(s.ctx, b.Generation, "x"))
	if next := s.begin(s.m, 1, "y"); next.Number == b.Number || !next.Fresh {
		s.Errorf("after an abandoned build: %+v", next)
	}
	s.must(s.m.Intact(s.ctx, live))
	s.must(s.m.Forget(s.ctx, b.Generation))
	if r := s.registry(); r.Live != live || r.Previous != former {
		s.Errorf("what is not live was forgotten: %+v", r)
	}
	s.must(s.m.Forget(s.ctx, live))
	if r := s.registry(); r.Live.Number != 0 || r.Previous.Number != 0 || r.Building.Number == 0 {
		s.Errorf("registry: %+v", r)
	}
	if b, err := s.m.Revive(s.ctx, view, 1, "y"); !errors.Is(err, row.ErrNoPrevious) {
		s.Errorf("what was before the forgotten one is revived: %+v, %v", b, err)
	}
}

func silence(s *suite) {
	now := time.UnixMilli(5000)
	m := s.open(readmodel.Config{Now: func() time.Time { return now }})
	g := s.live()
	never := time.Time{}
	for range 2 {
		s.must(m.Swept(s.ctx, g, 3, true, never))
		if r := s.registry(); !r.Silent.Equal(time.UnixMilli(5000)) {
			s.Errorf("silent since %s", r.Silent)
		}
		now = now.Add(time.Second)
	}
	s.must(m.Heard(s.ctx, g))
	if r := s.registry(); !r.Silent.IsZero() || !r.Heard.Equal(now) {
		s.Errorf("registry: %+v", r)
	}
	for _, before := range []time.Time{never, now.Add(-time.Second)} {
		s.must(m.Swept(s.ctx, g, 1, true, before))
		if r := s.registry(); !r.Silent.IsZero() {
			s.Errorf("silent since %s, though a message has come since", r.Silent)
		}
	}
	s.must(m.Swept(s.ctx, g, 0, true, now))
	if r := s.registry(); !r.Silent.Equal(now) {
		s.Errorf("registry: %+v", r)
	}
	s.must(m.Swept(s.ctx, g, 0, false, now))
	if r := s.registry(); !r.Silent.IsZero() || r.Healed != 8 {
		s.Errorf("registry: %+v", r)
	}
	s.must(m.Swept(s.ctx, g, 0, true, now))
	s.live()
	b, err := m.Revive(s.ctx, view, 1, "x")
	s.must(err)
	s.must(m.Switch(s.ctx, b.Generation, "x"))
	if r := s.registry(); unfenced(r.Live) != unfenced(g) || !r.Silent.IsZero() {
		s.Errorf("silent since it was live before: %+v", r)
	}
}

func parkedStreams(s *suite) {
	g := s.live()
	one := row.Parked{Stream: "a-1", Revision: 3, Type: "a.b.v1", Reason: "no \"sense\"", Since: time.UnixMilli(1000).UTC()}
	two := row.Parked{Stream: "a-2", Revision: 1, Type: "a.b.v1", Reason: "none", Since: time.UnixMilli(2000).UTC()}
	s.must(s.m.Park(s.ctx, g, []row.Parked{two, one}))
	later := one
	later.Since = time.UnixMilli(9000)
	s.must(s.m.Park(s.ctx, g, []row.Parked{later}))
	s.expectParked(g, one, two)
	later.Revision = 4 // it got further
	s.must(s.m.Park(s.ctx, g, []row.Parked{later}))
	later.Since = later.Since.UTC()
	s.expectParked(g, two, later)
	s.must(s.m.Unpark(s.ctx, g, []string{"a-1", "a-7"}))
	s.expectParked(g, two)
	s.must(s.m.Unpark(s.ctx, g, append(make([]string, 10_000), "a-2"))) // more than a script may unpack at once
	s.expectParked(g)
	s.must(s.m.Park(s.ctx, g, []row.Parked{two}))

	next := s.live()
	s.expectParked(next)
	s.live()
	s.must(s.m.DropGarbage(s.ctx, view))
	s.expectParked(g)

	three, also, second := row.Skip{Revision: 3, ID: uuid.New()}, row.Skip{Revision: 3, ID: uuid.New()}, row.Skip{Revision: 2, ID: uuid.New()}
	for _, skip := range []row.Skip{three, second, three, also} {
		s.must(s.m.Skip(s.ctx, view, "a-1", skip))
	}
	s.must(s.m.Skip(s.ctx, view, "a@1-1", second))
	if skipped, err := s.m.Skipped(s.ctx, view); err != nil || !reflect.DeepEqual(skipped, row.Skipped{"a-1": {three, second, also}, "a@1-1": {second}}) {
		s.Errorf("skipped: %v, %v", skipped, err)
	}
	if skipped, err := s.m.Skipped(s.ctx, "another"); err != nil || len(skipped) > 0 {
		s.Errorf("skipped in another view: %v, %v", skipped, err)
	}
}

func (s *suite) expectParked(g row.Generation, want ...row.Parked) {
	s.Helper()
	parked, err := s.m.ParkedIn(s.ctx, g)
	s.must(err)
	if len(parked) != len(want) {
		s.Fatalf("parked: %+v, want %+v", parked, want)
	}
	for i := range want {
		if parked[i] != want[i] {
			s.Errorf("parked: %+v, want %+v", parked[i], want[i])
		}
	}
}
