package conformance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"jangbu/infra/embedded/eventstoredb"
)

// The populated database of the client's tests is an image of a real one, of which its repository holds only what
// the tests look at. dataset rebuilds a log in which all of that stands where it should, and fills in the rest:
// revisions without gaps, and streams of the length that the tests count.

// wantedEvent is an event of the client's resources/test/*.json.
type wantedEvent struct {
	Event struct {
		StreamID       string
		StreamRevision struct{ Value int64 }
		EventID        uuid.UUID
		EventType      string
		EventData      numbers
		UserMetadata   numbers
		ContentType    string
		Position       struct{ Commit uint64 }
		Created        struct{ Seconds, Nanos int64 }
	}
}

// numbers are bytes written as a JSON list.
type numbers []byte

func (n *numbers) UnmarshalJSON(b []byte) error {
	var values []uint8
	var wide []int
	if err := json.Unmarshal(b, &wide); err != nil {
		return err
	}
	for _, v := range wide {
		values = append(values, uint8(v))
	}
	*n = values
	return nil
}

const (
	streamA = "dataset20M-0"    // 6,000 events
	streamB = "dataset20M-1800" // 2,000 events
)

// dataset returns the log, in order.
func dataset(resources string) ([]eventstoredb.Event, error) {
	placed := map[uint64]eventstoredb.Event{}
	for _, file := range []string{
		"all-e0-e10", "all-c1788-p1788", "all-back-c3386-p3386", "all-back-e0-e10",
		"dataset20M-1800-e0-e10", "dataset20M-1800-e1999-e1990",
	} {
		var events []wantedEvent
		if err := readJSON(filepath.Join(resources, file+".json"), &events); err != nil {
			return nil, err
		}
		for _, w := range events {
			e := w.Event
			placed[e.Position.Commit] = eventstoredb.Event{
				ID: e.EventID, Stream: e.StreamID, Revision: e.StreamRevision.Value, Position: e.Position.Commit,
				Type: e.EventType, JSON: e.ContentType == "application/json",
				Created: time.Unix(e.Created.Seconds, e.Created.Nanos), Data: e.EventData, Metadata: e.UserMetadata,
			}
		}
	}
	if err := placeFiltered(resources, placed); err != nil {
		return nil, err
	}
	return fill(placed)
}

// placeFiltered places the events that the tests find by the prefix eventType-194: ten of streamA, then of streamB.
func placeFiltered(resources string, placed map[uint64]eventstoredb.Event) error {
	var positions []struct{ Commit uint64 }
	var revisions []int64
	if err := readJSON(filepath.Join(resources, "all-positions-filtered-stream-194-e0-e30.json"), &positions); err != nil {
		return err
	}
	if err := readJSON(filepath.Join(resources, "all-versions-filtered-stream-194-e0-e30.json"), &revisions); err != nil {
		return err
	}
	for i, p := range positions {
		stream := streamA
		if i >= 10 {
			stream = streamB
		}
		placed[p.Commit] = filler(stream, revisions[i], p.Commit)
	}
	return nil
}

// filler is an event of which no test looks at more than its stream, revision and type.
func filler(stream string, revision int64, position uint64) eventstoredb.Event {
	kind := "filler"
	switch {
	case stream == streamA && revision < 2000:
		kind = fmt.Sprintf("eventType-%d", revision%200)
	case stream == streamB && revision < 400:
		kind = fmt.Sprintf("eventType-%d", 1800+revision%200)
	}
	return eventstoredb.Event{
		ID: uuid.New(), Stream: stream, Revision: revision, Position: position, Type: kind, JSON: true,
		Created: time.Date(2020, 1, 12, 18, 15, 0, 0, time.UTC), Data: []byte(`{"filler":true}`),
	}
}

// fill puts an event wherever a stream has a gap between two placed ones, at a free position between theirs.
func fill(placed map[uint64]eventstoredb.Event) ([]eventstoredb.Event, error) {
	last := map[string]eventstoredb.Event{}
	for _, stream := range []string{streamA, streamB} {
		last[stream] = eventstoredb.Event{Revision: -1, Position: 100_000}
	}
	for _, e := range sorted(placed) {
		before, ok := last[e.Stream]
		if !ok {
			before = eventstoredb.Event{Revision: -1, Position: 4_000}
		}
		last[e.Stream] = e
		if err := between(placed, e.Stream, before, e); err != nil {
			return nil, err
		}
	}
	// The rest of the long stream, beyond what is found by type, and something to be read backwards from.
	end := eventstoredb.Event{Revision: 6_000, Position: 20_000_000}
	if err := between(placed, streamA, last[streamA], end); err != nil {
		return nil, err
	}
	placed[3_386] = filler("filler", 0, 3_386)
	return sorted(placed), nil
}

func between(placed map[uint64]eventstoredb.Event, stream string, from, to eventstoredb.Event) error {
	missing := uint64(to.Revision - from.Revision - 1)
	for i := range missing {
		position := from.Position + (to.Position-from.Position)*(i+1)/(missing+1)
		for placed[position].Stream != "" {
			position++
		}
		if position <= from.Position || position >= to.Position {
			return fmt.Errorf("no room for revision %d of %s", from.Revision+1+int64(i), stream)
		}
		placed[position] = filler(stream, from.Revision+1+int64(i), position)
	}
	return nil
}

func sorted(placed map[uint64]eventstoredb.Event) []eventstoredb.Event {
	events := make([]eventstoredb.Event, 0, len(placed))
	for _, e := range placed {
		events = append(events, e)
	}
	slices.SortFunc(events, func(a, b eventstoredb.Event) int { return cmp.Compare(a.Position, b.Position) })
	return events
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
