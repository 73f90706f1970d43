package readmodel

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"jangbu/domain/event"
	"jangbu/infra/redisdb"
	"jangbu/query/row"
)

// Registry reads which generations a view has. A view nobody has built yet has none, and no error.
func (s *Store) Registry(ctx context.Context, view string) (row.Registry, error) {
	fields, f, err := s.readRegistry(ctx, view)
	if err != nil {
		return row.Registry{}, err
	}
	return registry(view, fields, f.Name)
}

// Peek is Registry for reading alone: it draws no fence, so nothing may be written on its word.
func (s *Store) Peek(ctx context.Context, view string) (row.Registry, error) {
	fields, err := s.registryFields(ctx, view)
	if err != nil {
		return row.Registry{}, err
	}
	return registry(view, fields, "")
}

func registry(view string, fields map[string]string, fence string) (r row.Registry, err error) {
	r = row.Registry{
		Live:     generation(view, fields["live"], fence),
		Building: generation(view, fields["building"], fence),
		Previous: generation(view, fields["previous"], fence),
		Moved:    millis(fields["moved:"+fields["live"]]),
		Heard:    millis(fields["heard:"+fields["live"]]),
		Silent:   millis(fields["silent:"+fields["live"]]),
	}
	_, r.Open = fields["open:"+fields["building"]]
	r.Version, _ = strconv.Atoi(fields["version:"+fields["live"]])
	r.BuildingVersion, _ = strconv.Atoi(fields["version:"+fields["building"]])
	r.PreviousVersion, _ = strconv.Atoi(fields["version:"+fields["previous"]])
	if r.Built, err = event.ParsePosition(fields["built:"+fields["building"]]); err != nil {
		return row.Registry{}, fmt.Errorf("read registry of %s: %w", view, err)
	}
	r.Healed, _ = strconv.ParseInt(fields["healed:"+fields["live"]], 10, 64)
	r.At, r.AtTime = parseAt(fields["at:"+fields["live"]])
	return r, nil
}

// readRegistry reads all that is noted of a view, and gives the fence for claims that rest on it. The fence comes first: one drawn
// after a restart must not vouch for what was read before.
func (s *Store) readRegistry(ctx context.Context, view string) (map[string]string, *redisdb.Fence, error) {
	f, err := s.present(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read registry of %s: %w", view, err)
	}
	fields, err := s.registryFields(ctx, view)
	return fields, f, err
}

func (s *Store) registryFields(ctx context.Context, view string) (map[string]string, error) {
	fields, err := s.client.HGetAll(ctx, s.registryKey(view)).Result()
	if err != nil {
		return nil, fmt.Errorf("read registry of %s: %w", view, redisdb.Classify(err))
	}
	return fields, nil
}

// name is what a generation is called in keys.
func name(g row.Generation) string {
	number := strconv.FormatInt(g.Number, 10)
	if g.Salt == "" {
		return number
	}
	return number + "-" + g.Salt
}

// generation reads what name wrote.
func generation(view, name, fence string) row.Generation {
	number, salt, _ := strings.Cut(name, "-")
	n, _ := strconv.ParseInt(number, 10, 64)
	if n == 0 {
		return row.Generation{View: view}
	}
	return row.Generation{View: view, Number: n, Salt: salt, Fence: fence}
}

func parseAt(s string) (event.Position, time.Time) {
	commit, rest, _ := strings.Cut(s, "/")
	prepare, ms, _ := strings.Cut(rest, "/")
	c, errCommit := strconv.ParseUint(commit, 10, 64)
	p, errPrepare := strconv.ParseUint(prepare, 10, 64)
	if errCommit != nil || errPrepare != nil || ms == "" {
		return event.Position{}, time.Time{}
	}
	return event.Position{Commit: c, Prepare: p}, millis(ms)
}

