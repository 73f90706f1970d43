package eventstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"jangbu/domain/event"
	"jangbu/infra/backoff"
	"jangbu/infra/embedded/eventstoredb"
)

// counter is a log handler that counts the client's attempts to find a node.
type counter struct {
	slog.Handler
	discoveries atomic.Int64
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }

func (c *counter) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "discovery attempt") {
		c.discoveries.Add(1)
	}
	return nil
}

// Callers use a link as hard as they can when its server goes away. The client must not be made to dial again by any of
// them, and must be closed when the last has left. This pins a habit of the client that link relies on: it logs a failure
// before it gives up the connection.
func TestLinkServesOneConnection(t *testing.T) {
	for round := range 20 {
		server, err := eventstoredb.Start(eventstoredb.Config{})
		if err != nil {
			t.Fatal(err)
		}
		conf, err := parse(server.URL())
		if err != nil {
			t.Fatal(err)
		}
		log := &counter{Handler: slog.DiscardHandler}
		l, err := connect(t.Context(), t.Context(), *conf, slog.New(log))
		if err != nil {
			t.Fatal(err)
		}
		var busy atomic.Int64
		var callers sync.WaitGroup
		for range 32 {
			callers.Go(func() {
				for use(t.Context(), l) {
					if busy.Add(1) == 200 {
						go server.Close() // it has nothing to say that matters here
					}
				}
			})
		}
		callers.Wait()
		select {
		case <-l.closed:
		case <-time.After(20 * time.Second):
			t.Fatal("the client was not closed")
		}
		if n := log.discoveries.Load(); n != 1 {
			t.Fatalf("round %d: the client dialled %d times", round, n)
		}
		_ = server.Close()
	}
}

// use makes a call on the link, and reports false when the link admits none any more.
func use(ctx context.Context, l *link) bool {
	c, ok := l.begin(ctx)
	if !ok {
		return false
	}
	defer c.leave()
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c.Context = limited
	_, err := l.client.AppendToStream(c, "order-"+uuid.NewString(), esdb.AppendToStreamOptions{}, esdb.EventData{EventType: "a"})
	c.end(err)
	return true
}

// called is a link to a server, and a call on it that has not got the client's connection yet.
func called(t *testing.T) (*link, *call) {
	t.Helper()
	server, err := eventstoredb.Start(eventstoredb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	conf, err := parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	l, err := connect(t.Context(), t.Context(), *conf, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c, ok := l.begin(t.Context())
	if !ok {
		t.Fatal("a new link admits no calls")
	}
	return l, c
}

// A call that fails is held until those who may yet ask the client for its connection have got it. This pins the other
// habit: the client asks for the context's deadline, after it has its connection.
func TestFailingCallWaitsForThoseEntering(t *testing.T) {
	l, c := called(t)
	told := make(chan bool)
	go func() {
		l.overhear(esdb.LogError, "unexpected exception: %v", status.Error(codes.Unavailable, "gone"))
		told <- c.entered.Load()
	}()
	<-l.alive.Done()
	if _, err := l.client.AppendToStream(c, "order-1", esdb.AppendToStreamOptions{}, esdb.EventData{EventType: "a"}); err != nil {
		t.Error(err)
	}
	if !<-told {
		t.Error("the failing call went on before the other was in")
	}
	if _, ok := l.begin(t.Context()); ok {
		t.Error("a retired link admits a call")
	}
	c.end(nil)
	<-l.closed
	c.leave()
	<-l.done
}

// A link whose client dials another node is done when its callers have left, and its client is closed when it has let go of their calls.
func TestDivertedLink(t *testing.T) {
	l, c := called(t)
	l.overhear(esdb.LogError, "not leader exception, reconnecting to %v", esdb.EndPoint{Host: "127.0.0.1", Port: 1})
	if _, ok := l.begin(t.Context()); ok || !ended(l.diverted) || !ended(l.cut.Done()) {
		t.Error("the link goes on")
	}
	if ended(l.done) {
		t.Error("the link is done while there is a caller")
	}
	c.leave()
	if !ended(l.done) || ended(l.closed) {
		t.Errorf("done %t, closed %t while the client holds the call", ended(l.done), ended(l.closed))
	}
	c.end(nil)
	<-l.closed
}

// A server that takes subscriptions while it refuses what else is asked is not subscribed to over and over without a pause: the pause
// begins anew only when the log has moved on.
func TestOnlyProgressShortensThePauseOfAFollower(t *testing.T) {
	const first, most = time.Millisecond, time.Second
	f := follower{
		at:    event.Position{Commit: 5, Prepare: 5},
		pause: backoff.Backoff{First: first, Most: most},
		yield: func(event.Recorded, error) bool { return true },
	}
	for range 20 {
		f.pause.Next()
		if err := f.pass(event.Recorded{Position: f.at}); err != nil {
			t.Fatal(err)
		}
	}
	if pause := f.pause.Next(); pause < most/2 {
		t.Errorf("after 20 attempts without progress the pause is %s", pause)
	}
	if err := f.pass(event.Recorded{Position: event.Position{Commit: 6, Prepare: 6}}); err != nil {
		t.Fatal(err)
	}
	if pause := f.pause.Next(); pause > first {
		t.Errorf("after progress the pause is %s", pause)
	}
}

func TestTranslate(t *testing.T) {
	grpc := func(code codes.Code) error { return fmt.Errorf("step: %w", status.Error(code, "reason")) }
	tests := []struct {
		name string
		err  error
		want error // nil: as it is
	}{
		{"unavailable", grpc(codes.Unavailable), event.ErrUnavailable},
		{"out of time", grpc(codes.DeadlineExceeded), event.ErrUnavailable},
		{"a connection closed on our side", grpc(codes.Canceled), event.ErrUnavailable},
		{"the server's own time-out", grpc(codes.Aborted), event.ErrUnavailable},
		{"an inner failure", grpc(codes.Internal), event.ErrUnavailable},
		{"broken off while sending", fmt.Errorf("send: %w", io.EOF), event.ErrUnavailable},
		{"access denied", grpc(codes.PermissionDenied), nil},
		{"not authenticated", grpc(codes.Unauthenticated), nil},
		{"not served", grpc(codes.Unimplemented), nil},
		{"something else", errors.New("something else"), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := translate(t.Context(), test.err)
			if !errors.Is(got, test.err) || test.want != nil && !errors.Is(got, test.want) || test.want == nil && got != test.err {
				t.Errorf("got %v", got)
			}
		})
	}
	if err := translate(t.Context(), nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}
