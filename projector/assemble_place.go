package projector

import (
	"slices"
	"strings"

	"jangbu/domain/event"
	"jangbu/query/row"
)

// document is a document of the generation, held in memory before, if it has been put, or new.
func (a *assembler) document(name string) (d *document, held bool) {
	d, held = a.docs.use(name, func(d *document) string { return d.Doc })
	if !held {
		d = newDocument(strings.Clone(name))
		a.docs.add(d.Doc, d)
	}
	if !d.touched {
		d.touched = true
		a.touched = append(a.touched, d)
	}
	return d, held
}

// place takes what changes contribute into the documents, and queues what is to be put. It is done once.
func (a *assembler) place(changes []*change) {
	for _, c := range changes {
		if c.changed && c.to > c.from && c.source.Shares() && c.state != nil {
			a.share(c)
		}
	}
	for _, c := range changes {
		if c.changed && c.to > c.from {
			a.placeRows(c)
		}
		a.keep(c)
	}
}

// share makes a stream's shared part known.
func (a *assembler) share(c *change) {
	part := c.sourced(&row.Row{Part: c.shared.Marshalled()})
	name := row.Shared(c.stream)
	a.shared.add(part.Source, part)
	a.known.add(name)
	a.putPart(name, c.to+1, part)
	if first := c.from == event.NoStream; c.shared.Absent() || c.wasShared.Absent() && !first {
		a.batch.Rows = append(a.batch.Rows, row.Placed{Doc: name, Sourced: part, First: first})
	}
	if c.from >= 0 || a.waited[c.stream] {
		a.renewed[part.Source] = true
		delete(a.waited, c.stream)
	}
}

func (a *assembler) placeRows(c *change) {
	first := c.from == event.NoStream
	for i := range c.rows {
		r := &c.rows[i]
		a.placeRow(row.Placed{Doc: r.Doc, Sourced: c.sourced(r), Was: rowIn(c.was, r.Doc), First: first})
		for _, ref := range r.Refs {
			a.batch.Refs = append(a.batch.Refs, row.Ref{Stream: ref, Doc: r.Doc})
			if part, ok := a.shared.get(ref); ok {
				a.show(r.Doc, part)
			} else {
				a.waited[strings.Clone(ref)] = true
			}
		}
	}
	for i := range c.was {
		if was := &c.was[i]; rowIn(c.rows, was.Doc) == nil {
			a.placeRow(row.Placed{Doc: was.Doc, Sourced: c.sourced(nil), Was: was})
		}
	}
}

func rowIn(rows []row.Row, doc string) *row.Row {
	for i := range rows {
		if rows[i].Doc == doc {
			return &rows[i]
		}
	}
	return nil
}

// show shows what a stream shares, if it shares anything, in a document that is held in memory, or bulky.
func (a *assembler) show(doc string, part row.Sourced) {
	if a.bulky[doc] {
		a.putPart(doc, 1, part)
		return
	}
	if d, _ := a.document(doc); part.Row.Part.Absent() {
		d.hide(part.Source)
	} else {
		d.show(part)
	}
}

// putPart queues a part of a document by itself, or that it is gone where a stream shares nothing.
func (a *assembler) putPart(doc string, version int64, part row.Sourced) {
	put := row.Put{Doc: doc, Version: version}
	if part.Row.Part.Absent() {
		put.GoneParts = []string{part.Source}
	} else {
		put.Parts = []row.Sourced{part}
	}
	a.batch.Docs = append(a.batch.Docs, put)
}

// plain reports whether a row, if any, adds to a document nothing but a part.
func plain(r *row.Row) bool { return r == nil || len(r.Sums) == 0 && r.Key == "" }

func (a *assembler) placeRow(p row.Placed) {
	a.batch.Rows = append(a.batch.Rows, p)
	a.keyed = a.keyed || p.Row != nil && p.Row.Key != ""
	if !a.bulky[p.Doc] && (p.Row != nil && a.adds(p.Row) || p.Was != nil && a.adds(p.Was)) {
		d, held := a.document(p.Doc)
		if p.Was == nil && held || p.Was != nil && (p.Row == nil || !slices.Equal(p.Was.Refs, p.Row.Refs)) {
			a.joint.add(p.Doc)
		}
		d.move(p.Sourced, p.Was)
		return
	}
	put := row.Put{Doc: p.Doc, Version: 1}
	switch {
	case p.Row != nil && !p.Row.Part.Absent():
		put.Parts = []row.Sourced{p.Sourced}
	case p.Was != nil && !p.Was.Part.Absent():
		put.GoneParts = []string{p.Source}
	case a.known.has(p.Doc):
		return
	}
	a.known.add(p.Doc)
	a.batch.Docs = append(a.batch.Docs, put)
}

// keep queues the state, or what became of the stream where the view's code failed.
func (a *assembler) keep(c *change) {
	if c.parked != nil {
		c.parked.Since = a.folder.now()
		a.parked = append(a.parked, *c.parked)
	} else if c.healed {
		a.unparked = append(a.unparked, c.stream)
	}
	if s := a.held.streams[c.stream]; s != nil {
		s.state, s.revision, s.base, s.landed, s.healed, s.parked = c.state, c.to, c.state, c.to, false, nil
	} else if c.to > c.from {
		a.held.add(newFolding(c))
	}
	if c.to == c.from {
		return
	}
	saved := row.Save{Stream: c.stream, Revision: c.to, Skips: len(c.skips)}
	if !c.source.Rests(c.state) {
		saved.State = c.state
	}
	a.batch.States = append(a.batch.States, saved)
	if c.healed && c.from == event.NoStream {
		a.ahead[c.stream] = c.to
	}
}
