package eventstoredb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

// maxProblems bounds a Report; a broken file tends to be broken everywhere.
const maxProblems = 100

// Report is what Verify found.
type Report struct {
	Events       uint64
	Streams      uint64 // ever written to; the streams that hold metadata count too
	LastPosition uint64
	FileBytes    int64
	Problems     []string // at most 100; none means the file is sound
}

// Verify reads a whole store that no server has open and checks what its invariants promise: the checksum of every
// event, that log and index agree on every event in both directions, that revisions run from 0 without a gap, and
// that names and numbers of streams belong together. It changes nothing. What is wrong inside the store is in the
// Report; an error means that the file could not be opened or is not an event store, or that its pages cannot be
// walked (ErrDamaged), in which case the Report says how far it came.
func Verify(path string) (r Report, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return r, fmt.Errorf("verify event store: %w", err)
	}
	r.FileBytes = info.Size()
	db, err := openBolt(path, bbolt.Options{ReadOnly: true}, false)
	if err != nil {
		return r, fmt.Errorf("verify event store %s: %w", path, err)
	}
	err = errors.Join(r.read(db), db.Close())
	if err != nil {
		return r, fmt.Errorf("verify event store %s: %w", path, err)
	}
	return r, nil
}

func (r *Report) read(db *bbolt.DB) error {
	return viewSafely(db, func(tx *bbolt.Tx) error {
		if r.FileBytes < tx.Size() {
			return fmt.Errorf("%w: the file has %d bytes and should have %d", ErrDamaged, r.FileBytes, tx.Size())
		}
		s := newSnapshot(tx)
		if s.log == nil || s.index == nil || s.streams == nil {
			return fmt.Errorf("%w: the file is not an event store", ErrDamaged)
		}
		r.readLog(s)
		r.readIndex(s)
		return r.readStreams(s)
	})
}

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// readLog checks every event, and that the index knows it.
func (r *Report) readLog(s *snapshot) {
	c := s.log.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		r.Events++
		if len(k) != 8 {
			r.problem("the log has a key of %d bytes", len(k))
			continue
		}
		if at := binary.BigEndian.Uint64(k); at <= r.LastPosition {
			r.problem("position %d follows %d", at, r.LastPosition)
		}
		r.LastPosition = binary.BigEndian.Uint64(k)
		e := record(v)
		if err := e.check(); err != nil {
			r.problem("position %d: %v", r.LastPosition, err)
			continue
		}
		if at := e.position(); at != r.LastPosition {
			r.problem("position %d: the event says it is at %d", r.LastPosition, at)
		}
		if at := s.index.Get(indexKey(e.streamNumber(), e.revision())); !bytes.Equal(at, k) {
			r.problem("position %d: the index does not lead to revision %d of %s", r.LastPosition, e.revision(), e.stream())
		}
		if n := s.streams.Get(e.stream()); len(n) != 8 || binary.BigEndian.Uint64(n) != e.streamNumber() {
			r.problem("position %d: stream %s is not number %d", r.LastPosition, e.stream(), e.streamNumber())
		}
	}
}

// readIndex checks that revisions have no gaps and that the index names no event twice or beyond the log. That
// every event of the log is in it was checked, so equal counts mean that both hold the same.
func (r *Report) readIndex(s *snapshot) {
	var entries, stream, due uint64
	c := s.index.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		entries++
		if len(k) != 16 || len(v) != 8 {
			r.problem("the index has an entry of %d and %d bytes", len(k), len(v))
			continue
		}
		number, revision := binary.BigEndian.Uint64(k), binary.BigEndian.Uint64(k[8:])
		if number != stream {
			stream, due = number, 0
		}
		if revision != due && revision != tombstoneRevision {
			r.problem("stream number %d: revision %d stands where %d is due", number, revision, due)
		}
		due = revision + 1
	}
	if entries != r.Events {
		r.problem("the index has %d entries for %d events", entries, r.Events)
	}
}

// readStreams checks that no two streams share a number.
func (r *Report) readStreams(s *snapshot) error {
	highest := s.streams.Sequence()
	if highest > uint64(s.tx.Size()) { // every stream takes more than a byte
		return fmt.Errorf("%w: %d streams cannot be in this file", ErrDamaged, highest)
	}
	used := make([]uint64, highest/64+1)
	return s.streams.ForEach(func(k, v []byte) error {
		r.Streams++
		if len(v) != 8 {
			r.problem("stream %s has no number", k)
			return nil
		}
		n := binary.BigEndian.Uint64(v)
		switch {
		case n == 0 || n > highest:
			r.problem("stream %s has number %d, above the highest given, %d", k, n, highest)
		case used[n/64]&(1<<(n%64)) != 0:
			r.problem("stream %s shares its number %d with another", k, n)
		default:
			used[n/64] |= 1 << (n % 64)
		}
		if _, err := s.last(string(k), n); err != nil {
			r.problem("stream %s: %v", k, err)
		}
		return nil
	})
}
