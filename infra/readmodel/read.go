package readmodel

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"jangbu/infra/redisdb"
	"jangbu/query/row"
)

// liveFor is how long a query may trust the pointer to the live generation it read last. A generation is removed only
// when two later ones have replaced it, so an old pointer leads to old documents, never to none.
const liveFor = 250 * time.Millisecond

type livePointer struct {
	generation row.Generation
	read       time.Time
}

// Live returns the generation that queries read, Number 0 if there is none yet. The answer may be 250 ms old;
// fresh asks Redis now.
func (s *Store) Live(ctx context.Context, view string, fresh bool) (row.Generation, error) {
	s.mu.Lock()
	p, ok := s.live[view]
	s.mu.Unlock()
	now := s.now()
	if ok && !fresh && p.generation.Number > 0 && now.Sub(p.read) < liveFor {
		return p.generation, nil
	}
	number, err := s.client.HGet(ctx, s.registryKey(view), "live").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return row.Generation{}, fmt.Errorf("read live generation of %s: %w", view, redisdb.Classify(err))
	}
	g := generation(view, number, "")
	s.mu.Lock()
	s.live[view] = livePointer{generation: g, read: now}
	s.mu.Unlock()
	return g, nil
}

// Document returns a composed document, nil if there is none.
func (s *Store) Document(ctx context.Context, g row.Generation, doc string) ([]byte, error) {
	body, err := s.client.Get(ctx, s.key(g, 'j', doc)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", g, doc, redisdb.Classify(err))
	}
	return body, nil
}

// Landed returns the revisions up to which streams have landed in a generation, event.NoStream for none, in the streams'
// order and in one round trip.
func (s *Store) Landed(ctx context.Context, g row.Generation, streams []string) ([]int64, error) {
	states, err := s.States(ctx, g, streams)
	if err != nil {
		return nil, err
	}
	revisions := make([]int64, len(states))
	for i, st := range states {
		revisions[i] = st.Revision
	}
	return revisions, nil
}

// Page returns up to limit items of a list, in order, after a cursor ("" for the first page). It reports false if the
// list does not exist: if it has no items, nor anything else of any stream. What can be no cursor is row.ErrCursor.
func (s *Store) Page(ctx context.Context, g row.Generation, doc, after string, limit int) ([]row.Item, bool, error) {
	from := "-"
	if after != "" {
		place, err := base64.RawURLEncoding.DecodeString(after)
		if err != nil || strings.Count(string(place), "\x00") != 1 {
			return nil, false, fmt.Errorf("%w: %q", row.ErrCursor, after)
		}
		from = "(" + string(place) + "\x01" // after every item at this place, which go on with a NUL
	}
	pipe := s.client.Pipeline()
	exists := s.listExists(ctx, pipe, g, doc)
	members := pipe.ZRangeArgs(ctx, redis.ZRangeArgs{Key: s.key(g, 'z', doc), Start: from, Stop: "+", ByLex: true, Count: int64(limit)})
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, false, fmt.Errorf("read %s/%s: %w", g, doc, redisdb.Classify(err))
	}
	items := make([]row.Item, 0, len(members.Val()))
	for _, m := range members.Val() {
		end := strings.LastIndexByte(m, 0)
		if end < 0 {
			return nil, false, fmt.Errorf("item %q of %s/%s is damaged", m, g, doc)
		}
		items = append(items, row.Item{Cursor: base64.RawURLEncoding.EncodeToString([]byte(m[:end])), JSON: []byte(m[end+1:])})
	}
	return items, exists(), nil
}

// listExists asks, once the pipeline has run, whether a list exists. Of one that every stream has withdrawn from, the
// version is left, and must not tell it from one that never was.
func (s *Store) listExists(ctx context.Context, pipe redis.Pipeliner, g row.Generation, doc string) func() bool {
	items, fields := pipe.Exists(ctx, s.key(g, 'z', doc)), pipe.HLen(ctx, s.key(g, 'd', doc))
	return func() bool { return items.Val() > 0 || fields.Val() > 1 }
}
