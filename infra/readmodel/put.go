package readmodel

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"

	"jangbu/query/row"
)

// Put writes a batch to a generation that was fresh when the builder began it, with few large commands that compare nothing. It
// leaves what land.lua and compose.lua would, once all rows, documents and states of the generation have been put; before
// that nobody may rely on any of it. Put may be repeated. It is row.ErrRestarted when Redis was restarted since the
// generation was begun, and may have lost what was put before.
func (b *Builder) Put(ctx context.Context, g row.Generation, batch row.Batch) error {
	w := putter{builder: b, g: g, docs: make(map[string]*docArgs, len(batch.Rows)/2+len(batch.Docs))}
	defer w.release()
	w.rows(batch.Rows)
	w.states(batch.States)
	for _, r := range batch.Refs {
		d := w.doc(row.Shared(r.Stream))
		d.refs = append(d.refs, r.Doc)
	}
	for i := range batch.Docs {
		w.document(&batch.Docs[i])
	}
	_, err := b.claim(ctx, g, func(p redis.Pipeliner, f *fence) {
		w.send(ctx, p)
		_, cluster := b.client.(*redis.ClusterClient)
		for k, touched := range w.touched {
			if touched {
				p.EvalSha(ctx, f.touch.Hash(), []string{b.tag(g, bucketName(k)) + "s"})
				if !cluster { // whose nodes are restarted each by itself
					break
				}
			}
		}
	})
	if err != nil {
		return fmt.Errorf("build %s: %w", g, err)
	}
	return nil
}

// putter makes commands of a batch.
type putter struct {
	builder *Builder
	g       row.Generation
	docs    map[string]*docArgs
	order   []*docArgs
	saved   [buckets][]any // states
	bodies  [buckets][]any // keys and bodies of composed documents
	gone    [buckets][]any // keys of those that readers shall not find
	touched [buckets]bool
	arena   []byte
	arenas  []*[]byte
}

// docArgs is the arguments of the commands on one document's keys.
type docArgs struct {
	doc             string
	bucket          int
	set, del        []any // of d
	rows, withdrawn []any // of r
	items, removed  []any // of z
	refs            []any // of b
}

func (w *putter) doc(name string) *docArgs {
	d := w.docs[name]
	if d == nil {
		d = &docArgs{doc: name, bucket: w.bucket(name)}
		w.docs[name], w.order = d, append(w.order, d)
	}
	return d
}

func (w *putter) bucket(name string) int {
	k := bucketOf(name)
	w.touched[k] = true
	return k
}

// send queues the commands.
func (w *putter) send(ctx context.Context, p redis.Pipeliner) {
	variadic := func(args []any, head ...any) {
		for some := range slices.Chunk(args, 2*maxRecords) {
			_ = p.Process(ctx, redis.NewCmd(ctx, append(head[:len(head):len(head)], some...)...))
		}
	}
	for k := range w.touched {
		variadic(w.saved[k], "hset", w.builder.tag(w.g, bucketName(k))+"s")
		variadic(w.bodies[k], "mset")
		variadic(w.gone[k], "del")
	}
	for _, d := range w.order {
		tag := w.builder.tag(w.g, bucketName(d.bucket))
		if len(d.set)+len(d.del) > 0 {
			variadic(d.set, "hset", tag+"d:"+d.doc)
			variadic(d.del, "hdel", tag+"d:"+d.doc)
		}
		if len(d.rows)+len(d.withdrawn) > 0 {
			variadic(d.rows, "hset", tag+"r:"+d.doc)
			variadic(d.withdrawn, "hdel", tag+"r:"+d.doc)
		}
		if len(d.items)+len(d.removed) > 0 {
			variadic(d.removed, "zrem", tag+"z:"+d.doc)
			variadic(d.items, "zadd", tag+"z:"+d.doc)
		}
		variadic(d.refs, "sadd", tag+"b:"+d.doc)
	}
}

const arenaSize = 64 << 10

var arenas = sync.Pool{New: func() any { return new(make([]byte, 0, arenaSize)) }}

// text keeps what build appends, until release.
func (w *putter) text(build func([]byte) []byte) []byte {
	const least = 4 << 10
	if cap(w.arena)-len(w.arena) < least {
		a := arenas.Get().(*[]byte)
		w.arena, w.arenas = *a, append(w.arenas, a)
	}
	from := len(w.arena)
	w.arena = build(w.arena)
	return w.arena[from:len(w.arena):len(w.arena)]
}

func (w *putter) release() {
	for _, a := range w.arenas {
		arenas.Put(a)
	}
}

