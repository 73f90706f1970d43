package command_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"jangbu/command"
	"jangbu/command/commandtest"
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

// embeddedStore is the embedded server on disk, with fsync, and our client of it.
func embeddedStore(t testing.TB) (*eventstore.Store, *eventstoredb.Server) {
	t.Helper()
	server, err := eventstoredb.Start(eventstoredb.Config{Path: filepath.Join(t.TempDir(), "events.db")})
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
