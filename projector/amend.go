package projector

import (
	"context"
	"fmt"
	"maps"

	"jangbu/domain/event"
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

// amend deals with changes that made documents of which the view's code cannot compose some. A stream is parked at the event that it fails on;
// one that an operator left out is passed over, and what the stream then contributes lands over what had landed of the same revision.
// Others may have failed only for a document that they share with it: they are tried again.
func (a *Applier) amend(ctx context.Context, changes []*change, failed failures) error {
	for {
		var left []*change
		parked := map[*change]*row.Parked{}
		mended := false
		for _, c := range changes {
			f := failed[c.stream]
			if f == nil || c.to == c.from {
				continue
			}
			p, err := a.leaveOut(ctx, c, f)
			if err != nil {
				return err
			}
			if mended = mended || p == nil; p != nil {
				left, parked[c] = append(left, c), p
			}
		}
		if !mended {
			for c, p := range parked {
				c.parked, c.to = p, c.from
			}
			return nil
		}
		var err error
		if failed, err = a.land(ctx, left); err != nil {
			return err
		}
		changes = left
	}
}

// leaveOut folds a change again, event by event, to find the one after which a document cannot be composed; and lands it without that, if it
// is left out. Else, or if that does not help, it says where the stream is to be parked. Rows that have landed do not go back, so what the
// documents were after each event is not asked of Redis.
func (a *Applier) leaveOut(ctx context.Context, c *change, f *failure) (*row.Parked, error) {
	last, tried := c, map[string]trial{}
	for {
		known := len(tried)
		for _, d := range f.docs {
			if _, ok := tried[d.Doc]; !ok {
				d.Parts, d.Sums = maps.Clone(d.Parts), maps.Clone(d.Sums) // a Builder goes on with its own
				tried[d.Doc] = trial{d, rowIn(last.rows, d.Doc)}
			}
		}
		unknown := &row.Parked{Stream: c.stream, Revision: c.from + 1, Reason: f.reason.Error()}
		if len(tried) == known {
			return unknown, nil
		}
		again, err := last.again(tried)
		if err == nil {
			err = a.foldEvents(ctx, again, c.events, true)
		}
		switch {
		case err != nil:
			return nil, err
		case again.parked != nil && again.to < c.to: // rows of a later revision have landed
			again.parked.Revision = max(again.parked.Revision, c.from+1)
			return again.parked, nil
		case !again.skipped || again.yield() != nil:
			return unknown, nil
		}
		failed, err := a.land(ctx, []*change{again})
		if err != nil {
			return nil, err
		}
		if f = failed[c.stream]; f == nil {
			*c = *again
			return nil, nil
		}
		last = again
	}
}

// again is the change before its first event. What it is to withdraw, once folded, includes all that this one has landed. A state that was
// made of the log has in it what was left out, so that is folded again as well.
func (c *change) again(tried map[string]trial) (*change, error) {
	n := &change{stream: c.stream, source: c.source, decode: c.decode, events: c.events, loaded: true, state: c.first, from: c.from, to: c.from,
		first: c.first, remade: c.remade, touched: map[string]bool{}, tried: tried, over: true, healed: c.healed}
	maps.Copy(n.touched, c.touched)
	for _, r := range c.rows {
		n.touched[r.Doc] = true
	}
	if !c.remade {
		return n, nil
	}
	var err error
	n.to = event.NoStream
	n.state, err = load(c.source, nil)
	return n, err
}

// trial is a document that could not be composed, and the row in it that had landed with that; nil for none.
type trial struct {
	row.Document
	was *row.Row
}

// compositions reports whether the documents that could not be composed can be, with what a change has come to.
func (a *Applier) compositions(c *change) error {
	if !c.changed {
		return nil
	}
	for _, t := range c.tried {
		if _, err := a.compose(t.with(c)); err != nil {
			return fmt.Errorf("compose document %s: %w", t.Doc, err)
		}
	}
	return nil
}

// with is the document with what a stream has come to contribute in place of what it did.
func (t trial) with(c *change) row.Document {
	d := t.Document
	d.Parts, d.Sums = maps.Clone(d.Parts), maps.Clone(d.Sums)
	now := rowIn(c.rows, d.Doc)
	if _, shown := d.Parts[c.stream]; shown && t.was == nil && now == nil && c.source.Shares() {
		now = &row.Row{Part: c.shared} // the document refers to the stream
	}
	delete(d.Parts, c.stream)
	if t.was != nil {
		for name, n := range t.was.Sums {
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
	return d
}
