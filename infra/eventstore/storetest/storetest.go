// Package storetest is the conformance suite of the event store port: what command, projector and the views rely on.
// It uses streams of its own and does not need an empty log, so it can run against a server in use.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/eventstore"
)

// patience is when a test that waits for something gives up: an append over the limit may take the better part of a minute.
const patience = 2 * time.Minute

// Run runs the suite. open is called once for each test, and closes what it opened by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) *eventstore.Store) {
	tests := []struct {
		name string
		test func(context.Context, *testing.T, *eventstore.Store)
	}{
		{"append and read back", appendAndReadBack},
		{"append expects a revision", appendExpects},
		{"append repeated is one append", appendRepeated},
		{"append is all or nothing", appendAllOrNothing},
		{"append refuses what is not an append", appendRefuses},
		{"append up to the limit", appendLarge},
		{"append over the limit", appendTooLarge},
		{"append raced has one winner a revision", appendRaced},
		{"read stream from a revision", readStreamFrom},
		{"read what is not there", readMissing},
		{"read stopped early", readStopped},
		{"read in pages", readPages},
		{"read while deleted", readDeleted},
		{"max count", maxCount},
		{"max count leaves other metadata", maxCountKeepsMetadata},
		{"read all after a position", readAll},
		{"head", head},
		{"subscribe catches up and goes on", subscribe},
		{"subscribe filters by prefix", subscribeFilters},
		{"subscribe yields checkpoints", subscribeCheckpoints},
		{"subscribe resumes after any position", subscribeResumes},
		{"cancelled context", cancelled},
		{"ping", ping},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			test.test(ctx, t, open(t))
		})
	}
}

// unique names a stream, or a category, that no other run has used.
func unique(category string) string {
	return category + "-" + uuid.NewString()
}

// proposed makes n events whose data tell them apart.
func proposed(n int) []event.Proposed {
	events := make([]event.Proposed, n)
	for i := range events {
		id := uuid.New()
		events[i] = event.Proposed{
			ID:       id,
			Type:     "thing.happened.v1",
			Data:     fmt.Appendf(nil, `{"n":%d,"id":%q}`, i, id),
			Metadata: fmt.Appendf(nil, `{"command_id":%q}`, id),
		}
	}
	return events
}

// mustAppend appends, and fails the test if that fails.
func mustAppend(
	ctx context.Context, t *testing.T, s *eventstore.Store, stream string, expected int64, events []event.Proposed,
) event.Position {
	t.Helper()
	pos, err := s.Append(ctx, stream, expected, events)
	if err != nil {
		t.Fatal(err)
	}
	return pos
}

// collect gathers the events of a read, and fails the test on an error.
func collect(t *testing.T, events iter.Seq2[event.Recorded, error]) []event.Recorded {
	t.Helper()
	var all []event.Recorded
	for e, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// same fails the test unless the recorded events are the proposed ones, in order, from a revision of the stream.
func same(t *testing.T, stream string, revision int64, want []event.Proposed, got []event.Recorded) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d events, want %d", stream, len(got), len(want))
	}
	for i, e := range got {
		w := want[i]
		if e.ID != w.ID || e.Stream != stream || e.Revision != revision+int64(i) || e.Type != w.Type ||
			string(e.Data) != string(w.Data) || string(e.Metadata) != string(w.Metadata) {
			t.Fatalf("%s: event %d is\n%+v, want\n%+v at revision %d", stream, i, e, w, revision+int64(i))
		}
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// end returns the position of the end of the log, to start from.
func end(ctx context.Context, t *testing.T, s *eventstore.Store) event.Position {
	t.Helper()
	last, err := s.Head(ctx)
	if errors.Is(err, event.ErrStreamNotFound) {
		return event.Position{}
	}
	if err != nil {
		t.Fatal(err)
	}
	return last.Position
}

func ids(events []event.Recorded) []uuid.UUID {
	out := make([]uuid.UUID, len(events))
	for i, e := range events {
		out[i] = e.ID
	}
	return out
}

func proposedIDs(batches ...[]event.Proposed) []uuid.UUID {
	var out []uuid.UUID
	for _, batch := range batches {
		for _, e := range batch {
			out = append(out, e.ID)
		}
	}
	return out
}

func wantIDs(t *testing.T, got, want []uuid.UUID) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %d events %v\nwant %d events %v", len(got), got, len(want), want)
	}
}

func metadataOf(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}
