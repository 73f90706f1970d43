package projector

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/folded"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// site is a log and a read model to replay it into.
type site struct {
	*testing.T
	log   *history.History
	url   string
	store *readmodel.Store
	views []*view.View
}

func newSite(t *testing.T, events int) *site {
	url := servers.MiniRedis(t)
	return &site{
		T: t, log: history.Random(t, rand.New(rand.NewPCG(5, 6)), events), url: url, store: openModel(t, url),
		views: []*view.View{view.Orders, view.OrderLists},
	}
}

// dying is the same read model for a replay whose lease ends at once, as that of a killed one does after a while.
func (s *site) dying() faultyModel {
	m, err := readmodel.Open(s.url, readmodel.Config{Lease: time.Millisecond})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { m.Close() })
	return newFaultyModel(m)
}

func (s *site) replay(model faultyModel) *Replay { return s.replayOf(model, s.log) }

func (s *site) replayOf(model faultyModel, log Log) *Replay {
	r := NewReplay(model, log, ReplayConfig{Builder: model.builder, Patience: time.Minute})
	r.chunkEvents, r.room.hold, r.room.remember = 10, 8, 4
	return r
}

// again replays to the end, waiting for a dead replay's lease to run out.
func (s *site) again(log Log) {
	s.Helper()
	for {
		_, err := s.replayOf(newFaultyModel(s.store), log).Run(s.Context(), s.views)
		if err == nil {
			return
		}
		if !errors.Is(err, row.ErrBusy) {
			s.Fatal(err)
		}
	}
}

