package property_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"google.golang.org/grpc/test/bufconn"
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

// dial puts a buffer between client and server, as a socket has: miniredis answers the first command of a pipeline while the
// client still writes the others, and a pipe would hold both up.
func (b *bubbleRedis) dial(context.Context, string, string) (net.Conn, error) {
	b.mu.Lock()
	pipe, err := b.mini.Dial()
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	const socket = 1 << 16 // more would be spent on making buffers than on all that is tested
	listener := bufconn.Listen(socket)
	defer listener.Close()
	join := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // until either side closes
		to.Close()
		from.Close()
	}
	go func() {
		far, err := listener.Accept()
		if err != nil {
			panic(err) // it is closed only after it was dialled
		}
		go join(pipe, far)
		join(far, pipe)
	}()
	return listener.Dial()
}

func (b *bubbleRedis) restart(*testing.T) {
	next := b.kept
	if next == nil {
		next = miniredis.NewMiniRedis()
	}
	next.ClockTTL(true)
	b.mu.Lock() // a miniredis that is dialled after it was closed goes on with what it held, beside the next
	defer b.mu.Unlock()
	if b.mini != nil {
		b.mini.Close()
	}
	b.mini, b.kept = next, nil
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
