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
	skips    row.Skips
	state    any
	revision int64       // folded up to here
	base     any         // the state when it was landed last
	landed   int64       // and its revision, event.NoStream if it never was
	healed   bool        // some of what has not landed was read from the store
	parked   *row.Parked // where the view's code failed
	bytes    int         // of its largest event

	ring       *ring
	prev, next *folding
}

// fold folds events up to the first that needs care, and reports whether there is none.
func (f *folding) fold(arrivals []arrival) (done bool) {
	defer func() {
		if recover() != nil {
			done = false
		}
	}()
	for i := range arrivals {
		e := &arrivals[i]
		if e.Revision <= f.revision {
			continue
		}
		if e.Revision != f.revision+1 || e.decoded == nil {
			return false
		}
		if f.state == f.base { // the very same, which stays as it is
			f.state = f.source.Fold(f.state, e.decoded)
		} else {
			f.source.FoldInto(f.state, e.decoded)
		}
		f.revision = e.Revision
	}
	return true
}

// holding is the streams that an assembler knows the states of. Nothing relies on the order between streams, so a stream that goes on is
// landed when it has rested longer than others of its source, once, and not once an event. Each source has room of its own, so that
// orders, which come and go, do not push out stocks, which stay; and more of it, up to most streams, the more of those that had to leave
// come back. It is for one goroutine.
type holding struct {
	maxStreams, maxBytes int // of a source
	most                 int // that maxStreams of one may become

	streams map[string]*folding
	rings   []*ring
}

// ring is the streams of a source, by when an event last came: next of rested is the one that rested longest.
type ring struct {
	maxStreams, maxBytes int

	source  *view.Source
	streams int
	bytes   int
	left    int // streams, since maxStreams was last thought over
	back    int // streams that came with a state that had landed, since then
	rested  folding
}

func newHolding(maxStreams, most, maxBytes int) *holding {
	return &holding{maxStreams: maxStreams, most: most, maxBytes: maxBytes, streams: map[string]*folding{}}
}

// add takes a stream that is not among them.
func (h *holding) add(s *folding) {
	h.streams[s.stream] = s
	s.ring = h.ring(s.source)
	if s.landed != event.NoStream {
		s.ring.back++
	}
	s.ring.streams++
	s.ring.bytes += s.bytes
	s.rest()
}

func (h *holding) ring(source *view.Source) *ring {
	for _, r := range h.rings {
		if r.source == source {
			return r
		}
	}
	r := &ring{maxStreams: h.maxStreams, maxBytes: h.maxBytes, source: source}
	r.rested.prev, r.rested.next = &r.rested, &r.rested
	h.rings = append(h.rings, r)
	return r
}

// touch says that an event of so many bytes has come.
func (s *folding) touch(bytes int) {
	if bytes > s.bytes {
		s.ring.bytes += bytes - s.bytes
		s.bytes = bytes
	}
	s.prev.next, s.next.prev = s.next, s.prev
	s.rest()
}

func (s *folding) rest() {
	head := &s.ring.rested
	s.prev, s.next = head.prev, head
	s.prev.next, s.next.prev = s, s
}

// remove takes a stream away.
func (h *holding) remove(s *folding) {
	delete(h.streams, s.stream)
	s.prev.next, s.next.prev = s.next, s.prev
	r := s.ring
	r.streams--
	r.bytes -= s.bytes
	if r.left++; r.left >= r.maxStreams {
		if 4*r.back >= r.left {
			r.maxStreams = min(2*r.maxStreams, h.most)
		}
		r.left, r.back = 0, 0
	}
}

// full reports whether streams have to leave, until the room is half full.
func (r *ring) full() bool { return r.streams > r.maxStreams || r.bytes > r.maxBytes }

// over is about how many streams are too many for half the room, 0 for none.
func (r *ring) over() int {
	streams, bytes := r.streams-r.maxStreams/2, r.bytes-r.maxBytes/2
	if bytes > 0 {
		streams = max(streams, 1, r.streams*bytes/r.bytes)
	}
	return max(streams, 0)
}

// longest is so many streams that rested longest, or all.
func (r *ring) longest(streams int) (all []*folding) {
	for s := r.rested.next; s != &r.rested && len(all) < streams; s = s.next {
		all = append(all, s)
	}
	return all
}

// newFolding is a stream as a change has landed it, if anything of it has landed.
func newFolding(c *change) *folding {
	return &folding{stream: c.stream, source: c.source, skips: c.skips, state: c.state, revision: c.to, base: c.state, landed: c.to}
}

// change is what landing the stream does, before its rows are made.
func (f *folding) change(folder *Applier) change {
	c := *folder.newChange(f.stream, f.source)
	c.skips = f.skips
	c.loaded, c.lone, c.lazy, c.state, c.from, c.to, c.healed, c.parked = true, true, true, f.state, f.landed, f.revision, f.healed, f.parked
	c.changed = f.base == nil || !f.source.Still(f.base, f.state)
	return c
}
