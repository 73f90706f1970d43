package projector

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"jangbu/domain/event"
	"jangbu/query/row"
	"jangbu/query/view"
)

// hold folds events, and returns the streams where the view's code failed, which have to be landed now. Repeating it changes nothing.
func (a *assembler) hold(ctx context.Context, groups []group) (failed []*folding, err error) {
	if a.folder.skipped == nil { // what is left out later is seen to when the generation is open
		if a.folder.skipped, err = a.rows.Skipped(ctx, a.view.Name); err != nil {
			return nil, err
		}
	}
	streams, err := a.bases(ctx, groups)
	if err != nil {
		return nil, err
	}
	for i, s := range streams {
		if s == nil {
			continue
		}
		if s.ring == nil { // not held, since its state cannot be read
			failed = append(failed, s)
			continue
		}
		if err := a.fold(ctx, s, groups[i].arrivals); err != nil {
			return nil, err
		}
		if s.parked != nil {
			failed = append(failed, s)
		}
	}
	return failed, nil
}

// bases gives what each group's events are folded onto, nil for a stream that does not feed the view, or does no more since it has been
// deleted.
func (a *assembler) bases(ctx context.Context, groups []group) ([]*folding, error) {
	bases := make([]*folding, len(groups))
	var missing []string
	var at []int
	for i, g := range groups {
		source, ok := a.view.Source(g.stream)
		if !ok {
			continue
		}
		if s := a.held.streams[g.stream]; s != nil {
			bases[i] = s
			continue
		}
		if _, ahead := a.ahead[g.stream]; ahead || g.arrivals[0].Revision > 0 {
			missing, at = append(missing, g.stream), append(at, i)
			continue
		}
		var err error
		if bases[i], err = a.base(ctx, row.State{Stream: g.stream, Revision: event.NoStream}, source); err != nil {
			return nil, err
		}
	}
	if len(missing) == 0 {
		return bases, nil
	}
	states, err := a.rows.States(ctx, a.gen, missing)
	if err != nil {
		return nil, err
	}
	for k, st := range states {
		source, _ := a.view.Source(st.Stream)
		if bases[at[k]], err = a.base(ctx, st, source); err != nil && !a.folder.deleted(err) {
			return nil, err
		}
	}
	return bases, nil
}

// base holds a stream in a state that has landed, and goes on with the skips that were known of it: others are seen to when the generation
// is open. One whose state cannot be read is parked, and not held.
func (a *assembler) base(ctx context.Context, st row.State, source *view.Source) (*folding, error) {
	c := a.folder.newChange(st.Stream, source)
	c.saved, c.from, c.to, c.lone = st.Data, st.Revision, st.Revision, true
	if st.Revision != event.NoStream {
		c.skips = c.skips[:min(st.Skips, len(c.skips))]
	}
	if err := a.folder.load(ctx, c); err != nil {
		return nil, err
	}
	s := newFolding(c)
	if s.parked = c.parked; s.parked == nil {
		a.held.add(s)
	}
	return s, nil
}

// fold brings a stream to its newest state.
func (a *assembler) fold(ctx context.Context, s *folding, arrivals []arrival) error {
	if len(s.skips) > 0 || !s.fold(arrivals) {
		c := a.folder.newChange(s.stream, s.source)
		c.skips, c.loaded, c.lone, c.state, c.from, c.to = s.skips, true, true, s.state, s.revision, s.revision
		if err := a.folder.foldStream(ctx, c, arrivals); err != nil {
			return err
		}
		s.state, s.revision, s.healed, s.parked = c.state, c.to, s.healed || c.healed, c.parked
	}
	largest := 0
	for i := range arrivals {
		largest = max(largest, len(arrivals[i].Data))
	}
	s.touch(largest)
	return nil
}

// gather makes rows of streams, and reads what it takes to place them. It changes nothing that repeating it would mind.
func (a *assembler) gather(ctx context.Context, due []*folding) ([]*change, error) {
	a.changes = slices.Grow(a.changes[:0], len(due))[:len(due)]
	var changes []*change
	for i, s := range due {
		c := &a.changes[i]
		if err := a.change(ctx, c, s); err != nil {
			return nil, err
		}
		if c.to > c.from || c.parked != nil {
			changes = append(changes, c)
		}
	}
	changes, err := a.ensure(ctx, changes)
	if err != nil {
		return nil, err
	}
	return changes, a.readDocuments(ctx, a.needed(changes))
}

// change makes c of what landing a stream does.
func (a *assembler) change(ctx context.Context, c *change, s *folding) error {
	if *c = s.change(a.folder); c.to == c.from {
		return nil
	}
	return a.yield(ctx, c, s.base)
}

// yield makes the rows of a stream in its newest state, or in the last of which the view's code can make some, and those that it had
// in the state that landed before.
func (a *assembler) yield(ctx context.Context, c *change, base any) error {
	if c.yield() != nil {
		if err := a.refold(ctx, c, base); err != nil {
			return err
		}
	}
	if c.from == event.NoStream || !c.changed || c.to == c.from {
		return nil
	}
	before := &change{stream: c.stream, source: c.source, state: base, to: c.from, changed: true, lazy: true}
	if err := before.yield(); err != nil {
		return &uncomposableError{fmt.Errorf("rows of %s at revision %d, which there have been: %w", c.stream, c.from, err)}
	}
	c.was, c.wasShared = before.rows, before.shared
	c.changed = !reflect.DeepEqual(before.rows, c.rows) || !reflect.DeepEqual(before.shared, c.shared)
	return nil
}

