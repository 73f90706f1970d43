package eventstoredb

import (
	"fmt"
)

// transaction is a write transaction and what it has done so far.
type transaction struct {
	*writer
	*snapshot
	created int64
	dirty   bool
}

// perform judges one request and carries it out if it is accepted.
func (t *transaction) perform(r *request) (outcome, error) {
	h, err := t.find(r.stream)
	if err != nil {
		return outcome{}, err
	}
	v, last, err := judge(t.snapshot, h, t.recent, r.expect, r.proposals)
	if err != nil {
		return outcome{}, err
	}
	switch v {
	case conflict, deleted:
		return outcome{verdict: v, last: h.last}, nil
	case repeated:
		of, err := t.record(h.number, last)
		if err != nil {
			return outcome{}, err
		}
		return outcome{verdict: v, last: int64(last), position: of.position()}, nil
	}
	var position uint64
	switch r.kind {
	case writeEvents:
		position, err = t.appendEvents(h, r.proposals)
	case writeDelete:
		position, err = t.writeMeta(r.stream, truncatedFrom(nil, tombstoneRevision))
	case writeTombstone:
		t.heads.forget(metaPrefix + r.stream)
		position, err = t.put(h, newInternal(r.stream, typeTombstone, nil), tombstoneRevision)
	}
	return outcome{last: h.last, position: position}, err
}

// appendEvents writes events at the end of a stream, bringing it back if it was deleted.
func (t *transaction) appendEvents(h *head, proposals []*proposal) (position uint64, err error) {
	if len(proposals) == 0 {
		return 0, nil
	}
	if h.softDeleted {
		if err := t.undelete(h); err != nil {
			return 0, err
		}
	}
	var owner *head
	if name, ok := metaOwner(h.name); ok {
		if owner, err = t.find(name); err != nil {
			return 0, err
		}
	}
	for _, p := range proposals {
		if position, err = t.put(h, p, uint64(h.last+1)); err != nil {
			return 0, err
		}
	}
	if owner == nil {
		return position, nil
	}
	t.heads.forget(owner.name)
	if owner.softDeleted {
		// New metadata brings a deleted stream back, but not the events from before.
		data := truncatedFrom(proposals[len(proposals)-1].data, uint64(owner.last+1))
		return t.put(h, newInternal(h.name, typeMetadata, data), uint64(h.last+1))
	}
	return position, nil
}

// undelete hides a deleted stream's old events by revision instead, so that new ones can follow them.
func (t *transaction) undelete(h *head) error {
	data, err := t.metadata(h.name)
	if err != nil {
		return err
	}
	from := uint64(h.last + 1)
	if _, err := t.writeMeta(h.name, truncatedFrom(data, from)); err != nil {
		return err
	}
	h.meta.truncateBefore, h.softDeleted = from, false
	return nil
}

// writeMeta appends to a stream's metadata and forgets what is cached of the stream.
func (t *transaction) writeMeta(stream string, data []byte) (uint64, error) {
	meta := metaPrefix + stream
	h, err := t.find(meta)
	if err != nil {
		return 0, err
	}
	t.heads.forget(stream)
	return t.put(h, newInternal(meta, typeMetadata, data), uint64(h.last+1))
}

// put writes one event.
func (t *transaction) put(h *head, p *proposal, revision uint64) (position uint64, err error) {
	if !h.exists {
		h.number = t.streams.Sequence() + 1
	}
	if err := t.room(h.number, h.last, revision); err != nil {
		return 0, fmt.Errorf("index event: %w", err)
	}
	if !h.exists {
		if h.number, err = t.streams.NextSequence(); err != nil {
			return 0, fmt.Errorf("number stream %s: %w", h.name, err)
		}
		if err := t.streams.Put([]byte(h.name), positionKey(h.number)); err != nil {
			return 0, fmt.Errorf("name stream %s: %w", h.name, err)
		}
		h.exists = true
	}
	position = t.next
	r := p.place(h.number, revision, position, t.created)
	key := positionKey(position)
	if err := t.log.Put(key, r); err != nil {
		return 0, fmt.Errorf("write event: %w", err)
	}
	if err := t.index.Put(indexKey(h.number, revision), key); err != nil {
		return 0, fmt.Errorf("index event: %w", err)
	}
	t.dirty = true
	t.newest, t.next = position, position+uint64(len(r))
	h.last = int64(revision)
	t.recent.add(p.id, place{h.number, revision})
	t.touched = append(t.touched, h.name)
	return position, nil
}

// find returns the cached head of a stream, looking it up if need be.
func (t *transaction) find(name string) (*head, error) {
	if h := t.heads.get(name); h != nil {
		return h, nil
	}
	h, err := t.snapshot.head(name)
	if err != nil {
		return nil, err
	}
	t.heads.add(h.name, h)
	return h, nil
}
