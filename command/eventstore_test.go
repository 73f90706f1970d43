package command_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/domain/event"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/eventstore"
)

// TestSuiteOnEventStore runs the suite over the real client and the embedded server, on disk.
func TestSuiteOnEventStore(t *testing.T) {
	commandtest.Run(t, func(t *testing.T) command.Store {
		store, _ := embeddedStore(t)
		return store
	})
}

// TestKeyOfAnAgedClaim: what was claimed with a key has aged out, so the key can be used anew, by one request.
func TestKeyOfAnAgedClaim(t *testing.T) {
	var passed atomic.Int64
	store, _ := embeddedStoreAt(t, func() time.Time { return time.Now().Add(time.Duration(passed.Load())) })
	c := commandtest.NewClient(t, store, command.Config{})
	c.Must("/members", `{"id":"m","name":"A"}`)
	const path, key = "/members/m/rename", "Idempotency-Key: k"
	c.Must(path, `{"name":"B"}`, key)
	claim, err := store.Head(t.Context()) // the effect
	if err != nil {
		t.Fatal(err)
	}
	claimStream := event.StreamName("idempotency", claim.Meta().CommandID)
	_, err = store.Append(t.Context(), "$$"+claimStream, event.NoStream, []event.Proposed{{ID: uuid.New(), Type: "$metadata", Data: []byte(`{"$maxAge":60}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := c.Post(path, `{"name":"C"}`, key).Problem(t); code != "idempotency-key-reused" {
		t.Errorf("another request under the key: %s", code)
	}
	for i, again := range []struct{ name, problem string }{{"C", ""}, {"C", ""}, {"D", "idempotency-key-reused"}} {
		if i == 0 {
			passed.Add(int64(time.Hour))
			if _, err := store.Last(t.Context(), claimStream); !errors.Is(err, event.ErrStreamNotFound) {
				t.Fatalf("the claim has not aged out: %v", err)
			}
		}
		a := commandtest.NewClient(t, store, command.Config{}).Post(path, `{"name":"`+again.name+`"}`, key)
		if again.problem != "" {
			if code, _ := a.Problem(t); code != again.problem {
				t.Errorf("request %d: %d %s", i, a.Status, a.Body)
			}
		} else if a.Status != 200 || a.Done(t).Revision != 2 {
			t.Errorf("request %d: %d %s", i, a.Status, a.Body)
		}
	}
}

// embeddedStore is the embedded server on disk, with fsync, and our client of it.
func embeddedStore(t testing.TB) (*eventstore.Store, *eventstoredb.Server) {
	t.Helper()
	return embeddedStoreAt(t, time.Now)
}

func embeddedStoreAt(t testing.TB, now func() time.Time) (*eventstore.Store, *eventstoredb.Server) {
	t.Helper()
	server, err := eventstoredb.Start(eventstoredb.Config{Path: filepath.Join(t.TempDir(), "events.db"), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close the server: %v", err)
		}
	})
	store, err := eventstore.Open(server.URL(), eventstore.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	return store, server
}
