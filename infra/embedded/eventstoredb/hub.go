package eventstoredb

import "sync"

// hub wakes those who wait for events: the writer tells it after each commit which streams have grown. A bell holds
// at most one ring, so the writer never waits and a waiter that was reading meanwhile looks once more.
type hub struct {
	mu      sync.Mutex
	all     map[*bell]struct{}
	streams map[string]map[*bell]struct{}
}

// bell is one waiter's. It must be hung before the waiter first reads, or a commit in between goes unheard.
type bell struct {
	stream string // empty for every stream
	rung   chan struct{}
}

func newHub() *hub {
	return &hub{all: make(map[*bell]struct{}), streams: make(map[string]map[*bell]struct{})}
}

func (h *hub) hang(stream string) *bell {
	b := &bell{stream: stream, rung: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if stream == "" {
		h.all[b] = struct{}{}
		return b
	}
	if h.streams[stream] == nil {
		h.streams[stream] = make(map[*bell]struct{})
	}
	h.streams[stream][b] = struct{}{}
	return b
}

func (h *hub) take(b *bell) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b.stream == "" {
		delete(h.all, b)
		return
	}
	delete(h.streams[b.stream], b)
	if len(h.streams[b.stream]) == 0 {
		delete(h.streams, b.stream)
	}
}

// ring wakes the waiters of the streams a commit has touched.
func (h *hub) ring(touched []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for b := range h.all {
		b.ring()
	}
	if len(h.streams) == 0 {
		return
	}
	for _, stream := range touched {
		for b := range h.streams[stream] {
			b.ring()
		}
	}
}

// ringAll wakes every waiter.
func (h *hub) ringAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for b := range h.all {
		b.ring()
	}
	for _, bells := range h.streams {
		for b := range bells {
			b.ring()
		}
	}
}

func (b *bell) ring() {
	select {
	case b.rung <- struct{}{}:
	default:
	}
}
