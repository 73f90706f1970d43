package projector

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"jangbu/domain/event"
	"jangbu/query/view"
	"jangbu/test/folded"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// fakeStore is a history with all that a projector needs of an event store.
type fakeStore struct {
	*history.History
	*fakeFeed
}

func (s fakeStore) Last(ctx context.Context, stream string) (event.Recorded, error) {
	return s.fakeFeed.Last(ctx, stream)
}

func (s fakeStore) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error) {
	return s.fakeFeed.Append(ctx, stream, expected, events)
}

func (s fakeStore) Head(ctx context.Context) (event.Recorded, error) { return s.History.Head(ctx) }

// refusingStore is a store of which the log may not be readable.
type refusingStore struct {
	fakeStore
	p *plant
}

func (s refusingStore) ReadAll(ctx context.Context, after event.Position) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		s.p.mu.Lock()
		readAll := s.p.readAll
		s.p.mu.Unlock()
		if readAll != nil {
			if err := readAll(); err != nil {
				yield(event.Recorded{}, err)
				return
			}
		}
		s.fakeStore.ReadAll(ctx, after)(yield)
	}
}

// plant is a whole projector between fakes, over a miniredis.
type plant struct {
	*testing.T
	log    *history.History
	feed   *fakeFeed
	pub    *fakePublisher
	model  faultyModel
	queues map[string]*fakeQueue

	views      []*view.View // nil: as they are
	autoReplay bool
	pause      time.Duration
	readAll    func() error // says why the log cannot be read; nil: it can. Under mu once it runs

	mu      sync.Mutex
	reports map[string]error
}

func newPlant(t *testing.T, log *history.History, url string) *plant {
	p := &plant{
		T: t, log: log, feed: newFakeFeed(log, rand.Uint64()), pub: newFakePublisher(rand.Uint64()),
		model: newFaultyModel(openModel(t, url)), queues: map[string]*fakeQueue{}, reports: map[string]error{},
	}
	for _, v := range view.All() {
		p.queues[v.Name] = newFakeQueue(rand.Uint64())
	}
	p.pub.deliver = func(events ...event.Recorded) {
		for _, e := range events {
			for _, v := range view.All() {
				if _, ok := v.Source(e.Stream); ok {
					p.queues[v.Name].sendEvents(e)
				}
			}
		}
	}
	return p
}

func (p *plant) run(provision func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(p.Context())
	s := New(refusingStore{fakeStore{p.log, p.feed}, p}, p.model, p.pub, func(view string) Queue { return p.queues[view] }, Config{
		Topic: "test", Provision: provision, Builder: p.model.builder,
		Logger: slog.New(slog.DiscardHandler), Views: p.views, AutoReplay: p.autoReplay,
		Report: func(loop string, err error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.reports[loop] = err
		},
	})
	s.pause = p.pause
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			p.Errorf("service: %v", err)
		}
	}()
	return func() { cancel(); <-done }
}

func (p *plant) report(loop string) (error, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	err, ok := p.reports[loop]
	return err, ok
}

// landed waits until every stream has landed in every view's live generation.
func (p *plant) landed() {
	p.Helper()
	servers.Eventually(p, "everything has landed", func() bool {
		for _, v := range view.All() {
			registry, err := p.model.store.Registry(p.Context(), v.Name)
			if err != nil || registry.Live.Number == 0 || p.queues[v.Name].left() > 0 {
				return false
			}
			for _, e := range p.log.Events() {
				if _, ok := v.Source(e.Stream); !ok || e.Revision < p.log.Last(e.Stream) {
					continue
				}
				if at, err := p.model.store.Landed(p.Context(), registry.Live, []string{e.Stream}); err != nil || at[0] < e.Revision {
					return false
				}
			}
		}
		return true
	})
}

func (p *plant) check() {
	p.Helper()
	for _, v := range view.All() {
		registry, err := p.model.store.Registry(p.Context(), v.Name)
		if err != nil {
			p.Fatal(err)
		}
		folded.Want(p, p.model.store, v, registry.Live, p.log.Events())
	}
}

