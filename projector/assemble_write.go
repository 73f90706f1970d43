package projector

import (
	"context"

	"jangbu/query/row"
)

// tidy writes the documents that are not worth remembering, and makes room where it is needed.
func (a *assembler) tidy(ctx context.Context) error {
	if a.shared.full() {
		a.shared.turn()
	}
	if err := a.write(ctx, a.touched, false); err != nil {
		return err
	}
	var bulky []*document
	for _, d := range a.touched {
		if _, held := a.docs.get(d.Doc); !held {
			continue
		}
		if a.weigh(d); d.plain() && len(d.Parts) > a.room.bulk {
			bulky = append(bulky, d)
		}
	}
	if err := a.write(ctx, bulky, true); err != nil {
		return err
	}
	for _, d := range bulky {
		a.bulky[d.Doc] = true
		a.joint.add(d.Doc) // nobody counts who adds to it from now on
		a.docs.remove(d.Doc)
	}
	for i, d := range a.touched {
		a.touched[i], d.touched = nil, false
	}
	a.touched = a.touched[:0]
	if a.docs.full() {
		if err := a.write(ctx, a.docs.leaving(), true); err != nil {
			return err
		}
		a.docs.turn()
	}
	return nil
}

// composeBulky composes documents of which the parts have been written, one at a time.
func (a *assembler) composeBulky(ctx context.Context) error {
	for name := range a.bulky {
		if err := a.readDocuments(ctx, []string{name}); err != nil {
			return err
		}
		if d, held := a.docs.get(name); held {
			d.changed = true
			if err := a.write(ctx, []*document{d}, true); err != nil {
				return err
			}
			a.docs.remove(name)
		}
		delete(a.bulky, name)
	}
	return nil
}

// weigh tells how much room a document takes, which may have become more.
func (a *assembler) weigh(d *document) {
	if d.turns != a.docs.turns {
		d.turns, d.weight = a.docs.turns, 0
	}
	weight := len(d.Parts) + len(d.Sums)
	a.docs.weight += weight - d.weight
	d.weight = weight
}

// write composes and writes documents that changed; unless all is set, only those that are not worth remembering, which are
// forgotten. What has been written once is not written again when an error makes the caller repeat this.
func (a *assembler) write(ctx context.Context, docs []*document, all bool) error {
	var due []*document
	for i, d := range docs {
		switch brief := a.brief(d); {
		case d.changed && (all || brief):
			due = append(due, d)
		case brief:
			a.docs.remove(d.Doc)
		}
		if len(due) == a.room.putDocs || i == len(docs)-1 {
			if err := a.writeDue(ctx, due); err != nil {
				return err
			}
			due = due[:0]
		}
	}
	return nil
}

// brief reports whether there is no use in remembering a document, since few streams come to it, and it need not be read again.
func (a *assembler) brief(d *document) bool { return !d.loose && !a.joint.has(d.Doc) }

func (a *assembler) writeDue(ctx context.Context, due []*document) error {
	if err := a.tighten(ctx, due); err != nil || len(due) == 0 {
		return err
	}
	a.batch.Docs = a.batch.Docs[:0]
	for _, d := range due {
		put, err := d.put(a.view.Compose)
		if err != nil {
			return &uncomposableError{err}
		}
		a.batch.Docs = append(a.batch.Docs, put)
	}
	if err := a.putDocuments(ctx); err != nil {
		return err
	}
	for _, d := range due {
		d.settled()
		a.known.add(d.Doc)
		if a.brief(d) {
			a.docs.remove(d.Doc)
		}
	}
	return nil
}

// putDocuments puts the documents of the batch.
func (a *assembler) putDocuments(ctx context.Context) error {
	if len(a.batch.Docs) == 0 {
		return nil
	}
	if err := a.rows.Put(ctx, a.gen, row.Batch{Docs: a.batch.Docs}); err != nil {
		return err
	}
	clear(a.batch.Docs)
	a.batch.Docs = a.batch.Docs[:0]
	return nil
}

// tighten asks for the first and last keys of documents that may have lost theirs.
func (a *assembler) tighten(ctx context.Context, docs []*document) error {
	var loose []*document
	var names []string
	for _, d := range docs {
		if d.loose {
			loose, names = append(loose, d), append(names, d.Doc)
		}
	}
	if len(loose) == 0 {
		return nil
	}
	held, err := a.rows.Held(ctx, a.gen, names, true)
	if err != nil {
		return err
	}
	for i, d := range loose {
		d.First, d.Last, d.loose = held[i].First, held[i].Last, false
	}
	return nil
}
