package projector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"jangbu/query/row"
	"jangbu/query/view"
)

// raw is the Redis under a site's read model.
func (s *site) raw() *goredis.Client {
	options, err := goredis.ParseURL(s.url)
	if err != nil {
		s.Fatal(err)
	}
	client := goredis.NewClient(options)
	s.Cleanup(func() { client.Close() })
	return client
}

// key finds the key of a kind that a document has in a view's live generation; "" for any document.
func (s *site) key(v *view.View, kind, doc string) string {
	s.Helper()
	live := s.registry(v).Live
	pattern := fmt.Sprintf("*{%s.%d-%s.*}:%s:%s", v.Name, live.Number, live.Salt, kind, doc)
	if doc == "" {
		pattern += "[^~/]*" // no shared part, nor what is about more than one thing
	}
	keys, err := s.raw().Keys(s.Context(), pattern).Result()
	if err != nil || len(keys) == 0 {
		s.Fatalf("no key matches %s (%v)", pattern, err)
	}
	return slices.Min(keys)
}

func documentOf(key string) string {
	_, doc, _ := strings.Cut(key, "}:")
	return doc[2:]
}

// corruptions are what no rule can mend, of a document or a list, each told by the name of the document.
var corruptions = map[string]struct {
	view    *view.View
	corrupt func(*site) (doc string)
	sampled bool // a sample can see it
}{
	"a document is changed": {view.Orders, func(s *site) string {
		key := s.key(view.Orders, "j", "")
		s.must(s.raw().Set(s.Context(), key, `{"id":"corrupt"}`, 0).Err())
		return documentOf(key)
	}, true},
	"a document is missing": {view.Orders, func(s *site) string {
		key := s.key(view.Orders, "j", "")
		s.must(s.raw().Del(s.Context(), key).Err())
		return documentOf(key)
	}, false},
	"a document is a ghost": {view.Orders, func(s *site) string {
		live := s.registry(view.Orders).Live
		rows := []row.Sourced{{Source: "order-ghost", Row: &row.Row{Part: row.PartOf("boo")}}}
		docs, err := s.store.Land(s.Context(), live, []row.Landing{{Doc: "ghost", Compose: true, Rows: rows}})
		s.must(err)
		_, err = s.store.Compose(s.Context(), live, docs, [][]byte{[]byte("{}")})
		s.must(err)
		return "ghost"
	}, true},
	"an item is changed": {view.OrderLists, func(s *site) string {
		key := s.key(view.OrderLists, "z", "")
		member, err := s.raw().ZRange(s.Context(), key, 0, 0).Result()
		s.must(err)
		s.must(s.raw().ZRem(s.Context(), key, member[0]).Err())
		s.must(s.raw().ZAdd(s.Context(), key, goredis.Z{Member: strings.Replace(member[0], `"id"`, `"ID"`, 1)}).Err())
		return documentOf(key)
	}, true},
	"an item is missing": {view.OrderLists, func(s *site) string {
		key := s.key(view.OrderLists, "z", "")
		s.must(s.raw().ZPopMin(s.Context(), key).Err())
		return documentOf(key)
	}, true},
	"a sum is wrong": {view.Sales, func(s *site) string {
		key := s.key(view.Sales, "j", "")
		s.must(s.raw().Append(s.Context(), key, " ").Err())
		return documentOf(key)
	}, true},
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// wantDrift requires an error that names one document.
func (s *site) wantDrift(err error, v *view.View, doc string) {
	s.Helper()
	var drift *DriftError
	if !errors.As(err, &drift) || drift.View != v.Name || drift.Count != 1 || drift.More || len(drift.Diffs) != 1 || drift.Diffs[0].Doc != doc {
		s.Fatalf("want drift of %s/%s, got %v: %+v", v.Name, doc, err, drift)
	}
	if same(drift.Diffs[0].Live, drift.Diffs[0].New) {
		s.Errorf("the diff shows no difference: %s", drift.Diffs[0].Live)
	}
}

func (s *site) newReplay(cfg ReplayConfig) *Replay {
	cfg.Builder, cfg.Patience = func() Builder { return s.store.NewBuilder() }, time.Minute
	return NewReplay(s.store, s.log, cfg)
}

// TestDriftIsFound: whatever is wrong with a live generation, a replay does not switch unless it is told to, an audit says so
// and mends it, and a sample sees what it can see.
func TestDriftIsFound(t *testing.T) {
	for name, c := range corruptions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 150)
			s.views = []*view.View{c.view}
			s.again(s.log)
			for mend, run := range map[string]func() (Result, error){
				"replay": func() (Result, error) {
					results, err := s.newReplay(ReplayConfig{AllowDrift: true}).Run(t.Context(), s.views)
					return results[0], err
				},
				"audit": func() (Result, error) { return s.newReplay(ReplayConfig{}).Audit(t.Context(), c.view, true) },
			} {
				live := s.registry(c.view).Live
				doc := c.corrupt(s)
				results, err := s.newReplay(ReplayConfig{}).Run(t.Context(), s.views)
				s.wantDrift(err, c.view, doc)
				if now := s.registry(c.view); results[0].Switched || now.Live != live || !now.Open {
					t.Errorf("after drift: %+v, %+v", results[0], now)
				}
				if _, err := s.newReplay(ReplayConfig{}).Audit(t.Context(), c.view, false); err != nil {
					s.wantDrift(err, c.view, doc)
				} else {
					t.Error("an audit finds nothing")
				}
				if now := s.registry(c.view); now.Live != live || now.Building.Number != 0 {
					t.Errorf("after an audit: %+v", now)
				}
				_, err = s.newReplay(ReplayConfig{}).Sample(t.Context(), c.view, 1000)
				if c.sampled {
					s.wantDrift(err, c.view, doc)
				} else if err != nil {
					t.Errorf("a sample: %v", err)
				}
				result, err := run()
				if err != nil || !result.Switched || result.Drift == nil || result.Drift.Count != 1 {
					t.Errorf("%s to mend it: %+v, %v", mend, result, err)
				}
				s.check()
			}
			result, err := s.newReplay(ReplayConfig{}).Audit(t.Context(), c.view, true)
			if err != nil || result.Switched || result.Drift != nil || result.Verified == 0 {
				t.Errorf("an audit of what has been mended: %+v, %v", result, err)
			}
			if result, err = s.newReplay(ReplayConfig{}).Sample(t.Context(), c.view, 1000); err != nil || result.Verified == 0 {
				t.Errorf("a sample of what has been mended: %+v, %v", result, err)
			}
			s.check()
		})
	}
}

