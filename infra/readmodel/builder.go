package readmodel

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/redis/go-redis/v9"

	"jangbu/infra/redisdb"
	"jangbu/query/row"
)

// Builder writes a generation that nobody else writes to, as a replay does before it opens it. It lands rows by the same
// rule as land.lua and leaves the same keys, but decides in Go what to write, from documents that it remembers, and
// writes it with plain commands: several times as fast.
//
// Where the generation was fresh when the Builder was made, its holder may use Put and Held instead, which is several times as fast again;
// see Put for what that asks of it.
//
// What a document's rows add up to is written in one transaction with the rows, so a builder that dies leaves documents
// that a successor can go on with. After an error the same call may be repeated, but for row.ErrAstray: what it writes compares nothing in
// Redis, so where an answer to some of it never came the generation has to be given up. It is for one goroutine.
type Builder struct {
	*Store
	docs *lru.Cache[string, *builderDoc] // what Redis holds, as far as it is remembered
}

// builderDoc is a document with all that landing needs to know of it.
type builderDoc struct {
	row.Document
	composed bool                 // as it is in Redis
	parts    map[string]storedRow // rows with a part, by source, without the part itself
	bare     int64                // rows without a part may exist where this is not 0
}

// NewBuilder returns a Builder for a build that its caller holds the lease on and has not opened.
func (s *Store) NewBuilder() *Builder {
	docs, err := lru.New[string, *builderDoc](s.remember)
	if err != nil {
		panic(err) // only for a size below 1
	}
	own := &Store{client: s.once, namespace: s.namespace, now: s.now, lease: s.lease, fences: s.fences}
	return &Builder{Store: own, docs: docs}
}

// write carries out writes that compare nothing, and is row.ErrAstray where some of them was not answered, also if it was when sent again.
func (b *Builder) write(ctx context.Context, writes func(context.Context) error) error {
	ctx, unanswered := redisdb.Watch(ctx)
	err := writes(ctx)
	switch {
	case !unanswered():
		return err
	case err == nil: // answered when it was sent again
		return row.ErrAstray
	}
	return fmt.Errorf("%w: %w", row.ErrAstray, err)
}

// Park is Store.Park.
func (b *Builder) Park(ctx context.Context, g row.Generation, parked []row.Parked) error {
	return b.write(ctx, func(ctx context.Context) error { return b.Store.Park(ctx, g, parked) })
}

// Unpark is Store.Unpark.
func (b *Builder) Unpark(ctx context.Context, g row.Generation, streams []string) error {
	return b.write(ctx, func(ctx context.Context) error { return b.Store.Unpark(ctx, g, streams) })
}

// Land is Store.Land for the only writer of a generation.
func (b *Builder) Land(ctx context.Context, g row.Generation, landings []row.Landing) ([]row.Document, error) {
	docs, err := b.load(ctx, g, landings)
	if err != nil {
		return nil, fmt.Errorf("land rows of %s: %w", g, err)
	}
	bare, err := b.bareRows(ctx, g, landings, docs)
	if err != nil {
		return nil, fmt.Errorf("land rows of %s: %w", g, err)
	}
	writes := make([]*docWrite, 0, len(landings))
	for i, l := range landings {
		w := &docWrite{doc: docs[i]}
		for _, r := range l.Rows {
			if err := w.land(r, bare[l.Doc][r.Source]); err != nil {
				b.docs.Purge()
				return nil, fmt.Errorf("land %s in %s/%s: %w", r.Source, g, l.Doc, err)
			}
		}
		if w.finish() {
			writes = append(writes, w)
		}
	}
	if err := b.write(ctx, func(ctx context.Context) error { return b.writeAll(ctx, g, writes) }); err != nil {
		b.docs.Purge() // what was decided may or may not have been written: Redis is asked again
		return nil, fmt.Errorf("land rows of %s: %w", g, err)
	}
	var due []row.Document
	for i, l := range landings {
		if l.Compose && docs[i].Version > 0 && !docs[i].composed {
			due = append(due, docs[i].Document)
		}
	}
	return due, nil
}

// load gives what Redis holds of the documents, remembered or read.
func (b *Builder) load(ctx context.Context, g row.Generation, landings []row.Landing) ([]*builderDoc, error) {
	docs := make([]*builderDoc, len(landings))
	var missing []int
	for i, l := range landings {
		if held, ok := b.docs.Get(l.Doc); ok {
			docs[i] = held
			continue
		}
		missing = append(missing, i)
	}
	cmds, err := b.pipeline(ctx, func(p redis.Pipeliner) {
		for _, i := range missing {
			doc := landings[i].Doc
			p.HGetAll(ctx, b.key(g, 'd', doc))
			p.HLen(ctx, b.key(g, 'r', doc))
			p.ZRange(ctx, b.key(g, 'z', doc), 0, 0)
			p.ZRange(ctx, b.key(g, 'z', doc), -1, -1)
		}
	})
	if err != nil {
		return nil, err
	}
	for k, i := range missing {
		c := cmds[4*k : 4*k+4]
		if docs[i], err = readDocument(landings[i].Doc, c[0].(*redis.MapStringStringCmd).Val()); err != nil {
			return nil, err
		}
		docs[i].bare = c[1].(*redis.IntCmd).Val()
		docs[i].First, docs[i].Last = firstKey(c[2]), firstKey(c[3])
		b.docs.Add(landings[i].Doc, docs[i])
	}
	return docs, nil
}

