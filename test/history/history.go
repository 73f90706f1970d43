// Package history is a log in memory for tests: it records domain events as the event store would, serves them as the
// log that the projector reads, and makes up the logs of small, busy shops.
package history

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
)

// History is a log. The zero History is empty. It is safe for concurrent use: a reader sees what had been recorded when
// it reached the end.
type History struct {
	mu       sync.Mutex
	events   []event.Recorded
	byStream map[string][]event.Recorded
}

// Add records domain events at the end of a stream.
func (h *History) Add(t testing.TB, stream string, events ...any) {
	t.Helper()
	codecs := map[string]*event.Codec{member.Category: member.Codec, product.Category: product.Codec, order.Category: order.Codec}
	for _, e := range events {
		name, data, err := codecs[event.Category(stream)].Encode(e)
		if err != nil {
			t.Fatalf("record in %s: %v", stream, err)
		}
		h.AddRaw(stream, name, data)
	}
}

// AddRaw records an event as it is, which need not be one that any codec reads.
func (h *History) AddRaw(stream, name string, data []byte) event.Recorded {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byStream == nil {
		h.byStream = map[string][]event.Recorded{}
	}
	at := uint64(10 * (len(h.events) + 1)) // positions are sparse
	recorded := event.Recorded{
		ID: uuid.New(), Stream: stream, Revision: int64(len(h.byStream[stream])), Position: event.Position{Commit: at, Prepare: at},
		Type: name, Time: time.UnixMilli(int64(at)).UTC(), Data: data,
	}
	h.events = append(h.events, recorded)
	h.byStream[stream] = append(h.byStream[stream], recorded)
	return recorded
}

// Len is the number of events.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.events)
}

// Events is the whole log so far.
func (h *History) Events() []event.Recorded {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

// Stream is the events of one stream so far.
func (h *History) Stream(name string) []event.Recorded {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.byStream[name])
}

// Last is the newest revision of a stream, event.NoStream if it has none.
func (h *History) Last(stream string) int64 { return int64(len(h.Stream(stream))) - 1 }

// ReadStream reads one stream forwards; event.ErrStreamNotFound if it has no events.
func (h *History) ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		events := h.Stream(stream)
		if len(events) == 0 {
			yield(event.Recorded{}, fmt.Errorf("read %s: %w", stream, event.ErrStreamNotFound))
			return
		}
		for _, e := range events[min(from, int64(len(events))):] {
			if ctx.Err() != nil {
				yield(event.Recorded{}, ctx.Err())
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// ReadAll reads the log after a position, up to the end it has when the reader gets there.
func (h *History) ReadAll(ctx context.Context, after event.Position) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		for i := 0; ; i++ {
			e, ok := h.at(i)
			if !ok {
				return
			}
			if ctx.Err() != nil {
				yield(event.Recorded{}, ctx.Err())
				return
			}
			if e.Position.Compare(after) > 0 && !yield(e, nil) {
				return
			}
		}
	}
}

func (h *History) at(i int) (event.Recorded, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i >= len(h.events) {
		return event.Recorded{}, false
	}
	return h.events[i], true
}