// TestMuchDrift: where much differs the search ends early, and of those found ten are shown.
func TestMuchDrift(t *testing.T) {
	s := newSite(t, 300)
	s.views = s.views[:1]
	s.again(s.log)
	keys, err := s.raw().Keys(t.Context(), "*:j:*").Result()
	s.must(err)
	for _, key := range keys {
		s.must(s.raw().Set(t.Context(), key, "{}", 0).Err())
	}
	for _, most := range []int{15, maxSuspects} {
		r := s.newReplay(ReplayConfig{})
		r.maxSuspects = most
		_, err := r.Run(t.Context(), s.views)
		var drift *DriftError
		if !errors.As(err, &drift) || drift.More != (most == 15) || drift.Count < 15 || len(drift.Diffs) != shownDiffs {
			t.Errorf("settled from %d on: %v, %+v", most, err, drift)
		}
		if most == maxSuspects && drift.Count != len(keys) {
			t.Errorf("%d documents differ, %d were found", len(keys), drift.Count)
		}
	}
}

// TestVerifiesWhatLagsBehind: a live generation that no consumer has brought up to date is behind, not wrong.
func TestVerifiesWhatLagsBehind(t *testing.T) {
	s := newSite(t, 100)
	s.again(s.log)
	s.log.Grow(t, rand.New(rand.NewPCG(8, 8)), 100)
	results, err := s.newReplay(ReplayConfig{}).Run(t.Context(), s.views)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.Switched || r.Verified == 0 || r.Unverified != "" || r.Drift != nil {
			t.Errorf("%+v", r)
		}
	}
	s.check()
}

// TestUnverified: there may be nothing to compare with, and the result says so.
func TestUnverified(t *testing.T) {
	s := newSite(t, 50)
	s.views = s.views[:1]
	results, err := s.newReplay(ReplayConfig{}).Run(t.Context(), s.views)
	if err != nil || !strings.Contains(results[0].Unverified, "no live generation") || !results[0].Switched {
		t.Errorf("the first replay: %+v, %v", results[0], err)
	}
	newer := *view.Orders
	newer.Version++
	results, err = s.newReplay(ReplayConfig{}).Run(t.Context(), []*view.View{&newer})
	if err != nil || !strings.Contains(results[0].Unverified, "version") || !results[0].Switched {
		t.Errorf("a replay by newer code: %+v, %v", results[0], err)
	}
	for _, v := range []*view.View{view.Orders, view.Members} {
		if _, err := s.newReplay(ReplayConfig{}).Audit(t.Context(), v, true); err == nil || !strings.Contains(err.Error(), "jangbu replay "+v.Name) {
			t.Errorf("audit of %s: %v", v.Name, err)
		}
		if _, err := s.newReplay(ReplayConfig{}).Sample(t.Context(), v, 1); err == nil || !strings.Contains(err.Error(), "jangbu replay "+v.Name) {
			t.Errorf("sample of %s: %v", v.Name, err)
		}
	}
}

