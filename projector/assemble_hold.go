package projector

import (
	"jangbu/domain/event"
	"jangbu/query/row"
	"jangbu/query/view"
)

// folding is a stream that an assembler holds back: folded, and not landed yet, or not since its last events.
type folding struct {
	stream   string
	source   *view.Source
	state    any
	revision int64       // folded up to here
	base     any         // the state when it was landed last
	landed   int64       // and its revision, event.NoStream if it never was
	healed   bool        // some of what has not landed was read from the store
	parked   *row.Parked // where the view's code failed
	bytes    int         // of its largest event

	prev, next *folding
}

// unlanded reports whether there is something to land.
func (f *folding) unlanded() bool { return f.revision > f.landed || f.parked != nil }

// fold folds events that need no care, or changes nothing and reports false.
func (f *folding) fold(arrivals []arrival) (done bool) {
	defer func() {
		if recover() != nil {
			done = false
		}
	}()
	state, revision := f.state, f.revision
	for i := range arrivals {
		e := &arrivals[i]
		if e.Revision <= revision {
			continue
		}
		if e.Revision != revision+1 || e.decoded == nil {
			return false
		}
		state, revision = f.source.Fold(state, e.decoded), e.Revision
	}
	f.state, f.revision = state, revision
	return true
}

// holding is the streams that an assembler knows the states of. Nothing relies on the order between streams, so a stream that goes on is
// landed when it has rested longer than the others, once, and not once an event. It is for one goroutine.
type holding struct {
	maxStreams, maxBytes int

	streams map[string]*folding
	bytes   int
	rested  folding // the head of a ring, by when an event last came: next is the one that rested longest
}

func newHolding(maxStreams, maxBytes int) *holding {
	h := &holding{maxStreams: maxStreams, maxBytes: maxBytes, streams: map[string]*folding{}}
	h.rested.prev, h.rested.next = &h.rested, &h.rested
	return h
}

// add takes a stream that is not among them.
func (h *holding) add(s *folding) {
	h.streams[s.stream] = s
	h.bytes += s.bytes
	h.rest(s)
}

// touch says that an event of so many bytes has come.
func (h *holding) touch(s *folding, bytes int) {
	if bytes > s.bytes {
		h.bytes += bytes - s.bytes
		s.bytes = bytes
	}
	s.prev.next, s.next.prev = s.next, s.prev
	h.rest(s)
}

func (h *holding) rest(s *folding) {
	s.prev, s.next = h.rested.prev, &h.rested
	s.prev.next, s.next.prev = s, s
}

// remove takes a stream away.
func (h *holding) remove(s *folding) {
	delete(h.streams, s.stream)
	h.bytes -= s.bytes
	s.prev.next, s.next.prev = s.next, s.prev
}

// leaving is the streams that have to leave: none while there is room for all, else so many of those that rested longest that a quarter of
// the room is free.
func (h *holding) leaving() []*folding {
	if len(h.streams) <= h.maxStreams && h.bytes <= h.maxBytes {
		return nil
	}
	return h.longest(len(h.streams)-h.maxStreams*3/4, h.bytes-h.maxBytes*3/4)
}

// longest is at least so many streams, and of so many bytes, that rested longest; all, when there are no more.
func (h *holding) longest(streams, bytes int) (all []*folding) {
	for s := h.rested.next; s != &h.rested && (streams > 0 || bytes > 0); s = s.next {
		all = append(all, s)
		streams, bytes = streams-1, bytes-s.bytes
	}
	return all
}

// newFolding is a stream at a revision that has landed, event.NoStream for none.
func newFolding(stream string, source *view.Source, state any, revision int64) *folding {
	return &folding{stream: stream, source: source, state: state, revision: revision, base: state, landed: revision}
}

// change is what landing the stream does, before its rows are made.
func (f *folding) change(decode *decodings) change {
	return change{
		stream: f.stream, source: f.source, decode: decode, loaded: true, lone: true,
		state: f.state, from: f.landed, to: f.revision, healed: f.healed, parked: f.parked,
		changed: f.landed == event.NoStream || !f.source.Still(f.base, f.state),
	}
}
