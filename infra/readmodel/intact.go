package readmodel

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"jangbu/infra/redisdb"
	"jangbu/query/row"
)

// Where one Redis holds everything, what a restart loses is the end of its history, and the fence sees to it that nothing
// claims more. The nodes of a Redis Cluster have each a history of their own: a state record on one may outlive the rows on
// another. So a generation of a cluster knows which processes held it, and has a mark in each bucket.

const doubted = "doubted" // names no processes

// nodes names the processes that serve a Redis Cluster; "" for a single Redis.
func (s *Store) nodes(ctx context.Context) (string, error) {
	if _, ok := s.client.(*redis.ClusterClient); !ok {
		return "", nil
	}
	primaries, err := redisdb.Primaries(ctx, s.client)
	if err != nil {
		return "", redisdb.Classify(err)
	}
	var ids []string
	for _, c := range primaries {
		info, err := c.InfoMap(ctx, "server").Result()
		if err != nil {
			return "", redisdb.Classify(err)
		}
		ids = append(ids, info["Server"]["run_id"])
	}
	slices.Sort(ids)
	return strings.Join(ids, " "), nil
}

func (s *Store) eachBucket(g row.Generation, each func(key string)) {
	for b := range buckets {
		each(s.tag(g, bucketName(b)) + "w")
	}
}

// markBuckets leaves the marks that Intact looks for, and names the processes that hold them.
func (s *Store) markBuckets(ctx context.Context, g row.Generation) (nodes string, err error) {
	if nodes, err = s.nodes(ctx); err != nil || nodes == "" {
		return "", err
	}
	_, err = s.pipeline(ctx, func(p redis.Pipeliner) {
		s.eachBucket(g, func(key string) { p.Set(ctx, key, 1, 0) })
	})
	return nodes, err
}

// Intact reports whether a live generation is still what its replay built and its consumers wrote. In a Redis Cluster it is
// row.ErrHalf when a node has lost all it had, and row.ErrDoubt when one was restarted, or failed over, and may have lost
// what it was told last; that stays so, also when the former node takes over again, with what the other had. Of a
// single Redis nothing of the kind can be said, nor needs to be.
func (s *Store) Intact(ctx context.Context, g row.Generation) error {
	nodes, err := s.nodes(ctx)
	if err != nil || nodes == "" {
		return err
	}
	cmds, err := s.pipeline(ctx, func(p redis.Pipeliner) {
		s.eachBucket(g, func(key string) { p.Exists(ctx, key) })
		p.HGet(ctx, s.registryKey(g.View), "nodes:"+name(g))
	})
	if err != nil {
		return fmt.Errorf("see whether %s is whole: %w", g, err)
	}
	for _, cmd := range cmds[:buckets] {
		if cmd.(*redis.IntCmd).Val() == 0 {
			return fmt.Errorf("generation %s: %w: a node of the cluster was emptied", g, row.ErrHalf)
		}
	}
	if cmds[buckets].(*redis.StringCmd).Val() != nodes {
		if err := s.client.HSet(ctx, s.registryKey(g.View), "nodes:"+name(g), doubted).Err(); err != nil {
			return fmt.Errorf("see whether %s is whole: %w", g, redisdb.Classify(err))
		}
		return fmt.Errorf("generation %s: %w: a node of the cluster was restarted or replaced", g, row.ErrDoubt)
	}
	return nil
}

// Keeps is nil where Redis keeps every key, and says what to set where it may evict some (redisdb.Evicts): of a document that has lost a
// part, the next landing would compose wrong figures.
func (s *Store) Keeps(ctx context.Context) error {
	if policy := redisdb.Evicts(ctx, s.client); policy != "" {
		return fmt.Errorf("maxmemory-policy of Redis is %s: when its memory is full it throws away parts of views, and they answer wrong figures; "+
			"set it to noeviction, and see by `jangbu audit VIEW` whether anything is gone", policy)
	}
	return nil
}
