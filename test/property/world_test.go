package property_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"google.golang.org/grpc/test/bufconn"

	"jangbu/infra/embedded/snssqs"
	"jangbu/query/view"
	"jangbu/test/history"
)

// world is what outlives the processes: an event store, an SNS/SQS endpoint and a Redis, all in one bubble.
type world struct {
	log   history.History
	views []*view.View

	mu       sync.Mutex
	redis    *miniredis.Miniredis
	listener *bufconn.Listener
	sqs      *snssqs.Server
	faults   snssqs.Faults
}

func newWorld(t *testing.T, views []*view.View) *world {
	w := &world{views: views}
	w.startRedis(miniredis.NewMiniRedis())
	w.startBus(t, 0)
	t.Cleanup(func() {
		w.redis.Close()
		w.sqs.Close()
	})
	return w
}

func (w *world) dialRedis(context.Context, string, string) (net.Conn, error) {
	w.mu.Lock()
	mini := w.redis
	w.mu.Unlock()
	return mini.Dial()
}

func (w *world) dialBus(ctx context.Context, _, _ string) (net.Conn, error) {
	w.mu.Lock()
	listener := w.listener
	w.mu.Unlock()
	return listener.DialContext(ctx)
}

// startRedis puts another Redis in the place of the one that runs, whose connections and scripts are lost.
func (w *world) startRedis(mini *miniredis.Miniredis) {
	mini.ClockTTL(true)
	w.mu.Lock()
	old := w.redis
	w.redis = mini
	w.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

// startBus puts another endpoint in the place of the one that runs, whose topic, queues and messages are lost.
func (w *world) startBus(t *testing.T, seed uint64) {
	listener := bufconn.Listen(1 << 20)
	server, err := snssqs.Start(snssqs.Config{Listener: listener, Seed: seed, Faults: w.faults})
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	old := w.sqs
	w.sqs, w.listener = server, listener
	w.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

func (w *world) setFaults(f snssqs.Faults) {
	w.faults = f
	w.sqs.SetFaults(f)
}

// backup copies what Redis holds.
func (w *world) backup(t *testing.T) *miniredis.Miniredis {
	t.Helper()
	from, to := w.redis, miniredis.NewMiniRedis()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range from.Keys() {
		switch kind := from.Type(key); kind {
		case "string":
			value, err := from.Get(key)
			must(err)
			must(to.Set(key, value))
		case "hash":
			fields, err := from.HKeys(key)
			must(err)
			for _, f := range fields {
				to.HSet(key, f, from.HGet(key, f))
			}
		case "set":
			members, err := from.Members(key)
			must(err)
			_, err = to.SetAdd(key, members...)
			must(err)
		case "zset":
			members, err := from.SortedSet(key)
			must(err)
			for m, score := range members {
				_, err := to.ZAdd(key, score, m)
				must(err)
			}
		default:
			t.Fatalf("key %s is a %s", key, kind)
		}
		if ttl := from.TTL(key); ttl > 0 {
			to.SetTTL(key, ttl)
		}
	}
	return to
}

// eventually lets time pass until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Minute); !holds(); pass(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// pass lets the bubble's time pass, which it does at once when everything in it waits.
func pass(d time.Duration) { time.Sleep(d) }
