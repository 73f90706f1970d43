// Package view is what the read side serves: one file a view. A view is pure: it says which streams it reads, how a
// stream folds, which rows a state yields, and how a document is composed of rows. The projector runs views, the
// query API serves them, and neither knows what is in them. docs/views.md adds one step by step.
package view

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"jangbu/domain"
	"jangbu/domain/event"
	"jangbu/query/row"
)

// View is one read model.
type View struct {
	Name    string // names its queue and its keys
	Version int    // raise it whenever the same log would yield other documents
	Sources []Source
	// Compose makes the final JSON of a document, or nil while the document does not exist for readers.
	// It is nil itself in a view of lists.
	Compose func(row.Document) ([]byte, error)
}

// Source is one category of streams as one view reads it. From and FromRecorded make it.
type Source struct {
	Category string
	codec    *event.Codec
	load     func([]byte) (any, error)             // as all states here, a pointer, or nil before the first event
	apply    func(into, state any, e *decoded) any // into may be nil, or state
	rows     func(id string, state any, revision int64) []row.Row
	share    func(id string, state any) any
	rests    func(state any) bool
	revised  bool // rows may tell the revision
}

// From reads the streams of a category: codec decodes events, apply folds them from the zero S, and rows says what a stream contributes; it
// is nil where streams only share (Sharing). S must survive a round trip through JSON, and neither function may change what it is given.
func From[S any](category string, codec *event.Codec, apply func(S, any) S, rows func(id string, s S) []row.Row) Source {
	var revisedRows func(string, S, int64) []row.Row
	if rows != nil {
		revisedRows = func(id string, s S, _ int64) []row.Row { return rows(id, s) }
	}
	return from(category, codec, func(s S, e *decoded) S { return apply(s, e.event) }, revisedRows)
}

// Recording is what the log knows of an event besides its data.
type Recording struct {
	Time     time.Time // when the store recorded it, UTC
	Actor    string    // on whose behalf, "" where nobody said
	Revision int64
}

// FromRecorded is From for a fold that also needs to know when and by whom each event was caused, and for rows that tell the revision.
func FromRecorded[S any](category string, codec *event.Codec, apply func(S, any, Recording) S, rows func(id string, s S, revision int64) []row.Row) Source {
	src := from(category, codec, func(s S, e *decoded) S { return apply(s, e.event, e.recording()) }, rows)
	src.revised = true
	return src
}

// decoded is an event as the codec reads it, and where it came from. Its metadata is read only for a fold that asks.
type decoded struct {
	event    any
	time     time.Time
	revision int64
	metadata []byte
}

func (d *decoded) recording() Recording {
	var m struct { // of event.Metadata
		Actor string `json:"actor"`
	}
	if len(d.metadata) > 0 && row.Unmarshal(d.metadata, &m) != nil {
		m.Actor = ""
	}
	return Recording{Time: d.time.UTC(), Actor: m.Actor, Revision: d.revision}
}

func from[S any](category string, codec *event.Codec, apply func(S, *decoded) S, rows func(id string, s S, revision int64) []row.Row) Source {
	return Source{
		Category: category,
		codec:    codec.With(row.Unmarshal),
		load: func(data []byte) (any, error) {
			s := new(S)
			return s, row.Unmarshal(data, s)
		},
		apply: func(into, state any, e *decoded) any {
			s, ok := into.(*S)
			if !ok {
				s = new(S)
			}
			var was S
			if state != nil {
				was = *state.(*S)
			}
			*s = apply(was, e)
			return s
		},
		rows: func(id string, s any, revision int64) []row.Row {
			if rows == nil {
				return nil
			}
			return rows(id, *s.(*S), revision)
		},
	}
}

// Sharing adds to a source what each of its streams shows to the documents that refer to it (Row.Refs), nil while it shows nothing.
func Sharing[S any](src Source, share func(id string, s S) any) Source {
	src.share = func(id string, s any) any { return share(id, *s.(*S)) }
	return src
}

// Resting adds to a source in which states its streams rest: nothing more is expected to happen to one for long, if ever. The state of
// a stream that rests is not kept but folded from the store again should another event come, which costs one read of the stream. So it
// is for short streams of which there are many.
func Resting[S any](src Source, rests func(S) bool) Source {
	src.rests = func(s any) bool { return rests(*s.(*S)) }
	return src
}

