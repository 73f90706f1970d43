package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/embedded/redis"
	"jangbu/infra/eventstore"
)

func openLog(t *testing.T, events int) *eventstore.Store {
	t.Helper()
	server, err := eventstoredb.Start(eventstoredb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := eventstore.Open(server.URL(), eventstore.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(store.Close(), server.Close()); err != nil {
			t.Error(err)
		}
	})
	for i := range events {
		proposed := []event.Proposed{{ID: uuid.New(), Type: "member.renamed.v1", Data: []byte(`{"name":"x"}`)}}
		if _, err := store.Append(t.Context(), "member-x", int64(i-1), proposed); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// A snapshot is taken up only by the build that left it, over the log at whose end it was left, and only once.
func TestSnapshotIsTakenUpWhereItFits(t *testing.T) {
	store := openLog(t, 3)
	for name, c := range map[string]struct {
		log  *eventstore.Store
		bend func(*stamp)
		kept bool
	}{
		"the same build and log":            {store, func(*stamp) {}, true},
		"another build":                     {store, func(s *stamp) { s.Program = "0" }, false},
		"another position":                  {store, func(s *stamp) { s.Position = "1/1" }, false},
		"another event at its place":        {store, func(s *stamp) { s.Event = uuid.New() }, false},
		"a log that does not reach so far":  {openLog(t, 1), func(*stamp) {}, false},
		"a log that has another last event": {openLog(t, 3), func(*stamp) {}, false},
		"an empty log":                      {openLog(t, 0), func(*stamp) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := leftSnapshot(t, store, c.bend)
			server, err := redis.Start(redis.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			takeUp(t.Context(), &app{log: slog.New(slog.DiscardHandler)}, path, server, c.log)
			client := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
			defer client.Close()
			if got := client.Exists(t.Context(), "view").Val() == 1; got != c.kept {
				t.Errorf("taken up: %v, want %v", got, c.kept)
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the snapshot is still there (err %v)", err)
			}
		})
	}
}

// A start that is interrupted takes the snapshot up all the same: what it leaves is as whole.
func TestSnapshotSurvivesAnInterruptedStart(t *testing.T) {
	store := openLog(t, 3)
	path := leftSnapshot(t, store, func(*stamp) {})
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	for range 2 {
		server, err := redis.Start(redis.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		takeUp(interrupted, &app{log: slog.New(slog.DiscardHandler)}, path, server, store)
		client := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
		defer client.Close()
		if client.Exists(t.Context(), "view").Val() != 1 {
			t.Fatal("the snapshot is not taken up")
		}
		if err := leave(interrupted, path, server, store); err != nil {
			t.Fatal(err)
		}
	}
}

// leftSnapshot is a snapshot as dev leaves it, with its stamp bent.
func leftSnapshot(t *testing.T, store *eventstore.Store, bend func(*stamp)) string {
	t.Helper()
	path := snapshotFile(t.TempDir())
	server, err := redis.Start(redis.Config{})
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer client.Close()
	if err := client.Set(t.Context(), "view", "whole", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := leave(t.Context(), path, server, store); err != nil {
		t.Fatal(err)
	}
	label, err := redis.Label(path)
	if err != nil {
		t.Fatal(err)
	}
	var s stamp
	if err := json.Unmarshal([]byte(label), &s); err != nil {
		t.Fatal(err)
	}
	bend(&s)
	bent, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Save(path, string(bent)); err != nil {
		t.Fatal(err)
	}
	return path
}