// millis reads a time, zero if there is none.
func millis(s string) time.Time {
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Advance moves the verified position of a generation forwards, never back: everything up to that event has landed.
func (s *Store) Advance(ctx context.Context, g row.Generation, at event.Recorded) error {
	_, err := s.claim(ctx, g, func(p redis.Pipeliner, f *redisdb.Fence) {
		p.EvalSha(ctx, f.Hash(advanceLua), []string{s.registryKey(g.View)}, name(g), at.Position.Commit, at.Position.Prepare, at.Time.UnixMilli())
	})
	if err != nil {
		return fmt.Errorf("note position of %s: %w", g, err)
	}
	return nil
}

// Heard notes that messages come for a view.
func (s *Store) Heard(ctx context.Context, g row.Generation) error {
	registry := s.registryKey(g.View)
	_, err := s.pipeline(ctx, func(p redis.Pipeliner) {
		p.HSet(ctx, registry, "heard:"+name(g), s.now().UnixMilli())
		p.HDel(ctx, registry, "silent:"+name(g))
	})
	if err != nil {
		return fmt.Errorf("note that messages come for %s: %w", g, err)
	}
	return nil
}

// Swept counts events that a sweep had to land in a generation because no message had brought them, and notes whether that
// was all there was, and so since when the view has been silent: not if one has come since heard, when, as the sweep has read, the last did.
func (s *Store) Swept(ctx context.Context, g row.Generation, healed int64, silent bool, heard time.Time) error {
	now, last := "", ""
	if silent {
		now = strconv.FormatInt(s.now().UnixMilli(), 10)
	}
	if !heard.IsZero() {
		last = strconv.FormatInt(heard.UnixMilli(), 10)
	}
	if err := sweptScript.Run(ctx, s.client, []string{s.registryKey(g.View)}, name(g), healed, now, last).Err(); err != nil {
		return fmt.Errorf("note a sweep of %s: %w", g, redisdb.Classify(err))
	}
	return nil
}

// Forget takes a live generation away, of which a part is gone: queries find none until another is built. Nothing happens if
// another is live.
func (s *Store) Forget(ctx context.Context, g row.Generation) error {
	if err := forgetScript.Run(ctx, s.client, []string{s.registryKey(g.View)}, name(g)).Err(); err != nil {
		return fmt.Errorf("forget %s: %w", g, redisdb.Classify(err))
	}
	return nil
}

// DropGarbage removes every generation that nobody reads any more, in small steps, with what a slow worker may have written to it
// after it was dropped. It may be interrupted and repeated. It is row.ErrRestarted when Redis is restarted meanwhile: in one that was
// emptied, or set back, what was garbage may be a number that is built again, or live.
//
// Switches may follow each other fast: what has just become garbage may have been live less than liveFor ago. So it
// waits until every pointer to it has run out; else a query would find a generation half removed, and call it whole.
func (s *Store) DropGarbage(ctx context.Context, view string) error {
	fields, f, err := s.readRegistry(ctx, view)
	if err != nil {
		return err
	}
	last, _ := strconv.ParseInt(fields["last"], 10, 64)
	used := map[string]bool{fields["live"]: true, fields["building"]: true, fields["previous"]: true}
	garbage := func(name string) bool {
		n := generation(view, name, "").Number
		return 0 < n && n <= last && !used[name]
	}
	var notes []string // fields of the registry
	beside := map[string]bool{}
	for field := range fields {
		if _, name, ok := strings.Cut(field, ":"); ok && garbage(name) {
			notes = append(notes, field)
			beside[s.parkedKey(row.Generation{View: view}, name)] = true
		}
	}
	if len(notes) == 0 {
		return nil
	}
	select {
	case <-time.After(2 * liveFor):
	case <-ctx.Done():
		return ctx.Err()
	}
	drop := func(build func(p redis.Pipeliner, f *redisdb.Fence)) error {
		_, err := s.claim(ctx, row.Generation{View: view, Fence: f.Name}, build)
		return err
	}
	prefix := s.namespace + ":{" + view + "."
	err = s.scan(ctx, prefix+"*", func(keys []string) error {
		bySlot := map[string][]string{}
		for _, k := range keys {
			name, _, _ := strings.Cut(strings.TrimPrefix(k, prefix), ".")
			if tag, _, ok := strings.Cut(k, "}"); ok && garbage(name) {
				bySlot[tag] = append(bySlot[tag], k)
			}
		}
		return drop(func(p redis.Pipeliner, f *redisdb.Fence) {
			for _, keys := range bySlot {
				p.EvalSha(ctx, f.Hash(dropLua), keys)
			}
		})
	})
	if err == nil {
		err = drop(func(p redis.Pipeliner, f *redisdb.Fence) {
			for keys := range slices.Chunk(slices.Collect(maps.Keys(beside)), dropMax) {
				p.EvalSha(ctx, f.Hash(dropLua), keys)
			}
			dropFields(ctx, p, f, s.registryKey(view), notes)
		})
	}
	if err != nil {
		return fmt.Errorf("drop former generations of %s: %w", view, err)
	}
	return nil
}

// dropFields queues the removal of fields of a key, as many at once as drop.lua takes.
func dropFields(ctx context.Context, p redis.Pipeliner, f *redisdb.Fence, key string, fields []string) {
	for part := range slices.Chunk(fields, dropMax) {
		args := make([]any, len(part))
		for i, field := range part {
			args[i] = field
		}
		p.EvalSha(ctx, f.Hash(dropLua), []string{key}, args...)
	}
}

// Documents counts the documents that readers of a generation can find. It walks all keys.
func (s *Store) Documents(ctx context.Context, g row.Generation, composed bool) (int64, error) {
	var n int64
	var err error
	if composed {
		err = s.scan(ctx, s.tag(g, "*")+"j:*", func(keys []string) error {
			n += int64(len(keys))
			return nil
		})
	} else {
		n, err = s.countLists(ctx, g)
	}
	if err != nil {
		return 0, fmt.Errorf("count documents of %s: %w", g, err)
	}
	return n, nil
}

func (s *Store) countLists(ctx context.Context, g row.Generation) (n int64, err error) {
	const kind = "}:d:"
	err = s.scan(ctx, s.tag(g, "*")+"d:*", func(keys []string) error {
		exist := make([]func() bool, 0, len(keys))
		_, err := s.pipeline(ctx, func(p redis.Pipeliner) {
			exist = exist[:0]
			for _, key := range keys {
				_, doc, _ := strings.Cut(key, kind)
				exist = append(exist, s.listExists(ctx, p, g, doc))
			}
		})
		if err != nil {
			return err
		}
		for _, exists := range exist {
			if exists() {
				n++
			}
		}
		return nil
	})
	return n, err
}

// scan walks the keys that match on every primary, in batches.
func (s *Store) scan(ctx context.Context, match string, each func(keys []string) error) error {
	primaries, err := redisdb.Primaries(ctx, s.client)
	if err != nil {
		return redisdb.Classify(err)
	}
	for _, c := range primaries {
		var cursor uint64
		for {
			keys, next, err := c.Scan(ctx, cursor, match, scanBatch).Result()
			if err != nil {
				return redisdb.Classify(err)
			}
			for batch := range slices.Chunk(keys, scanBatch) { // some servers answer with all at once
				if err := each(batch); err != nil {
					return err
				}
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return nil
}

const (
	dropMax   = 1000    // keys or fields that drop.lua takes; some Redis unpacks 5,000 at most
	scanBatch = dropMax // what is found may have to be dropped
)
