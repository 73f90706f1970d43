package readmodel

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
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

// Skip notes that an event is to be left out of a view, in this generation and all to come. The notes' order is that of their numbers; two
// that are made at once may have the same.
func (s *Store) Skip(ctx context.Context, view, stream string, skip row.Skip) error {
	key := s.skippedKey(view)
	n, err := s.client.HLen(ctx, key).Result()
	if err == nil {
		err = s.client.HSetNX(ctx, key, fmt.Sprintf("%s@%d@%s", stream, skip.Revision, uuid.UUID(skip.ID)), n).Err()
	}
	if err != nil {
		return fmt.Errorf("skip %s@%d in %s: %w", stream, skip.Revision, view, redisdb.Classify(err))
	}
	return nil
}

// Skipped gives the events that are left out of a view.
func (s *Store) Skipped(ctx context.Context, view string) (row.Skipped, error) {
	notes, err := s.client.HGetAll(ctx, s.skippedKey(view)).Result()
	if err != nil {
		return nil, fmt.Errorf("read what is skipped in %s: %w", view, redisdb.Classify(err))
	}
	numbers, skipped := map[string]int{}, row.Skipped{}
	for note, number := range notes {
		if numbers[note], err = strconv.Atoi(number); err != nil {
			return nil, fmt.Errorf("the note that %q is skipped in %s is damaged: number %q", note, view, number)
		}
	}
	for _, note := range slices.SortedFunc(maps.Keys(notes), func(a, b string) int { return cmp.Or(cmp.Compare(numbers[a], numbers[b]), cmp.Compare(a, b)) }) {
		stream, skip, err := readSkip(note)
		if err != nil {
			return nil, fmt.Errorf("the note that %q is skipped in %s is damaged: %w", note, view, err)
		}
		skipped[stream] = append(skipped[stream], skip)
	}
	return skipped, nil
}

// readSkip reads STREAM@REVISION@ID, or STREAM@REVISION as earlier releases wrote.
func readSkip(note string) (stream string, skip row.Skip, err error) {
	stream = note
	if at := strings.LastIndexByte(note, '@'); at >= 0 {
		if id, err := uuid.Parse(note[at+1:]); err == nil {
			stream, skip.ID = note[:at], id
		}
	}
	at := strings.LastIndexByte(stream, '@')
	skip.Revision, err = strconv.ParseInt(stream[at+1:], 10, 64)
	return stream[:max(at, 0)], skip, err
}
