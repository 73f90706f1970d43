package eventstoredb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// Names and index carry no checksum. Events do, and each says which revision of which stream it is, so what a name or
// an entry of the index leads to is held against the event. That something is not there is believed only if the keys
// around its place say so too: a key with a flipped bit stands where it stood, out of order, and leads astray the
// searches that come across it.

// ending is the number of a stream and its newest revision, or noRevision if it was never written to.
func (s *snapshot) ending(name string) (stream uint64, revision int64, err error) {
	stream, ok, err := s.number(name)
	if err != nil || !ok {
		return 0, noRevision, err
	}
	last, err := s.last(name, stream)
	return stream, int64(last), err
}

// number is the number of a stream that has ever been written to.
func (s *snapshot) number(name string) (n uint64, ok bool, err error) {
	c := s.streams.Cursor()
	k, v := c.Seek([]byte(name))
	if string(k) != name {
		return 0, false, s.absent(name, c, k, v)
	}
	if len(v) != 8 {
		return 0, false, fmt.Errorf("%w: stream %s has no number", ErrDamaged, name)
	}
	return binary.BigEndian.Uint64(v), true, nil
}

// absent reports damage if a name may be there all the same: the search for it ended at k and v, where c is.
func (s *snapshot) absent(name string, c *bbolt.Cursor, k, v []byte) error {
	behind := s.streams.Cursor()
	var p, number []byte
	if k == nil {
		p, number = behind.Last()
	} else {
		behind.Seek([]byte(name))
		p, number = behind.Prev()
	}
	before, _ := behind.Prev()
	after, _ := c.Next()
	var least []byte
	for _, key := range [][]byte{before, p, []byte(name), k, after} {
		if key != nil && bytes.Compare(least, key) >= 0 {
			return fmt.Errorf("%w: the names are out of order around %s", ErrDamaged, name)
		}
		if key != nil {
			least = key
		}
	}
	return errors.Join(s.other(name, p, number), s.other(name, k, v))
}

// other reports damage if a name beside the place of a missing one is the missing one, damaged. Only its newest event
// can tell, which lies anywhere in the file, so it is asked only if the names differ by no more than a byte.
func (s *snapshot) other(missing string, name, number []byte) error {
	if len(name) != len(missing) {
		return nil
	}
	differing := 0
	for i := range name {
		if name[i] != missing[i] {
			differing++
		}
	}
	if differing > 1 {
		return nil
	}
	if len(number) != 8 {
		return fmt.Errorf("%w: stream %s has no number", ErrDamaged, name)
	}
	_, err := s.last(string(name), binary.BigEndian.Uint64(number))
	return err
}

// last is the newest revision of a stream that has a number, which it has with its first event.
func (s *snapshot) last(name string, stream uint64) (uint64, error) {
	k, v, err := s.before(stream, indexKey(stream+1, 0))
	if err != nil {
		return 0, err
	}
	if len(k) != 16 || binary.BigEndian.Uint64(k) != stream {
		return 0, fmt.Errorf("%w: stream %s has no events", ErrDamaged, name)
	}
	r, err := s.entry(k, v)
	if err == nil && r != nil && string(r.stream()) != name {
		err = fmt.Errorf("%w: the index has an event of %s as the newest of %s", ErrDamaged, r.stream(), name)
	}
	return binary.BigEndian.Uint64(k[8:]), err
}

// before is the entry of the index before a key at which a stream must have ended: the next one begins there, or the
// index ends. Numbers have no gaps, since a stream has its number with its first event.
func (s *snapshot) before(stream uint64, key []byte) (k, v []byte, err error) {
	c := s.index.Cursor()
	k, v = c.Seek(key)
	if k == nil && stream >= s.streams.Sequence() {
		k, v = c.Last()
		return k, v, nil
	}
	if len(k) == 16 && binary.BigEndian.Uint64(k) == stream+1 {
		switch binary.BigEndian.Uint64(k[8:]) {
		case tombstoneRevision: // the first event if the stream was never written to
			if _, err := s.entry(k, v); err != nil {
				return nil, nil, err
			}
			fallthrough
		case 0:
			k, v = c.Prev()
			return k, v, nil
		}
	}
	return nil, nil, fmt.Errorf("%w: the index is out of order behind stream number %d", ErrDamaged, stream)
}

// room reports damage unless a stream whose newest revision is last ends where another revision is to be put.
func (s *snapshot) room(stream uint64, last int64, revision uint64) error {
	k, _, err := s.before(stream, indexKey(stream, revision))
	if err != nil {
		return err
	}
	ends := last == noRevision && (k == nil || len(k) == 16 && binary.BigEndian.Uint64(k) == stream-1)
	if !ends && !bytes.Equal(k, indexKey(stream, uint64(last))) {
		return fmt.Errorf("%w: the index is out of order at stream number %d", ErrDamaged, stream)
	}
	return nil
}

// entry is the event to which an entry of the index leads, whose stream and revision must be those of the entry. An
// event that is itself damaged is nil: it says nothing about the index, and is left to whoever reads it.
func (s *snapshot) entry(k, v []byte) (record, error) {
	r := record(s.log.Get(v))
	switch {
	case r == nil:
		return nil, fmt.Errorf("%w: the index names an event that is not in the log", ErrDamaged)
	case r.check() != nil:
		return nil, nil
	case !r.is(binary.BigEndian.Uint64(k), binary.BigEndian.Uint64(k[8:])):
		return nil, fmt.Errorf("%w: the index leads to another event", ErrDamaged)
	}
	return r, nil
}

// record is the event at a revision that a stream has. It lies in the mapped file: it ends with the snapshot.
func (s *snapshot) record(stream, revision uint64) (record, error) {
	k := indexKey(stream, revision)
	v := s.index.Get(k)
	if v == nil {
		return nil, fmt.Errorf("%w: the index lacks revision %d of stream number %d", ErrDamaged, revision, stream)
	}
	r, err := s.entry(k, v)
	if r == nil && err == nil {
		err = record(s.log.Get(v)).check()
	}
	return r, err
}

// logCursor finds records by position, cheaply when the next one wanted follows the last one found.
type logCursor struct {
	c     *bbolt.Cursor
	valid bool
}

func (l *logCursor) at(position []byte) (record, error) {
	var k, v []byte
	if l.valid {
		k, v = l.c.Next()
	}
	if !bytes.Equal(k, position) {
		k, v = l.c.Seek(position)
	}
	if l.valid = k != nil; !bytes.Equal(k, position) {
		return nil, fmt.Errorf("%w: the index names an event that is not in the log", ErrDamaged)
	}
	r := record(v)
	return r, r.check()
}
