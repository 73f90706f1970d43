package projector

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"jangbu/query/row"
	"jangbu/query/view"
)

// assembler builds a generation that was fresh when it began, that nobody else writes to, and that nobody reads before it is
// complete. It lands rows by the rule of the read side, and leaves what an Applier would, but gets by with a fraction of the
// work, because it may rely on all that:
//
//   - what it does not know to be there is not there, and is not asked for;
//   - what a stream contributed before follows from the state that it had;
//   - documents that many streams contribute to are kept in memory, as many as there is room for, and composed and
//     written when they have to make room, or at the end; of those that have a great many parts each part is written, and all is
//     composed at the end;
//   - a shared part that changes is shown in the documents that there are already once, at the end, however often it changes;
//   - states are saved as soon as the rows are on their way, since they claim nothing yet.
//
// So nothing may be claimed of the generation before flush has returned nil, and if that never happens, because the process
// dies or Redis is restarted meanwhile, the generation is of no use to anyone. After an error the same call is to be repeated.
// It is for one goroutine.
type assembler struct {
	view   *view.View
	gen    row.Generation
	rows   Builder
	folder *Applier // folds streams where care is needed
	held   *holding
	docs   *recent[*document]   // of views that compose, and those with sums
	shared *recent[row.Sourced] // by stream
	known  known                // documents that have been put
	joint  known                // documents that one stream's row and the parts it refers to do not, or did not always, make up
	bulky  map[string]bool      // documents of many parts and nothing else: no longer remembered, nor composed before the end

	room room

	ahead   map[string]int64                // streams landed before the log came to them, and how far
	waited  map[string]bool                 // streams that documents refer to, and that there are not
	renewed map[string]bool                 // streams of whose shared part documents hold an older one, or none
	keyed   bool                            // some row had a key
	piece   int                             // streams that are landed at once: the fewer, the more rows they have
	folded  bool                            // the events of the call that is to be repeated have been
	step    func(ctx context.Context) error // of that call, nil for none

	*scratch // changes and batch of the call under way, else nil
	parked   []row.Parked
	unparked []string
	touched  []*document // since the last trim
}

