package readmodel

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/redis/go-redis/v9"

	"jangbu/query/row"
)

// Refer notes, for each stream, documents that show its shared part. It must return before those parts are read.
func (s *Store) Refer(ctx context.Context, g row.Generation, docs map[string][]string) error {
	_, err := s.pipeline(ctx, func(p redis.Pipeliner) {
		for stream, names := range docs {
			members := make([]any, len(names))
			for i, n := range names {
				members[i] = n
			}
			p.SAdd(ctx, s.key(g, 'b', row.Shared(stream)), members...)
		}
	})
	if err != nil {
		return fmt.Errorf("note references in %s: %w", g, err)
	}
	return nil
}

// Referrers yields, in batches, which documents show the shared parts of streams; some perhaps twice. It must be called
// after those parts have landed.
func (s *Store) Referrers(ctx context.Context, g row.Generation, streams []string) iter.Seq2[[]row.Ref, error] {
	const atOnce = 50
	return func(yield func([]row.Ref, error) bool) {
		for some := range slices.Chunk(streams, atOnce) {
			scans := make([]scan, len(some))
			for i, stream := range some {
				scans[i].stream = stream
			}
			for len(scans) > 0 {
				refs, err := s.scanReferrers(ctx, g, scans)
				if err != nil {
					yield(nil, fmt.Errorf("read referrers in %s: %w", g, err))
					return
				}
				if len(refs) > 0 && !yield(refs, nil) {
					return
				}
				scans = slices.DeleteFunc(scans, func(c scan) bool { return c.cursor == 0 })
			}
		}
	}
}

// scan is how far the referrers of a stream have been read. A cursor that has come back to 0 is at the end.
type scan struct {
	stream string
	cursor uint64
}

// scanReferrers reads on in each scan.
func (s *Store) scanReferrers(ctx context.Context, g row.Generation, scans []scan) (refs []row.Ref, err error) {
	cmds, err := s.pipeline(ctx, func(p redis.Pipeliner) {
		for _, c := range scans {
			p.SScan(ctx, s.key(g, 'b', row.Shared(c.stream)), c.cursor, "", int64(maxRows/len(scans)))
		}
	})
	if err != nil {
		return nil, err
	}
	for i, cmd := range cmds {
		docs, next := cmd.(*redis.ScanCmd).Val()
		for _, doc := range docs {
			refs = append(refs, row.Ref{Stream: scans[i].stream, Doc: doc})
		}
		scans[i].cursor = next
	}
	return refs, nil
}

// SharedParts returns what streams that have landed share, each as the row that lands in a referring document: without a part where the stream
// shares nothing any more, or did not yet. A stream of which that changes meanwhile may be missing.
func (s *Store) SharedParts(ctx context.Context, g row.Generation, streams []string) (map[string]row.Sourced, error) {
	parts := make(map[string]row.Sourced, len(streams))
	read := func(streams []string, hash byte, prefix string) (missing []string, err error) {
		cmds, err := s.pipeline(ctx, func(p redis.Pipeliner) {
			for _, stream := range streams {
				p.HGet(ctx, s.key(g, hash, row.Shared(stream)), prefix+stream)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("read shared parts of %s: %w", g, err)
		}
		for i, cmd := range cmds {
			stored, err := cmd.(*redis.StringCmd).Result()
			if errors.Is(err, redis.Nil) {
				missing = append(missing, streams[i])
				continue
			}
			held, err := decodeRow(stored)
			if err != nil {
				return nil, fmt.Errorf("shared part of %s in %s: %w", streams[i], g, err)
			}
			parts[streams[i]] = row.Sourced{Source: streams[i], Revision: held.revision, Skips: held.skips, Row: &row.Row{Part: row.StoredPart(held.part)}}
		}
		return missing, nil
	}
	missing, err := read(streams, 'd', "p:")
	if err == nil && len(missing) > 0 {
		_, err = read(missing, 'r', "")
	}
	return parts, err
}
