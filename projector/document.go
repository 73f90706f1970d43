package projector

import (
	"fmt"
	"strings"

	"jangbu/query/row"
)

// document is a document of a generation being assembled, with what has changed since it was put.
type document struct {
	row.Document
	changed   bool
	touched   bool          // is in the assembler's list
	loose     bool          // the row with the first or last key may be gone: ask when that has been put
	parts     []row.Sourced // that changed
	goneParts []string
	goneSums  []string
}

func newDocument(name string) *document {
	return &document{Document: row.Document{Doc: name, Parts: map[string]row.Part{}, Sums: map[string]int64{}}}
}

// brief reports whether a document consists of parts only, as that of one stream and what it refers to does. Few others come to
// it, so there is no use in remembering it.
func (d *document) brief() bool { return len(d.Sums) == 0 && d.First == "" && !d.loose }

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
		delete(d.Parts, r.Source)
		d.goneParts = append(d.goneParts, r.Source)
	}
}

// show sets a part.
func (d *document) show(r row.Sourced) {
	d.changed = true
	d.Parts[r.Source] = r.Row.Part
	d.parts = append(d.parts, r)
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
	for _, source := range d.goneParts {
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
