// Package row is the vocabulary of the read side, shared by the views, the machine that runs them and the store that
// holds them.
//
//	A stream folds to a state. A state yields rows. A row lands in a document under the name of the stream it came
//	from, with the revision it came from. A row of a lower revision never replaces one of a higher.
//
// (Where an operator leaves an event out, what was made of its stream before is older than what is made of the same revision then.)
// Everything the read side promises under duplicates, reordering, loss and replay follows from that rule, because it
// makes landing a row commutative and idempotent.
package row

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"jangbu/domain/event"
)

// Row is what one stream, at one revision, contributes to one document. A document shows a Part as it is, adds up
// Sums over all its rows, and keeps its rows with a Key in order.
type Row struct {
	Doc  string           // the document within its view
	Part Part             // what Compose sees under the name of the source stream; zero for none
	Sums map[string]int64 // exact: the row's former contribution is replaced, never added to; MaxSum at most, either way
	Key  string           // the row's place among the document's items, "" for none; no control characters
	Item any              // what a list shows at Key, as JSON
	// Refs are streams whose shared part this document shows too, in an order that the state alone decides. A document may still have the parts of
	// streams that no row refers to any more, so Compose looks up those that its rows name, and walks over none.
	Refs []string
}

// MaxSum is the most that a row adds to a sum, or takes from it: so Lua, which counts in floating point, counts exactly what one script lands.
const MaxSum int64 = 1_000_000_000_000

// Part is a JSON value, not marshalled before somebody needs its bytes, nor unmarshalled where it was made.
type Part struct {
	value any
	bytes []byte
}

// PartOf makes a part of a value that nobody changes any more.
func PartOf(v any) Part { return Part{value: v} }

// StoredPart is a part as it was stored.
func StoredPart(b []byte) Part { return Part{bytes: b} }

// Absent reports whether there is no part.
func (p Part) Absent() bool { return p.value == nil && len(p.bytes) == 0 }

// Bytes is the part's JSON, nil if it is absent.
func (p Part) Bytes() []byte {
	if p.bytes == nil && p.value != nil {
		return JSON(p.value)
	}
	return p.bytes
}

// AppendTo appends the part's JSON, nothing if it is absent.
func (p Part) AppendTo(b []byte) []byte {
	if p.bytes == nil && p.value != nil {
		return AppendJSON(b, p.value)
	}
	return append(b, p.bytes...)
}

// Marshalled is the part with its bytes at hand, for a part that is written often.
func (p Part) Marshalled() Part { return Part{value: p.value, bytes: p.Bytes()} }

// Decode gives a part back as the type it was made of, or as another that its JSON can be read as.
func Decode[T any](p Part) (T, error) {
	if v, ok := p.value.(T); ok {
		return v, nil
	}
	var v T
	err := Unmarshal(p.Bytes(), &v)
	return v, err
}

// Generation names one complete build of one view.
type Generation struct {
	View   string
	Number int64  // from 1; 0 means there is none
	Salt   string // tells it from a namesake, where numbers began anew because Redis was emptied
	Fence  string // names the run of Redis in which the registry gave it out; "" where only reading matters
}

func (g Generation) String() string { return fmt.Sprintf("%s.%d", g.View, g.Number) }

// Registry says which generations of a view exist. Live is what queries read. Building, when there is one, is written
// by its builder alone until it is Open; from then on it receives every event, and before Live does.
type Registry struct {
	Live     Generation
	Building Generation
	Open     bool
	Previous Generation

	Version, BuildingVersion, PreviousVersion int // of the view's code that built each

	Built  event.Position // how far the replay into Building has come: everything up to here has landed
	At     event.Position // the verified position of Live: everything up to here has landed, or is parked
	AtTime time.Time      // when the event there was recorded
	Moved  time.Time      // when At last moved
	Healed int64          // events that a sweep had to land in Live
	Heard  time.Time      // when a message last came for the view; about a second behind
	Silent time.Time      // since when a sweep has had to land all there was, again; zero while messages come
}

// Writable lists the generations that take events from a view's code of that version: the one being built first, once it
// is open, so that the live one never holds what its successor lacks.
func (r Registry) Writable(version int) []Generation {
	var all []Generation
	if r.Building.Number > 0 && r.Open && r.BuildingVersion == version {
		all = append(all, r.Building)
	}
	if r.Live.Number > 0 && r.Version == version {
		all = append(all, r.Live)
	}
	return all
}

