package view

import (
	"cmp"
	"fmt"
	"slices"

	"jangbu/domain/event"
	"jangbu/query/row"
)

// Folded is what a view must hold after some events: the plain fold, with no store and no concurrency in it.
type Folded struct {
	Documents map[string][]byte   // composed, by name
	Lists     map[string][][]byte // items in order, by the list's name
}

// Fold computes a view from a log. It is the definition that everything else is tested against, kept simple rather than
// fast. Events of one stream must be in order.
func Fold(v *View, log []event.Recorded) (Folded, error) { return FoldWithout(v, log, nil) }

// FoldWithout is Fold where an operator has left out some of the events.
func FoldWithout(v *View, log []event.Recorded, skipped row.Skipped) (Folded, error) {
	states, revisions := map[string]any{}, map[string]int64{}
	for _, e := range log {
		source, ok := v.Source(e.Stream)
		if !ok {
			continue
		}
		revisions[e.Stream] = e.Revision
		if skipped[e.Stream].Has(e) {
			continue
		}
		decoded, err := source.Decode(e)
		if err != nil {
			return Folded{}, err
		}
		states[e.Stream] = source.Fold(states[e.Stream], decoded)
	}
	return v.assemble(states, revisions)
}

type placed struct{ key, source, item string }

func (v *View) assemble(states map[string]any, revisions map[string]int64) (Folded, error) {
	docs, lists := map[string]*row.Document{}, map[string][]placed{}
	for stream, state := range states {
		source, _ := v.Source(stream)
		for _, r := range source.Rows(stream, state, revisions[stream]) {
			d := docs[r.Doc]
			if d == nil {
				d = &row.Document{Doc: r.Doc, Parts: map[string]row.Part{}, Sums: map[string]int64{}}
				docs[r.Doc] = d
			}
			if !r.Part.Absent() {
				d.Parts[stream] = r.Part
			}
			for name, n := range r.Sums {
				if d.Sums[name] += n; d.Sums[name] == 0 {
					delete(d.Sums, name)
				}
			}
			if r.Key != "" {
				lists[r.Doc] = append(lists[r.Doc], placed{r.Key, stream, string(row.JSON(r.Item))})
			}
			for _, ref := range r.Refs {
				if shared, ok := states[ref]; ok {
					from, _ := v.Source(ref)
					if part := from.Shared(ref, shared); !part.Absent() {
						d.Parts[ref] = part
					}
				}
			}
		}
	}
	folded := Folded{Documents: map[string][]byte{}, Lists: map[string][][]byte{}}
	for name, d := range docs {
		items := lists[name]
		slices.SortFunc(items, func(a, b placed) int {
			return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.source, b.source))
		})
		if len(items) > 0 {
			d.First, d.Last = items[0].key, items[len(items)-1].key
		}
		if v.Compose == nil {
			folded.Lists[name] = [][]byte{}
			for _, p := range items {
				folded.Lists[name] = append(folded.Lists[name], []byte(p.item))
			}
			continue
		}
		body, err := v.Compose(*d)
		if err != nil {
			return Folded{}, fmt.Errorf("compose %s/%s: %w", v.Name, name, err)
		}
		if body != nil {
			folded.Documents[name] = body
		}
	}
	return folded, nil
}