func (s *site) registry(v *view.View) row.Registry {
	s.Helper()
	r, err := s.store.Registry(s.Context(), v.Name)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

func (s *site) check() {
	s.Helper()
	for _, v := range s.views {
		r := s.registry(v)
		if r.Live.Number == 0 || r.Building.Number != 0 {
			s.Errorf("registry of %s: %+v", v.Name, r)
		}
		folded.Want(s, s.store, v, r.Live, s.log.Events())
	}
}

// readFrom notes from where the log is read.
type readFrom struct {
	Log
	first atomic.Pointer[event.Position]
}

func (l *readFrom) ReadAll(ctx context.Context, after event.Position) iter.Seq2[event.Recorded, error] {
	l.first.CompareAndSwap(nil, &after)
	return l.Log.ReadAll(ctx, after)
}

// TestReplayInterrupted: wherever a replay is stopped, the next one goes on in the same generation, from where it was, if it was
// anywhere.
func TestReplayInterrupted(t *testing.T) {
	for _, chunks := range []int{0, 5} {
		t.Run(fmt.Sprintf("after %d chunks", chunks), func(t *testing.T) {
			s := newSite(t, 200)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := s.replay(newFaultyModel(s.store))
			var landed atomic.Int64
			r.cfg.Progress = func(p Progress) {
				if p.Phase == PhaseBuild && landed.Add(1) == int64(len(s.views)*(chunks+1)) { // one tells of its beginning
					cancel()
				}
			}
			if _, err := r.Run(ctx, s.views); !errors.Is(err, context.Canceled) {
				t.Fatalf("interrupted replay: %v", err)
			}
			before := s.registry(view.Orders)
			away := &faults{}
			away.down.Store(true)
			r = s.replayOf(newFaultyModel(s.store), faultyLog{s.log, away})
			r.cfg.Patience = time.Millisecond
			if _, err := r.Run(t.Context(), s.views); !errors.Is(err, event.ErrUnavailable) || errors.Is(err, row.ErrBusy) {
				t.Errorf("resumed with the log away: %v", err)
			}
			log := &readFrom{Log: s.log}
			s.again(log)
			if after := s.registry(view.Orders); chunks > 0 && after.Live != before.Building {
				t.Errorf("%s was left, %s was built", before.Building, after.Live)
			}
			if from := *log.first.Load(); (chunks > 0) != (from.Compare(event.Position{}) > 0) {
				t.Errorf("after %d chunks the log is read from %s", chunks, from)
			}
			s.check()
		})
	}
}

// TestReplayAfterRestore: what was left of a replay when the event store was put back to a backup knows events that are gone, and is not gone on
// with, however far it says that it is built: what is open takes events as the live generation does.
func TestReplayAfterRestore(t *testing.T) {
	for left, restore := range map[string]int{"stopped": 150, "open": 150, "open for long": 220} {
		t.Run(left, func(t *testing.T) {
			s := newSite(t, 200)
			s.again(s.log)
			if left == "stopped" {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r := s.replay(newFaultyModel(s.store))
				r.cfg.Progress = func(p Progress) {
					if p.Phase == PhaseBuild && p.Events > 160 {
						cancel()
					}
				}
				if _, err := r.Run(ctx, s.views); !errors.Is(err, context.Canceled) {
					t.Fatalf("interrupted replay: %v", err)
				}
			} else if _, err := s.newReplay(ReplayConfig{NoSwitch: true}).Run(t.Context(), s.views); err != nil {
				t.Fatal(err)
			}
			if left == "open for long" {
				s.log.Grow(t, rand.New(rand.NewPCG(9, 9)), 50)
				for _, v := range s.views {
					for _, g := range s.registry(v).Writable(v.Version) {
						s.must(NewApplier(v, g, s.store, s.log).Apply(t.Context(), s.log.Events()[200:]))
					}
					s.must(s.store.Advance(t.Context(), s.registry(v).Live, s.log.Events()[s.log.Len()-1]))
				}
			}
			for _, v := range s.views {
				if r := s.registry(v); r.Building.Number == 0 || r.Open == (left == "stopped") {
					t.Fatalf("registry of %s: %+v", v.Name, r)
				}
			}
			s.log.Cut(restore)
			if _, err := s.newReplay(ReplayConfig{AllowDrift: true}).Run(t.Context(), s.views); err != nil {
				t.Fatal(err)
			}
			s.check()
		})
	}
}

// TestReplayKilled: a replay that was killed may still be alive somewhere and write. What it built alone is given up;
// what was open to all is gone on with.
func TestReplayKilled(t *testing.T) {
	for _, phase := range []Phase{PhaseBuild, PhaseCatchUp} {
		t.Run(string(phase), func(t *testing.T) {
			s := newSite(t, 100)
			s.views = s.views[:1]
			model := s.dying()
			r := s.replay(model)
			killed := false
			r.cfg.Progress = func(p Progress) {
				if p.Phase == phase && !killed {
					killed = true
					model.killAfter = model.calls.Load() + 5
				}
			}
			if phase == PhaseCatchUp { // something for it to do there
				model.atCall = func(n int64) {
					if open, err := s.store.Registry(context.Background(), view.Orders.Name); err == nil && open.Open && !killed {
						killed = true
						model.killAfter = n - 1
					}
				}
			}
			if _, err := r.Run(t.Context(), s.views); !errors.Is(err, errKilled) {
				t.Fatalf("killed replay: %v", err)
			}
			left := s.registry(view.Orders)
			s.again(s.log)
			after := s.registry(view.Orders)
			if inPlace := after.Live == left.Building; inPlace != (phase == PhaseCatchUp) || left.Open != inPlace {
				t.Errorf("killed in %q it left %+v; the next one built %s", phase, left, after.Live)
			}
			s.check()
		})
	}
}

// TestReplayPatience: an outage is waited for, at any step and from the first; one that lasts ends the replay, and harms
// nothing.
func TestReplayPatience(t *testing.T) {
	s := newSite(t, 100)
	model, log := newFaultyModel(s.store), &faults{}
	model.outages.Store(30)
	log.outages.Store(10)
	if _, err := s.replayOf(model, faultyLog{s.log, log}).Run(t.Context(), s.views); err != nil {
		t.Fatal(err)
	}
	s.check()
	first := s.registry(view.Orders).Live

	for _, name := range []string{"read model", "log"} {
		model, log := newFaultyModel(s.store), &faults{}
		r := s.replayOf(model, faultyLog{s.log, log})
		r.cfg.Patience = time.Millisecond
		cut, at := model.faults, int64(len(s.views))+1 // the first call after all have begun
		if name == "log" {
			cut, at = log, 50 // half of its events
		}
		cut.atCall = func(n int64) {
			if n == at {
				cut.down.Store(true)
			}
		}
		_, err := r.Run(t.Context(), s.views)
		if !errors.Is(err, event.ErrUnavailable) || errors.Is(err, row.ErrBusy) {
			t.Errorf("%s away for good: %v", name, err)
		}
		if live := s.registry(view.Orders).Live; live != first {
			t.Errorf("%s is live after a replay that failed, not %s", live, first)
		}
		// The lease of one that could not let go of it ends some time; here another store waits for none.
		for _, v := range s.views {
			g := s.registry(v).Building
			_ = s.store.Abandon(t.Context(), g, r.token)
		}
	}
	s.again(s.log)
	s.check()
}

// TestReplayLost: a replay that was taken over stops, and does not disturb the one that did.
func TestReplayLost(t *testing.T) {
	for _, lost := range []string{"at a step", "between steps"} {
		t.Run(lost, func(t *testing.T) {
			s := newSite(t, 100)
			s.views = s.views[:1]
			model := s.dying()
			var other row.Build
			takeOver := func() {
				for err := error(row.ErrBusy); errors.Is(err, row.ErrBusy); {
					other, err = s.store.Begin(context.Background(), view.Orders.Name, view.Orders.Version, "another")
				}
			}
			r := s.replay(model)
			model.atCall = func(n int64) {
				if n == 20 {
					takeOver()
				}
			}
			if lost == "between steps" {
				r.renewEvery = time.Millisecond
				model.atCall = nil
				r.log = pausedLog{s.log, func(ctx context.Context) {
					takeOver()
					<-ctx.Done() // the renewal alone can tell
				}}
			}
			if _, err := r.Run(t.Context(), s.views); !errors.Is(err, row.ErrLost) {
				t.Errorf("replay: %v", err)
			}
			if now := s.registry(view.Orders); now.Building != other.Generation || now.Live.Number != 0 {
				t.Errorf("the other builds %s, the registry says %+v", other, now)
			}
		})
	}
}

// pausedLog pauses before its end.
type pausedLog struct {
	Log
	pause func(context.Context)
}

func (l pausedLog) ReadAll(ctx context.Context, after event.Position) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		for e, err := range l.Log.ReadAll(ctx, after) {
			if !yield(e, err) {
				return
			}
		}
		l.pause(ctx)
	}
}

