package projector

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"jangbu/query/row"
)

// failures tells, by stream, which documents with a row of it cannot be composed.
type failures map[string]*failure

type failure struct {
	reason error
	docs   []row.Document
}

func (f failures) add(stream string, reason error, d row.Document) {
	if f[stream] == nil {
		f[stream] = &failure{}
	}
	f[stream].reason = reason
	f[stream].docs = append(f[stream].docs, d)
}

// blame parks the streams of changes that made documents of which the view's code cannot compose some: each at the event that it fails on,
// or at its first where that is to be found in none of them, as it only shares a document with such a one. Rows that have landed do not go
// back, so the event is found in memory: all of them are taken out of the documents, and then put in again one by one.
func (a *Applier) blame(ctx context.Context, changes []*change, failed failures) error {
	docs := map[string]*row.Document{}
	suspects := map[*change]*change{} // each as it was before
	for _, c := range changes {
		f := failed[c.stream]
		if f == nil || !c.moved() {
			continue
		}
		before := c.before()
		if before.yield() != nil { // it did not fail when that landed
			before.rows, before.shared = nil, row.Part{}
		}
		for _, d := range f.docs {
			if docs[d.Doc] == nil {
				d.Parts, d.Sums = maps.Clone(d.Parts), maps.Clone(d.Sums) // a Builder goes on with its own
				docs[d.Doc] = &d
			}
			if !slices.Contains(before.tried, docs[d.Doc]) {
				before.tried = append(before.tried, docs[d.Doc])
				before.replace(docs[d.Doc], rowIn(c.rows, d.Doc))
			}
		}
		before.tries, suspects[c] = before.rows, before
	}
	for _, c := range changes {
		again := suspects[c]
		if again == nil {
			continue
		}
		if err := a.foldEvents(ctx, again, c.events, true); err != nil {
			return err
		}
		c.parked = &row.Parked{Stream: c.stream, Revision: c.start + 1, Reason: failed[c.stream].reason.Error()}
		if again.parked != nil && again.to < c.to {
			c.parked = again.parked
		}
		c.to, c.anew = c.from, false
	}
	return nil
}

// before is the change before its first event.
func (c *change) before() *change {
	return &change{stream: c.stream, source: c.source, decode: c.decode, skips: c.skips, loaded: true, state: c.first, from: c.from, to: c.start,
		changed: true, lone: true, lazy: true}
}

// try composes the documents that could not be, with what a change has come to; that stays in them if it can be done.
func (a *Applier) try(c *change) error {
	next := make([]row.Document, len(c.tried))
	for i, d := range c.tried {
		next[i] = *d
		next[i].Parts, next[i].Sums = maps.Clone(d.Parts), maps.Clone(d.Sums)
		c.replace(&next[i], rowIn(c.tries, d.Doc))
		if _, err := a.compose(next[i]); err != nil {
			return fmt.Errorf("compose document %s: %w", d.Doc, err)
		}
	}
	for i, d := range c.tried {
		*d = next[i]
	}
	c.tries = c.rows
	return nil
}

// replace puts what a change has come to contribute to a document in place of the row in it that is the stream's, nil for none.
func (c *change) replace(d *row.Document, was *row.Row) {
	now := rowIn(c.rows, d.Doc)
	if _, shown := d.Parts[c.stream]; shown && was == nil && now == nil && c.source.Shares() {
		now = &row.Row{Part: c.shared} // the document refers to the stream
	}
	delete(d.Parts, c.stream)
	if was != nil {
		for name, n := range was.Sums {
			d.Sums[name] -= n
		}
	}
	if now != nil {
		for name, n := range now.Sums {
			d.Sums[name] += n
		}
		if !now.Part.Absent() {
			d.Parts[c.stream] = now.Part
		}
	}
	maps.DeleteFunc(d.Sums, func(_ string, n int64) bool { return n == 0 })
}
