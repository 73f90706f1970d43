package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"jangbu/domain/event"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/eventstore"
)

// Several subscriptions from different starts, while events are appended directly to the server and the connections of the
// subscriptions are cut: each sees the log, from its start, once and in order.
func TestSubscriptionsUnderCuts(t *testing.T) {
	leakFree(t)
	server, p, s := behindProxy(t, eventstore.Config{})
	direct := open(t, server.URL(), eventstore.Config{})
	const writers, each = 4, 500
	var work sync.WaitGroup
	for writer := range writers {
		work.Go(func() {
			stream := fmt.Sprintf("order-%d", writer)
			for n := range int64(each) {
				if _, err := direct.Append(t.Context(), stream, n-1, proposed(1)); err != nil {
					t.Error(err)
					return
				}
				if _, err := direct.Append(t.Context(), "noise-"+stream, event.Any, proposed(1)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	type seen struct {
		events        []uuid.UUID
		interruptions int
	}
	follow := func(after event.Position, n int) (got seen) {
		at := after
		for e, err := range s.Subscribe(t.Context(), after, []string{"order-"}) {
			if err != nil {
				if !errors.Is(err, event.ErrUnavailable) {
					t.Error(err)
				}
				got.interruptions++
				continue
			}
			if c := e.Position.Compare(at); c < 0 || c == 0 && e.Type != "" {
				t.Errorf("%s after %s", e.Position, at)
			}
			at = e.Position
			if e.Type != "" {
				got.events = append(got.events, e.ID)
			}
			if len(got.events) == n {
				break
			}
		}
		return got
	}
	results := make([]seen, 3)
	for i := range results {
		work.Go(func() { results[i] = follow(event.Position{}, writers*each) })
	}
	cuts := harass(t, p, &work)

	var log []uuid.UUID
	var middle event.Position
	for e, err := range direct.ReadAll(t.Context(), event.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Category(e.Stream) == "order" {
			log = append(log, e.ID)
			if len(log) == writers*each/2 {
				middle = e.Position
			}
		}
	}
	results = append(results, follow(middle, writers*each/2))
	interruptions := 0
	for i, got := range results {
		want := log
		if i == 3 {
			want = log[len(log)/2:]
		}
		if len(got.events) != len(want) {
			t.Fatalf("subscription %d saw %d events of %d", i, len(got.events), len(want))
		}
		for k := range want {
			if got.events[k] != want[k] {
				t.Fatalf("subscription %d saw another event %d", i, k)
			}
		}
		interruptions += got.interruptions
	}
	if interruptions == 0 {
		t.Error("no subscription was interrupted")
	}
	t.Logf("%d events, %d cuts, %d interruptions", len(log), cuts, interruptions)
}

// A subscription waits out an absence without telling of it again and again, and goes on where it was.
func TestSubscriptionOutlastsAbsence(t *testing.T) {
	leakFree(t)
	server, p, s := behindProxy(t, eventstore.Config{})
	direct := open(t, server.URL(), eventstore.Config{})
	appendOne := func() uuid.UUID {
		events := proposed(1)
		if _, err := direct.Append(t.Context(), "order-1", event.Any, events); err != nil {
			t.Error(err)
		}
		return events[0].ID
	}
	want := []uuid.UUID{appendOne()}
	interruptions := 0
	var got []uuid.UUID
	for e, err := range s.Subscribe(t.Context(), event.Position{}, []string{"order"}) {
		switch {
		case err != nil:
			interruptions++
			want = append(want, appendOne())
			time.AfterFunc(2*time.Second, p.restore) // the absence is the subject
		case e.Type != "":
			got = append(got, e.ID)
			if len(got) == 1 {
				p.refuse()
			}
		}
		if len(got) == 2 {
			break
		}
	}
	if got[0] != want[0] || got[1] != want[1] || interruptions != 1 {
		t.Errorf("saw %v of %v, interrupted %d times", got, want, interruptions)
	}
}

// A hung connection that some call has given up does not keep a subscription waiting.
func TestSubscriptionLeavesAHungConnection(t *testing.T) {
	leakFree(t)
	server, p, s := behindProxy(t, eventstore.Config{Timeout: time.Second})
	direct := open(t, server.URL(), eventstore.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := direct.Append(ctx, "order-1", event.NoStream, proposed(1)); err != nil {
		t.Fatal(err)
	}
	interrupted, n := false, 0
	for e, err := range s.Subscribe(ctx, event.Position{}, []string{"order"}) {
		switch {
		case err != nil:
			interrupted = true
			p.hold(false, false)
		case e.Type != "":
			if n++; n == 1 {
				p.hold(true, true)
				if _, err := direct.Append(ctx, "order-1", 0, proposed(1)); err != nil {
					t.Fatal(err)
				}
				go func() { _ = s.Ping(ctx) }() // fails, and gives up the connection
			}
		}
		if n == 2 {
			break
		}
	}
	if n != 2 || !interrupted {
		t.Errorf("saw %d events, interrupted %t", n, interrupted)
	}
}

// TestSubscriptionLeavesANodeThatRefusesAppends: a node that refuses an append as not ready may go on serving what it has, for ever
// the same. A subscription moves to the connection that is made then; a read that will end is left to its end.
func TestSubscriptionLeavesANodeThatRefusesAppends(t *testing.T) {
	leakFree(t)
	moved := make(chan struct{})
	server := &scripted{
		refuseAppends: status.Error(codes.Unavailable, "no leader"),
		plainRead: func(_ asked, call streams.Streams_ReadServer) error {
			if err := sendEvents(call, 0, 1); err != nil {
				return err
			}
			select {
			case <-moved:
			case <-call.Context().Done():
			}
			return sendEvents(call, 1, 3)
		},
	}
	s := open(t, server.start(t), eventstore.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	var interruptions atomic.Int64
	var calling sync.WaitGroup
	defer calling.Wait()
	defer cancel()
	calling.Go(func() {
		for _, err := range s.Subscribe(ctx, event.Position{}, nil) {
			if err != nil {
				interruptions.Add(1)
			}
		}
	})
	eventually(t, func() error { return server.subscribed(1) })
	read := 0
	for _, err := range s.ReadStream(t.Context(), "order-1", 0) {
		if err != nil {
			t.Fatalf("a read that was under way: %v", err)
		}
		if read++; read > 1 {
			continue
		}
		calling.Go(func() {
			_, err := s.Append(ctx, "order-1", event.Any, proposed(1))
			if err == nil {
				t.Error("the append was not refused")
			}
		})
		eventually(t, func() error { return server.subscribed(2) })
		close(moved)
	}
	cancel()
	if read != 3 || interruptions.Load() == 0 {
		t.Errorf("read %d events of 3; the subscription was interrupted %d times", read, interruptions.Load())
	}
}

// Streams deleted for good leave a system event in the log, which is passed over.
func TestTombstonesArePassedOver(t *testing.T) {
	server := startServer(t, eventstoredb.Config{})
	s := open(t, server.URL(), eventstore.Config{})
	for _, stream := range []string{"order-1", "order-2"} {
		if _, err := s.Append(t.Context(), stream, event.NoStream, proposed(1)); err != nil {
			t.Fatal(err)
		}
	}
	tombstone(t, server.URL(), "order-1")
	if _, err := s.Append(t.Context(), "order-2", 0, proposed(1)); err != nil {
		t.Fatal(err)
	}
	for _, prefixes := range [][]string{nil, {"order"}} {
		var streams []string
		for e, err := range s.Subscribe(t.Context(), event.Position{}, prefixes) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Type == "" {
				continue
			}
			if e.Type != "thing.happened.v1" {
				t.Fatalf("a system event: %+v", e)
			}
			if streams = append(streams, e.Stream); len(streams) == 3 {
				break
			}
		}
		if streams[2] != "order-2" {
			t.Errorf("saw %v", streams)
		}
	}
}

func tombstone(t *testing.T, url, stream string) {
	t.Helper()
	conf, err := esdb.ParseConnectionString(url)
	if err != nil {
		t.Fatal(err)
	}
	conf.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(conf)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.TombstoneStream(t.Context(), stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}}); err != nil {
		t.Fatal(err)
	}
}
