package property_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// bubble is the time of testing/synctest, which passes at once when everything waits.
type bubble struct{}

func (bubble) pass(d time.Duration) { time.Sleep(d) }

func (b bubble) eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Minute); !holds(); b.pass(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// bubbleRedis is a Redis without a socket.
type bubbleRedis struct {
	mu   sync.Mutex
	mini *miniredis.Miniredis
	kept *miniredis.Miniredis // the backup
}

func newBubbleRedis(t *testing.T) *bubbleRedis {
	b := &bubbleRedis{}
	b.restart(t)
	t.Cleanup(func() { b.mini.Close() })
	return b
}

func (b *bubbleRedis) url() string { return "redis://127.0.0.1:6379" }

func (b *bubbleRedis) dial(context.Context, string, string) (net.Conn, error) {
	b.mu.Lock()
	mini := b.mini
	b.mu.Unlock()
	return mini.Dial()
}

func (b *bubbleRedis) restart(*testing.T) {
	next := b.kept
	if next == nil {
		next = miniredis.NewMiniRedis()
	}
	next.ClockTTL(true)
	b.mu.Lock()
	old := b.mini
	b.mini, b.kept = next, nil
	b.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

func (b *bubbleRedis) backup(t *testing.T) {
	t.Helper()
	from, to := b.mini, miniredis.NewMiniRedis()
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
	b.kept = to
}
