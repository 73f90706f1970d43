package readmodel

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"jangbu/domain/event"
	"jangbu/query/row"
)

// Registry reads which generations a view has. A view nobody has built yet has none, and no error.
func (s *Store) Registry(ctx context.Context, view string) (row.Registry, error) {
	fields, err := s.client.HGetAll(ctx, s.registryKey(view)).Result()
	if err != nil {
		return row.Registry{}, fmt.Errorf("read registry of %s: %w", view, classify(err))
	}
	r := row.Registry{
		Live:     generation(view, fields["live"]),
		Building: generation(view, fields["building"]),
		Previous: generation(view, fields["previous"]),
	}
	_, r.Open = fields["open:"+fields["building"]]
	r.Version, _ = strconv.Atoi(fields["version:"+fields["live"]])
	if r.Built, err = event.ParsePosition(fields["built:"+fields["building"]]); err != nil {
		return row.Registry{}, fmt.Errorf("read registry of %s: %w", view, err)
	}
	r.Healed, _ = strconv.ParseInt(fields["healed:"+fields["live"]], 10, 64)
	r.At, r.AtTime = parseAt(fields["at:"+fields["live"]])
	return r, nil
}

func generation(view, number string) row.Generation {
	n, _ := strconv.ParseInt(number, 10, 64)
	return row.Generation{View: view, Number: n}
}

func parseAt(s string) (event.Position, time.Time) {
	var p event.Position
	var ms int64
	if n, _ := fmt.Sscanf(s, "%d/%d/%d", &p.Commit, &p.Prepare, &ms); n != 3 {
		return event.Position{}, time.Time{}
	}
	return p, time.UnixMilli(ms).UTC()
}

// Advance moves the verified position of a generation forwards, never back: everything up to that event has landed.
func (s *Store) Advance(ctx context.Context, g row.Generation, at event.Recorded) error {
	err := advanceScript.Run(ctx, s.client, []string{s.registryKey(g.View)}, "at:"+strconv.FormatInt(g.Number, 10),
		at.Position.Commit, at.Position.Prepare, at.Time.UnixMilli()).Err()
	if err != nil {
		return fmt.Errorf("note position of %s: %w", g, classify(err))
	}
	return nil
}

// Healed counts events that a sweep had to land in a generation because no message had brought them.
func (s *Store) Healed(ctx context.Context, g row.Generation, n int64) error {
	err := s.client.HIncrBy(ctx, s.registryKey(g.View), "healed:"+strconv.FormatInt(g.Number, 10), n).Err()
	if err != nil {
		return fmt.Errorf("count healed events of %s: %w", g, classify(err))
	}
	return nil
}

// DropGarbage removes generations that nobody reads any more, in small steps. It may be interrupted and repeated.
//
// Switches may follow each other fast: what has just become garbage may have been live less than liveFor ago. So it
// waits until every pointer to it has run out; else a query would find a generation half removed, and call it whole.
func (s *Store) DropGarbage(ctx context.Context, view string) error {
	fields, err := s.client.HKeys(ctx, s.registryKey(view)).Result()
	if err != nil {
		return fmt.Errorf("read registry of %s: %w", view, classify(err))
	}
	waited := false
	for _, field := range fields {
		number, ok := strings.CutPrefix(field, "garbage:")
		if !ok {
			continue
		}
		if !waited {
			select {
			case <-time.After(2 * liveFor):
				waited = true
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		unlink := func(c redis.Cmdable, keys []string) error {
			pipe := c.Pipeline()
			for _, k := range keys {
				pipe.Unlink(ctx, k)
			}
			_, err := pipe.Exec(ctx)
			return err
		}
		if err := s.scan(ctx, s.namespace+":{"+view+"."+number+".*", unlink); err != nil {
			return fmt.Errorf("drop generation %s of %s: %w", number, view, classify(err))
		}
		if err := s.client.HDel(ctx, s.registryKey(view), field, "version:"+number, "built:"+number, "at:"+number, "open:"+number, "healed:"+number).Err(); err != nil {
			return fmt.Errorf("drop generation %s of %s: %w", number, view, classify(err))
		}
	}
	return nil
}

// Documents counts the documents that readers of a generation can find; lists count by their owner. It walks all keys.
func (s *Store) Documents(ctx context.Context, g row.Generation, composed bool) (int64, error) {
	kind := "d"
	if composed {
		kind = "j"
	}
	var n atomic.Int64
	err := s.scan(ctx, s.tag(g, "*")+kind+":*", func(_ redis.Cmdable, keys []string) error {
		n.Add(int64(len(keys)))
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("count documents of %s: %w", g, classify(err))
	}
	return n.Load(), nil
}

// scan walks the keys that match on every primary. Within one primary each is called with batches in turn.
func (s *Store) scan(ctx context.Context, match string, each func(redis.Cmdable, []string) error) error {
	walk := func(ctx context.Context, c redis.Cmdable) error {
		var cursor uint64
		for {
			keys, next, err := c.Scan(ctx, cursor, match, 1000).Result()
			if err != nil {
				return err
			}
			if len(keys) > 0 {
				if err := each(c, keys); err != nil {
					return err
				}
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return walk(ctx, c) })
	}
	return walk(ctx, s.client)
}
