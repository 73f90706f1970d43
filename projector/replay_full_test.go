package projector

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// fullRedis is a shop whose views are live, in a Redis with a limit to its memory.
type fullRedis struct {
	*testing.T
	url    string
	client *redis.Client
	log    *history.History
	store  *readmodel.Store
}

func newFullRedis(t *testing.T) *fullRedis {
	server := servers.StartRedis(t, "--maxmemory-policy", "noeviction")
	f := &fullRedis{
		T: t, url: server.URL(), client: server.Client(), log: history.Random(t, rand.New(rand.NewPCG(7, 8)), 12_000), store: openModel(t, server.URL()),
	}
	t.Cleanup(func() { f.client.Close() })
	if err := f.replay(); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fullRedis) replay() error {
	r := newReplay(f.store, f.log)
	r.cfg.Patience = 2 * time.Minute
	_, err := r.Run(f.Context(), view.All())
	return err
}

// used is the memory in use.
func (f *fullRedis) used() int64 {
	f.Helper()
	info, err := f.client.InfoMap(f.Context(), "memory").Result()
	if err != nil {
		f.Fatal(err)
	}
	n, err := strconv.ParseInt(info["Memory"]["used_memory"], 10, 64)
	if err != nil {
		f.Fatal(err)
	}
	return n
}

// limit allows so much more memory than is in use.
func (f *fullRedis) limit(more int64) {
	f.Helper()
	if err := f.client.ConfigSet(f.Context(), "maxmemory", strconv.FormatInt(f.used()+more, 10)).Err(); err != nil {
		f.Fatal(err)
	}
}

// TestReplayThatDoesNotFit: a replay for which Redis has no memory gives back at once what it took, and the live views go on; when there is
// room, the next one succeeds.
func TestReplayThatDoesNotFit(t *testing.T) {
	t.Parallel()
	f := newFullRedis(t)
	f.limit(1 << 20)
	if err := f.replay(); !errors.Is(err, event.ErrNoRoom) || !strings.Contains(err.Error(), "OOM") {
		t.Fatalf("a replay that does not fit: %v", err)
	}
	f.log.Grow(t, rand.New(rand.NewPCG(9, 9)), 10)
	for _, v := range view.All() {
		registry, err := f.store.Registry(t.Context(), v.Name)
		if err != nil || registry.Live.Number != 1 {
			t.Fatalf("registry of %s: %+v, %v", v.Name, registry, err)
		}
		for _, e := range f.log.Events()[f.log.Len()-10:] {
			if _, feeds := v.Source(e.Stream); feeds {
				if err := NewApplier(v, registry.Live, f.store, f.log).Apply(t.Context(), []event.Recorded{e}); err != nil {
					t.Errorf("live view %s: %v", v.Name, err)
				}
			}
		}
	}
	f.limit(100 << 20)
	if err := f.replay(); err != nil {
		t.Error(err)
	}
}

// TestReplayMakesRoom: what a replay that was killed in the middle has left keeps no memory from the next one.
func TestReplayMakesRoom(t *testing.T) {
	t.Parallel()
	f := newFullRedis(t)
	killed, err := readmodel.Open(f.url, readmodel.Config{Lease: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	b, err := killed.Begin(t.Context(), view.Orders.Name, view.Orders.Version, "killed")
	if err != nil {
		t.Fatal(err)
	}
	all := row.Batch{Docs: []row.Put{{Doc: "all the memory", Version: 1, Composed: true, Body: make([]byte, 20<<20)}}}
	if err := errors.Join(killed.NewBuilder().Put(t.Context(), b.Generation, all), killed.Close()); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "what it was sent in is freed", func() bool { return f.used() < 40<<20 })
	f.limit(-1 << 20)
	if err := f.client.Set(t.Context(), "x", "x", 0).Err(); err == nil {
		t.Fatal("there is memory left")
	}
	if err := f.replay(); err != nil {
		t.Errorf("after one that was killed: %v", err)
	}
}

// TestReplayFullBeforeItsSwitch: what is open takes writes before what is live does, and so is given up, too, where Redis has no room for it;
// what a rollback has taken up again is not.
func TestReplayFullBeforeItsSwitch(t *testing.T) {
	redis := servers.StartRedis(t, "--maxmemory-policy", "noeviction")
	client := redis.Client()
	defer client.Close()
	s := &site{T: t, log: history.Random(t, rand.New(rand.NewPCG(5, 6)), 50), store: openModel(t, redis.URL()), views: []*view.View{view.Orders}}
	s.again(s.log)
	s.again(s.log)
	full := func(yes bool) {
		if err := client.ConfigSet(context.Background(), "maxmemory", map[bool]string{true: "1", false: "0"}[yes]).Err(); err != nil {
			t.Error(err)
		}
	}
	for _, rollback := range []bool{false, true} {
		model := newFaultyModel(s.store)
		model.onSwitch = func(row.Generation) { full(true) }
		r := s.replay(model)
		r.cfg.Patience = 2 * time.Minute
		before := s.registry(view.Orders)
		var err error
		if rollback {
			_, err = r.Rollback(t.Context(), view.Orders)
		} else {
			_, err = r.Run(t.Context(), s.views)
		}
		full(false)
		after := s.registry(view.Orders)
		if !errors.Is(err, event.ErrNoRoom) || after.Live != before.Live {
			t.Errorf("rollback %t: %v, and the registry says %+v", rollback, err, after)
		}
		if left := after.Building; rollback && left != before.Previous || !rollback && left.Number != 0 {
			t.Errorf("rollback %t leaves %+v of %+v", rollback, after, before)
		}
	}
}
