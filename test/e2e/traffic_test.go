package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"jangbu/domain/order"
	"jangbu/test/history"
	"jangbu/test/servers"
	"jangbu/test/shopgen"
)

// seedOf is JANGBU_TEST_SEED, or a random seed, that the test's log tells.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed, fixed := history.Seed()
	if !fixed {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	return seed
}

// fill appends a made-up shop to the log. Its orders are manual, or fulfilment would take steps of theirs before they are
// appended.
func (s *shop) fill(t *testing.T, cfg shopgen.Config) {
	t.Helper()
	manual := func(yield func(shopgen.Append) bool) {
		for a := range shopgen.Appends(cfg) {
			for i, e := range a.Events {
				if decoded, err := order.Codec.Decode(e.Type, e.Data); err == nil {
					if placed, ok := decoded.(order.Placed); ok {
						placed.Manual = true
						a.Events[i].Data, _ = json.Marshal(placed) // it has just been read
					}
				}
			}
			if !yield(a) {
				return
			}
		}
	}
	if _, err := shopgen.Fill(t.Context(), s.store, manual, 32); err != nil {
		t.Fatal(err)
	}
}

// loop is work that goes on beside a test until it is ended.
type loop struct {
	stop  context.CancelFunc
	group errgroup.Group
	count atomic.Int64
}

// repeat does something again and again, in four goroutines, until end or its first error. It is done so often a second at most, which
// leaves a small machine time for what the test is about.
func repeat(perSecond rate.Limit, do func() error) *loop {
	ctx, stop := context.WithCancel(context.Background())
	l := &loop{stop: stop}
	pace := rate.NewLimiter(perSecond, 1)
	for range 4 {
		l.group.Go(func() error {
			for pace.Wait(ctx) == nil {
				if err := do(); err != nil {
					return err
				}
				l.count.Add(1)
			}
			return nil
		})
	}
	return l
}

// end ends the loop, and returns how often it came round without an error.
func (l *loop) end(t *testing.T) int64 {
	t.Helper()
	l.stop()
	if err := l.group.Wait(); err != nil {
		t.Error(err)
	}
	return l.count.Load()
}

// readers read what is expected, over and over, in no order, and give each answer to check.
func (s *shop) readers(want expectation, check func(path, body string, err error) error) *loop {
	paths := slices.Sorted(maps.Keys(want))
	return repeat(100, func() error {
		path := paths[rand.IntN(len(paths))]
		body, err := s.read(path)
		return check(path, body, err)
	})
}

// unchanged is the check that nothing but the expected body is ever answered.
func unchanged(want expectation) func(path, body string, err error) error {
	return func(path, body string, err error) error {
		if err == nil && body != want[path] {
			err = fmt.Errorf("GET %s\n got %s\nwant %s", path, body, want[path])
		}
		return err
	}
}

// served is the check that something is always answered.
func served(_, _ string, err error) error { return err }

// writers POST commands over and over: members that are registered and renamed, and orders that are placed, shipped and
// cancelled. Most orders are those of a member whom some 200 share, so that a rename changes many, but never ever more. While a
// service is away a command is repeated with its key, as a client does that wants it done.
type writers struct {
	*loop
	mu     sync.Mutex
	orders []string
}

func (s *shop) writers(t *testing.T, prefix string) *writers {
	t.Helper()
	s.post(t, "/products", fmt.Sprintf(`{"id":"%s-pen","name":"Pen","category":"Pens","price":250,"currency":"USD"}`, prefix)).done(t)
	s.post(t, "/members", fmt.Sprintf(`{"id":"%s-0","name":"Nobody yet","country":"Norway"}`, prefix)).done(t)
	w := &writers{}
	var n atomic.Int64
	w.loop = repeat(25, func() error {
		i := n.Add(1)
		id := fmt.Sprintf("%s-%d", prefix, i)
		who := fmt.Sprintf("%s-%d", prefix, max(0, i/200-1)*200) // registered long ago
		if i%5 == 0 {
			who = id
			if err := s.insist("/members", fmt.Sprintf(`{"id":%q,"name":"Member %d","country":"Norway"}`, id, i), id+"m"); err != nil {
				return err
			}
		}
		order := fmt.Sprintf(`{"id":%q,"member_id":%q,"manual":true,"lines":[{"product_id":"%s-pen","quantity":%d}]}`, id, who, prefix, 1+i%9)
		if err := s.insist("/orders", order, id+"o"); err != nil {
			return err
		}
		w.mu.Lock()
		w.orders = append(w.orders, id)
		w.mu.Unlock()
		switch i % 4 {
		case 0:
			return s.insist("/orders/"+id+"/cancel", `{"reason":"changed their mind"}`, id+"c")
		case 1:
			return s.insist("/members/"+who+"/rename", fmt.Sprintf(`{"name":"Renamed %d"}`, i), id+"r")
		default:
			return s.insist("/orders/"+id+"/ship", `{"carrier":"Post"}`, id+"s")
		}
	})
	return w
}

// insist is postUntilDone without the answer.
func (s *shop) insist(path, body, key string) error {
	_, err := s.postUntilDone(path, body, key)
	return err
}

// postUntilDone posts a command until it is answered, for a minute, and requires success.
func (s *shop) postUntilDone(path, body, key string) (answer, error) {
	deadline := time.After(time.Minute)
	between := time.NewTicker(5 * time.Millisecond)
	defer between.Stop()
	for {
		a, err := tryRequest(http.MethodPost, s.command+path, body, "Idempotency-Key: "+key)
		switch {
		case err == nil && (a.status == http.StatusOK || a.status == http.StatusCreated):
			return a, nil
		case err == nil && a.status != http.StatusServiceUnavailable:
			return a, fmt.Errorf("POST %s: %s", path, a)
		}
		select {
		case <-between.C:
		case <-deadline:
			return a, fmt.Errorf("POST %s: %s, %w", path, a, err)
		}
	}
}

// awaitCount waits until a loop has come round that often.
func (l *loop) awaitCount(t *testing.T, n int64) {
	t.Helper()
	servers.Until(t, fmt.Sprintf("%d rounds of background work", n), func() error {
		if have := l.count.Load(); have < n {
			return fmt.Errorf("%d rounds", have)
		}
		return nil
	})
}

var errNotYet = errors.New("not yet")
