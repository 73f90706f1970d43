package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
)

// Event is an event outside a store, on its way from one to another.
type Event struct {
	ID       uuid.UUID
	Stream   string
	Revision int64  // negative: the next of its stream
	Position uint64 // 0: the next of the log
	Type     string
	JSON     bool // the content type is application/json, not application/octet-stream
	Created  time.Time
	Data     []byte
	Metadata []byte
}

// importBatch is how many events Import commits at once.
const importBatch = 1000

// Import appends events to the store at path, which no server may have open, keeping their ids, times, revisions and
// positions. Revisions must run on without a gap and positions must ascend. Events whose position the store has
// already reached are skipped, so an import that was interrupted is resumed by starting it again; those without a
// position are appended every time. It returns the number of events written, which are on disk, even with an error.
func Import(ctx context.Context, path string, events iter.Seq2[Event, error]) (written uint64, err error) {
	store, err := openStore(path, false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.close()) }()
	w, err := newWriter(store, newHub(), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, fmt.Errorf("import into %s: %w", path, err)
	}
	batch := make([]Event, 0, importBatch)
	flush := func() error {
		if err := w.importEvents(batch); err != nil {
			return err
		}
		written += uint64(len(batch))
		batch = batch[:0]
		return nil
	}
	reached := w.newest
	for e, err := range events {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return written, errors.Join(fmt.Errorf("import into %s: %w", path, err), flush())
		}
		if e.Position != 0 && e.Position <= reached {
			continue
		}
		if batch = append(batch, e); len(batch) == importBatch {
			if err := flush(); err != nil {
				return written, fmt.Errorf("import into %s: %w", path, err)
			}
		}
	}
	if err := flush(); err != nil {
		return written, fmt.Errorf("import into %s: %w", path, err)
	}
	return written, nil
}

// importEvents writes events as they are, in one transaction.
func (w *writer) importEvents(events []Event) error {
	return w.transact(func(tx *bbolt.Tx) (bool, error) {
		t := &transaction{writer: w, snapshot: newSnapshot(tx)}
		t.log.FillPercent, t.index.FillPercent = 1, 0.9
		for _, e := range events {
			if err := t.importEvent(e); err != nil {
				return false, fmt.Errorf("event %s of stream %s: %w", e.ID, e.Stream, err)
			}
		}
		return t.dirty, nil
	})
}

func (t *transaction) importEvent(e Event) error {
	if err := checkTarget(e.Stream, expectation{kind: expectAny}); err != nil {
		return err
	}
	if !utf8.ValidString(e.Type) {
		return errType
	}
	h, err := t.find(e.Stream)
	if err != nil {
		return err
	}
	revision := uint64(h.last + 1)
	switch {
	case h.tombstoned():
		return errors.New("its stream is deleted")
	case e.Revision == int64(tombstoneRevision) && e.Type == typeTombstone:
		revision = tombstoneRevision
	case e.Revision >= 0 && uint64(e.Revision) != revision:
		return fmt.Errorf("revision %d stands where %d is due", e.Revision, revision)
	}
	if e.Position != 0 {
		if e.Position <= t.newest {
			return fmt.Errorf("position %d does not come after %d", e.Position, t.newest)
		}
		t.next = e.Position
	}
	t.created = e.Created.UnixNano() / int64(ticks)
	p := &proposal{id: eventID(e.ID), typ: e.Type, json: e.JSON, data: e.Data}
	p.encode(e.Stream, e.Metadata)
	_, err = t.put(h, p, revision)
	return err
}

// Export yields every event of the store at path, which no server may have open, in the order of the log. It ends
// with an error if the store cannot be read to its end.
func Export(path string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := export(path, yield); err != nil {
			yield(Event{}, fmt.Errorf("export event store %s: %w", path, err))
		}
	}
}

var errEnough = errors.New("the consumer has enough")

func export(path string, yield func(Event, error) bool) error {
	db, err := openBolt(path, bbolt.Options{ReadOnly: true}, false)
	if err != nil {
		return err
	}
	err = viewSafely(db, func(tx *bbolt.Tx) error {
		log := tx.Bucket(bucketLog)
		if log == nil {
			return fmt.Errorf("%w: the file is not an event store", ErrDamaged)
		}
		c := log.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			e, err := record(v).export()
			if err != nil {
				return err
			}
			if !yield(e, nil) {
				return errEnough
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return errors.Join(err, db.Close())
}

// export decodes a record.
func (r record) export() (Event, error) {
	if err := r.check(); err != nil {
		return Event{}, err
	}
	var m streams.ReadResp
	if err := proto.Unmarshal(r.message(), &m); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	e := m.GetEvent().GetEvent()
	return Event{
		ID: uuid.UUID(r.id()), Stream: string(r.stream()), Revision: int64(r.revision()), Position: r.position(),
		Type: string(r.eventType()), JSON: r[5]&flagJSON != 0,
		Created: time.Unix(0, r.created()*int64(ticks)).UTC(),
		Data:    e.GetData(), Metadata: e.GetCustomMetadata(),
	}, nil
}