// Parked is a stream that a view's code failed on. What comes before Revision has landed; it and what follows wait.
type Parked struct {
	Stream   string
	Revision int64
	Type     string // of the event at Revision
	Reason   string
	Since    time.Time
}

// Skipped is the events that operators left out of a view, by stream, in the order in which they did.
type Skipped map[string]Skips

// Skips is events of one stream that are left out.
type Skips []Skip

// Has reports whether one of them is e.
func (s Skips) Has(e event.Recorded) bool {
	return slices.ContainsFunc(s, func(one Skip) bool { return one.Of(e) })
}

// Skip is an event that is left out.
type Skip struct {
	Revision int64
	ID       [16]byte // a UUID; tells it from one in its place in another log. Notes of earlier releases have none, and mean any
}

// Of reports whether e is the event.
func (s Skip) Of(e event.Recorded) bool {
	return s.Revision == e.Revision && (s.ID == e.ID || s.ID == [16]byte{})
}

// Content is a document as readers find it. The Body of a list is its items, a line each; of a long list their number and
// a hash.
type Content struct {
	Doc  string
	Body []byte
}

// Build is a generation that its holder may build.
type Build struct {
	Generation
	Fresh bool           // nothing has been written to it yet
	Open  bool           // others write to it too
	Built event.Position // where an earlier holder left it: everything up to here has landed
}

// ErrBusy says that another process is building the view. It passes when that one finishes, or stops renewing its lease.
var ErrBusy = fmt.Errorf("another replay of the view is at work, or was killed just now: %w", event.ErrUnavailable)

// ErrLost says that a build was taken over by another process, or that Redis lost it.
var ErrLost = errors.New("the build is no longer this replay's: another has taken it over, or Redis lost it; replay again")

// ErrNoPrevious says that a view has no previous generation to go back to.
var ErrNoPrevious = errors.New("there is no previous generation to go back to")

// ErrRestarted says that Redis was restarted, or failed over, since the registry gave out a generation. What was written
// just before may be lost, so nothing may be claimed that rests on it: read the registry and do the work again.
var ErrRestarted = fmt.Errorf("redis was restarted meanwhile: %w", event.ErrUnavailable)

// ErrAstray says that Redis did not answer a write that compares nothing. It may still be under way, and be carried out over anything that is
// written from now on, so the generation is of no use while it is not open: give it up.
var ErrAstray = fmt.Errorf("redis did not answer a write, which may come late: %w", event.ErrUnavailable)

// ErrHalf says that a part of a generation is gone; ErrDoubt, that a part of it may have lost what was written last.
var (
	ErrHalf  = errors.New("a part of the generation is gone")
	ErrDoubt = errors.New("a part of the generation may have lost its last writes")
)

// Landing is rows on their way to one document.
type Landing struct {
	Doc     string
	Compose bool // the document has a composed form, which must follow
	Rows    []Sourced
}

// Sourced is a row with where it came from. A nil Row withdraws what Source contributed.
type Sourced struct {
	Source   string
	Revision int64
	Skips    int // of events of Source that were known when it was made: of one revision, the row of more of them stands
	Row      *Row
}

// Replaces is the rule: whether the row stands in place of one of its source that was made at a revision and with so many skips.
func (s Sourced) Replaces(revision int64, skips int) bool {
	return s.Revision > revision || s.Revision == revision && s.Skips > skips
}

// Document is a document as its rows add up to it, before it is composed.
type Document struct {
	Doc     string
	Version int64            // counts the changes of the document
	Parts   map[string]Part  // by source stream
	Sums    map[string]int64 // zero sums are left out
	First   string           // the lowest and the highest Key, "" when no row has one
	Last    string
}

// State is how far a stream has landed in one generation of a view: everything up to Revision has.
type State struct {
	Stream   string
	Revision int64  // event.NoStream when nothing has
	Skips    int    // as of a Sourced
	Data     []byte // JSON of the folded state, empty where it is not kept
	Saved    []SavedAt
}

// SavedAt is when a state was saved at a revision. A State read back has the last few, the newest first.
type SavedAt struct {
	Revision int64
	Time     time.Time
}

// ErrCursor says that a page was asked for after something that can be the end of none.
var ErrCursor = errors.New("unreadable cursor")

// Item is one entry of a list.
type Item struct {
	Cursor string // where the next page starts: after this
	JSON   []byte
}

// Shared names the document that holds the part which a stream shares with the documents that refer to it.
func Shared(stream string) string { return "~" + stream }
