package readmodel

import (
	"context"

	"github.com/redis/go-redis/v9"

	"jangbu/infra/redisdb"
	"jangbu/query/row"
)

// present returns the fence of the present run of Redis, as far as anybody has noticed.
func (s *Store) present(ctx context.Context) (*redisdb.Fence, error) {
	f, err := s.fences.Present(ctx)
	return f, redisdb.Classify(err)
}

// claim runs fenced scripts for a generation in one round trip a node. It is row.ErrRestarted when Redis has been restarted
// since the registry gave the generation out.
func (s *Store) claim(ctx context.Context, g row.Generation, build func(redis.Pipeliner, *redisdb.Fence)) ([]redis.Cmder, error) {
	f, err := s.present(ctx)
	if err != nil {
		return nil, err
	}
	if g.Fence != "" && g.Fence != f.Name {
		return nil, row.ErrRestarted
	}
	pipe := s.client.Pipeline()
	build(pipe, f)
	if pipe.Len() == 0 {
		return nil, nil
	}
	cmds, err := pipe.Exec(ctx)
	if scriptMissing(cmds) {
		s.fences.Fell(f)
		return nil, row.ErrRestarted
	}
	return cmds, redisdb.Classify(err)
}
