package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"strings"
	"sync"

	"github.com/google/uuid"

	"jangbu/domain/event"
)

// SnapshotCategory names the streams that hold the newest snapshot of a long stream: snapshot-<stream>. They can be
// deleted at any time; all they hold can be read from the streams themselves.
const SnapshotCategory = "snapshot"

// snapshotVersion is the version of how states come about. It is raised whenever an Apply gives another state than before for
// the same events. A change of a state's type needs no care: snapshotFormat tells.
const snapshotVersion = 1

// snapshotsAtOnce bounds the snapshots being written. One that finds no room is written a few events later.
const snapshotsAtOnce = 4

// taken: the stream adds up to State at Revision.
type taken struct {
	Format   string          `json:"format"`
	Revision int64           `json:"revision"`
	EventID  uuid.UUID       `json:"event_id"` // of the event at that revision
	State    json.RawMessage `json:"state"`
}

var snapshotCodec = event.NewCodec(event.Of[taken]("snapshot.taken.v1"))

// snapshots is the snapshots being written.
type snapshots struct {
	mu       sync.Mutex
	writing  map[string]bool
	reported map[string]bool // streams of which somebody has been told that they can have none
}

func snapshotStream(stream string) string { return event.StreamName(SnapshotCategory, stream) }

// readSnapshot is what a stream's snapshot says; false when there is none that can be used. That it belongs to what
// the stream now holds is for advance to find out.
func (s *Service) readSnapshot(ctx context.Context, stream string, f folder) (known, bool) {
	recorded, err := s.store.Last(ctx, snapshotStream(stream))
	if err != nil {
		return known{}, false // a snapshot only saves time
	}
	e, err := snapshotCodec.Decode(recorded.Type, recorded.Data)
	if err != nil {
		return known{}, false
	}
	t := e.(taken)
	if t.Format != f.format() || t.Revision < 0 {
		return known{}, false
	}
	state, err := f.unmarshal(t.State)
	return known{state: state, revision: t.Revision, last: t.EventID, snapshot: t.Revision}, err == nil
}

// considerSnapshot has a snapshot written in the background if the stream has grown enough since the last one.
func (s *Service) considerSnapshot(stream string, f folder, k known) {
	if k.revision-k.snapshot < int64(s.cfg.SnapshotEvery) {
		return
	}
	s.snapshots.mu.Lock()
	defer s.snapshots.mu.Unlock()
	if s.snapshots.writing[stream] || len(s.snapshots.writing) >= snapshotsAtOnce {
		return
	}
	s.snapshots.writing[stream] = true
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Timeout)
		defer cancel()
		// One that could not be written is not missed: the next is due after as many events again.
		err := s.writeSnapshot(ctx, stream, f, k)
		if held, ok := s.cache.Peek(stream); ok && held.snapshot < k.revision {
			held.snapshot = k.revision
			s.remember(stream, f, held)
		}
		s.snapshots.mu.Lock()
		defer s.snapshots.mu.Unlock()
		delete(s.snapshots.writing, stream)
		if err != nil && !errors.Is(err, event.ErrUnavailable) && !s.snapshots.reported[stream] {
			s.snapshots.reported[stream] = true
			s.cfg.Logger.Warn("a snapshot cannot be written: a new process reads all that is newer than the last", "stream", stream, "events", k.revision+1, "err", err)
		}
	}()
}

func (s *Service) writeSnapshot(ctx context.Context, stream string, f folder, k known) error {
	state, err := json.Marshal(k.state)
	if err != nil {
		return fmt.Errorf("encode state of %s: %w", stream, err)
	}
	// A state that JSON does not keep whole would make this process and the next decide differently.
	if again, err := f.unmarshal(state); err != nil || !reflect.DeepEqual(again, k.state) {
		return fmt.Errorf("the state of %s@%d does not survive JSON (%v)", stream, k.revision, err)
	}
	name, data, err := snapshotCodec.Encode(taken{Format: f.format(), Revision: k.revision, EventID: k.last, State: state})
	if err != nil {
		return err
	}
	if err := s.store.SetMaxCount(ctx, snapshotStream(stream), 1); err != nil {
		return err
	}
	_, err = s.store.Append(ctx, snapshotStream(stream), event.Any, []event.Proposed{{ID: newID(), Type: name, Data: data}})
	return err
}

// snapshotFormat names the form of a state of type S: its version, and a sum over its fields, so that nobody has to think of a
// version when a field comes or goes.
func snapshotFormat[S any]() string {
	var b strings.Builder
	describe(&b, reflect.TypeFor[S](), map[reflect.Type]bool{})
	sum := fnv.New64a()
	sum.Write([]byte(b.String()))
	return fmt.Sprintf("%d-%x", snapshotVersion, sum.Sum64())
}

func describe(b *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) {
	fmt.Fprintf(b, "%s %s", t, t.Kind())
	if seen[t] {
		return
	}
	seen[t] = true
	if t.Implements(reflect.TypeFor[json.Marshaler]()) {
		return // it has a form of its own
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		describe(b, t.Elem(), seen)
	case reflect.Map:
		describe(b, t.Key(), seen)
		describe(b, t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			fmt.Fprintf(b, "{%s %q ", f.Name, f.Tag)
			describe(b, f.Type, seen)
			b.WriteByte('}')
		}
	}
}