// Source returns the view's source for a stream, or false if the stream does not feed the view.
func (v *View) Source(stream string) (*Source, bool) {
	category := event.Category(stream)
	for i := range v.Sources {
		if v.Sources[i].Category == category {
			return &v.Sources[i], true
		}
	}
	return nil, false
}

// NamedByID reports whether a stream is named by the id of a thing, as all that commands write.
func NamedByID(stream string) bool { return domain.ValidID(event.StreamID(stream)) }

// Categories lists what the view reads.
func (v *View) Categories() []string {
	var names []string
	for _, s := range v.Sources {
		names = append(names, s.Category)
	}
	return names
}

// Load reads a state that Save wrote. No data gives nil, the state of a stream of which no event has been folded; it contributes nothing.
func (s *Source) Load(data []byte) (any, error) {
	if len(data) == 0 {
		return nil, nil
	}
	return s.load(data)
}

// Save writes a state, nil for one that is not kept.
func (s *Source) Save(state any) ([]byte, error) {
	if s.Rests(state) {
		return nil, nil
	}
	return row.Marshal(state)
}

// Rests reports whether a stream in this state rests, and so the state is not kept. Where the view's code panics it does not, since nothing
// but memory is lost by that.
func (s *Source) Rests(state any) (rests bool) {
	defer func() {
		if recover() != nil {
			rests = false
		}
	}()
	return state == nil || s.rests != nil && s.rests(state)
}

// Decode reads e for Fold. Views that read one category share its codec, so one decoding serves them all.
func (s *Source) Decode(e event.Recorded) (any, error) {
	domainEvent, err := s.codec.Decode(e.Type, e.Data)
	if err != nil {
		return nil, fmt.Errorf("event %s@%d: %w", e.Stream, e.Revision, err)
	}
	return &decoded{domainEvent, e.Time, e.Revision, e.Metadata}, nil
}

// Fold applies one event, as Decode gave it, to a state, which it leaves alone.
func (s *Source) Fold(state, e any) any { return s.apply(nil, state, e.(*decoded)) }

// FoldInto is Fold for a state, not nil, that nobody else holds: the state itself changes. If the fold panics, the state is as it was.
func (s *Source) FoldInto(state, e any) { s.apply(state, state, e.(*decoded)) }

// Same reports whether a stream contributes the same in two states, each at its revision: rows that have landed for one
// need not land again for the other.
func (s *Source) Same(stream string, a any, revisionA int64, b any, revisionB int64) bool {
	return s.Still(a, b) || reflect.DeepEqual(s.Rows(stream, a, revisionA), s.Rows(stream, b, revisionB)) &&
		(s.share == nil || reflect.DeepEqual(s.Shared(stream, a), s.Shared(stream, b)))
}

// Still reports whether a and b are the same state, in which a stream contributes the same at any revision.
func (s *Source) Still(a, b any) bool { return !s.revised && reflect.DeepEqual(a, b) }

// Rows says what a stream in this state contributes, and to which documents. At most one row a document.
func (s *Source) Rows(stream string, state any, revision int64) []row.Row {
	if state == nil {
		return nil
	}
	return s.rows(event.StreamID(stream), state, revision)
}

// Shared is the part that documents referring to the stream show, absent if its streams share nothing.
func (s *Source) Shared(stream string, state any) row.Part {
	if s.share == nil || state == nil {
		return row.Part{}
	}
	return row.PartOf(s.share(event.StreamID(stream), state))
}

// Shares reports whether documents may refer to streams of this source.
func (s *Source) Shares() bool { return s.share != nil }

// All lists every view the shop serves.
func All() []*View { return []*View{Orders, OrderLists, Members, Products, Catalogue, Popular, Sales} }

// Named returns the view of that name.
func Named(name string) (*View, bool) {
	for _, v := range All() {
		if v.Name == name {
			return v, true
		}
	}
	return nil, false
}

// Categories lists every category that feeds some of the views: what the relay has to publish for them.
func Categories(views []*View) []string {
	var all []string
	for _, v := range views {
		for _, c := range v.Categories() {
			if !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
	}
	return all
}
