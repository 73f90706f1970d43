package projector

// group is events of one stream, in their order.
type group struct {
	stream     string
	arrivals   []arrival
	bytes      int
	prev, next *group
}

// window holds events back while the log is read, grouped by stream, so that a stream that goes on soon is folded and landed once
// instead of once an event: nothing relies on the order between streams. What leaves it are the streams that have rested longest.
// Streams that documents refer to are not held back, since each document landed before them has to be landed again.
type window struct {
	maxEvents, maxBytes int

	streams       map[string]*group
	events, bytes int
	rested        group // the head of a ring, by when an event last came: next is the one that rested longest
	prompt        []*group
}

func newWindow(maxEvents, maxBytes int) *window {
	w := &window{maxEvents: maxEvents, maxBytes: maxBytes, streams: map[string]*group{}}
	w.rested.prev, w.rested.next = &w.rested, &w.rested
	return w
}

// add takes an event; one of a stream that documents may refer to is prompt.
func (w *window) add(a arrival, prompt bool) {
	g := w.streams[a.Stream]
	switch {
	case g == nil:
		g = &group{stream: a.Stream}
		w.streams[a.Stream] = g
		if prompt {
			w.prompt = append(w.prompt, g)
		}
	case !prompt:
		g.unlink()
	}
	if !prompt {
		g.prev, g.next = w.rested.prev, &w.rested
		g.prev.next, g.next.prev = g, g
	}
	g.arrivals = append(g.arrivals, a)
	g.bytes += len(a.Data)
	w.events++
	w.bytes += len(a.Data)
}

func (g *group) unlink() { g.prev.next, g.next.prev = g.next, g.prev }

// full reports whether something has to leave.
func (w *window) full() bool { return w.events > w.maxEvents || w.bytes > w.maxBytes }

// release lets go of the prompt streams, and then of those that rested longest, until at least so many events have left, or so many
// bytes: all, when there are no more.
func (w *window) release(events, bytes int) (released []*group) {
	leave := func(g *group) {
		released = append(released, g)
		delete(w.streams, g.stream)
		events, bytes = events-len(g.arrivals), bytes-g.bytes
		w.events, w.bytes = w.events-len(g.arrivals), w.bytes-g.bytes
	}
	for _, g := range w.prompt {
		leave(g)
	}
	w.prompt = nil
	for events > 0 && bytes > 0 && w.rested.next != &w.rested {
		g := w.rested.next
		g.unlink()
		leave(g)
	}
	return released
}
