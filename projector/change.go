package projector

import (
	"encoding/json"
	"fmt"
	"slices"

	"jangbu/domain/event"
	"jangbu/query/row"
	"jangbu/query/view"
)

// change is what a batch of events does to one stream.
type change struct {
	stream    string
	source    *view.Source
	decode    *decodings
	skips     row.Skips // events that operators left out
	saved     []byte    // the state record's JSON, until load
	loaded    bool
	state     any
	from      int64 // the revision that had landed before
	to        int64
	anew      bool            // other skips were known of what has landed, so it is folded from its beginning, and `to` may end as `from`
	changed   bool            // some event changed what the stream contributes; else the rows that have landed are those of `to`, too
	touched   map[string]bool // documents that some revision from `from` on contributed to
	otherwise []any           // the states with only the first of skips left out, from none to all but one, once one of them was met
	lone      bool            // what there is to withdraw need not be noted: it follows from was, as an assembler alone has landed the stream, or nothing lands
	was       []row.Row       // that the state at `from` yielded, of a lone change
	wasShared row.Part        // likewise
	healed    bool            // some of it was read from the store
	parked    *row.Parked     // where the view's code failed
	events    []arrival       // that an Applier folds
	first     any             // the state before them
	start     int64           // its revision
	tried     []*row.Document // that could not be composed
	tries     []row.Row       // that are the stream's in them

	rows   []row.Row // that the state at `to` yields
	shared row.Part
	data   []byte // that state as it is to be saved; unless the change is lazy, all three have their JSON
	lazy   bool   // of which the JSON is made where it is written
}

// newChange is of a stream of which nothing has landed.
func (a *Applier) newChange(stream string, source *view.Source) *change {
	return &change{stream: stream, source: source, decode: a.decodings, skips: a.skipped[stream], from: event.NoStream, to: event.NoStream}
}

// moved reports whether there is anything to land.
func (c *change) moved() bool { return c.to != c.from || c.anew }

// sourced is a row that the change lands, nil for a withdrawal.
func (c *change) sourced(r *row.Row) row.Sourced {
	return row.Sourced{Source: c.stream, Revision: c.to, Skips: len(c.skips), Row: r}
}

// yield computes what the state contributes. What cannot be written is the failure of the view's code, so it is found out here.
func (c *change) yield() (err error) {
	defer guard(&err)
	if c.changed {
		c.rows = c.source.Rows(c.stream, c.state, c.to)
		c.shared = c.source.Shared(c.stream, c.state)
	}
	for i := range c.rows {
		for name, n := range c.rows[i].Sums {
			if n > row.MaxSum || n < -row.MaxSum {
				return fmt.Errorf("a row adds %d to the sum %s of document %s, and %d is the most", n, name, c.rows[i].Doc, row.MaxSum)
			}
		}
	}
	if c.lazy || !c.moved() {
		return nil
	}
	return c.marshal()
}

// marshal makes the JSON of what is to be written.
func (c *change) marshal() (err error) {
	if c.changed {
		c.rows, c.shared = slices.Clone(c.rows), c.shared.Marshalled()
	}
	for i := range c.rows {
		r := &c.rows[i]
		if r.Part = r.Part.Marshalled(); r.Key != "" && r.Item != nil {
			r.Item = json.RawMessage(row.JSON(r.Item))
		}
	}
	if c.data, err = c.source.Save(c.state); err != nil {
		return fmt.Errorf("its state: %w", err)
	}
	return nil
}

// fold adds one event, and remembers which documents the states before and after it contribute to.
func (c *change) fold(e arrival) (err error) {
	defer guard(&err)
	if e.decoded == nil {
		if e.decoded, err = c.decode.decode(c.source, e.Recorded); err != nil {
			return err
		}
	}
	next := c.source.Fold(c.state, e.decoded)
	if c.lone {
		c.changed, c.state, c.to = true, next, e.Revision
		return nil
	}
	if c.state != nil && !c.changed && c.source.Same(c.stream, c.state, c.to, next, e.Revision) {
		c.state, c.to = next, e.Revision
		return nil
	}
	c.changed = true
	c.touch(c.state, c.to)
	c.state, c.to = next, e.Revision
	return nil
}

// foldOtherwise remembers the documents that the stream contributed to while not all of the skips were known, as far as the view's code can tell.
func (c *change) foldOtherwise(e arrival) {
	for n := range c.otherwise {
		if !c.skips[:n].Has(e.Recorded) {
			c.foldOne(n, e)
		}
	}
}

func (c *change) foldOne(n int, e arrival) {
	defer func() { _ = recover() }()
	c.touch(c.otherwise[n], c.to)
	decoded, err := c.decode.decode(c.source, e.Recorded)
	if err != nil {
		return
	}
	c.otherwise[n] = c.source.Fold(c.otherwise[n], decoded)
	c.touch(c.otherwise[n], e.Revision)
}

// touch remembers the documents that a state contributes to.
func (c *change) touch(state any, revision int64) {
	if c.touched == nil {
		c.touched = map[string]bool{}
	}
	for _, r := range c.source.Rows(c.stream, state, revision) {
		c.touched[r.Doc] = true
	}
}
