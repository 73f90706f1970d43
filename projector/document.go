package projector

import (
	"fmt"
	"maps"
	"strings"

	"jangbu/query/row"
)

// document is a document of a generation being assembled, with what has changed since it was put.
type document struct {
	row.Document
	changed   bool
	touched   bool // is in the assembler's list
	loose     bool // the row with the first or last key may be gone: ask when that has been put
	weight    int  // that was added when the documents had turned so often
	turns     int
	parts     []row.Sourced // that changed
	goneParts map[string]bool
	goneSums  []string
}

func newDocument(name string) *document {
	return &document{Document: row.Document{Doc: name, Parts: map[string]row.Part{}, Sums: map[string]int64{}}}
}

// soleDocument is a document that one stream alone has placed a row in, without the shared parts that the row refers to.
func soleDocument(c *change, was *row.Row) *document {
	d := newDocument(strings.Clone(was.Doc))
	d.Version = c.from + 1
	maps.Copy(d.Sums, was.Sums)
	d.First = strings.Clone(was.Key)
	d.Last = d.First
	if !was.Part.Absent() {
		d.Parts[c.stream] = was.Part
	}
	return d
}

// plain reports whether there is nothing in the document but parts.
func (d *document) plain() bool { return len(d.Sums) == 0 && d.First == "" && !d.loose }

// move takes the row that a stream had here, nil for none, for the one it has now, nil for none.
func (d *document) move(r row.Sourced, was *row.Row) {
	d.changed = true
	if was != nil {
		for name, n := range was.Sums {
			d.Sums[name] -= n
		}
		if key := was.Key; key != "" && (r.Row == nil || r.Row.Key != key) && (key == d.First || key == d.Last) {
			d.loose = true
		}
	}
	if r.Row != nil {
		for name, n := range r.Row.Sums {
			d.Sums[name] += n
		}
		if key := r.Row.Key; key != "" {
			if d.First == "" || key < d.First {
				d.First = strings.Clone(key)
			}
			if key > d.Last {
				d.Last = strings.Clone(key)
			}
		}
	}
	switch {
	case r.Row != nil && !r.Row.Part.Absent():
		d.show(r)
	case was != nil && !was.Part.Absent():
		d.hide(r.Source)
	}
}

// hide takes a part away.
func (d *document) hide(source string) {
	d.changed = true
	delete(d.Parts, source)
	if d.goneParts == nil {
		d.goneParts = map[string]bool{}
	}
	d.goneParts[source] = true
}

// show sets a part.
func (d *document) show(r row.Sourced) {
	d.changed = true
	d.Parts[r.Source] = r.Row.Part
	if len(d.parts) >= 2*len(d.Parts)+8 { // most have changed several times
		d.parts = latest(d.parts)
	}
	d.parts = append(d.parts, r)
}

// latest keeps the last row of each source.
func latest(rows []row.Sourced) []row.Sourced {
	at := make(map[string]int, len(rows)/2)
	for i := range rows {
		at[rows[i].Source] = i
	}
	kept := rows[:0]
	for i, r := range rows {
		if at[r.Source] == i {
			kept = append(kept, r)
		}
	}
	clear(rows[len(kept):])
	return kept
}

// put is what has to be written of the document; compose is nil where it has no composed form. It may be asked for again.
func (d *document) put(compose func(row.Document) ([]byte, error)) (p row.Put, err error) {
	defer guard(&err)
	for name, n := range d.Sums {
		if n == 0 {
			delete(d.Sums, name)
			d.goneSums = append(d.goneSums, name)
		}
	}
	d.Version++
	p = row.Put{Doc: d.Doc, Version: d.Version, Sums: d.Sums}
	for _, part := range d.parts {
		if _, shown := d.Parts[part.Source]; shown {
			p.Parts = append(p.Parts, part)
		}
	}
	for source := range d.goneParts {
		if _, shown := d.Parts[source]; !shown {
			p.GoneParts = append(p.GoneParts, source)
		}
	}
	for _, name := range d.goneSums {
		if d.Sums[name] == 0 {
			p.GoneSums = append(p.GoneSums, name)
		}
	}
	if compose != nil {
		p.Composed = true
		if p.Body, err = compose(d.Document); err != nil {
			return p, fmt.Errorf("compose document %s: %w", d.Doc, err)
		}
	}
	return p, nil
}

// settled says that all of the document has been put.
func (d *document) settled() {
	d.changed, d.loose, d.parts, d.goneParts, d.goneSums = false, false, nil, nil, nil
}