// scratch is memory that assemblers use by turns, as many at once as there are workers.
type scratch struct {
	changes []change  // of the groups being landed
	batch   row.Batch // to be put
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

// uncomposableError says that the view cannot compose a document of what the log holds, or that something in it has no JSON form. What
// becomes of its streams takes knowing which of them had landed, and so the careful way.
type uncomposableError struct{ err error }

func (e *uncomposableError) Error() string { return e.err.Error() }
func (e *uncomposableError) Unwrap() error { return e.err }

func uncomposable(err error) bool {
	_, is := errors.AsType[*uncomposableError](err)
	return is
}

// formed makes an uncomposableError of the panic with which what has no JSON form ends a call; the assembler is of no more use.
func formed(err *error) {
	p := recover()
	if without, is := p.(*row.FormError); is {
		*err = &uncomposableError{without}
	} else if p != nil {
		panic(p)
	}
}

func newAssembler(v *view.View, g row.Generation, rows Builder, log StreamReader, room room) *assembler {
	return &assembler{
		view: v, gen: g, rows: rows, folder: NewApplier(v, g, rows, log),
		held:   newHolding(room.hold, holdMost*room.hold, heldBytes),
		docs:   newRecent[*document](room.remember),
		shared: newRecent[row.Sourced](max(1, room.remember/8)),
		piece:  max(1, room.putRows/8),
		room:   room, bulky: map[string]bool{}, ahead: map[string]int64{}, waited: map[string]bool{}, renewed: map[string]bool{},
	}
}

// room is what an assembler may keep in memory.
type room struct {
	hold     int // streams of each source, of which not all events have landed, up to holdMost times as many
	remember int // parts and sums of documents, once or twice as many
	bulk     int // parts of a document that is remembered
	putDocs  int // documents that are read, or composed and written, at once
	putRows  int // rows that are put at once, about
}

const (
	holdMost  = 8
	heldBytes = 4 << 20 // of the largest event of each stream of a source
)

// land lands events, grouped by stream, of which the first of a stream is its first, or goes on where the last ended.
func (a *assembler) land(ctx context.Context, groups []group) (err error) {
	defer formed(&err)
	a.begin()
	if !a.folded {
		failed, err := a.hold(ctx, groups)
		if err != nil {
			return err
		}
		if err := a.landDue(ctx, failed); err != nil {
			return err
		}
		a.folded = true
	}
	if err := a.finish(ctx); err != nil {
		return err
	}
	for _, r := range a.held.rings {
		if !r.full() {
			continue
		}
		for left := r.over(); left > 0; left = r.over() {
			if err := a.landLongest(ctx, r, min(left, a.piece)); err != nil {
				return err
			}
		}
	}
	a.end()
	return nil
}

// landLongest lands so many streams of a source that rested longest, and holds them no more.
func (a *assembler) landLongest(ctx context.Context, r *ring, streams int) error {
	leaving := r.longest(streams)
	if err := a.landDue(ctx, leaving); err != nil {
		return err
	}
	for _, s := range leaving {
		a.held.remove(s)
	}
	return a.finish(ctx)
}

// landDue takes what streams contribute into the documents; the steps that are left write it.
func (a *assembler) landDue(ctx context.Context, due []*folding) error {
	changes, err := a.gather(ctx, due)
	if err != nil {
		return err
	}
	a.place(changes)
	a.step = a.put
	if rows := len(a.batch.Rows); rows > 0 {
		a.piece = max(1, min(a.room.putRows*len(changes)/rows, a.room.putRows/2))
	}
	return nil
}

// flush lands all that is held back, and writes all that is only in memory.
func (a *assembler) flush(ctx context.Context) (err error) {
	defer formed(&err)
	a.begin()
	if err := a.finish(ctx); err != nil {
		return err
	}
	for len(a.held.streams) > 0 {
		for _, r := range a.held.rings { // one more lands with those that refer to it, and is held
			if err := a.landLongest(ctx, r, a.piece); err != nil {
				return err
			}
		}
	}
	if err := a.spread(ctx); err != nil {
		return err
	}
	if err := a.write(ctx, a.docs.all(), true); err != nil {
		return err
	}
	if err := a.composeBulky(ctx); err != nil {
		return err
	}
	a.end()
	return nil
}

// begin takes what a call needs, where it is not one that is repeated.
func (a *assembler) begin() {
	if a.scratch == nil {
		a.scratch = scratches.Get().(*scratch)
	}
}

// finish takes the steps that are left. Each may be repeated.
func (a *assembler) finish(ctx context.Context) error {
	for a.step != nil {
		if err := a.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// end is for a call that is done.
func (a *assembler) end() {
	scratches.Put(a.scratch)
	a.scratch, a.folded = nil, false
}

// put writes rows and states.
func (a *assembler) put(ctx context.Context) error {
	if len(a.parked) > 0 {
		if err := a.rows.Park(ctx, a.gen, a.parked); err != nil {
			return err
		}
	}
	if err := a.rows.Put(ctx, a.gen, a.batch); err != nil {
		return err
	}
	if len(a.unparked) > 0 {
		if err := a.rows.Unpark(ctx, a.gen, a.unparked); err != nil {
			return err
		}
	}
	clear(a.batch.Rows)
	clear(a.batch.States)
	clear(a.batch.Docs)
	clear(a.batch.Refs)
	a.batch = row.Batch{Rows: a.batch.Rows[:0], States: a.batch.States[:0], Docs: a.batch.Docs[:0], Refs: a.batch.Refs[:0]}
	clear(a.changes)
	a.parked, a.unparked, a.step = nil, nil, a.trim
	return nil
}

// trim is the last step.
func (a *assembler) trim(ctx context.Context) error {
	if len(a.renewed) > a.room.remember/2 {
		if err := a.spread(ctx); err != nil {
			return err
		}
	}
	if err := a.tidy(ctx); err != nil {
		return err
	}
	a.step = nil
	return nil
}

// spread shows shared parts that changed in the documents that refer to them. All references have been put, and all parts.
func (a *assembler) spread(ctx context.Context) error {
	type shown struct {
		doc  string
		part row.Sourced
	}
	var queue []shown
	show := func() error {
		var names []string
		for _, q := range queue {
			if !a.bulky[q.doc] {
				names = append(names, q.doc)
			}
		}
		if err := a.readDocuments(ctx, names); err != nil {
			return err
		}
		a.batch.Docs = a.batch.Docs[:0]
		for _, q := range queue {
			a.show(q.doc, q.part)
		}
		if err := a.putDocuments(ctx); err != nil {
			return err
		}
		queue = queue[:0]
		return a.tidy(ctx)
	}
	for streams := range slices.Chunk(slices.Collect(maps.Keys(a.renewed)), a.room.putDocs) {
		parts, err := a.rows.SharedParts(ctx, a.gen, streams)
		if err != nil {
			return err
		}
		for refs, err := range a.rows.Referrers(ctx, a.gen, streams) {
			if err != nil {
				return err
			}
			for _, ref := range refs {
				queue = append(queue, shown{ref.Doc, parts[ref.Stream]})
			}
			if len(queue) < a.room.putDocs {
				continue
			}
			if err := show(); err != nil {
				return err
			}
		}
		if err := show(); err != nil {
			return err
		}
		for _, stream := range streams { // so that repeating this goes on from here
			delete(a.renewed, stream)
		}
	}
	return nil
}
