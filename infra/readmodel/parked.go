package readmodel

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"jangbu/infra/redisdb"
	"jangbu/query/row"
)

func (s *Store) parkedKey(g row.Generation, name string) string {
	return s.namespace + ":{" + g.View + "}:parked:" + name
}

func (s *Store) skippedKey(view string) string { return s.namespace + ":{" + view + "}:skipped" }

// Park notes streams that the view's code failed on. Of a stream that is parked already, at the same event, the time stays.
func (s *Store) Park(ctx context.Context, g row.Generation, parked []row.Parked) error {
	held, err := s.ParkedIn(ctx, g)
	if err != nil {
		return err
	}
	_, err = s.pipeline(ctx, func(p redis.Pipeliner) {
		for _, one := range parked {
			for _, h := range held {
				if h.Stream == one.Stream && h.Revision == one.Revision {
					one.Since = h.Since
				}
			}
			p.HSet(ctx, s.parkedKey(g, name(g)), one.Stream, row.JSON(one))
		}
	})
	if err != nil {
		return fmt.Errorf("park streams in %s: %w", g, err)
	}
	return nil
}

// Unpark takes streams off the list, whose states the caller has saved. It is row.ErrRestarted when Redis may have lost those.
func (s *Store) Unpark(ctx context.Context, g row.Generation, streams []string) error {
	if len(streams) == 0 {
		return nil
	}
	_, err := s.claim(ctx, g, func(p redis.Pipeliner, f *redisdb.Fence) {
		dropFields(ctx, p, f, s.parkedKey(g, name(g)), streams)
	})
	if err != nil {
		return fmt.Errorf("take streams off the parked list of %s: %w", g, err)
	}
	return nil
}

// ParkedIn lists what is parked in a generation, in order of time.
func (s *Store) ParkedIn(ctx context.Context, g row.Generation) ([]row.Parked, error) {
	fields, err := s.client.HGetAll(ctx, s.parkedKey(g, name(g))).Result()
	if err != nil {
		return nil, fmt.Errorf("read what is parked in %s: %w", g, redisdb.Classify(err))
	}
	parked := make([]row.Parked, 0, len(fields))
	for stream, stored := range fields {
		var one row.Parked
		if err := json.Unmarshal([]byte(stored), &one); err != nil {
			return nil, fmt.Errorf("the note that %s is parked in %s is damaged: %w", stream, g, err)
		}
		parked = append(parked, one)
	}
	slices.SortFunc(parked, func(a, b row.Parked) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Stream, b.Stream)) })
	return parked, nil
}

// Skip notes that an event is to be left out of a view, in this generation and all to come.
func (s *Store) Skip(ctx context.Context, view, stream string, revision int64) error {
	if err := s.client.HSet(ctx, s.skippedKey(view), fmt.Sprintf("%s@%d", stream, revision), 1).Err(); err != nil {
		return fmt.Errorf("skip %s@%d in %s: %w", stream, revision, view, redisdb.Classify(err))
	}
	return nil
}

// Skipped gives the events that are left out of a view.
func (s *Store) Skipped(ctx context.Context, view string) (row.Skipped, error) {
	notes, err := s.client.HKeys(ctx, s.skippedKey(view)).Result()
	if err != nil {
		return nil, fmt.Errorf("read what is skipped in %s: %w", view, redisdb.Classify(err))
	}
	skipped := row.Skipped{}
	for _, note := range notes {
		at := strings.LastIndexByte(note, '@')
		revision, err := strconv.ParseInt(note[at+1:], 10, 64)
		if at < 0 || err != nil {
			return nil, fmt.Errorf("the note that %q is skipped in %s is damaged", note, view)
		}
		skipped[note[:at]] = append(skipped[note[:at]], revision)
	}
	return skipped, nil
}
