package readmodel

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"jangbu/infra/redisdb"
	"jangbu/query/row"
)

// Put writes a batch to a generation that was fresh when the builder began it, with few large commands that compare nothing. It
// leaves what land.lua and compose.lua would, once all rows, documents and states of the generation have been put; before
// that nobody may rely on any of it. Put may be repeated. It is row.ErrRestarted when Redis was restarted since the
// generation was begun, and may have lost what was put before.
func (b *Builder) Put(ctx context.Context, g row.Generation, batch row.Batch) error {
	w := newPutter(b, g)
	defer w.release()
	w.rows(batch.Rows)
	w.states(batch.States)
	for i := range batch.Refs {
		r := &batch.Refs[i]
		w.doc(row.Shared(r.Stream)).refs.add(&r.Doc)
	}
	for i := range batch.Docs {
		w.document(&batch.Docs[i])
	}
	err := b.write(ctx, func(ctx context.Context) error { return b.send(ctx, g, w) })
	if err != nil {
		return fmt.Errorf("build %s: %w", g, err)
	}
	return nil
}

// send sends the commands that w has made.
func (b *Builder) send(ctx context.Context, g row.Generation, w *putter) error {
	_, err := b.claim(ctx, g, func(p redis.Pipeliner, f *redisdb.Fence) {
		_ = p.BatchProcess(ctx, w.commands(ctx)...) // queues them, and never fails
		_, cluster := b.client.(*redis.ClusterClient)
		for k := range w.buckets {
			if tag := w.buckets[k].tag; tag != "" {
				p.EvalSha(ctx, f.Hash(touchLua), []string{tag + "s"})
				if !cluster { // whose nodes are restarted each by itself
					break
				}
			}
		}
	})
	return err
}

// putter makes commands of a batch, in memory that it uses again.
type putter struct {
	builder *Builder
	g       row.Generation
	buckets [buckets]bucketArgs
	docs    map[string]*docArgs
	order   []*docArgs // all of docs
	spare   []*docArgs
	cmds    []redis.Cmder
	arenas  [][]byte // text, in the last of them that is not empty
	full    int      // arenas before that one
}

// putters keeps as many as are likely to work at once; a collector, which runs often in a replay, would empty a sync.Pool.
var putters = make(chan *putter, 2)

func newPutter(b *Builder, g row.Generation) *putter {
	var w *putter
	select {
	case w = <-putters:
	default:
		w = &putter{docs: map[string]*docArgs{}}
	}
	w.builder, w.g = b, g
	return w
}

// bucketArgs is the commands on a bucket.
type bucketArgs struct {
	tag    string // "" while there are none
	saved  args   // states
	bodies args   // keys and bodies of composed documents
	gone   args   // keys of those that readers shall not find
}

// docArgs is the commands on one document's keys.
type docArgs struct {
	doc             string
	bucket          *bucketArgs
	set, del        args // of d
	rows, withdrawn args // of r
	items, removed  args // of z
	refs            args // of b
}

// args is a command: room for its name and its key, then the rest. Pointers to strings and numbers stand for them, since they take no memory.
type args []any

func (a *args) add(more ...any) {
	if len(*a) == 0 {
		*a = append(*a, nil, nil)
	}
	*a = append(*a, more...)
}

func (w *putter) doc(name string) *docArgs {
	if d := w.docs[name]; d != nil {
		return d
	}
	var d *docArgs
	if n := len(w.spare); n > 0 {
		d, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		d = new(docArgs)
	}
	d.doc, d.bucket = name, w.bucket(name)
	w.docs[name], w.order = d, append(w.order, d)
	return d
}

func (w *putter) bucket(name string) *bucketArgs {
	k := bucketOf(name)
	b := &w.buckets[k]
	if b.tag == "" {
		b.tag = w.builder.tag(w.g, bucketName(k))
	}
	return b
}

// commands lists the commands, none with more than 2*maxRecords arguments besides its name and key.
func (w *putter) commands(ctx context.Context) []redis.Cmder {
	add := func(a args, name string, key ...string) { // in parts; none for a command on many
		if len(a) == 0 {
			return
		}
		head := 2
		if key == nil {
			a, head = a[1:], 1
		} else {
			a[1] = strings.Join(key, "")
		}
		a[0] = name
		for longest := head + 2*maxRecords; len(a) > longest; {
			w.cmds = append(w.cmds, redis.NewCmd(ctx, slices.Clone(a[:longest])...))
			a = append(a[:head], a[longest:]...)
		}
		w.cmds = append(w.cmds, redis.NewCmd(ctx, a...))
	}
	for k := range w.buckets {
		b := &w.buckets[k]
		add(b.saved, "hset", b.tag, "s")
		add(b.bodies, "mset")
		add(b.gone, "del")
	}
	for _, d := range w.order {
		tag := d.bucket.tag
		add(d.set, "hset", tag, "d:", d.doc)
		add(d.del, "hdel", tag, "d:", d.doc)
		add(d.rows, "hset", tag, "r:", d.doc)
		add(d.withdrawn, "hdel", tag, "r:", d.doc)
		add(d.removed, "zrem", tag, "z:", d.doc)
		add(d.items, "zadd", tag, "z:", d.doc)
		add(d.refs, "sadd", tag, "b:", d.doc)
	}
	return w.cmds
}

