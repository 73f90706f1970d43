package projector

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jangbu/domain/event"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/folded"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// yard is a built shop with a sweep, whose clock is the test's.
type yard struct {
	*testing.T
	log   *history.History
	model faultyModel
	sweep *sweep
	now   time.Time
}

func newYard(t *testing.T, log *history.History) *yard {
	y := &yard{T: t, log: log, model: newFaultyModel(openModel(t, servers.MiniRedis(t))), now: time.UnixMilli(0)}
	if _, err := NewReplay(y.model, log, ReplayConfig{}).Run(t.Context(), view.All()); err != nil {
		t.Fatal(err)
	}
	y.sweep = &sweep{log: log, model: y.model, views: view.All(), report: func(string, error) {}, logger: slog.New(slog.DiscardHandler), losses: map[string]loss{}}
	return y
}

// after sweeps once, so much later.
func (y *yard) after(d time.Duration) error {
	y.now = y.now.Add(d)
	return y.sweep.round(y.Context(), y.now)
}

func (y *yard) registry(v *view.View) row.Registry {
	y.Helper()
	r, err := y.model.store.Registry(y.Context(), v.Name)
	if err != nil {
		y.Fatal(err)
	}
	return r
}

// TestSweepHeals: what no queue ever brought is landed and counted; what one did bring is not counted.
func TestSweepHeals(t *testing.T) {
	history.Seeds(t, 2, func(t *testing.T, r *rand.Rand) {
		y := newYard(t, history.Random(t, r, 60))
		for range 3 {
			lost, start := map[string]int64{}, y.log.Len()
			y.log.Grow(t, r, 40)
			before := map[string]int64{}
			for _, v := range view.All() {
				before[v.Name] = y.registry(v).Healed
				brought := NewApplier(v, y.registry(v).Live, y.model.store, y.log)
				for _, e := range y.log.Events()[start:] {
					if _, ok := v.Source(e.Stream); !ok {
						continue
					}
					if r.IntN(2) == 0 {
						if err := brought.Apply(t.Context(), []event.Recorded{e}); err != nil {
							t.Fatal(err)
						}
					}
				}
				for _, e := range y.log.Events()[start:] {
					if _, ok := v.Source(e.Stream); !ok {
						continue
					}
					if at, err := y.model.store.Landed(t.Context(), y.registry(v).Live, []string{e.Stream}); err != nil || at[0] < e.Revision {
						lost[v.Name]++
					}
				}
			}
			if err := errors.Join(y.after(time.Second), y.after(sweepMargin), y.after(time.Second)); err != nil {
				t.Fatal(err)
			}
			for _, v := range view.All() {
				now := y.registry(v)
				folded.Want(t, y.model.store, v, now.Live, y.log.Events())
				if end := y.log.Events()[y.log.Len()-1]; now.At != end.Position || !now.AtTime.Equal(end.Time) {
					t.Errorf("%s is verified up to %s, the log ends at %s", v.Name, now.At, end.Position)
				}
				if healed := now.Healed - before[v.Name]; healed > lost[v.Name] || (healed == 0) != (lost[v.Name] == 0) {
					t.Errorf("%s: %d events were healed, %d had not landed", v.Name, healed, lost[v.Name])
				}
			}
		}
	})
}

