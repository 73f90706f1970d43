// Package event holds what every part of jangbu says about domain events: an event as it stands in the log, an
// event proposed to it, the position and revision vocabulary, the metadata, and the codec between an event's
// name and its Go type. It does no I/O and knows no clock.
//
// A stream is named <category>-<id>; the category ends at the first dash, which is KurrentDB's convention.
package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Expected revisions of an append. Zero and above mean exactly that revision of the stream's last event.
const (
	NoStream int64 = -1 // the stream must have no events
	Any      int64 = -2 // whatever the stream holds
)

// The vocabulary of failure shared by the ports that carry events. Adapters wrap these; callers use errors.Is.
var (
	// ErrConflict: the stream is not at the expected revision. Nothing was written.
	ErrConflict = errors.New("stream is not at the expected revision")
	// ErrStreamNotFound: the stream has no events, or has been deleted.
	ErrStreamNotFound = errors.New("stream not found")
	// ErrUnavailable: the dependency did not answer. The operation may be retried; an append that failed so
	// may have happened, and is made certain by repeating it with the same event ids and expected revision.
	ErrUnavailable = errors.New("dependency unavailable")
	// ErrNotProvisioned: what carries events does not exist, a topic or a queue. Until somebody makes it, it is unavailable.
	ErrNotProvisioned = fmt.Errorf("not provisioned: %w", ErrUnavailable)
	// ErrNoRoom: the dependency answers, and has no memory left for what it was told. Until somebody makes room, it is unavailable.
	ErrNoRoom = fmt.Errorf("no memory left: %w", ErrUnavailable)
	// ErrTooLarge: the append is over the store's limit and will never succeed.
	ErrTooLarge = errors.New("append is too large")
	// ErrUnknownType: no codec knows the event's name.
	ErrUnknownType = errors.New("unknown event type")
)

// Position is a place in the whole log ($all). Positions are sparse: they compare, and nothing else.
// The zero Position stands before the first event.
type Position struct {
	Commit  uint64
	Prepare uint64
}

// Compare returns -1, 0 or +1 as p stands before, at or after q.
func (p Position) Compare(q Position) int {
	switch {
	case p.Commit != q.Commit:
		if p.Commit < q.Commit {
			return -1
		}
		return 1
	case p.Prepare != q.Prepare:
		if p.Prepare < q.Prepare {
			return -1
		}
		return 1
	}
	return 0
}

// String is the form ParsePosition reads: "commit/prepare".
func (p Position) String() string { return fmt.Sprintf("%d/%d", p.Commit, p.Prepare) }

// ParsePosition reads what String writes; the empty string is the zero Position.
func ParsePosition(s string) (Position, error) {
	var p Position
	if s == "" {
		return p, nil
	}
	if n, err := fmt.Sscanf(s, "%d/%d", &p.Commit, &p.Prepare); n != 2 || err != nil {
		return Position{}, fmt.Errorf("position %q is not of the form commit/prepare", s)
	}
	return p, nil
}

// Recorded is an event as it stands in the log. Its byte slices are shared: do not change them.
// Where a subscription yields one with an empty Type, it is a checkpoint: the log has been searched up to Position.
type Recorded struct {
	ID       uuid.UUID
	Stream   string
	Revision int64 // place in its stream, from 0
	Position Position
	Type     string
	Time     time.Time // when the store recorded it, UTC
	Data     []byte    // JSON
	Metadata []byte    // JSON of Metadata
}

// Proposed is an event to append. An ID already at the same place in the stream makes the append a success that
// writes nothing, so a retry with the same IDs is safe.
type Proposed struct {
	ID       uuid.UUID
	Type     string
	Data     []byte
	Metadata []byte
}

// Delivery is an event as a queue brought it: at least once, in any order.
type Delivery struct {
	Event    Recorded
	Hollow   bool   // the event was too large for a message: Data and Metadata are absent, the store has them
	Receipt  string // what the queue wants back to delete this delivery or keep it hidden
	Receives int    // how often the queue has handed this message out, from 1
	Err      error  // the message could not be read as an event; Event is then zero
}

// Metadata stands beside the data of every event jangbu writes.
type Metadata struct {
	CommandID     string `json:"command_id"`
	RequestHash   string `json:"request_hash,omitempty"` // of the request that carried an Idempotency-Key
	CorrelationID string `json:"$correlationId,omitempty"`
	CausationID   string `json:"$causationId,omitempty"`
	Actor         string `json:"actor,omitempty"`
	Traceparent   string `json:"traceparent,omitempty"` // W3C Trace Context
}

// Meta decodes the event's metadata; what cannot be read is left empty, since metadata decides no rule.
func (r Recorded) Meta() Metadata {
	var m Metadata
	if len(r.Metadata) == 0 || json.Unmarshal(r.Metadata, &m) != nil {
		return Metadata{}
	}
	return m
}

// Category is the part of a stream's name before its first dash.
func Category(stream string) string {
	category, _, _ := strings.Cut(stream, "-")
	return category
}

// StreamID is the part of a stream's name after its first dash.
func StreamID(stream string) string {
	_, id, _ := strings.Cut(stream, "-")
	return id
}

// StreamName joins a category and an id.
func StreamName(category, id string) string { return category + "-" + id }
