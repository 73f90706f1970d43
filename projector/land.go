package projector

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"jangbu/query/row"
)

// landings gathers rows by document. Of two rows from one source the newer stays.
type landings struct {
	list []row.Landing
	docs map[string]int    // where in list a document is
	rows map[[2]string]int // where in its document a row is, by document and source
}

func (l *landings) add(doc string, r row.Sourced) {
	if l.docs == nil {
		l.docs, l.rows = map[string]int{}, map[[2]string]int{}
	}
	at, ok := l.docs[doc]
	if !ok {
		at = len(l.list)
		l.docs[doc] = at
		l.list = append(l.list, row.Landing{Doc: doc})
	}
	landing := &l.list[at]
	if held, ok := l.rows[[2]string{doc, r.Source}]; !ok {
		l.rows[[2]string{doc, r.Source}] = len(landing.Rows)
		landing.Rows = append(landing.Rows, r)
	} else if was := landing.Rows[held]; r.Replaces(was.Revision, was.Skips) {
		landing.Rows[held] = r
	}
}

func (l *landings) composed(compose bool) []row.Landing {
	for i := range l.list {
		l.list[i].Compose = compose
	}
	return l.list
}

// land does steps 2 to 5 of an Applier. It returns which documents cannot be composed.
func (a *Applier) land(ctx context.Context, changes []*change) (failed failures, err error) {
	failed = failures{}
	var shared, rows landings
	refs := map[string][]string{}       // referred stream -> documents
	renewed := map[string]row.Sourced{} // shared parts that changed, by stream
	for _, c := range changes {
		if !c.changed || !c.moved() {
			continue
		}
		for _, r := range c.rows {
			rows.add(r.Doc, c.sourced(&r))
			delete(c.touched, r.Doc)
			for _, ref := range r.Refs {
				refs[ref] = append(refs[ref], r.Doc)
			}
		}
		for doc := range c.touched {
			rows.add(doc, c.sourced(nil))
		}
		if c.source.Shares() {
			part := c.sourced(nil)
			if c.state != nil {
				part.Row = &row.Row{Part: c.shared}
			}
			shared.add(row.Shared(c.stream), part)
			renewed[c.stream] = part
		}
	}
	if len(shared.list) > 0 {
		if _, err := a.rows.Land(ctx, a.gen, shared.list); err != nil {
			return nil, err
		}
	}
	if err := a.join(ctx, refs, &rows); err != nil {
		return nil, err
	}
	if err := a.landAndCompose(ctx, &rows, failed); err != nil {
		return nil, err
	}
	return failed, a.spread(ctx, renewed, failed)
}

// join notes the references, then adds the shared parts that the documents refer to. A part nobody has landed yet is
// fetched from the store, so that no document is ever seen half joined.
func (a *Applier) join(ctx context.Context, refs map[string][]string, rows *landings) error {
	if len(refs) == 0 {
		return nil
	}
	if err := a.rows.Refer(ctx, a.gen, refs); err != nil {
		return err
	}
	streams := slices.Collect(maps.Keys(refs))
	parts, err := a.rows.SharedParts(ctx, a.gen, streams)
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(streams), func(s string) bool { _, ok := parts[s]; return ok })
	if len(missing) > 0 {
		if err := a.ensure(ctx, missing); err != nil {
			return err
		}
		if parts, err = a.rows.SharedParts(ctx, a.gen, streams); err != nil {
			return err
		}
	}
	for stream, part := range parts {
		for _, doc := range refs[stream] {
			rows.add(doc, part)
		}
	}
	return nil
}

// spread lands the shared parts that changed in the documents that refer to them. It reads the referrers after the
// shared parts have landed, and the parts again, since a newer one may have landed meanwhile.
func (a *Applier) spread(ctx context.Context, renewed map[string]row.Sourced, failed failures) error {
	if len(renewed) == 0 {
		return nil
	}
	streams := slices.Collect(maps.Keys(renewed))
	parts, err := a.rows.SharedParts(ctx, a.gen, streams)
	if err != nil {
		return err
	}
	for refs, err := range a.rows.Referrers(ctx, a.gen, streams) {
		if err != nil {
			return err
		}
		var rows landings
		for _, ref := range refs {
			part, ok := parts[ref.Stream]
			if !ok { // it was withdrawn
				part = renewed[ref.Stream]
			}
			rows.add(ref.Doc, part)
		}
		if err := a.landAndCompose(ctx, &rows, failed); err != nil {
			return err
		}
	}
	return nil
}

// landAndCompose lands rows and composes until every document is composed at least of what was landed here. A document that
// the view cannot compose stays as it was, and is the failure of every stream that landed a row in it here.
func (a *Applier) landAndCompose(ctx context.Context, rows *landings, failed failures) error {
	if len(rows.list) == 0 {
		return nil
	}
	docs, err := a.rows.Land(ctx, a.gen, rows.composed(a.view.Compose != nil))
	if err != nil {
		return err
	}
	for len(docs) > 0 {
		var composed []row.Document
		var compositions [][]byte
		for _, d := range docs {
			body, err := a.compose(d)
			if err != nil {
				for _, r := range rows.list[rows.docs[d.Doc]].Rows {
					failed.add(r.Source, fmt.Errorf("compose document %s: %w", d.Doc, err), d)
				}
				continue
			}
			composed, compositions = append(composed, d), append(compositions, body)
		}
		if len(composed) == 0 {
			return nil
		}
		if docs, err = a.rows.Compose(ctx, a.gen, composed, compositions); err != nil {
			return err
		}
	}
	return nil
}

func (a *Applier) compose(d row.Document) (body []byte, err error) {
	defer guard(&err)
	return a.view.Compose(d)
}