// TestSweepGivesQueuesTime: an event is the queue's to bring until the margin has passed.
func TestSweepGivesQueuesTime(t *testing.T) {
	y := newYard(t, history.Random(t, rand.New(rand.NewPCG(1, 2)), 60))
	if err := y.after(0); err != nil { // the first round goes to the end, for what the queues held before may be lost
		t.Fatal(err)
	}
	y.log.Grow(t, rand.New(rand.NewPCG(3, 4)), 40)
	at := y.registry(view.Orders).At
	for range 5 {
		if err := y.after(time.Second - time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if now := y.registry(view.Orders); now.At != at || now.Healed != 0 {
		t.Errorf("verified up to %s from %s, %d healed, before the margin has passed", now.At, at, now.Healed)
	}
	if err := y.after(2 * time.Second); err != nil {
		t.Fatal(err)
	}
	if now := y.registry(view.Orders); now.At.Compare(at) <= 0 || now.Healed == 0 {
		t.Errorf("verified up to %s from %s, %d healed, after the margin has passed", now.At, at, now.Healed)
	}
}

// TestSweepFaults: an outage is tried again; an event that a view's code fails on is parked, and holds up nothing.
func TestSweepFaults(t *testing.T) {
	y := newYard(t, history.Random(t, rand.New(rand.NewPCG(1, 2)), 60))
	if err := y.after(0); err != nil {
		t.Fatal(err)
	}
	bad := y.log.AddRaw("product-X", "product.sung.v1", []byte("{}"))
	if err := y.after(time.Second); err != nil {
		t.Fatal(err)
	}
	y.model.down.Store(true)
	if err := y.after(sweepMargin); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("during an outage: %v", err)
	}
	y.model.down.Store(false)
	if err := y.after(time.Second); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*view.View{view.Products, view.Orders} {
		if now := y.registry(v); now.At != bad.Position {
			t.Errorf("view %s is verified up to %s, want %s", v.Name, now.At, bad.Position)
		}
	}
	parked, err := y.model.ParkedIn(t.Context(), y.registry(view.Products).Live)
	if err != nil || len(parked) != 1 || parked[0].Stream != bad.Stream || parked[0].Type != bad.Type {
		t.Errorf("parked: %+v, %v", parked, err)
	}
}

// TestSweepEmptyLog: there is nothing to verify in a new shop.
func TestSweepEmptyLog(t *testing.T) {
	y := newYard(t, &history.History{})
	if err := errors.Join(y.after(0), y.after(time.Hour)); err != nil {
		t.Error(err)
	}
}

// TestElected: of several one runs, and another takes over when it stops.
func TestElected(t *testing.T) {
	url := servers.MiniRedis(t)
	var running, most, terms atomic.Int64
	start := func() (stop func()) {
		s := New(nil, newFaultyModel(openModel(t, url)), nil, nil, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			err := s.elected(ctx, "loop", "loop", func(ctx context.Context) error {
				terms.Add(1)
				most.Store(max(most.Load(), running.Add(1)))
				<-ctx.Done()
				running.Add(-1)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}()
		return func() { cancel(); <-done }
	}
	first := start()
	servers.Eventually(t, "one is elected", func() bool { return running.Load() == 1 })
	second := start()
	first()
	servers.Eventually(t, "another is elected", func() bool { return terms.Load() == 2 })
	second()
	if most.Load() != 1 || running.Load() != 0 {
		t.Errorf("%d ran at once, %d still run", most.Load(), running.Load())
	}
}

// seat is a Model that knows leases only, by the clock of a bubble.
type seat struct {
	Model
	mu     sync.Mutex
	holder string
	until  time.Time
}

func (s *seat) Lease(_ context.Context, _, token string, term time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token != s.holder && time.Now().Before(s.until) {
		return false, nil
	}
	s.holder, s.until = token, time.Now().Add(term)
	return true, nil
}

func (s *seat) Release(_ context.Context, _, token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token == s.holder {
		s.until = time.Time{}
	}
	return nil
}

// TestElectedStays: who is elected keeps the seat, however many terms it would last, while another stands for it.
func TestElectedStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := &seat{}
		var terms atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		var candidates sync.WaitGroup
		for range 2 {
			s := New(nil, model, nil, nil, Config{})
			candidates.Go(func() {
				if err := s.elected(ctx, "loop", "loop", func(ctx context.Context) error {
					terms.Add(1)
					<-ctx.Done()
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(10 * electionTerm)
		synctest.Wait()
		if n := terms.Load(); n != 1 {
			t.Errorf("%d terms", n)
		}
		cancel()
		candidates.Wait()
	})
}

// TestSweepUnparks: what other code has parked, and this code lands, is parked no longer; what has not landed stays parked.
func TestSweepUnparks(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	y := newYard(t, history.Random(t, r, 60))
	if err := y.after(0); err != nil {
		t.Fatal(err)
	}
	start := y.log.Len()
	y.log.Grow(t, r, 40)
	g := y.registry(view.Orders).Live
	var first event.Recorded // new of a stream that the view knows already
	for _, e := range y.log.Events()[start:] {
		if _, ok := view.Orders.Source(e.Stream); ok && e.Revision > 0 && first.Type == "" {
			first = e
		}
	}
	sweep := func() []row.Parked {
		t.Helper()
		if err := errors.Join(y.after(time.Second), y.after(sweepMargin)); err != nil {
			t.Fatal(err)
		}
		parked, err := y.model.store.ParkedIn(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		return parked
	}
	if err := y.model.store.Park(t.Context(), g, []row.Parked{{Stream: first.Stream, Revision: first.Revision, Reason: "an older release cannot read it"}}); err != nil {
		t.Fatal(err)
	}
	if parked := sweep(); len(parked) != 0 {
		t.Errorf("parked: %+v", parked)
	}
	y.log.AddRaw(first.Stream, "nobody can read.v1", []byte("{}"))
	if parked := sweep(); len(parked) != 1 || parked[0].Revision != y.log.Last(first.Stream) {
		t.Errorf("parked: %+v", parked)
	}
}
