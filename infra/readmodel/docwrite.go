package readmodel

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"jangbu/infra/redisdb"
	"jangbu/query/row"
)

// docWrite is what one landing of a Builder changes of one document.
type docWrite struct {
	doc        *builderDoc
	changed    bool
	hset, rset []any
	hdel, rdel []string
	zadd       []redis.Z
	zrem       []string        // what there is of a Key and a source, which begins so
	reorder    bool            // what was first or last is gone
	added      map[string]bool // keys
	removed    []string        // keys
	sums       map[string]bool // that changed
}

// land is the rule, for one row; bare is the row without a part that is held for its source, or nil.
func (w *docWrite) land(r row.Sourced, bare *storedRow) error {
	d, held := w.doc, bare
	shown, hasPart := d.parts[r.Source]
	if hasPart {
		held = &shown
	}
	if held != nil && !r.Replaces(held.revision, held.skips) {
		return nil
	}
	w.changed = true
	if held != nil {
		if err := w.undo(r.Source, held.contribution); err != nil {
			return err
		}
	}
	contribution, member, part := encode(r)
	w.count(r, member)
	stored := storedRow{revision: r.Revision, skips: r.Skips, contribution: string(contribution)}
	if part != nil {
		w.hset = append(w.hset, "p:"+r.Source, stored.text(part))
		d.Parts[r.Source], d.parts[r.Source] = r.Row.Part, stored
		if bare != nil {
			w.rdel = append(w.rdel, r.Source)
			d.bare--
		}
		return nil
	}
	w.rset = append(w.rset, r.Source, stored.text(nil))
	if bare == nil {
		d.bare++
	}
	if hasPart {
		w.hdel = append(w.hdel, "p:"+r.Source)
		delete(d.Parts, r.Source)
		delete(d.parts, r.Source)
	}
	return nil
}

// undo takes a contribution back.
func (w *docWrite) undo(source, contribution string) error {
	if contribution == "" {
		return nil
	}
	var list []string
	if err := json.Unmarshal([]byte(contribution), &list); err != nil || len(list)%2 == 0 {
		return fmt.Errorf("contribution %q is damaged", contribution)
	}
	if key := sortKey(list[0]); key != "" {
		w.zrem = append(w.zrem, key+"\x00"+source)
		w.removed = append(w.removed, key)
	}
	for i := 1; i < len(list); i += 2 {
		n, err := strconv.ParseInt(list[i+1], 10, 64)
		if err != nil {
			return fmt.Errorf("contribution %q is damaged", contribution)
		}
		w.add(list[i], -n)
	}
	return nil
}

// count makes a row's contribution.
func (w *docWrite) count(r row.Sourced, member string) {
	if r.Row == nil {
		return
	}
	for name, n := range r.Row.Sums {
		w.add(name, n)
	}
	if key := r.Row.Key; key != "" {
		w.zadd = append(w.zadd, redis.Z{Member: member})
		if w.added == nil {
			w.added = map[string]bool{}
		}
		w.added[key] = true
		if w.doc.First == "" || key < w.doc.First {
			w.doc.First = key
		}
		w.doc.Last = max(w.doc.Last, key)
	}
}

func (w *docWrite) add(sum string, n int64) {
	w.doc.Sums[sum] += n
	if w.sums == nil {
		w.sums = map[string]bool{}
	}
	w.sums[sum] = true
}

// finish completes the write, and reports whether there is one.
func (w *docWrite) finish() bool {
	if !w.changed {
		return false
	}
	for _, key := range w.removed {
		w.reorder = w.reorder || !w.added[key] && (key == w.doc.First || key == w.doc.Last)
	}
	w.doc.Version++
	w.doc.composed = false
	w.hset = append(w.hset, "v", strconv.FormatInt(w.doc.Version, 10)+"+")
	for name := range w.sums {
		if n := w.doc.Sums[name]; n != 0 {
			w.hset = append(w.hset, "s:"+name, n)
		} else {
			w.hdel = append(w.hdel, "s:"+name)
			delete(w.doc.Sums, name)
		}
	}
	return true
}

// alone reports whether the document's hash is all that changes, which one command does at once.
func (w *docWrite) alone() bool {
	return len(w.hdel)+len(w.rset)+len(w.rdel)+len(w.zadd)+len(w.zrem) == 0
}

// writeAll carries out writes: what belongs to one document in one transaction, together with others of its bucket.
func (b *Builder) writeAll(ctx context.Context, g row.Generation, writes []*docWrite) error {
	together := map[string][]*docWrite{}
	_, err := b.pipeline(ctx, func(p redis.Pipeliner) {
		for _, w := range writes {
			if w.alone() {
				p.HSet(ctx, b.key(g, 'd', w.doc.Doc), w.hset...)
			} else {
				k := bucket(w.doc.Doc)
				together[k] = append(together[k], w)
			}
		}
	})
	if err != nil {
		return err
	}
	for _, ws := range together {
		var ends []func()
		cmds, err := b.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
			for _, w := range ws {
				if end := b.queue(ctx, p, g, w); end != nil {
					ends = append(ends, end)
				}
			}
			return nil
		})
		if err != nil {
			return redisdb.Classify(refusal(cmds, err))
		}
		for _, end := range ends {
			end()
		}
	}
	return nil
}

// refusal is why a transaction failed: where it was discarded, the error of the command that Redis refused to queue.
func refusal(cmds []redis.Cmder, err error) error {
	if !redis.IsExecAbortError(err) {
		return err
	}
	for _, c := range cmds {
		if c.Err() != nil && !redis.IsExecAbortError(c.Err()) {
			return c.Err()
		}
	}
	return err
}

// queue adds a write's commands to a transaction. It returns what to do when that has been carried out, or nil.
func (b *Builder) queue(ctx context.Context, p redis.Pipeliner, g row.Generation, w *docWrite) func() {
	d, r, z := b.key(g, 'd', w.doc.Doc), b.key(g, 'r', w.doc.Doc), b.key(g, 'z', w.doc.Doc)
	p.HSet(ctx, d, w.hset...)
	if len(w.hdel) > 0 {
		p.HDel(ctx, d, w.hdel...)
	}
	if len(w.rset) > 0 {
		p.HSet(ctx, r, w.rset...)
	}
	if len(w.rdel) > 0 {
		p.HDel(ctx, r, w.rdel...)
	}
	for _, place := range w.zrem {
		p.ZRemRangeByLex(ctx, z, "["+place+"\x00", "("+place+"\x01")
	}
	if len(w.zadd) > 0 {
		p.ZAdd(ctx, z, w.zadd...)
	}
	if !w.reorder {
		return nil
	}
	first, last := p.ZRange(ctx, z, 0, 0), p.ZRange(ctx, z, -1, -1)
	return func() { w.doc.First, w.doc.Last = firstKey(first), firstKey(last) }
}
