package storetest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/eventstore"
)

func appendAndReadBack(ctx context.Context, t *testing.T, s *eventstore.Store) {
	stream := unique("suite")
	events := proposed(3)
	start := time.Now().Add(-time.Hour)
	pos := mustAppend(ctx, t, s, stream, event.NoStream, events)
	got := collect(t, s.ReadStream(ctx, stream, 0))
	same(t, stream, 0, events, got)
	if last := got[2]; last.Position != pos {
		t.Errorf("append said %s, the event stands at %s", pos, last.Position)
	}
	for i, e := range got {
		if e.Time.Before(start) || e.Time.Location() != time.UTC {
			t.Errorf("event %d was recorded at %s", i, e.Time)
		}
		if i > 0 && e.Position.Compare(got[i-1].Position) <= 0 {
			t.Errorf("position %s follows %s", e.Position, got[i-1].Position)
		}
	}
	last, err := s.Last(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	same(t, stream, 2, events[2:], []event.Recorded{last})
}

func appendExpects(ctx context.Context, t *testing.T, s *eventstore.Store) {
	tests := []struct {
		name     string
		present  int // events in the stream beforehand
		expected int64
		conflict bool
	}{
		{"no stream, and there is none", 0, event.NoStream, false},
		{"no stream, and there is one", 1, event.NoStream, true},
		{"a revision, and it is the last", 2, 1, false},
		{"a revision, and there are later ones", 2, 0, true},
		{"a revision, and it is yet to come", 2, 2, true},
		{"a revision, and there is no stream", 0, 0, true},
		{"any, and there is no stream", 0, event.Any, false},
		{"any, and there is one", 3, event.Any, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			stream := unique("suite")
			before := proposed(test.present)
			if test.present > 0 {
				mustAppend(ctx, t, s, stream, event.NoStream, before)
			}
			events := proposed(1)
			_, err := s.Append(ctx, stream, test.expected, events)
			if test.conflict {
				wantError(t, err, event.ErrConflict)
				events = nil
			} else if err != nil {
				t.Fatal(err)
			}
			if all := append(before, events...); len(all) > 0 {
				same(t, stream, 0, all, collect(t, s.ReadStream(ctx, stream, 0)))
			}
		})
	}
}

func appendRepeated(ctx context.Context, t *testing.T, s *eventstore.Store) {
	stream := unique("suite")
	first, second, third := proposed(2), proposed(3), proposed(1)
	mustAppend(ctx, t, s, stream, event.NoStream, first)
	mustAppend(ctx, t, s, stream, 1, second)
	mustAppend(ctx, t, s, stream, 4, third)
	// Repeated out of order, and after later events: all are successes that write nothing.
	mustAppend(ctx, t, s, stream, 1, second)
	mustAppend(ctx, t, s, stream, event.NoStream, first)
	mustAppend(ctx, t, s, stream, 4, third)

	mixed := []event.Proposed{second[0], second[1], proposed(1)[0]}
	_, err := s.Append(ctx, stream, 1, mixed)
	wantError(t, err, event.ErrConflict)

	all := append(append(first, second...), third...)
	same(t, stream, 0, all, collect(t, s.ReadStream(ctx, stream, 0)))
}

func appendAllOrNothing(ctx context.Context, t *testing.T, s *eventstore.Store) {
	stream := unique("suite")
	events := proposed(200)
	mustAppend(ctx, t, s, stream, event.NoStream, events)
	same(t, stream, 0, events, collect(t, s.ReadStream(ctx, stream, 0)))
	_, err := s.Append(ctx, stream, 7, proposed(50))
	wantError(t, err, event.ErrConflict)
	same(t, stream, 0, events, collect(t, s.ReadStream(ctx, stream, 0)))
}

func appendRefuses(ctx context.Context, t *testing.T, s *eventstore.Store) {
	noID, noType := proposed(2), proposed(2)
	noID[1].ID = uuid.Nil
	noType[1].Type = ""
	stream := unique("suite")
	tests := []struct {
		name     string
		stream   string
		expected int64
		events   []event.Proposed
	}{
		{"no stream name", "", event.NoStream, proposed(1)},
		{"no events", stream, event.NoStream, nil},
		{"an event without id", stream, event.NoStream, noID},
		{"an event without type", stream, event.NoStream, noType},
		{"no such expectation", stream, -3, proposed(1)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := s.Append(ctx, test.stream, test.expected, test.events)
			if err == nil || errors.Is(err, event.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
	_, err := s.Last(ctx, stream)
	wantError(t, err, event.ErrStreamNotFound)
}

func appendLarge(ctx context.Context, t *testing.T, s *eventstore.Store) {
	stream := unique("suite")
	events := proposed(9)
	for i := range events {
		events[i].Data = text(100 << 10)
	}
	mustAppend(ctx, t, s, stream, event.NoStream, events)
	same(t, stream, 0, events, collect(t, s.ReadStream(ctx, stream, 0)))
}

func appendTooLarge(ctx context.Context, t *testing.T, s *eventstore.Store) {
	stream := unique("suite")
	events := proposed(1)
	events[0].Data = text(17 << 20) // over the limit of every version
	_, err := s.Append(ctx, stream, event.NoStream, events)
	wantError(t, err, event.ErrTooLarge)
	_, err = s.Last(ctx, stream)
	wantError(t, err, event.ErrStreamNotFound)
	mustAppend(ctx, t, s, stream, event.NoStream, proposed(1))
}

// text is a JSON string of n bytes.
func text(n int) []byte {
	b := bytes.Repeat([]byte{'x'}, n)
	b[0], b[n-1] = '"', '"'
	return b
}

func appendRaced(ctx context.Context, t *testing.T, s *eventstore.Store) {
	const racers, rounds = 8, 10
	stream := unique("suite")
	for round := range int64(rounds) {
		var wg sync.WaitGroup
		wins := make(chan uuid.UUID, racers)
		for range racers {
			wg.Go(func() {
				events := proposed(1)
				_, err := s.Append(ctx, stream, round-1, events)
				switch {
				case err == nil:
					wins <- events[0].ID
				case !errors.Is(err, event.ErrConflict):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		close(wins)
		if len(wins) != 1 {
			t.Fatalf("%d appends won revision %d", len(wins), round)
		}
		last, err := s.Last(ctx, stream)
		if winner := <-wins; err != nil || last.ID != winner || last.Revision != round {
			t.Fatalf("the winner is %s, the stream ends with %+v, %v", winner, last, err)
		}
	}
}
