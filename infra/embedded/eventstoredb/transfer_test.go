package eventstoredb

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
)

func sample(n int) []Event {
	events := make([]Event, n)
	for i := range events {
		events[i] = Event{
			ID: uuid.New(), Stream: []string{"a", "b", "$$a"}[i%3], Revision: int64(i / 3), Position: uint64(100 + 7*i),
			Type: "t", JSON: i%2 == 0, Created: time.Date(2020, 1, 12, 18, 14, i, 1000, time.UTC),
			Data: []byte(`{}`), Metadata: []byte(`{"m":1}`),
		}
	}
	return events
}

// sequence yields events, then an error if there is one.
func sequence(events []Event, failure error) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
		if failure != nil {
			yield(Event{}, failure)
		}
	}
}

func exported(t *testing.T, path string) []Event {
	t.Helper()
	var events []Event
	for e, err := range Export(path) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

func TestImportKeepsEverythingAndResumes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	events := sample(2500)
	cut := errors.New("cut off")
	n, err := Import(context.Background(), path, sequence(events[:1300], cut))
	if !errors.Is(err, cut) || n != 1300 {
		t.Fatalf("%d events, %v", n, err)
	}
	if n, err = Import(context.Background(), path, sequence(events, nil)); err != nil || n != 1200 {
		t.Fatalf("resumed: %d events, %v", n, err)
	}
	if got := exported(t, path); !reflect.DeepEqual(got, events) {
		t.Errorf("exported %d events that are not the %d imported", len(got), len(events))
	}
	if report, err := Verify(path); err != nil || len(report.Problems) > 0 || report.Events != 2500 || report.Streams != 3 {
		t.Errorf("verify: %+v, %v", report, err)
	}
	c := dial(t, serve(t, Config{Path: path}).URL())
	if w := mustAppend(t, c, "b", anyRevision, numbered(1)...); w.CommitPosition <= events[2499].Position {
		t.Errorf("a new event got position %d, not after the imported ones", w.CommitPosition)
	}
}

func TestImportRefusals(t *testing.T) {
	for name, spoil := range map[string]func([]Event){
		"a gap in the revisions":       func(e []Event) { e[1].Stream, e[1].Revision = "a", 2 },
		"positions that do not ascend": func(e []Event) { e[1].Position = e[0].Position },
		"no stream":                    func(e []Event) { e[1].Stream = "" },
		"a stream that is not UTF-8":   func(e []Event) { e[1].Stream = "b\xff" },
		"a type that is not UTF-8":     func(e []Event) { e[1].Type = "t\xff" },
		"an event after a tombstone": func(e []Event) {
			e[0].Type, e[0].Revision = typeTombstone, int64(tombstoneRevision)
			e[1].Stream, e[1].Revision = e[0].Stream, -1
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.db")
			events := sample(2)
			spoil(events)
			if n, err := Import(context.Background(), path, sequence(events, nil)); err == nil || n != 0 {
				t.Errorf("%d events, %v", n, err)
			}
			if got := exported(t, path); len(got) != 0 {
				t.Errorf("left %d events", len(got))
			}
		})
	}
}

func TestBackupIsAStore(t *testing.T) {
	s := serve(t, Config{})
	c := dial(t, s.URL())
	events := numbered(100)
	mustAppend(t, c, "s", noStream, events...)
	copied, err := io.ReadAll(getBackup(t, s).Body)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, c, "s", anyRevision, numbered(1)...)
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	got := mustRead(t, dial(t, serve(t, Config{Path: path}).URL()), "s")
	if !reflect.DeepEqual(ids(got), idsOf(events)) {
		t.Errorf("the copy has %d events, want the 100 from before it", len(got))
	}
}
