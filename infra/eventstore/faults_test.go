package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/eventstore"
)

// behindProxy starts a server and opens a store that reaches it through a proxy.
func behindProxy(t *testing.T, cfg eventstore.Config) (*eventstoredb.Server, *proxy, *eventstore.Store) {
	t.Helper()
	server := startServer(t, eventstoredb.Config{})
	p := newProxy(t, server.Addr())
	s := open(t, p.url(), cfg)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	return server, p, s
}

// calls is each kind of call, made once.
func calls(ctx context.Context, s *eventstore.Store) map[string]error {
	stream := "order-" + uuid.NewString()
	_, appended := s.Append(ctx, stream, event.NoStream, proposed(1))
	_, last := s.Last(ctx, stream)
	_, head := s.Head(ctx)
	results := map[string]error{
		"append": appended, "last": last, "head": head, "ping": s.Ping(ctx), "max count": s.SetMaxCount(ctx, stream, 1),
	}
	for _, err := range s.ReadStream(ctx, stream, 0) {
		results["read stream"] = err
	}
	for _, err := range s.ReadAll(ctx, event.Position{}) {
		results["read all"] = err
	}
	for _, err := range s.Subscribe(ctx, event.Position{}, nil) {
		results["subscribe"] = err
		break
	}
	return results
}

// refusedAtOnce fails the test unless every call is refused without waiting for its time to run out.
func refusedAtOnce(t *testing.T, s *eventstore.Store) {
	t.Helper()
	for name, err := range calls(t.Context(), s) {
		if !errors.Is(err, event.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}

// awaitAway waits until a call is refused at once.
func awaitAway(t *testing.T, s *eventstore.Store) {
	t.Helper()
	eventually(t, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := s.Ping(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("the store is not known to be away: %v", err)
		}
		return nil
	})
}

// awaitBack waits until appends succeed, and logs how long it took.
func awaitBack(t *testing.T, s *eventstore.Store) {
	t.Helper()
	start := time.Now()
	eventually(t, func() error {
		_, err := s.Append(t.Context(), "order-"+uuid.NewString(), event.NoStream, proposed(1))
		return err
	})
	t.Logf("back after %s", time.Since(start).Round(time.Millisecond))
}

func TestStoreAbsentAtStart(t *testing.T) {
	leakFree(t)
	server := startServer(t, eventstoredb.Config{})
	p := newProxy(t, server.Addr())
	p.refuse()
	s := open(t, p.url(), eventstore.Config{Timeout: time.Minute})
	refusedAtOnce(t, s)
	p.restore()
	awaitBack(t, s)
}

func TestStoreGoesAwayAndReturns(t *testing.T) {
	leakFree(t)
	_, p, s := behindProxy(t, eventstore.Config{Timeout: time.Minute})
	for range 5 {
		p.refuse()
		awaitAway(t, s)
		refusedAtOnce(t, s)
		p.restore()
		awaitBack(t, s)
	}
}

func TestStoreRestartsOnTheSamePort(t *testing.T) {
	leakFree(t)
	cfg := eventstoredb.Config{Path: filepath.Join(t.TempDir(), "events.db")}
	server := startServer(t, cfg)
	cfg.Addr = server.Addr()
	s := open(t, server.URL(), eventstore.Config{})
	for n := range int64(5) {
		if _, err := s.Append(t.Context(), "order-1", n-1, proposed(1)); err != nil {
			t.Fatal(err)
		}
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
		awaitAway(t, s)
		server = startServer(t, cfg)
		eventually(t, func() error { return s.Ping(t.Context()) })
		if last, err := s.Last(t.Context(), "order-1"); err != nil || last.Revision != n {
			t.Fatalf("after restart %d: %+v, %v", n, last, err)
		}
	}
}

// A connection lost while nothing happened, or a moment ago, is not the next caller's trouble.
func TestConnectionLostAtRest(t *testing.T) {
	leakFree(t)
	_, p, s := behindProxy(t, eventstore.Config{})
	for range 20 {
		p.cut()
		if _, err := s.Append(t.Context(), "order-"+uuid.NewString(), event.NoStream, proposed(1)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHungStore(t *testing.T) {
	leakFree(t)
	_, p, s := behindProxy(t, eventstore.Config{Timeout: time.Second})
	p.hold(true, true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	_, err := s.Append(ctx, "order-1", event.NoStream, proposed(1))
	if !errors.Is(err, event.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	awaitAway(t, s)
	refusedAtOnce(t, s)
	p.hold(false, false)
	awaitBack(t, s)
}

func TestHungStoreIsBoundedByTheCaller(t *testing.T) {
	leakFree(t)
	_, p, s := behindProxy(t, eventstore.Config{Timeout: time.Hour})
	p.hold(true, true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for name, err := range calls(ctx, s) {
		if name == "subscribe" && err == nil {
			continue // it ends silently with its context
		}
		if !errors.Is(err, event.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := s.Append(ctx, "order-1", event.NoStream, proposed(1))
	if !errors.Is(err, context.Canceled) || errors.Is(err, event.ErrUnavailable) {
		t.Errorf("cancelled append: %v", err)
	}
	p.hold(false, false)
	awaitBack(t, s)
}

func TestSlowStore(t *testing.T) {
	leakFree(t)
	_, p, s := behindProxy(t, eventstore.Config{})
	p.delay(30 * time.Millisecond)
	for name, err := range calls(t.Context(), s) {
		if err != nil && !errors.Is(err, event.ErrStreamNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClose(t *testing.T) {
	leakFree(t)
	server, p, s := behindProxy(t, eventstore.Config{})
	direct := open(t, server.URL(), eventstore.Config{})
	var streams sync.WaitGroup
	subscribed := make(chan struct{})
	subscribes := sync.OnceFunc(func() { close(subscribed) })
	streams.Go(func() {
		var last error
		for e, err := range s.Subscribe(t.Context(), event.Position{}, nil) {
			if e.Type != "" {
				subscribes() // the append below may come, too
			}
			last = err
		}
		if !errors.Is(last, event.ErrUnavailable) {
			t.Errorf("the subscription ended with %v", last)
		}
	})
	if _, err := s.Append(t.Context(), "order-1", event.NoStream, proposed(1)); err != nil {
		t.Fatal(err)
	}
	<-subscribed

	p.hold(false, true)
	events := proposed(1)
	streams.Go(func() {
		if _, err := s.Append(t.Context(), "order-2", event.NoStream, events); err != nil {
			t.Errorf("an append in flight at Close: %v", err)
		}
	})
	eventually(t, func() error { // the append is in flight: written but not answered
		_, err := direct.Last(t.Context(), "order-2")
		return err
	})
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	eventually(t, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := s.Ping(ctx); errors.Is(err, context.DeadlineExceeded) || err == nil {
			return fmt.Errorf("not closed yet: %v", err)
		}
		return nil
	})
	p.hold(false, false)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	streams.Wait()
	if err := s.Close(); err != nil {
		t.Error("second close:", err)
	}
	refusedAtOnce(t, s)
}

func TestCloseWhileTheStoreIsAbsent(t *testing.T) {
	leakFree(t)
	server := startServer(t, eventstoredb.Config{})
	p := newProxy(t, server.Addr())
	p.refuse()
	for range 20 {
		s := open(t, p.url(), eventstore.Config{})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		refusedAtOnce(t, s)
	}
}