// TestServiceWhole: a new shop is built, what happens in it lands, and the loops report that they are well.
func TestServiceWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	p := newPlant(t, history.Random(t, r, 60), servers.MiniRedis(t))
	p.pub.refuses, p.feed.interrupts = 50, 20
	stop := p.run(nil)
	defer stop()
	for range 20 {
		p.log.Grow(t, r, 5)
		p.feed.wake()
	}
	p.landed()
	p.check()
	p.feed.mu.Lock()
	p.feed.interrupts = 0
	p.feed.mu.Unlock()
	p.log.Grow(t, r, 1)
	p.feed.wake()
	p.well("publish")
}

// well waits until every loop, and some more, has reported that it is well.
func (p *plant) well(more ...string) {
	p.Helper()
	loops := append(more, "relay", "sweep", "generations")
	for _, v := range view.All() {
		loops = append(loops, "queue "+v.Name, "view "+v.Name)
	}
	for _, loop := range loops {
		servers.Eventually(p, loop+" is well", func() bool { err, ok := p.report(loop); return ok && err == nil })
	}
}

// TestServicesSideBySide: whichever of two is elected, both report that every loop is well; and when one ends the other does
// its work.
func TestServicesSideBySide(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	url := servers.MiniRedis(t)
	one := newPlant(t, history.Random(t, r, 60), url)
	other := newPlant(t, one.log, url)
	other.queues = one.queues
	stopOne := one.run(nil)
	one.well()
	defer other.run(nil)()
	other.well()
	stopOne()
	other.log.Grow(t, r, 30)
	other.feed.wake()
	other.landed()
	other.check()
	other.well()
}

// TestServiceUnseated: an error at which a term ended is not reported for ever by a process that another has taken over from.
func TestServiceUnseated(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	redis := miniredis.RunT(t)
	p := newPlant(t, history.Random(t, r, 60), "redis://"+redis.Addr())
	defer p.run(nil)()
	p.well()
	p.pub.set(func() { p.pub.down = true })
	p.log.Grow(t, r, 1)
	p.feed.wake()
	servers.Eventually(t, "publishing fails", func() bool { err, _ := p.report("publish"); return err != nil })
	servers.Eventually(t, "another is elected", func() bool {
		redis.Del("jangbu:{lease}:relay")
		held, err := p.model.Lease(t.Context(), "relay", "another", 2*electionTerm)
		return err == nil && held
	})
	p.well("publish")
}

// TestServiceProvisions: what the bus lacks is created at the start, as often as it takes, and again when a queue is
// missed.
func TestServiceProvisions(t *testing.T) {
	p := newPlant(t, &history.History{}, servers.MiniRedis(t))
	var calls atomic.Int64
	failing := errors.New("no such endpoint")
	stop := p.run(func(context.Context) error {
		if calls.Add(1) < 3 {
			return failing
		}
		return nil
	})
	defer stop()
	servers.Eventually(t, "provisioning succeeds", func() bool {
		err, ok := p.report("provision")
		return ok && err == nil && calls.Load() == 3
	})
	q := p.queues[view.Orders.Name]
	q.mu.Lock()
	q.gone = true
	q.mu.Unlock()
	q.comeBack() // wakes a receiver
	servers.Eventually(t, "a missed queue is provisioned", func() bool { return calls.Load() > 3 })
	q.mu.Lock()
	q.gone = false
	q.mu.Unlock()
	p.well()
	p.pub.set(func() { p.pub.gone = true })
	before := calls.Load()
	p.log.Grow(t, rand.New(rand.NewPCG(7, 8)), 20)
	p.feed.wake()
	servers.Eventually(t, "a missed topic is provisioned", func() bool { return calls.Load() > before })
}

