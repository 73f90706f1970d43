package eventstoredb

// expectation is the revision an append expects its stream to be at.
type expectation struct {
	kind     expectationKind
	revision uint64 // of expectRevision
}

type expectationKind uint8

const (
	expectUnset expectationKind = iota
	expectRevision
	expectNoStream
	expectAny
	expectExists
)

// legacy is the expectation as the number that stood for it in EventStoreDB's older protocols and still stands in
// the trailers.
func (e expectation) legacy() int64 {
	switch e.kind {
	case expectNoStream:
		return noRevision
	case expectAny:
		return -2
	case expectExists:
		return -4
	}
	return int64(e.revision)
}

// noRevision is the last revision of a stream without events.
const noRevision int64 = -1

// verdict is what becomes of an append.
type verdict uint8

const (
	accepted verdict = iota
	repeated         // the very events are already there
	conflict
	deleted
)

// judge decides an append against the stream's head, in the rules of EventStoreDB:
//
//   - An exact revision (or no stream) that has been passed is a success if the same event ids stand right after
//     it: the caller is repeating itself. Anything else there is a conflict.
//   - Any and StreamExists check no revision; they recognise a repetition only among recent events.
//   - A deleted stream that may be recreated counts as having no events, though its numbering goes on.
//
// For a repetition, last is the revision of the last of its events.
func judge(s *snapshot, h *head, recent *recentIDs, e expectation, proposals []*proposal) (v verdict, last uint64, err error) {
	if h.tombstoned() {
		return deleted, 0, nil
	}
	switch e.kind {
	case expectExists:
		if h.softDeleted {
			return deleted, 0, nil
		}
		if h.last == noRevision && !h.hasMetadata {
			return conflict, 0, nil
		}
		fallthrough
	case expectAny:
		v, last := recent.judge(h.number, proposals)
		return v, last, nil
	}
	expected := noRevision
	if e.kind == expectRevision {
		expected = int64(e.revision)
	}
	switch {
	case expected == h.last:
		return accepted, 0, nil
	case expected > h.last:
		return conflict, 0, nil
	}
	same := 0
	for i, p := range proposals {
		revision := expected + 1 + int64(i)
		if revision > h.last {
			break
		}
		r, err := s.record(h.number, uint64(revision))
		if err != nil {
			return conflict, 0, err
		}
		if r.id() != p.id {
			break
		}
		same++
	}
	switch {
	case same == len(proposals) && same > 0:
		return repeated, uint64(expected) + uint64(same), nil
	case same == 0 && h.softDeleted && expected == noRevision:
		return accepted, 0, nil
	}
	return conflict, 0, nil
}
