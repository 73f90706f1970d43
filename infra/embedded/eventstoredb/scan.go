package eventstoredb

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// allScan walks $all chunk by chunk.
type allScan struct {
	query   *query
	now     func() time.Time
	started bool
	at      uint64 // forwards: the next position, inclusive; backwards: exclusive
	to      uint64 // last position of a plain read
	seen    uint64 // position of the last event looked at
	counted int    // events looked at since the last checkpoint
}

// start fixes where the scan begins and, for a plain read, ends.
func (a *allScan) start(s *snapshot) {
	a.started = true
	end := s.end()
	a.to = end
	from := a.query.from
	switch {
	case a.query.subscribe && from.kind == fromPlace:
		a.at, a.seen = from.at+1, from.at
	case a.query.subscribe && from.kind == fromEnd:
		a.at, a.seen = end+1, end
	case from.kind == fromPlace:
		a.at = from.at
	case from.kind == fromEnd:
		a.at = math.MaxUint64
	}
	if a.query.subscribe {
		a.to = math.MaxUint64
	}
}

// chunk reads on; more is false when the end was reached.
func (a *allScan) chunk(store *store, c *chunk) (more bool, err error) {
	err = store.view(func(s *snapshot) error {
		if !a.started {
			a.start(s)
		}
		cursor := s.log.Cursor()
		step := cursor.Next
		k, v := cursor.Seek(positionKey(a.at))
		if a.query.backwards {
			step = cursor.Prev
			if k == nil {
				k, v = cursor.Last()
			} else {
				k, v = cursor.Prev()
			}
		}
		more, err = a.walk(s, c, k, v, step)
		return err
	})
	return more, err
}

func (a *allScan) walk(s *snapshot, c *chunk, k, v []byte, step func() ([]byte, []byte)) (more bool, err error) {
	for searched := 0; k != nil; searched++ {
		position := binary.BigEndian.Uint64(k)
		if position > a.to && !a.query.backwards {
			return false, nil
		}
		if c.full() || searched == chunkSearch {
			return true, nil
		}
		r := record(v)
		if err := r.check(); err != nil {
			return false, fmt.Errorf("read event at position %d: %w", position, err)
		}
		if r.position() != position || a.query.backwards == (position >= a.at) {
			return false, fmt.Errorf("%w: the log is out of order at position %d", ErrDamaged, position)
		}
		if a.query.filter.allows(r) {
			if err := a.query.form.emit(c, s, r, a.now()); err != nil {
				return false, err
			}
		}
		a.pass(c, position)
		k, v = step()
	}
	return false, nil
}

// pass notes that an event has been looked at.
func (a *allScan) pass(c *chunk, position uint64) {
	a.seen, a.at = position, position
	if !a.query.backwards {
		a.at++
	}
	if a.query.subscribe && a.query.filter != nil {
		if a.counted++; a.counted >= a.query.filter.interval {
			a.counted = 0
			c.checkpoint(position)
		}
	}
}

func (a *allScan) reachEnd() uint64 { return a.seen }

// streamScan walks one stream chunk by chunk.
type streamScan struct {
	query   *query
	now     func() time.Time
	started bool
	live    bool   // a subscription that has caught up: no event to come is hidden from it
	done    bool   // backwards: revision 0 has been read
	next    uint64 // the next revision, inclusive
	to      uint64 // last revision of a plain read, forwards

	// Of the first chunk:
	found     bool
	truncated bool // the read began below the first revision that may be read
	floor     uint64
	last      uint64
}

// chunk reads on; more is false when the end was reached, or when there is no such stream.
func (t *streamScan) chunk(store *store, c *chunk) (more bool, err error) {
	err = store.view(func(s *snapshot) error {
		h, err := s.head(t.query.stream)
		if err != nil {
			return err
		}
		if h.tombstoned() {
			return streamDeleted(t.query.stream)
		}
		now := t.now()
		floor, err := s.floor(h, now)
		if err != nil {
			return err
		}
		if !t.started {
			t.start(h, floor)
		}
		if !h.visible() {
			if t.query.subscribe && !t.live { // what is deleted now stays hidden when the stream comes back
				t.next = max(t.next, uint64(h.last+1))
			}
			return nil
		}
		if t.query.backwards {
			more, err = t.down(s, h, floor, now, c)
		} else {
			more, err = t.up(s, h, floor, now, c)
		}
		return err
	})
	return more, err
}

func (t *streamScan) start(h *head, floor uint64) {
	t.started = true
	t.found, t.floor = h.visible(), floor
	t.last, t.to = uint64(max(h.last, 0)), uint64(max(h.last, 0))
	from := t.query.from
	switch {
	case t.query.subscribe:
		t.to = math.MaxUint64
		switch from.kind {
		case fromPlace:
			t.next = from.at + 1
		case fromEnd:
			t.next = uint64(h.last + 1)
		}
	case from.kind == fromEnd:
		t.next = math.MaxUint64
	case from.kind == fromPlace:
		t.next = from.at
	}
	t.truncated = t.next < floor
	if t.query.backwards {
		t.next = min(t.next, t.last)
	}
}

func (t *streamScan) reachEnd() uint64 {
	t.live = true
	return 0
}

// up reads towards the end of the stream.
func (t *streamScan) up(s *snapshot, h *head, floor uint64, now time.Time, c *chunk) (more bool, err error) {
	if !t.live {
		t.next = max(t.next, floor)
	}
	to := min(t.to, uint64(h.last))
	if t.next > to {
		return false, nil
	}
	log := logCursor{c: s.log.Cursor()}
	index := s.index.Cursor()
	for k, v := index.Seek(indexKey(h.number, t.next)); t.next <= to; k, v = index.Next() {
		if c.full() {
			return true, nil
		}
		if err := t.emit(s, h, &log, k, v, now, c); err != nil {
			return false, err
		}
		t.next++
	}
	return false, nil
}

// down reads towards the beginning.
func (t *streamScan) down(s *snapshot, h *head, floor uint64, now time.Time, c *chunk) (more bool, err error) {
	log := logCursor{c: s.log.Cursor()}
	index := s.index.Cursor()
	for k, v := index.Seek(indexKey(h.number, t.next)); !t.done && t.next >= floor; k, v = index.Prev() {
		if c.full() {
			return true, nil
		}
		if err := t.emit(s, h, &log, k, v, now, c); err != nil {
			return false, err
		}
		t.next, t.done = t.next-1, t.next == 0
	}
	return false, nil
}

// emit adds the next event to the chunk: that to which the entry k, v of the index leads, if they all belong together.
func (t *streamScan) emit(s *snapshot, h *head, log *logCursor, k, v []byte, now time.Time, c *chunk) error {
	if len(k) != 16 || binary.BigEndian.Uint64(k) != h.number || binary.BigEndian.Uint64(k[8:]) != t.next {
		return fmt.Errorf("read stream %s: %w: the index lacks revision %d", h.name, ErrDamaged, t.next)
	}
	r, err := log.at(v)
	if err != nil {
		return fmt.Errorf("read stream %s: %w", h.name, err)
	}
	if !r.is(h.number, t.next) || string(r.stream()) != h.name {
		return fmt.Errorf("read stream %s: %w: revision %d leads to another event", h.name, ErrDamaged, t.next)
	}
	return t.query.form.emit(c, s, r, now)
}
