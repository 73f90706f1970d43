package command_test

import (
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
		server, err := eventstoredb.Start(eventstoredb.Config{Path: filepath.Join(t.TempDir(), "events.db")})
		if err != nil {
			t.Fatal(err)
		}
		store, err := eventstore.Open(server.URL(), eventstore.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Errorf("close the client: %v", err)
			}
			if err := server.Close(); err != nil {
				t.Errorf("close the server: %v", err)
			}
		})
		return store
	})
}
