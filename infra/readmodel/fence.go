package readmodel

import (
	"context"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"jangbu/query/row"
)

// fence guards claims: what rests on earlier writes ("this state has landed", "built up to here", "verified up to here",
// "switch", "nobody reads this any more") must not be written to a Redis that was restarted since and may have lost them. A Redis forgets its scripts when
// it ends (from version 7 on, persistent or not) and a replica that takes over has none. So claims are made only by scripts
// whose text bears the fence's name, loaded when it was drawn and never again: a Redis that does not know them is another.
// docs/adr/0007-fence.md has the reasoning.
type fence struct {
	name                                     string
	states, save, advance, step, touch, drop *redis.Script
}

func newFence() *fence {
	name := uuid.NewString()
	script := func(lua string) *redis.Script { return redis.NewScript("-- fence " + name + "\n" + lua) }
	return &fence{name: name, states: script(statesLua), save: script(saveLua), advance: script(advanceLua), step: script(stepLua),
		touch: script(touchLua), drop: script(dropLua)}
}

// present returns the fence of the present run of Redis, as far as anybody has noticed. One caller draws it while the others
// wait, each no longer than its context lasts.
func (s *Store) present(ctx context.Context) (*fence, error) {
	if f := s.fence.Load(); f != nil {
		return f, nil
	}
	select {
	case s.fencing <- struct{}{}:
		defer func() { <-s.fencing }()
	case <-ctx.Done():
		return nil, classify(ctx.Err())
	}
	if f := s.fence.Load(); f != nil {
		return f, nil
	}
	f := newFence()
	if err := s.load(ctx, f.states, f.save, f.advance, f.step, f.touch, f.drop); err != nil {
		return nil, err
	}
	s.fence.Store(f)
	return f, nil
}

// claim runs fenced scripts for a generation in one round trip a node. It is row.ErrRestarted when Redis has been restarted
// since the registry gave the generation out.
func (s *Store) claim(ctx context.Context, g row.Generation, build func(redis.Pipeliner, *fence)) ([]redis.Cmder, error) {
	f, err := s.present(ctx)
	if err != nil {
		return nil, err
	}
	if g.Fence != "" && g.Fence != f.name {
		return nil, row.ErrRestarted
	}
	pipe := s.client.Pipeline()
	build(pipe, f)
	if pipe.Len() == 0 {
		return nil, nil
	}
	cmds, err := pipe.Exec(ctx)
	if scriptMissing(cmds) {
		s.fence.CompareAndSwap(f, nil)
		return nil, row.ErrRestarted
	}
	return cmds, classify(err)
}
