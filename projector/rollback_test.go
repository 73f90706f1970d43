package projector

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"jangbu/domain/event"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// TestRollback: back and forth, each time with all that the log holds.
func TestRollback(t *testing.T) {
	s := newSite(t, 100)
	s.views = s.views[:1]
	if _, err := s.newReplay(ReplayConfig{}).Rollback(t.Context(), view.Orders); !errors.Is(err, row.ErrNoPrevious) {
		t.Fatalf("rollback of a view that has no generation: %v", err)
	}
	s.again(s.log)
	first := s.registry(view.Orders).Live
	s.again(s.log)
	second := s.registry(view.Orders).Live
	for _, want := range []row.Generation{first, second, first} {
		s.log.Grow(t, rand.New(rand.NewPCG(9, uint64(s.log.Len()))), 50)
		result, err := s.newReplay(ReplayConfig{}).Rollback(t.Context(), view.Orders)
		if now := s.registry(view.Orders); err != nil || !result.Switched || now.Live != want || now.Previous == want || now.Previous.Number == 0 {
			t.Fatalf("rolled back to %+v (%v), want %s: %+v", now, err, want, result)
		}
		s.check()
	}
	newer := *view.Orders
	newer.Version++
	if _, err := s.newReplay(ReplayConfig{}).Rollback(t.Context(), &newer); !errors.Is(err, row.ErrNoPrevious) || !strings.Contains(err.Error(), "version") {
		t.Errorf("rollback by newer code: %v", err)
	}
}

// TestRollbackInterrupted: whatever is done to the view after a rollback that was interrupted, but for a switch, there is still what it was to
// go back to.
func TestRollbackInterrupted(t *testing.T) {
	for _, before := range []string{"a rollback", "an audit", "a replay that is interrupted"} {
		t.Run(before, func(t *testing.T) {
			s := newSite(t, 100)
			s.views = s.views[:1]
			s.again(s.log)
			first := s.registry(view.Orders).Live
			s.again(s.log)
			interrupted := func(do func(*Replay, context.Context) error) {
				t.Helper()
				ctx, cancel := context.WithCancel(t.Context())
				r := s.newReplay(ReplayConfig{Progress: func(Progress) { cancel() }})
				if err := do(r, ctx); !errors.Is(err, context.Canceled) {
					t.Fatalf("interrupted: %v", err)
				}
			}
			interrupted(func(r *Replay, ctx context.Context) error {
				_, err := r.Rollback(ctx, view.Orders)
				return err
			})
			s.log.Grow(t, rand.New(rand.NewPCG(9, 9)), 50)
			switch before {
			case "an audit":
				if _, err := s.newReplay(ReplayConfig{}).Audit(t.Context(), view.Orders, false); err != nil {
					t.Fatal(err)
				}
			case "a replay that is interrupted":
				interrupted(func(r *Replay, ctx context.Context) error {
					_, err := r.Run(ctx, s.views)
					return err
				})
			}
			if _, err := s.newReplay(ReplayConfig{}).Rollback(t.Context(), view.Orders); err != nil || s.registry(view.Orders).Live != first {
				t.Errorf("the rollback to %s: %v, and the registry says %+v", first, err, s.registry(view.Orders))
			}
			s.check()
		})
	}
}

// TestRollbackToAnotherLog: when the event store was put back to a backup, a rollback would bring back what is gone; before the view is built
// anew, and after.
func TestRollbackToAnotherLog(t *testing.T) {
	s := newSite(t, 100)
	s.views = s.views[:1]
	s.again(s.log)
	s.again(s.log)
	s.log.Cut(50)
	for range 2 {
		before := s.registry(view.Orders)
		if _, err := s.newReplay(ReplayConfig{}).Rollback(t.Context(), view.Orders); !errors.Is(err, ErrAnotherLog) || !strings.Contains(err.Error(), "jangbu replay orders") {
			t.Errorf("rollback: %v", err)
		}
		if now := s.registry(view.Orders); now.Live != before.Live || now.Previous != before.Previous || now.Building.Number != 0 {
			t.Errorf("the registry, once %+v, says %+v", before, now)
		}
		if _, err := s.newReplay(ReplayConfig{AllowDrift: true}).Run(t.Context(), s.views); err != nil {
			t.Fatal(err)
		}
		s.check()
	}
}

// answerless is a model whose Redis switches, is restarted with what it holds, and so never says that it did; once.
type answerless struct {
	faultyModel
	restart func()
	once    *sync.Once
}

func (m answerless) Switch(ctx context.Context, g row.Generation, token string) error {
	if err := m.store.Switch(ctx, g, token); err != nil {
		return err
	}
	var err error
	m.once.Do(func() { m.restart(); err = event.ErrUnavailable })
	return err
}

// TestSwitchUnanswered: a switch of which nobody heard has happened. Another would undo a rollback; after a replay, the previous generation
// would not be the one that it replaced.
func TestSwitchUnanswered(t *testing.T) {
	for _, rollback := range []bool{false, true} {
		redis := servers.StartRedis(t)
		client := redis.Client()
		defer client.Close()
		s := &site{T: t, log: history.Random(t, rand.New(rand.NewPCG(5, 6)), 50), store: openModel(t, redis.URL()), views: []*view.View{view.Orders}}
		s.again(s.log)
		s.again(s.log)
		before := s.registry(view.Orders)
		model := answerless{newFaultyModel(s.store), func() {
			if err := client.Save(context.Background()).Err(); err != nil {
				t.Error(err)
			}
			redis.Kill()
			redis.Start()
		}, new(sync.Once)}
		r := NewReplay(model, s.log, ReplayConfig{Builder: model.builder})
		var results []Result
		var err error
		if rollback {
			var result Result
			result, err = r.Rollback(t.Context(), view.Orders)
			results = []Result{result}
		} else {
			results, err = r.Run(t.Context(), s.views)
		}
		after := s.registry(view.Orders)
		if err != nil || !results[0].Switched || results[0].Generation != after.Live.Number || after.Previous.Number != before.Live.Number {
			t.Errorf("rollback %t: %+v, %v; the registry, once %+v, says %+v", rollback, results, err, before, after)
		}
		if rollback && after.Live.Number != before.Previous.Number {
			t.Errorf("rolled back from %s to %s, not to %s", before.Live, after.Live, before.Previous)
		}
		s.check()
	}
}
