package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/eventstore"
)

func readStreamFrom(ctx context.Context, t *testing.T, s *eventstore.Store) {
	stream := unique("suite")
	events := proposed(5)
	mustAppend(ctx, t, s, stream, event.NoStream, events)
	for from := range int64(5) {
		same(t, stream, from, events[from:], collect(t, s.ReadStream(ctx, stream, from)))
	}
	last, err := s.Last(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	same(t, stream, 4, events[4:], []event.Recorded{last})
	if past := collect(t, s.ReadStream(ctx, stream, 5)); len(past) != 0 {
		t.Errorf("past the end there are %d events", len(past))
	}
}

func readMissing(ctx context.Context, t *testing.T, s *eventstore.Store) {
	stream := unique("suite")
	reads := 0
	for _, err := range s.ReadStream(ctx, stream, 0) {
		wantError(t, err, event.ErrStreamNotFound)
		reads++
	}
	if reads != 1 {
		t.Errorf("a missing stream yielded %d times", reads)
	}
	_, err := s.Last(ctx, stream)
	wantError(t, err, event.ErrStreamNotFound)
}

func readStopped(ctx context.Context, t *testing.T, s *eventstore.Store) {
	stream := unique("suite")
	events := proposed(100)
	mustAppend(ctx, t, s, stream, event.NoStream, events)
	for range 50 {
		for e, err := range s.ReadStream(ctx, stream, 0) {
			if err != nil {
				t.Fatal(err)
			}
			same(t, stream, 0, events[:1], []event.Recorded{e})
			break
		}
	}
}

// readPages reads streams that end at, before and after the ends of the pages in which they are read.
func readPages(ctx context.Context, t *testing.T, s *eventstore.Store) {
	stream := unique("suite")
	events := proposed(300)
	written := 0
	for _, length := range []int{31, 32, 33, 287, 288, 289, 300} {
		mustAppend(ctx, t, s, stream, int64(written)-1, events[written:length])
		written = length
		for _, from := range []int{0, 1, length - 1} {
			same(t, stream, int64(from), events[from:length], collect(t, s.ReadStream(ctx, stream, int64(from))))
		}
	}
}

// readDeleted reads a stream that is deleted while it is read.
func readDeleted(ctx context.Context, t *testing.T, s *eventstore.Store) {
	stream := unique("suite")
	events := proposed(100)
	mustAppend(ctx, t, s, stream, event.NoStream, events)
	var read []event.Recorded
	for e, err := range s.ReadStream(ctx, stream, 0) {
		if err != nil {
			wantError(t, err, event.ErrStreamNotFound)
			break
		}
		if read = append(read, e); len(read) == 1 {
			mustAppend(ctx, t, s, "$$"+stream, event.NoStream, []event.Proposed{
				{ID: uuid.New(), Type: "$metadata", Data: []byte(`{"$tb":9223372036854775807}`)},
			})
		}
	}
	if len(read) == len(events) {
		t.Error("all was read of a stream that was deleted meanwhile")
	}
	same(t, stream, 0, events[:len(read)], read)
}

func maxCount(ctx context.Context, t *testing.T, s *eventstore.Store) {
	stream := unique("suite")
	for range 3 { // set before the stream exists, and again
		if err := s.SetMaxCount(ctx, stream, 1); err != nil {
			t.Fatal(err)
		}
	}
	metadata, err := s.Last(ctx, "$$"+stream)
	if err != nil || metadata.Revision != 0 {
		t.Fatalf("the metadata was written more than once: %+v, %v", metadata, err)
	}
	events := proposed(4)
	for i := range events {
		mustAppend(ctx, t, s, stream, int64(i)-1, events[i:i+1])
	}
	same(t, stream, 3, events[3:], collect(t, s.ReadStream(ctx, stream, 0)))
	if err := s.SetMaxCount(ctx, stream, 2); err != nil {
		t.Fatal(err)
	}
	more := proposed(1)
	mustAppend(ctx, t, s, stream, 3, more)
	same(t, stream, 3, append(events[3:], more...), collect(t, s.ReadStream(ctx, stream, 0)))
	if err := s.SetMaxCount(ctx, stream, 0); err == nil {
		t.Error("a count of none was accepted")
	}
}

func maxCountKeepsMetadata(ctx context.Context, t *testing.T, s *eventstore.Store) {
	stream := unique("suite")
	mustAppend(ctx, t, s, "$$"+stream, event.NoStream, []event.Proposed{
		{ID: uuid.New(), Type: "$metadata", Data: []byte(`{"$maxCount":9,"owner":"the shop","$cacheControl":7}`)},
	})
	if err := s.SetMaxCount(ctx, stream, 2); err != nil {
		t.Fatal(err)
	}
	last, err := s.Last(ctx, "$$"+stream)
	if err != nil {
		t.Fatal(err)
	}
	m := metadataOf(t, last.Data)
	if m["$maxCount"] != 2.0 || m["owner"] != "the shop" || m["$cacheControl"] != 7.0 {
		t.Errorf("the metadata is %v", m)
	}
}

// ours keeps the events of some streams, in the order of the log, and checks that positions rise and no system event shows.
func ours(ctx context.Context, t *testing.T, s *eventstore.Store, after event.Position, streams ...string) []event.Recorded {
	t.Helper()
	wanted := map[string]bool{}
	for _, stream := range streams {
		wanted[stream] = true
	}
	var kept []event.Recorded
	at := after
	for e, err := range s.ReadAll(ctx, after) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Position.Compare(at) <= 0 {
			t.Fatalf("%s comes after %s", e.Position, at)
		}
		if e.Type[0] == '$' || e.Stream[0] == '$' {
			t.Fatalf("a system event: %+v", e)
		}
		at = e.Position
		if wanted[e.Stream] {
			kept = append(kept, e)
		}
	}
	return kept
}