// TestNoSwitch: what is left open is switched to by the next replay, which need not build it; or discarded.
func TestNoSwitch(t *testing.T) {
	s := newSite(t, 100)
	s.again(s.log)
	live := s.registry(view.Orders).Live
	for _, restart := range []bool{false, true} {
		results, err := s.newReplay(ReplayConfig{NoSwitch: true}).Run(t.Context(), s.views)
		if err != nil || results[0].Switched || results[0].Verified == 0 {
			t.Fatalf("%+v, %v", results, err)
		}
		left := s.registry(view.Orders)
		if left.Live != live || !left.Open || left.Building.Number != results[0].Generation {
			t.Fatalf("left: %+v", left)
		}
		s.log.Grow(t, rand.New(rand.NewPCG(9, 9)), 10)
		if _, err := s.newReplay(ReplayConfig{Restart: restart}).Run(t.Context(), s.views); err != nil {
			t.Fatal(err)
		}
		if live = s.registry(view.Orders).Live; (live == left.Building) == restart {
			t.Errorf("restart %t: %s was left, %s is live", restart, left.Building, live)
		}
		s.check()
	}
}

// TestReplayGoesOnWhenRedisRestarts: at whatever step Redis is restarted, with or without what it held, the same replay
// goes on and ends right.
func TestReplayGoesOnWhenRedisRestarts(t *testing.T) {
	for _, emptied := range []bool{false, true} {
		t.Run(fmt.Sprintf("emptied %t", emptied), func(t *testing.T) {
			s := newSite(t, 100)
			total := int64(0)
			for at := int64(1); total == 0 || at <= total; at += 19 {
				s.must(s.raw().FlushAll(t.Context()).Err())
				if !emptied {
					s.again(s.log) // so that there is something to verify with, and to lose
				}
				redis, model, restarted := s.raw(), newFaultyModel(s.store), false
				model.atCall = func(n int64) {
					if n != at || restarted {
						return
					}
					restarted = true
					if emptied {
						s.must(redis.FlushAll(context.Background()).Err())
					}
					s.must(redis.ScriptFlush(context.Background()).Err())
				}
				if _, err := s.replay(model).Run(t.Context(), s.views); err != nil && !errors.Is(err, row.ErrLost) {
					t.Fatalf("restarted at call %d: %v", at, err)
				} else if err != nil && !emptied {
					t.Fatalf("restarted at call %d: %v", at, err)
				}
				s.again(s.log)
				s.check()
				total = model.calls.Load()
			}
		})
	}
}

// TestRate: the log is read no faster than is allowed.
func TestRate(t *testing.T) {
	s := newSite(t, 500)
	for _, limit := range []float64{1, 100, 30000} {
		var mu sync.Mutex
		now := time.Unix(0, 0)
		r := s.newReplay(ReplayConfig{Rate: limit})
		r.now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
		r.sleep = func(_ context.Context, d time.Duration) error {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(d)
			return nil
		}
		n := 0
		for _, err := range r.readAll(t.Context(), s.log.Events()[0].Position) {
			s.must(err)
			n++
			if least := time.Duration(float64(n-1)/limit*float64(time.Second)) - 10*time.Millisecond; now.Sub(time.Unix(0, 0)) < least {
				t.Fatalf("%d events were read in %s at %g a second", n, now.Sub(time.Unix(0, 0)), limit)
			}
		}
		if most := time.Duration(float64(n) / limit * float64(time.Second)); n != s.log.Len()-1 || now.Sub(time.Unix(0, 0)) > most {
			t.Errorf("%d events took %s at %g a second", n, now.Sub(time.Unix(0, 0)), limit)
		}
	}
}

// watchedModel calls back at steps of a replay.
type watchedModel struct {
	faultyModel
	beforeOpen, afterVerify func()
}

func (m watchedModel) OpenBuild(ctx context.Context, g row.Generation, token string) error {
	m.beforeOpen()
	return m.faultyModel.OpenBuild(ctx, g, token)
}

func (m watchedModel) ParkedIn(ctx context.Context, g row.Generation) ([]row.Parked, error) {
	m.afterVerify()
	return m.faultyModel.ParkedIn(ctx, g)
}

// TestReplayMissesNothing: what is recorded right before the opening comes by no message to the new generation; what is
// recorded during the verification and lost by the bus, a sweep lands in the live one alone. Both are there after the switch.
func TestReplayMissesNothing(t *testing.T) {
	s := newSite(t, 60)
	s.views = s.views[:1]
	random := rand.New(rand.NewPCG(7, 7))
	for range 2 { // at first unverified
		opened, verified := 0, 0
		model := watchedModel{newFaultyModel(s.store), func() {
			opened++
			s.log.Grow(t, random, 5)
		}, func() {
			verified++
			s.log.Grow(t, random, 5)
			if live := s.registry(view.Orders).Live; live.Number > 0 {
				s.must(NewApplier(view.Orders, live, s.store, s.log).Apply(t.Context(), s.log.Events()))
			}
		}}
		if _, err := NewReplay(model, s.log, ReplayConfig{Builder: model.builder}).Run(t.Context(), s.views); err != nil || opened != 1 || verified != 1 {
			t.Fatalf("opened %d times, verified %d times: %v", opened, verified, err)
		}
		s.check()
	}
}
