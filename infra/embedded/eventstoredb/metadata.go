package eventstoredb

import (
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strings"
	"time"
)

// metaPrefix makes a stream's name the name of the stream that holds its metadata.
const metaPrefix = "$$"

// metaOwner is the stream whose metadata a stream holds.
func metaOwner(stream string) (owner string, ok bool) {
	owner, ok = strings.CutPrefix(stream, metaPrefix)
	return owner, ok && owner != ""
}

// streamMeta is the part of a stream's metadata by which the store hides events. Zero means no limit.
type streamMeta struct {
	maxCount       uint64
	maxAge         time.Duration
	truncateBefore uint64
}

// parseMeta reads stream metadata. What is not understood limits nothing, as in EventStoreDB.
func parseMeta(data []byte) streamMeta {
	var all map[string]json.RawMessage // a struct's fields would match keys whatever their case
	if json.Unmarshal(data, &all) != nil {
		return streamMeta{}
	}
	numbers := map[string]int64{}
	for _, key := range []string{"$maxCount", "$maxAge", "$tb"} {
		var n json.Number
		if text, ok := all[key]; ok && json.Unmarshal(text, &n) != nil {
			return streamMeta{}
		}
		if v, err := n.Int64(); err == nil && v > 0 {
			numbers[key] = v
		}
	}
	m := streamMeta{maxCount: uint64(numbers["$maxCount"]), truncateBefore: uint64(numbers["$tb"])}
	if age := numbers["$maxAge"]; age < math.MaxInt64/int64(time.Second) {
		m.maxAge = time.Duration(age) * time.Second
	}
	return m
}

// truncatedFrom is stream metadata with $tb set: what deletion and recreation write. A nil data starts afresh.
func truncatedFrom(data []byte, revision uint64) []byte {
	all := map[string]json.RawMessage{}
	if data != nil && json.Unmarshal(data, &all) != nil || all == nil {
		all = map[string]json.RawMessage{}
	}
	all["$tb"] = json.RawMessage(fmt.Sprint(revision))
	out, err := json.Marshal(all)
	if err != nil { // cannot be: every value came from valid JSON
		return fmt.Appendf(nil, `{"$tb":%d}`, revision)
	}
	return out
}

// head is what a stream's name stands for at some moment: where it ends, and what hides its events.
type head struct {
	name        string
	number      uint64
	exists      bool  // the name has a number
	last        int64 // newest revision, or noRevision
	meta        streamMeta
	hasMetadata bool
	softDeleted bool
	ownerGone   bool // a metadata stream whose owner is tombstoned
}

// tombstoned reports that the stream is deleted for good.
func (h *head) tombstoned() bool { return h.ownerGone || h.last == int64(tombstoneRevision) }

// visible reports whether a read finds the stream at all.
func (h *head) visible() bool { return h.last != noRevision && !h.softDeleted }

// head looks a stream up.
func (s *snapshot) head(name string) (*head, error) {
	number, last, err := s.ending(name)
	if err != nil {
		return nil, err
	}
	h := &head{name: name, number: number, exists: last != noRevision, last: last}
	if owner, ok := metaOwner(name); ok {
		h.meta = streamMeta{maxCount: 1}
		_, last, err := s.ending(owner)
		h.ownerGone = last == int64(tombstoneRevision)
		return h, err
	}
	data, err := s.metadata(name)
	if err != nil {
		return nil, err
	}
	if data != nil {
		h.hasMetadata = true
		h.meta = parseMeta(data)
		h.softDeleted = h.meta.truncateBefore == tombstoneRevision
	}
	return h, nil
}

// metadata is the newest metadata of a stream as it was written, or nil.
func (s *snapshot) metadata(stream string) ([]byte, error) {
	number, last, err := s.ending(metaPrefix + stream)
	if err != nil || last == noRevision {
		return nil, err
	}
	r, err := s.record(number, uint64(last))
	if err != nil {
		return nil, err
	}
	return r.data(), nil
}

// floor is the first revision of a stream that may be read: what $tb, $maxCount and $maxAge leave.
func (s *snapshot) floor(h *head, now time.Time) (uint64, error) {
	floor := h.meta.truncateBefore
	if count := int64(h.meta.maxCount); count > 0 && h.last-count+1 > int64(floor) {
		floor = uint64(h.last - count + 1)
	}
	if h.meta.maxAge == 0 || h.last < int64(floor) {
		return floor, nil
	}
	// Events are as old as their place in the stream, so the first young enough is found by bisection.
	oldest := now.Add(-h.meta.maxAge).UnixNano() / int64(ticks)
	var failed error
	n := sort.Search(int(h.last-int64(floor))+1, func(i int) bool {
		r, err := s.record(h.number, floor+uint64(i))
		if err != nil {
			failed = err
			return true
		}
		return r.created() >= oldest
	})
	return floor + uint64(n), failed
}