// TestServiceProvisionsNowAndThen: a queue that stays missing, be it that it is not seen yet, is not created over and over.
func TestServiceProvisionsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		s := New(nil, nil, nil, nil, Config{Provision: func(context.Context) error { calls.Add(1); return nil }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.provision(ctx) }()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // of the bubble's clock
			s.provisioning.Ask()
		}
		if n := calls.Load(); n < 2 || n > int64(time.Minute/provisionPause)+1 {
			t.Errorf("in a minute it is created %d times", n)
		}
		time.Sleep(time.Hour)
		before := calls.Load()
		s.provisioning.Ask()
		synctest.Wait()
		if n := calls.Load() - before; n != 1 {
			t.Errorf("what is missed later is created %d times at once", n)
		}
		cancel()
		<-done
	})
}

// TestServiceRebuilds: a Redis that loses everything, even again and again, is filled anew from the log.
func TestServiceRebuilds(t *testing.T) {
	history.Seeds(t, 2, func(t *testing.T, r *rand.Rand) {
		redis := miniredis.RunT(t)
		p := newPlant(t, history.Random(t, r, 60), "redis://"+redis.Addr())
		stop := p.run(nil)
		defer stop()
		p.landed()
		for range 3 {
			p.log.Grow(t, r, 30)
			p.feed.wake()
			if r.IntN(2) == 0 {
				p.landed()
			}
			redis.FlushAll()
			p.landed()
			p.check()
		}
	})
}

// TestServiceSaysWhyABuildFails: what no waiting cures is said, for as long as it lasts.
func TestServiceSaysWhyABuildFails(t *testing.T) {
	p := newPlant(t, history.Random(t, rand.New(rand.NewPCG(7, 8)), 60), servers.MiniRedis(t))
	forbidden := errors.New("the user may not read $all")
	var refused atomic.Int64
	p.readAll = func() error { refused.Add(1); return forbidden }
	defer p.run(nil)()
	servers.Eventually(t, "it is tried again", func() bool { return refused.Load() > 1 })
	for range 100 {
		if err, _ := p.report("generations"); !errors.Is(err, forbidden) {
			t.Fatalf("generations reports %v", err)
		}
	}
	p.mu.Lock()
	p.readAll = nil
	p.mu.Unlock()
	p.landed()
	p.check()
	p.well()
}

// TestServiceStartsAlone: a projector may come up before anything it needs.
func TestServiceStartsAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	addr := "127.0.0.1:" + servers.Port(t)
	p := newPlant(t, history.Random(t, r, 30), "redis://"+addr)
	p.feed.setDown(true)
	stop := p.run(nil)
	defer stop()
	servers.Eventually(t, "it says what is away", func() bool { err, _ := p.report("generations"); return errors.Is(err, event.ErrUnavailable) })
	redis := miniredis.NewMiniRedis()
	if err := redis.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	defer redis.Close()
	p.feed.setDown(false)
	p.landed()
	p.check()
}

// TestServiceGoesOnFromABackup: a Redis that comes back as it was at its last snapshot, some events and a switch ago, gets what it
// has forgotten by itself.
func TestServiceGoesOnFromABackup(t *testing.T) {
	for _, replayed := range []bool{false, true} {
		t.Run(fmt.Sprintf("replayed meanwhile %t", replayed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(7, 8))
			redis := servers.StartRedis(t)
			p := newPlant(t, history.Random(t, r, 60), redis.URL())
			defer p.run(nil)()
			p.landed()
			client := redis.Client()
			defer client.Close()
			for range 3 {
				if err := client.Save(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				if p.log.Grow(t, r, 30); r.IntN(2) == 0 { // else nobody hears of them but the sweep
					p.feed.wake()
				}
				p.landed()
				if replayed {
					if _, err := newReplay(p.model.store, p.log).Run(t.Context(), view.All()); err != nil {
						t.Fatal(err)
					}
				}
				redis.Kill()
				redis.Start()
				p.landed()
				p.check()
			}
		})
	}
}