// TestReplayRenewsToTheEnd: that the switch ends the lease does not look like losing it.
func TestReplayRenewsToTheEnd(t *testing.T) {
	s := newSite(t, 50)
	model := newFaultyModel(s.store)
	renewals := make(chan struct{})
	model.onRenew = func() {
		select {
		case renewals <- struct{}{}:
		case <-t.Context().Done():
		}
	}
	var switched atomic.Bool
	model.onSwitch = func(row.Generation) { switched.Store(true) }
	model.onRemove = func() {
		if !switched.Load() {
			return
		}
		for range 2 * len(s.views) {
			<-renewals
		}
	}
	r := s.replay(model)
	r.renewEvery = time.Millisecond
	if _, err := r.Run(t.Context(), s.views); err != nil {
		t.Fatal(err)
	}
	go func() { // lets the last renewal end
		for range renewals {
		}
	}()
	s.check()
}

// TestReplayBusy: of two replays of one view the later is refused, and does what else it is to do.
func TestReplayBusy(t *testing.T) {
	s := newSite(t, 50)
	theirs, err := s.store.Begin(t.Context(), view.Members.Name, view.Members.Version, "another")
	if err != nil {
		t.Fatal(err)
	}
	for _, views := range [][]*view.View{{view.Members}, {view.Orders, view.Members, view.OrderLists}} {
		results, err := s.replay(newFaultyModel(s.store)).Run(t.Context(), views)
		if !errors.Is(err, row.ErrBusy) || !strings.Contains(err.Error(), view.Members.Name) {
			t.Errorf("replay of a view that another builds: %v", err)
		}
		for i, r := range results {
			if r.Switched == (views[i] == view.Members) {
				t.Errorf("result: %+v", r)
			}
		}
	}
	if now := s.registry(view.Members); now.Building != theirs.Generation {
		t.Errorf("registry: %+v", now)
	}
	s.check()
}

func TestReplayOfNothing(t *testing.T) {
	s := newSite(t, 0)
	s.again(s.log)
	s.check()
}

// TestReplayNewVersion: a generation that other code began is not gone on with.
func TestReplayNewVersion(t *testing.T) {
	s := newSite(t, 30)
	s.views = s.views[:1]
	old, err := s.store.Begin(t.Context(), view.Orders.Name, view.Orders.Version+1, "newer-code")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.Leave(t.Context(), old.Generation, "newer-code"); err != nil {
		t.Fatal(err)
	}
	s.again(s.log)
	if now := s.registry(view.Orders); now.Live == old.Generation || now.Version != view.Orders.Version {
		t.Errorf("registry: %+v", now)
	}
	s.check()
}