func firstKey(c redis.Cmder) string {
	members := c.(*redis.StringSliceCmd).Val()
	if len(members) == 0 {
		return ""
	}
	return sortKey(members[0])
}

func readDocument(name string, fields map[string]string) (*builderDoc, error) {
	d := &builderDoc{Document: row.Document{Doc: name, Parts: map[string]row.Part{}, Sums: map[string]int64{}}, parts: map[string]storedRow{}}
	for field, value := range fields {
		var err error
		switch {
		case field == "v":
			version, waits := strings.CutSuffix(value, "+")
			d.composed = !waits
			d.Version, err = strconv.ParseInt(version, 10, 64)
		case strings.HasPrefix(field, "s:"):
			d.Sums[field[2:]], err = strconv.ParseInt(value, 10, 64)
		case strings.HasPrefix(field, "p:"):
			var stored storedRow
			stored, err = decodeRow(value)
			d.Parts[field[2:]] = row.StoredPart(stored.part)
			d.parts[field[2:]] = storedRow{revision: stored.revision, contribution: stored.contribution}
		}
		if err != nil {
			return nil, fmt.Errorf("document %s: %w", name, err)
		}
	}
	return d, nil
}

// bareRows reads the rows without a part that the landings will replace, by document and source.
func (b *Builder) bareRows(ctx context.Context, g row.Generation, landings []row.Landing, docs []*builderDoc) (map[string]map[string]*storedRow, error) {
	var asked []row.Landing
	cmds, err := b.pipeline(ctx, func(p redis.Pipeliner) {
		for i, l := range landings {
			if docs[i].bare == 0 {
				continue
			}
			for rows := range slices.Chunk(l.Rows, maxRecords) {
				sources := make([]string, len(rows))
				for k, r := range rows {
					sources[k] = r.Source
				}
				p.HMGet(ctx, b.key(g, 'r', l.Doc), sources...)
				asked = append(asked, row.Landing{Doc: l.Doc, Rows: rows})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]*storedRow{}
	for i, cmd := range cmds {
		for k, value := range cmd.(*redis.SliceCmd).Val() {
			text, ok := value.(string)
			if !ok {
				continue
			}
			stored, err := decodeRow(text)
			if err != nil {
				return nil, err
			}
			if found[asked[i].Doc] == nil {
				found[asked[i].Doc] = map[string]*storedRow{}
			}
			found[asked[i].Doc][asked[i].Rows[k].Source] = &stored
		}
	}
	return found, nil
}

// Compose stores compositions; nobody else can have changed the documents meanwhile.
func (b *Builder) Compose(ctx context.Context, g row.Generation, docs []row.Document, compositions [][]byte) ([]row.Document, error) {
	err := b.write(ctx, func(ctx context.Context) error {
		_, err := b.pipeline(ctx, func(p redis.Pipeliner) {
			for i, d := range docs {
				if compositions[i] == nil {
					p.Del(ctx, b.key(g, 'j', d.Doc))
				} else {
					p.Set(ctx, b.key(g, 'j', d.Doc), compositions[i], 0)
				}
				p.HSet(ctx, b.key(g, 'd', d.Doc), "v", d.Version)
			}
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("compose documents of %s: %w", g, err)
	}
	for _, d := range docs {
		if held, ok := b.docs.Peek(d.Doc); ok {
			held.composed = true
		}
	}
	return nil, nil
}

// SaveStates keeps state records.
func (b *Builder) SaveStates(ctx context.Context, g row.Generation, states []row.State) error {
	now := " " + strconv.FormatInt(b.now().UnixMilli(), 10) + "\n"
	byBucket := map[string][]any{}
	for _, st := range states {
		k := bucket(st.Stream)
		byBucket[k] = append(byBucket[k], st.Stream, stamp(st.Revision, st.Skips)+now+string(st.Data))
	}
	err := b.write(ctx, func(ctx context.Context) error {
		_, err := b.claim(ctx, g, func(p redis.Pipeliner, f *redisdb.Fence) {
			for k, args := range byBucket {
				for chunk := range slices.Chunk(args, 2*maxRecords) {
					p.EvalSha(ctx, f.Hash(saveLua), []string{b.tag(g, k) + "s"}, chunk...)
				}
			}
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("save states of %s: %w", g, err)
	}
	return nil
}