// refold finds out at which event the view's code began to fail, of those since the state that landed before.
func (a *assembler) refold(ctx context.Context, c *change, base any) error {
	arrivals, err := stretch(ctx, a.folder.log, c.stream, c.from+1, c.to)
	if err != nil && !a.folder.deleted(err) {
		return err
	}
	if c.state, c.to, c.rows, c.shared = base, c.from, nil, (row.Part{}); err != nil {
		return nil
	}
	return a.folder.foldStream(ctx, c, arrivals)
}

// ensure adds streams that documents refer to and that have not landed, held ones or whole ones from the store, so that no document is
// ever half joined.
func (a *assembler) ensure(ctx context.Context, changes []*change) ([]*change, error) {
	met := map[string]bool{}
	for _, c := range changes {
		if c.source.Shares() && c.changed && c.to > c.from { // its part becomes known with the change
			met[c.stream] = true
		}
	}
	for done := 0; done < len(changes); {
		missing, err := a.unshared(ctx, changes[done:], met)
		if err != nil {
			return nil, err
		}
		done = len(changes)
		for _, stream := range missing {
			c, err := a.fetch(ctx, stream)
			if err != nil {
				return nil, err
			}
			if c != nil {
				changes = append(changes, c)
			}
		}
	}
	return changes, nil
}

// unshared lists the streams that changes refer to, and whose shared part is nowhere; each is met once.
func (a *assembler) unshared(ctx context.Context, changes []*change, met map[string]bool) (missing []string, err error) {
	var put []string
	meet := func(ref string) {
		if met[ref] {
			return
		}
		met[ref] = true
		if _, ok := a.shared.get(ref); ok || a.waited[ref] {
			return
		}
		if a.known.has(row.Shared(ref)) {
			put = append(put, ref)
		} else {
			missing = append(missing, ref)
		}
	}
	for _, c := range changes {
		for i := 0; c.changed && i < len(c.rows); i++ {
			for _, ref := range c.rows[i].Refs {
				meet(ref)
			}
		}
	}
	if len(put) == 0 {
		return missing, nil
	}
	parts, err := a.rows.SharedParts(ctx, a.gen, put)
	if err != nil {
		return nil, err
	}
	for _, ref := range put {
		if part, ok := parts[ref]; ok {
			a.shared.add(strings.Clone(ref), part)
		} else {
			missing = append(missing, ref)
		}
	}
	return missing, nil
}

// fetch gives a stream that has not landed: as it is held, or a whole one from the store, which the log has not come to; nil if there is
// none.
func (a *assembler) fetch(ctx context.Context, stream string) (*change, error) {
	if s := a.held.streams[stream]; s != nil {
		c := new(change)
		if err := a.change(ctx, c, s); err != nil || c.to == c.from {
			return nil, err
		}
		return c, nil
	}
	source, ok := a.view.Source(stream)
	if !ok {
		return nil, nil
	}
	c := a.folder.newChange(strings.Clone(stream), source)
	c.lone, c.healed = true, true
	if err := a.folder.load(ctx, c); err != nil {
		return nil, err
	}
	err := wholeStream(ctx, a.folder.log, stream, func(arrivals []arrival) error {
		if c.parked != nil {
			return nil
		}
		return a.folder.foldStream(ctx, c, arrivals)
	})
	if err != nil || c.to == event.NoStream && c.parked == nil {
		return nil, err
	}
	return c, nil
}

// needed lists the documents that changes will change and that have to be read. One that is all of one stream follows from what
// that stream had placed in it, and the shared parts are at hand.
func (a *assembler) needed(changes []*change) []string {
	var names []string
	need := func(c *change, was, is *row.Row) {
		doc := cmp.Or(is, was).Doc
		if a.bulky[doc] {
			if plain(was) && plain(is) {
				return
			}
			delete(a.bulky, doc)
		}
		if _, held := a.docs.get(doc); held || !a.known.has(doc) {
			return
		}
		if a.view.Compose != nil && !a.joint.has(doc) && was != nil && is != nil && slices.Equal(was.Refs, is.Refs) {
			d := soleDocument(c, was)
			a.docs.add(d.Doc, d)
			return
		}
		names = append(names, doc)
	}
	for _, c := range changes {
		if !c.changed {
			continue
		}
		for i := range c.rows {
			if is := &c.rows[i]; a.adds(is) {
				need(c, rowIn(c.was, is.Doc), is)
			}
		}
		for i := range c.was {
			if was := &c.was[i]; a.adds(was) {
				need(c, was, rowIn(c.rows, was.Doc))
			}
		}
	}
	return names
}

// adds reports whether what a row does to a document takes knowing the document: in a view of lists, where rows only have a
// place, it does not.
func (a *assembler) adds(r *row.Row) bool { return a.view.Compose != nil || len(r.Sums) > 0 }

// readDocuments reads documents that have been put and are not remembered.
func (a *assembler) readDocuments(ctx context.Context, names []string) error {
	var missing []string
	asked := map[string]bool{}
	for _, name := range names {
		if _, ok := a.docs.get(name); !ok && !asked[name] && a.known.has(name) {
			asked[name] = true
			missing = append(missing, name)
		}
	}
	for len(missing) > 0 {
		some := missing[:min(len(missing), a.room.putDocs)]
		missing = missing[len(some):]
		held, err := a.rows.Held(ctx, a.gen, some, a.keyed)
		if err != nil {
			return err
		}
		for _, h := range held {
			d := &document{Document: h}
			d.Doc = strings.Clone(h.Doc)
			a.docs.add(d.Doc, d)
		}
	}
	return nil
}
