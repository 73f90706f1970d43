package projector

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"jangbu/domain/order"
	"jangbu/infra/backoff"
	"jangbu/query/view"
	"jangbu/test/servers"
)

// TestNoDriftUnderTraffic: while consumers land event upon event in documents that add up all of them, an audit finds no
// drift, nor does a sample, and a rollback ends with all there is.
func TestNoDriftUnderTraffic(t *testing.T) {
	for _, redis := range servers.Redises() {
		t.Run(redis.Name, func(t *testing.T) {
			s := newShop(t, redis.Start(t), rand.New(rand.NewPCG(3, 3)))
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var running sync.WaitGroup
			s.consume(ctx, &running)
			s.whole(replayOf(view.All()))
			s.whole(replayOf(view.All()))
			selling, closed := context.WithCancel(ctx)
			defer closed()
			running.Go(func() { s.sell(selling) })
			replay := func() *Replay {
				return NewReplay(s.store, s.log, ReplayConfig{Builder: func() Builder { return s.store.NewBuilder() }})
			}
			for range 3 {
				before := s.log.Len()
				result, err := replay().Audit(ctx, view.Sales, false)
				if err != nil || result.Verified == 0 {
					t.Fatalf("audit: %+v, %v", result, err)
				}
				if _, err = replay().Sample(ctx, view.Sales, 5); err != nil {
					t.Fatalf("sample: %v", err)
				}
				if _, err := replay().Rollback(ctx, view.Sales); err != nil {
					t.Fatalf("rollback: %v", err)
				}
				if s.log.Len() == before {
					t.Fatal("there was no traffic")
				}
			}
			closed()
			s.settled()
			s.check()
			stop()
			running.Wait()
		})
	}
}

// sell places orders until ctx ends, as fast as consumers take them.
func (s *shop) sell(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		stream := order.Stream(fmt.Sprint("sold-", i))
		s.writing.Lock()
		s.log.Add(s, stream, order.Placed{MemberID: "M0", Currency: "USD", PlacedOn: "2026-01-02"})
		for _, v := range view.All() {
			if _, ok := v.Source(stream); ok {
				s.queues[v.Name].sendEvents(s.log.Stream(stream)...)
			}
		}
		s.writing.Unlock()
		for s.queues[view.Sales.Name].holds(stream) && i%4 == 0 && ctx.Err() == nil {
			_ = backoff.Sleep(ctx, time.Millisecond)
		}
	}
}

// restless lets the time of a replay pass as it sleeps, in steps of a second; in each, something else happens.
func (s *site) restless(happens func(step int)) *Replay {
	r := s.newReplay(ReplayConfig{})
	now, step := time.Unix(0, 0), 0
	r.now = func() time.Time { return now }
	r.sleep = func(context.Context, time.Duration) error {
		now = now.Add(time.Second)
		happens(step)
		step++
		return nil
	}
	return r
}

// TestDriftUnderRestlessTraffic: in a log that never rests, a document that differs and stands still is drift, and one that
// differs otherwise at each look is let go, and the result says so.
func TestDriftUnderRestlessTraffic(t *testing.T) {
	s := newSite(t, 60)
	s.views = s.views[:1]
	s.again(s.log)
	key := s.key(view.Orders, "j", "")
	right := s.raw().Get(t.Context(), key).Val()
	write := func(body string) { s.must(s.raw().Set(t.Context(), key, body, 0).Err()) }
	sell := func() {
		s.log.Add(t, order.Stream(fmt.Sprint("sold-", s.log.Len())), order.Placed{MemberID: "M0", Currency: "USD", PlacedOn: "2026-01-02"})
	}
	write("{}")
	_, err := s.restless(func(int) { sell() }).Audit(t.Context(), view.Orders, false)
	s.wantDrift(err, view.Orders, documentOf(key))
	_, err = s.restless(func(int) { sell() }).Sample(t.Context(), view.Orders, 1000)
	s.wantDrift(err, view.Orders, documentOf(key))

	moving := func(step int) {
		sell()
		write(fmt.Sprintf(`{"step":%d}`, step))
	}
	for _, most := range []int{1, maxSuspects} { // suspects settled while walking, where both walks meet it, and after
		r := s.restless(moving)
		r.maxSuspects = most
		result, err := r.Audit(t.Context(), view.Orders, false)
		if err != nil || !strings.Contains(result.Unverified, "changed all the time: 1;") {
			t.Errorf("settled from %d on: %+v, %v", most, result, err)
		}
	}
	result, err := s.restless(moving).Sample(t.Context(), view.Orders, 1000)
	if err != nil || !strings.Contains(result.Unverified, "all the time: 1 were left out") {
		t.Errorf("sample: %+v, %v", result, err)
	}
	write(right)
	s.again(s.log)
	s.check()
}
