package readmodel

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"jangbu/domain/event"
	"jangbu/infra/redisdb"
	"jangbu/query/row"
)

// Bounds of one script call: Redis serves nobody else while it runs, and Lua's unpack has a limit.
const (
	maxRows      = 2000
	maxDocuments = 1000
	maxRecords   = 1000
)

// Land lands rows and returns the documents that now wait to be composed. It is complete when it returns nil; after an
// error some rows may have landed, and repeating the call is safe. Two landings must not name the same document, nor
// one landing the same source twice.
func (s *Store) Land(ctx context.Context, g row.Generation, landings []row.Landing) ([]row.Document, error) {
	calls := s.landCalls(g, landings)
	cmds, err := s.pipeline(ctx, func(p redis.Pipeliner) {
		for _, c := range calls {
			p.EvalSha(ctx, landScript.Hash(), c.keys, c.args...)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("land rows of %s: %w", g, err)
	}
	return documents(cmds, calls)
}

// Compose stores compositions, nil for a document that readers shall not find. It returns the documents that changed
// meanwhile and so have to be composed again.
func (s *Store) Compose(ctx context.Context, g row.Generation, docs []row.Document, compositions [][]byte) ([]row.Document, error) {
	byBucket := map[string]*scriptCall{}
	var calls []*scriptCall
	for i, d := range docs {
		b := bucket(d.Doc)
		c := byBucket[b]
		if c == nil || len(c.docs) >= maxDocuments {
			c = &scriptCall{}
			byBucket[b], calls = c, append(calls, c)
		}
		c.docs = append(c.docs, d.Doc)
		c.keys = append(c.keys, s.key(g, 'd', d.Doc), s.key(g, 'z', d.Doc), s.key(g, 'j', d.Doc))
		c.args = append(c.args, d.Version, compositions[i])
	}
	cmds, err := s.pipeline(ctx, func(p redis.Pipeliner) {
		for _, c := range calls {
			p.EvalSha(ctx, composeScript.Hash(), c.keys, c.args...)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("compose documents of %s: %w", g, err)
	}
	return documents(cmds, calls)
}

// scriptCall is one call of a script on documents of one slot.
type scriptCall struct {
	docs []string
	keys []string
	args []any
	rows int
}

func (s *Store) landCalls(g row.Generation, landings []row.Landing) []*scriptCall {
	byBucket := map[string]*scriptCall{}
	var calls []*scriptCall
	for _, l := range landings {
		b := bucket(l.Doc)
		for part := range slices.Chunk(l.Rows, maxRows) {
			c := byBucket[b]
			if c == nil || len(c.docs) >= maxDocuments || c.rows+len(part) > maxRows {
				c = &scriptCall{}
				byBucket[b], calls = c, append(calls, c)
			}
			c.docs = append(c.docs, l.Doc)
			c.keys = append(c.keys, s.key(g, 'd', l.Doc), s.key(g, 'r', l.Doc), s.key(g, 'z', l.Doc))
			last := l.Compose && &part[len(part)-1] == &l.Rows[len(l.Rows)-1]
			c.args = append(c.args, flag(last), len(part))
			for _, r := range part {
				contribution, member, shown := encode(r)
				c.args = append(c.args, r.Source, stamp(r.Revision, r.Skips), contribution, member, shown)
			}
			c.rows += len(part)
		}
	}
	return calls
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// encode gives a row's contribution, its member of the document's order ("" for none) and its part in the form that
// land.lua keeps.
func encode(r row.Sourced) (contribution []byte, member string, part []byte) {
	if r.Row == nil {
		return nil, "", nil
	}
	if r.Row.Key != "" {
		member = string(appendMember(nil, r.Source, r.Row))
	}
	return appendContribution(nil, r.Row), member, r.Row.Part.Bytes()
}

// documents reads what the document scripts return.
func documents(cmds []redis.Cmder, calls []*scriptCall) ([]row.Document, error) {
	var docs []row.Document
	for i, cmd := range cmds {
		entries, err := cmd.(*redis.Cmd).Slice()
		if err != nil || len(entries) != len(calls[i].docs) {
			return nil, fmt.Errorf("script answered %d entries for %d documents: %w", len(entries), len(calls[i].docs), err)
		}
		for k, entry := range entries {
			if entry == nil {
				continue
			}
			d, err := document(calls[i].docs[k], entry)
			if err != nil {
				return nil, fmt.Errorf("document %s: %w", calls[i].docs[k], err)
			}
			docs = append(docs, d)
		}
	}
	return docs, nil
}

func document(name string, entry any) (row.Document, error) {
	answer, ok := entry.([]any)
	if !ok || len(answer) != 3 {
		return row.Document{}, fmt.Errorf("script answered %T", entry)
	}
	pairs, _ := answer[0].([]any)
	fields := make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		fields[text(pairs[i])] = text(pairs[i+1])
	}
	d, err := readDocument(name, fields)
	if err != nil {
		return row.Document{}, err
	}
	d.First, d.Last = sortKey(answer[1]), sortKey(answer[2])
	return d.Document, nil
}

func sortKey(member any) string {
	key, _, _ := strings.Cut(text(member), "\x00")
	return key
}

// text is a value that a script answered with.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}

// storedRow is a row as a document keeps it: stamp LF contribution LF part.
type storedRow struct {
	revision     int64
	skips        int
	contribution string
	part         []byte
}

func (r storedRow) text(part []byte) string {
	return stamp(r.revision, r.skips) + "\n" + r.contribution + "\n" + string(part)
}

func decodeRow(stored string) (storedRow, error) {
	fields := strings.SplitN(stored, "\n", 3)
	if len(fields) != 3 {
		return storedRow{}, fmt.Errorf("row %q is damaged", stored)
	}
	revision, skips, err := readStamp(fields[0])
	return storedRow{revision, skips, fields[1], []byte(fields[2])}, err
}

// States returns the state records of streams, in their order; a stream without one stands at event.NoStream.
func (s *Store) States(ctx context.Context, g row.Generation, streams []string) ([]row.State, error) {
	byBucket := map[string][]int{}
	for i, stream := range streams {
		byBucket[bucket(stream)] = append(byBucket[bucket(stream)], i)
	}
	order := slices.Collect(maps.Keys(byBucket))
	cmds, err := s.pipeline(ctx, func(p redis.Pipeliner) {
		for _, b := range order {
			fields := make([]string, len(byBucket[b]))
			for k, i := range byBucket[b] {
				fields[k] = streams[i]
			}
			p.HMGet(ctx, s.tag(g, b)+"s", fields...)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("load states of %s: %w", g, err)
	}
	states := make([]row.State, len(streams))
	for k, cmd := range cmds {
		values := cmd.(*redis.SliceCmd).Val()
		for j, i := range byBucket[order[k]] {
			if states[i], err = decodeState(streams[i], values[j]); err != nil {
				return nil, err
			}
		}
	}
	return states, nil
}

func decodeState(stream string, stored any) (row.State, error) {
	st := row.State{Stream: stream, Revision: event.NoStream}
	text, ok := stored.(string)
	if !ok {
		return st, nil
	}
	header, data, ok := strings.Cut(text, "\n")
	saved := strings.Fields(header)
	if !ok || len(saved) < 2 || len(saved)%2 != 0 {
		return st, fmt.Errorf("state record of %s is damaged: %q", stream, text)
	}
	for pair := range slices.Chunk(saved, 2) {
		revision, skips, err := readStamp(pair[0])
		if err != nil {
			return st, fmt.Errorf("state record of %s is damaged: %q", stream, text)
		}
		if len(st.Saved) == 0 {
			st.Revision, st.Skips, st.Data = revision, skips, []byte(data)
		}
		st.Saved = append(st.Saved, row.SavedAt{Revision: revision, Time: millis(pair[1])})
	}
	return st, nil
}

// SaveStates keeps state records; each replaces only one of a lower revision, or of its own of fewer Skips. It must be called only when
// all rows up to those revisions have landed and are composed.
func (s *Store) SaveStates(ctx context.Context, g row.Generation, states []row.State) error {
	byBucket := map[string][]any{}
	for _, st := range states {
		b := bucket(st.Stream)
		byBucket[b] = append(byBucket[b], st.Stream, stamp(st.Revision, st.Skips), st.Data)
	}
	_, err := s.claim(ctx, g, func(p redis.Pipeliner, f *redisdb.Fence) {
		for b, args := range byBucket {
			for chunk := range slices.Chunk(args, 3*maxRecords) {
				p.EvalSha(ctx, f.Hash(statesLua), []string{s.tag(g, b) + "s"}, chunk...)
			}
		}
	})
	if err != nil {
		return fmt.Errorf("save states of %s: %w", g, err)
	}
	return nil
}
