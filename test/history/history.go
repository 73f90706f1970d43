// Package history is a log in memory for tests: it records domain events as the event store would, serves them as the
// log that the projector reads, and makes up the logs of small, busy shops.
package history

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/email"
	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/payment"
	"jangbu/domain/product"
	"jangbu/domain/stock"
)

// History is a log. The zero History is empty. It is safe for concurrent use: a reader sees what had been recorded when
// it reached the end.
type History struct {
	mu       sync.Mutex
	events   []event.Recorded
	byStream map[string][]event.Recorded
	deleted  map[string]bool
	floors   map[string]int64 // the first revision of a stream that was truncated
	grew     chan struct{}    // if anyone waits for more
	shop     shop             // that Grow goes on with
}

var codecs = map[string]*event.Codec{
	member.Category: member.Codec, email.Category: email.Codec, product.Category: product.Codec, stock.Category: stock.Codec,
	order.Category: order.Codec, payment.Category: payment.Codec,
}

// Add records domain events at the end of a stream.
func (h *History) Add(t testing.TB, stream string, events ...any) {
	t.Helper()
	for _, e := range events {
		h.add(t, stream, "", e)
	}
}

func (h *History) add(t testing.TB, stream, actor string, e any) {
	t.Helper()
	name, data, err := codecs[event.Category(stream)].Encode(e)
	if err != nil {
		t.Fatalf("record in %s: %v", stream, err)
	}
	var metadata []byte
	if actor != "" {
		if metadata, err = json.Marshal(event.Metadata{Actor: actor}); err != nil {
			t.Fatal(err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.record(stream, event.Proposed{ID: uuid.New(), Type: name, Data: data, Metadata: metadata})
}

// AddRaw records an event as it is, which need not be one that any codec reads.
func (h *History) AddRaw(stream, name string, data []byte) event.Recorded {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.record(stream, event.Proposed{ID: uuid.New(), Type: name, Data: data})
}

// Append records events at the end of a stream as the event store does: if the stream is at the expected revision, or that is
// event.Any. If not, and just these events, told by their ids, stand after that revision, it says again where they are; else it
// is an event.ErrConflict.
func (h *History) Append(_ context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deleted[stream] {
		return event.Position{}, fmt.Errorf("append to %s: %w", stream, event.ErrStreamNotFound)
	}
	held := h.byStream[stream]
	if last := int64(len(held)) - 1; expected != event.Any && expected != last {
		if expected < last && slices.EqualFunc(events, held[expected+1:min(len(held), int(expected)+1+len(events))], sameID) {
			return held[int(expected)+len(events)].Position, nil
		}
		return event.Position{}, fmt.Errorf("%s is at %d, not %d: %w", stream, last, expected, event.ErrConflict)
	}
	var at event.Position
	for _, e := range events {
		at = h.record(stream, e).Position
	}
	return at, nil
}

// Delete deletes a stream for good, of which the log goes on telling the last so many events. Whoever reads the stream finds none.
func (h *History) Delete(stream string, left int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deleted == nil {
		h.deleted = map[string]bool{}
	}
	h.deleted[stream] = true
	gone := int64(len(h.byStream[stream]) - left)
	delete(h.byStream, stream)
	h.events = slices.DeleteFunc(slices.Clone(h.events), func(e event.Recorded) bool { return e.Stream == stream && e.Revision < gone })
}

// Truncate cuts a stream's beginning off, up to a revision, as a store does with all of one that is deleted, but not for good: whoever
// reads the stream finds the rest, the next event goes on with the numbers, and the log tells all.
func (h *History) Truncate(stream string, before int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.floors == nil {
		h.floors = map[string]int64{}
	}
	h.floors[stream] = before
}

// Cut puts the log back to its first n events, as a backup that is restored does. Grow does not go on with it.
func (h *History) Cut(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events, h.byStream = slices.Clone(h.events[:n]), map[string][]event.Recorded{}
	for _, e := range h.events {
		h.byStream[e.Stream] = append(h.byStream[e.Stream], e)
	}
	if h.grew != nil {
		close(h.grew)
		h.grew = nil
	}
}

func sameID(p event.Proposed, r event.Recorded) bool { return p.ID == r.ID }

func (h *History) record(stream string, e event.Proposed) event.Recorded {
	if h.byStream == nil {
		h.byStream = map[string][]event.Recorded{}
	}
	at := uint64(10 * (len(h.events) + 1)) // positions are sparse
	recorded := event.Recorded{
		ID: e.ID, Stream: stream, Revision: int64(len(h.byStream[stream])), Position: event.Position{Commit: at, Prepare: at},
		Type: e.Type, Time: time.UnixMilli(int64(at)).UTC(), Data: e.Data, Metadata: e.Metadata,
	}
	h.events = append(h.events, recorded)
	h.byStream[stream] = append(h.byStream[stream], recorded)
	if h.grew != nil {
		close(h.grew)
		h.grew = nil
	}
	return recorded
}

// After is what has been recorded from the i-th event on, and a channel that closes when there is more.
func (h *History) After(i int) ([]event.Recorded, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.grew == nil {
		h.grew = make(chan struct{})
	}
	return h.events[i:len(h.events):len(h.events)], h.grew
}

// Len is the number of events.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.events)
}

// Events is the whole log so far, which callers only read.
func (h *History) Events() []event.Recorded {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clip(h.events)
}

// Stream is the events of one stream so far, which callers only read.
func (h *History) Stream(name string) []event.Recorded {
	all, _ := h.stream(name)
	return all
}

func (h *History) stream(name string) (all []event.Recorded, floor int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clip(h.byStream[name]), h.floors[name]
}

// Last is the newest revision of a stream, event.NoStream if it has none.
func (h *History) Last(stream string) int64 { return int64(len(h.Stream(stream))) - 1 }

// LastOf is the newest event of a stream; event.ErrStreamNotFound if it has none.
func (h *History) LastOf(stream string) (event.Recorded, error) {
	events, floor := h.stream(stream)
	if int64(len(events)) <= floor {
		return event.Recorded{}, fmt.Errorf("read the end of %s: %w", stream, event.ErrStreamNotFound)
	}
	return events[len(events)-1], nil
}

// Head is the last event; event.ErrStreamNotFound if there is none.
func (h *History) Head(context.Context) (event.Recorded, error) {
	events := h.Events()
	if len(events) == 0 {
		return event.Recorded{}, event.ErrStreamNotFound
	}
	return events[len(events)-1], nil
}

// ReadStream reads one stream forwards; event.ErrStreamNotFound if it has no events.
func (h *History) ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		events, floor := h.stream(stream)
		if int64(len(events)) <= floor {
			yield(event.Recorded{}, fmt.Errorf("read %s: %w", stream, event.ErrStreamNotFound))
			return
		}
		from = max(from, floor)
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
		for i := 0; ; {
			events, _ := h.After(i)
			if len(events) == 0 {
				return
			}
			for _, e := range events {
				if ctx.Err() != nil {
					yield(event.Recorded{}, ctx.Err())
					return
				}
				if i++; e.Position.Compare(after) > 0 && !yield(e, nil) {
					return
				}
			}
		}
	}
}