// release ends the use of w, and of all that it gave.
func (w *putter) release() {
	for k := range w.buckets {
		b := &w.buckets[k]
		b.tag = ""
		forget(&b.saved, &b.bodies, &b.gone)
	}
	for _, d := range w.order {
		forget(&d.set, &d.del, &d.rows, &d.withdrawn, &d.items, &d.removed, &d.refs)
		d.doc, d.bucket = "", nil
	}
	const most = 2048 // to keep
	w.spare = append(w.spare, w.order[:min(len(w.order), max(0, most-len(w.spare)))]...)
	clear(w.order)
	clear(w.docs)
	clear(w.cmds)
	w.order, w.cmds = w.order[:0], w.cmds[:0]
	w.arenas = slices.DeleteFunc(w.arenas, func(a []byte) bool { return cap(a) > arenaSize })
	w.arenas = w.arenas[:min(len(w.arenas), 32)]
	for i := range w.arenas {
		w.arenas[i] = w.arenas[i][:0]
	}
	w.full, w.builder = 0, nil
	select {
	case putters <- w:
	default:
	}
}

// forget empties commands, and lets go of the memory of all but short ones.
func forget(all ...*args) {
	const short = 64
	for _, a := range all {
		if clear(*a); cap(*a) > short {
			*a = nil
		}
		*a = (*a)[:0]
	}
}

const arenaSize = 64 << 10

// text keeps what build appends, until release.
func (w *putter) text(build func([]byte) []byte) []byte {
	const least = 4 << 10
	if w.full < len(w.arenas) && cap(w.arenas[w.full])-len(w.arenas[w.full]) < least {
		w.full++
	}
	if w.full == len(w.arenas) {
		w.arenas = append(w.arenas, make([]byte, 0, arenaSize))
	}
	arena := w.arenas[w.full]
	from := len(arena)
	arena = build(arena)
	w.arenas[w.full] = arena
	return arena[from:len(arena):len(arena)]
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
			d.removed.add(was)
		}
		if is != nil && string(was) != string(is) {
			d.items.add(0, is)
		}
		switch {
		case bare:
			d.rows.add(&r.Source, w.text(func(b []byte) []byte { return appendRow(b, r.Sourced) }))
		case !r.First && (r.Was == nil || r.Was.Part.Absent()): // what it left behind, or a row without a part
			d.withdrawn.add(&r.Source)
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

func (w *putter) states(states []row.Save) {
	now := strconv.AppendInt([]byte{' '}, w.builder.now().UnixMilli(), 10)
	for i := range states {
		st := &states[i]
		record := w.text(func(b []byte) []byte {
			b = append(appendStamp(b, st.Revision, st.Skips), now...)
			if b = append(b, '\n'); st.State == nil {
				return b
			}
			return row.AppendJSON(b, st.State)
		})
		w.bucket(st.Stream).saved.add(&st.Stream, record)
	}
}

func (w *putter) document(p *row.Put) {
	d := w.doc(p.Doc)
	for _, part := range p.Parts {
		d.set.add("p:"+part.Source, w.text(func(b []byte) []byte { return appendRow(b, part) }))
	}
	for name, n := range p.Sums {
		d.set.add("s:"+name, n)
	}
	for _, source := range p.GoneParts {
		d.del.add("p:" + source)
	}
	for _, name := range p.GoneSums {
		d.del.add("s:" + name)
	}
	if !p.Composed {
		d.set.add("v", strconv.FormatInt(p.Version, 10)+"+")
		return
	}
	d.set.add("v", &p.Version)
	key := d.bucket.tag + "j:" + p.Doc
	if p.Body == nil {
		d.bucket.gone.add(key)
	} else {
		d.bucket.bodies.add(key, p.Body)
	}
}

// appendRow appends a row as document.lua describes it.
func appendRow(b []byte, r row.Sourced) []byte {
	b = append(appendStamp(b, r.Revision, r.Skips), '\n')
	b = append(appendContribution(b, r.Row), '\n')
	if r.Row != nil {
		b = r.Row.Part.AppendTo(b)
	}
	return b
}

// appendContribution appends a row's contribution as document.lua describes it, nothing for a row that has none.
func appendContribution(b []byte, r *row.Row) []byte {
	if r == nil || r.Key == "" && len(r.Sums) == 0 {
		return b
	}
	b = appendText(append(b, '['), r.Key)
	for name, n := range r.Sums {
		b = appendText(append(b, ','), name)
		b = append(strconv.AppendInt(append(b, `,"`...), n, 10), '"')
	}
	return append(b, ']')
}

func appendMember(b []byte, source string, r *row.Row) []byte {
	b = append(append(append(append(b, r.Key...), 0), source...), 0)
	if r.Item != nil {
		b = row.AppendJSON(b, r.Item)
	}
	return b
}

// appendText appends a JSON string; nearly all are ASCII.
func appendText(b []byte, s string) []byte {
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
			return row.AppendJSON(b[:from], s)
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