func readAll(ctx context.Context, t *testing.T, s *eventstore.Store) {
	start := end(ctx, t, s)
	one, two := unique("suite"), unique("other")
	first, second, third := proposed(2), proposed(3), proposed(1)
	mustAppend(ctx, t, s, one, event.NoStream, first)
	if err := s.SetMaxCount(ctx, two, 100); err != nil {
		t.Fatal(err)
	}
	middle := mustAppend(ctx, t, s, two, event.NoStream, second)
	mustAppend(ctx, t, s, one, 1, third)

	all := ours(ctx, t, s, start, one, two)
	wantIDs(t, ids(all), proposedIDs(first, second, third))
	wantIDs(t, ids(ours(ctx, t, s, middle, one, two)), proposedIDs(third))
	for i, e := range all {
		wantIDs(t, ids(ours(ctx, t, s, e.Position, one, two)), ids(all[i+1:]))
	}
}

func head(ctx context.Context, t *testing.T, s *eventstore.Store) {
	stream := unique("suite")
	events := proposed(2)
	pos := mustAppend(ctx, t, s, stream, event.NoStream, events)
	if err := s.SetMaxCount(ctx, stream, 5); err != nil { // a system event behind the last
		t.Fatal(err)
	}
	last, err := s.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if last.Position.Compare(pos) < 0 {
		t.Errorf("the head, %s, stands before %s", last.Position, pos)
	}
	if last.Stream == stream {
		same(t, stream, 1, events[1:], []event.Recorded{last})
	}
}

func cancelled(ctx context.Context, t *testing.T, s *eventstore.Store) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	stream := unique("suite")
	_, appended := s.Append(ctx, stream, event.NoStream, proposed(1))
	_, last := s.Last(ctx, stream)
	_, headed := s.Head(ctx)
	tests := map[string]error{
		"append": appended, "last": last, "head": headed, "ping": s.Ping(ctx), "max count": s.SetMaxCount(ctx, stream, 1),
	}
	for _, err := range s.ReadStream(ctx, stream, 0) {
		tests["read stream"] = err
	}
	for _, err := range s.ReadAll(ctx, event.Position{}) {
		tests["read all"] = err
	}
	for name, err := range tests {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for e, err := range s.Subscribe(ctx, event.Position{}, nil) {
		t.Errorf("subscribe yielded %+v, %v", e, err)
	}
}

func ping(ctx context.Context, t *testing.T, s *eventstore.Store) {
	if err := s.Ping(ctx); err != nil {
		t.Error(err)
	}
}
