package projector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/folded"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// faultyLog is a log over a link that fails between any two events.
type faultyLog struct {
	log    Log
	faults *faults
}

func (l faultyLog) Head(ctx context.Context) (event.Recorded, error) {
	return through(l.faults, func() (event.Recorded, error) { return l.log.Head(ctx) })
}

func (l faultyLog) ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	return l.interrupted(l.log.ReadStream(ctx, stream, from))
}

func (l faultyLog) ReadAll(ctx context.Context, after event.Position) iter.Seq2[event.Recorded, error] {
	return l.interrupted(l.log.ReadAll(ctx, after))
}

func (l faultyLog) interrupted(events iter.Seq2[event.Recorded, error]) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		for e, err := range events {
			if failed, _ := l.faults.before(); failed != nil {
				yield(event.Recorded{}, failed)
				return
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// shop is a log that grows while consumers land it, from queues that misbehave, over links that fail.
type shop struct {
	*testing.T
	log    *history.History
	store  *readmodel.Store
	open   func(readmodel.Config) *readmodel.Store // of the same keys
	link   *faults                                 // between the consumers and everything
	queues map[string]*fakeQueue

	writing sync.Mutex    // an event is recorded and published as one
	pace    chan struct{} // fed by the calls of replays, so that the log grows while they work
}

func newShop(t *testing.T, url string, r *rand.Rand) *shop {
	namespace := fmt.Sprint("shop-", r.Uint64())
	s := &shop{T: t, log: history.Random(t, r, 60), link: &faults{}, queues: map[string]*fakeQueue{}, pace: make(chan struct{}, 1)}
	s.open = func(cfg readmodel.Config) *readmodel.Store {
		cfg.Namespace = namespace
		m, err := readmodel.Open(url, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		return m
	}
	s.log.Add(t, order.Stream("kept"), order.Placed{MemberID: "M0", Currency: "USD", PlacedOn: "2026-01-01"}) // or no order may have been sold
	s.store = s.open(readmodel.Config{})
	for _, v := range view.All() {
		q := newFakeQueue(r.Uint64())
		q.duplicates, q.receiveFails, q.deleteFails = 100, 10, 30
		s.queues[v.Name] = q
	}
	for _, e := range s.log.Events() {
		s.publish(r, e)
	}
	return s
}

// publish sends an event to the queues of the views it feeds, sometimes without its data.
func (s *shop) publish(r *rand.Rand, e event.Recorded) {
	for _, v := range view.All() {
		if _, ok := v.Source(e.Stream); !ok {
			continue
		}
		d := event.Delivery{Event: e, Hollow: r.IntN(10) == 0}
		if d.Hollow {
			d.Event.Data, d.Event.Metadata = nil, nil
		}
		s.queues[v.Name].send(d)
	}
}

// consume runs consumers until ctx ends.
func (s *shop) consume(ctx context.Context, running *sync.WaitGroup) {
	model := newFaultyModel(s.store)
	model.faults = s.link
	for _, v := range view.All() {
		c := &consumer{
			view: v, queue: s.queues[v.Name], model: model, log: faultyLog{s.log, s.link}, logger: slog.New(slog.DiscardHandler),
			report: func(string, error) {}, missing: func() {}, visibility: time.Minute,
		}
		running.Go(func() {
			if err := c.Run(ctx, 3); err != nil {
				s.Error(err)
			}
		})
	}
}

// work is what a Replay may be for.
type work func(context.Context, *Replay) error

// replay replays some views, or audits or rolls back one, as luck has it: whole, interrupted, killed, or two at once.
func (s *shop) replay(r *rand.Rand) {
	do := s.work(r)
	switch r.IntN(5) {
	case 0:
		s.whole(do)
	case 1:
		s.interrupted(do, 1+r.Int64N(500))
	case 2, 3:
		for range 1 + r.IntN(3) { // whoever resumes may be killed in turn
			s.killed(do, 1+r.Int64N(500))
		}
	case 4:
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if err := do(s.Context(), s.newReplay(newFaultyModel(s.store))); err != nil && !errors.Is(err, row.ErrBusy) {
					s.Errorf("one of two replays at once: %v", err)
				}
			})
		}
		both.Wait()
	}
}

func (s *shop) work(r *rand.Rand) work {
	v := view.All()[r.IntN(len(view.All()))]
	switch r.IntN(4) {
	case 0:
		return func(ctx context.Context, replay *Replay) error {
			_, err := replay.Audit(ctx, v, true)
			return err
		}
	case 1:
		return func(ctx context.Context, replay *Replay) error {
			_, err := replay.Rollback(ctx, v)
			if errors.Is(err, row.ErrNoPrevious) {
				return nil
			}
			return err
		}
	}
	views := []*view.View{v}
	for _, other := range view.All() {
		if other != v && r.IntN(3) > 0 {
			views = append(views, other)
		}
	}
	return replayOf(views)
}

// replayOf replays views, and demands that each was verified, unless there was nothing to verify it with.
func replayOf(views []*view.View) work {
	return func(ctx context.Context, replay *Replay) error {
		results, err := replay.Run(ctx, views)
		for _, r := range results {
			if err == nil && (!r.Switched || r.Unverified == "" && r.Verified == 0) {
				return fmt.Errorf("a replay that was not verified: %+v", r)
			}
		}
		return err
	}
}