func (w *putter) rows(rows []row.Placed) {
	for i := range rows {
		r := &rows[i]
		bare := r.Row == nil || r.Row.Part.Absent()
		is, was := w.member(r.Source, r.Row), w.member(r.Source, r.Was)
		if !bare && r.First && is == nil {
			continue
		}
		d := w.doc(r.Doc)
		if was != nil && string(was) != string(is) {
			d.removed = append(d.removed, was)
		}
		if is != nil && string(was) != string(is) {
			d.items = append(d.items, 0, is)
		}
		switch {
		case bare:
			d.rows = append(d.rows, r.Source, w.text(func(b []byte) []byte { return appendRow(b, r.Sourced, is, nil) }))
		case !r.First && (r.Was == nil || r.Was.Part.Absent()): // what it left behind, or a row without a part
			d.withdrawn = append(d.withdrawn, r.Source)
		}
	}
}

// member is a row's member of its document's order, nil for none.
func (w *putter) member(source string, r *row.Row) []byte {
	if r == nil || r.Key == "" {
		return nil
	}
	return w.text(func(b []byte) []byte { return appendMember(b, source, r) })
}

func (w *putter) states(states []row.State) {
	now := strconv.AppendInt([]byte{' '}, w.builder.now().UnixMilli(), 10)
	for i := range states {
		st := &states[i]
		record := w.text(func(b []byte) []byte {
			b = append(strconv.AppendInt(b, st.Revision, 10), now...)
			return append(append(b, '\n'), st.Data...)
		})
		k := w.bucket(st.Stream)
		w.saved[k] = append(w.saved[k], st.Stream, record)
	}
}

func (w *putter) document(p *row.Put) {
	d := w.doc(p.Doc)
	d.set = append(d.set, "v", p.Version)
	for _, part := range p.Parts {
		member := w.member(part.Source, part.Row)
		d.set = append(d.set, "p:"+part.Source, w.text(func(b []byte) []byte { return appendRow(b, part, member, part.Row.Part.Bytes()) }))
	}
	for name, n := range p.Sums {
		d.set = append(d.set, "s:"+name, n)
	}
	for _, source := range p.GoneParts {
		d.del = append(d.del, "p:"+source)
	}
	for _, name := range p.GoneSums {
		d.del = append(d.del, "s:"+name)
	}
	if !p.Composed {
		return
	}
	d.set = append(d.set, "w", p.Version)
	key := w.builder.tag(w.g, bucketName(d.bucket)) + "j:" + p.Doc
	if p.Body == nil {
		w.gone[d.bucket] = append(w.gone[d.bucket], key)
	} else {
		w.bodies[d.bucket] = append(w.bodies[d.bucket], key, p.Body)
	}
}

// appendRow appends a row as document.lua describes it; member is its member of the document's order, nil for none.
func appendRow(b []byte, r row.Sourced, member, part []byte) []byte {
	b = append(strconv.AppendInt(b, r.Revision, 10), '\n')
	if r.Row != nil && (member != nil || len(r.Row.Sums) > 0) {
		b = appendText(append(b, '['), member)
		for name, n := range r.Row.Sums {
			b = appendText(append(b, ','), name)
			b = append(strconv.AppendInt(append(b, `,"`...), n, 10), '"')
		}
		b = append(b, ']')
	}
	return append(append(b, '\n'), part...)
}

func appendMember(b []byte, source string, r *row.Row) []byte {
	b = append(append(append(append(b, r.Key...), 0), source...), 0)
	if r.Item != nil {
		b = row.AppendJSON(b, r.Item)
	}
	return b
}

// appendText appends a JSON string; nearly all are ASCII.
func appendText[S string | []byte](b []byte, s S) []byte {
	from := len(b)
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c > '~':
			return row.AppendJSON(b[:from], string(s))
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// Held reads documents as they were put last; one that there is not has version 0. It gives their first and last keys if ends is set.
func (b *Builder) Held(ctx context.Context, g row.Generation, docs []string, ends bool) ([]row.Document, error) {
	each := 1
	if ends {
		each = 3
	}
	cmds, err := b.pipeline(ctx, func(p redis.Pipeliner) {
		for _, doc := range docs {
			p.HGetAll(ctx, b.key(g, 'd', doc))
			if ends {
				p.ZRange(ctx, b.key(g, 'z', doc), 0, 0)
				p.ZRange(ctx, b.key(g, 'z', doc), -1, -1)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read documents of %s: %w", g, err)
	}
	held := make([]row.Document, len(docs))
	for i, doc := range docs {
		c := cmds[each*i : each*(i+1)]
		d, err := readDocument(doc, c[0].(*redis.MapStringStringCmd).Val())
		if err != nil {
			return nil, err
		}
		held[i] = d.Document
		if ends {
			held[i].First, held[i].Last = firstKey(c[1]), firstKey(c[2])
		}
	}
	return held, nil
}