func (s *shop) newReplay(model faultyModel) *Replay {
	model.outages.Store(5)
	told := model.atCall
	model.atCall = func(n int64) {
		if n%8 == 0 {
			select {
			case s.pace <- struct{}{}:
			default:
			}
		}
		if told != nil {
			told(n)
		}
	}
	model.onSwitch = s.busyUntil
	log := &faults{}
	log.outages.Store(2)
	replay := NewReplay(model, faultyLog{s.log, log}, ReplayConfig{Builder: model.builder, Patience: time.Minute})
	replay.chunkEvents, replay.room.hold = 1+rand.IntN(50), rand.IntN(30)       // so that there is something to resume, to hold back,
	replay.cacheStates, replay.room.remember = 1+rand.IntN(20), 1+rand.IntN(20) // and to forget
	return replay
}

// busyUntil makes an order right before a switch, and waits until consumers are done with it: the new generation must
// have it, although the replay has read the log to its end before.
func (s *shop) busyUntil(g row.Generation) {
	id := fmt.Sprint("last-before-", g, "-", rand.Uint64())
	s.writing.Lock()
	s.log.Add(s, order.Stream(id), order.Placed{MemberID: "M0", Currency: "USD", PlacedOn: "2026-01-02"})
	e := s.log.Stream(order.Stream(id))[0]
	for _, v := range view.All() {
		if _, ok := v.Source(e.Stream); ok {
			s.queues[v.Name].sendEvents(e)
		}
	}
	s.writing.Unlock()
	servers.Eventually(s, "the last order before the switch is consumed", func() bool { return !s.queues[g.View].holds(e.Stream) })
}

// whole works to the end; a lease that a killed replay has left behind ends soon.
func (s *shop) whole(do work) {
	s.Helper()
	for {
		err := do(s.Context(), s.newReplay(newFaultyModel(s.store)))
		if err == nil {
			return
		}
		if !errors.Is(err, row.ErrBusy) {
			s.Fatalf("replay: %v", err)
		}
	}
}

func (s *shop) interrupted(do work, atCall int64) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	model := newFaultyModel(s.store)
	model.atCall = func(n int64) {
		if n == atCall {
			cancel()
		}
	}
	err := do(ctx, s.newReplay(model))
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, row.ErrBusy) && ctx.Err() == nil {
		s.Errorf("interrupted replay: %v", err)
	}
}

func (s *shop) killed(do work, afterCalls int64) {
	s.Helper()
	model := newFaultyModel(s.open(readmodel.Config{Lease: time.Millisecond}))
	model.killAfter = afterCalls
	err := do(s.Context(), s.newReplay(model))
	if err != nil && !errors.Is(err, errKilled) && !errors.Is(err, row.ErrBusy) {
		s.Errorf("killed replay: %v", err)
	}
}

// watch reads orders over and over, as clients would, and demands that none ever goes back to an earlier revision.
func (s *shop) watch(ctx context.Context) {
	seen := map[string]int64{}
	for i := 0; ctx.Err() == nil; i++ {
		id := fmt.Sprint("O", i%60)
		g, err := s.store.Live(s.Context(), view.Orders.Name, true)
		if err != nil || g.Number == 0 {
			continue
		}
		body, err := s.store.Document(s.Context(), g, id)
		if err != nil {
			s.Error(err)
			return
		}
		revision := int64(event.NoStream)
		if body != nil {
			var d struct{ Revision int64 }
			if err := json.Unmarshal(body, &d); err != nil {
				s.Errorf("order %s is %q: %v", id, body, err)
			}
			revision = d.Revision
		}
		if revision < seen[id]-1 {
			s.Errorf("order %s was seen at revision %d, and then at %d in %s", id, seen[id]-1, revision, g)
		}
		seen[id] = max(seen[id], revision+1)
	}
}

// settled waits until everything that was published has landed.
func (s *shop) settled() {
	s.Helper()
	servers.Eventually(s, "the queues run empty", func() bool {
		for _, q := range s.queues {
			if q.left() > 0 {
				return false
			}
		}
		return true
	})
}

// check compares the live generation of every view with the fold of the log.
func (s *shop) check() {
	s.Helper()
	for _, v := range view.All() {
		registry, err := s.store.Registry(s.Context(), v.Name)
		if err != nil || registry.Live.Number == 0 {
			s.Fatalf("registry of %s: %+v, %v", v.Name, registry, err)
		}
		folded.Want(s, s.store, v, registry.Live, s.log.Events())
	}
}

// TestReplaysWhileTheShopIsOpen is the heart of the read side: whatever happens to consumers and replays that work at
// the same time, every view ends equal to the fold of the log, and no query ever sees the past.
func TestReplaysWhileTheShopIsOpen(t *testing.T) {
	for _, redis := range servers.Redises() {
		t.Run(redis.Name, func(t *testing.T) {
			url := redis.Start(t)
			history.Seeds(t, 1, func(t *testing.T, r *rand.Rand) {
				s := newShop(t, url, r)
				s.link.outages.Store(5)
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				var running sync.WaitGroup
				s.consume(ctx, &running)
				s.whole(replayOf(view.All()))
				running.Go(func() { s.watch(ctx) })

				grown := make(chan struct{})
				feed := rand.New(rand.NewPCG(r.Uint64(), 0))
				go func() {
					defer close(grown)
					for range 150 {
						<-s.pace
						s.writing.Lock()
						s.log.Grow(t, feed, 1)
						events := s.log.Events()
						s.publish(feed, events[len(events)-1])
						s.writing.Unlock()
					}
				}()
				for range 8 {
					s.replay(r)
				}
				close(s.pace)
				<-grown
				s.settled()
				s.check()
				s.pace = make(chan struct{}, 1)
				s.whole(replayOf(view.All()))
				s.settled()
				s.check()
				stop()
				running.Wait()
			})
		})
	}
}
