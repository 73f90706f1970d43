package readmodel

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"jangbu/domain/event"
	"jangbu/infra/redisdb"
	"jangbu/query/row"
)

// defaultLease bounds how long a killed replay keeps others waiting. A living one renews its lease every few seconds.
const defaultLease = 15 * time.Second

// Begin takes the lease on building a view for the builder named by token, and starts the next generation or resumes
// what another left behind for the same version of the view's code. While another builder holds the lease it is
// row.ErrBusy.
func (s *Store) Begin(ctx context.Context, view string, version int, token string) (row.Build, error) {
	b, err := s.begin(ctx, view, version, token, "")
	if err != nil {
		return row.Build{}, fmt.Errorf("begin a generation of %s: %w", view, err)
	}
	return b, nil
}

// Revive takes the lease as Begin does, and makes the previous generation the build, open, and built up to its verified
// position: from where it stopped being live. Given up, by Abandon or for what another Begin starts, it is the previous generation again. It is
// row.ErrNoPrevious when there is none that this version of the view's code can go on with.
func (s *Store) Revive(ctx context.Context, view string, version int, token string) (row.Build, error) {
	r, err := s.Registry(ctx, view)
	if err != nil {
		return row.Build{}, err
	}
	previous, of := r.Previous, r.PreviousVersion
	if r.Building.Number > 0 && previous.Number == 0 {
		previous, of = r.Building, r.BuildingVersion // a revival that was interrupted
	}
	switch {
	case previous.Number == 0:
		return row.Build{}, fmt.Errorf("view %s: %w", view, row.ErrNoPrevious)
	case of != version:
		return row.Build{}, fmt.Errorf("view %s: %w: generation %d was built by version %d of its code, this jangbu has version %d",
			view, row.ErrNoPrevious, previous.Number, of, version)
	}
	b, err := s.begin(ctx, view, version, token, name(previous))
	if err != nil {
		return row.Build{}, fmt.Errorf("take up generation %d of %s again: %w", previous.Number, view, err)
	}
	return b, nil
}

func (s *Store) begin(ctx context.Context, view string, version int, token, previous string) (row.Build, error) {
	f, err := s.present(ctx)
	if err != nil {
		return row.Build{}, err
	}
	nodes, err := s.nodes(ctx)
	if err != nil {
		return row.Build{}, err
	}
	answer, err := beginScript.Run(ctx, s.client, []string{s.registryKey(view)},
		version, token, s.lease.Milliseconds(), uuid.NewString()[:8], nodes, previous).Slice()
	if err != nil {
		return row.Build{}, redisdb.Classify(err)
	}
	if answer[0] == "" {
		ms, _ := answer[1].(int64)
		if ms < 0 {
			return row.Build{}, row.ErrNoPrevious
		}
		return row.Build{}, fmt.Errorf("%w (its lease ends in %s)", row.ErrBusy, time.Duration(ms)*time.Millisecond)
	}
	registry, err := s.Registry(ctx, view)
	if err != nil {
		return row.Build{}, err
	}
	switch {
	case !s.fences.Stands(f): // the answer may be from before, and the registry from after
		return row.Build{}, row.ErrRestarted
	case name(registry.Building) != answer[0]:
		return row.Build{}, row.ErrLost
	}
	return row.Build{Generation: registry.Building, Fresh: answer[1] == int64(1), Open: answer[2] == int64(1), Built: registry.Built}, nil
}

// Built notes that everything up to a position has landed in the build, and renews the lease.
func (s *Store) Built(ctx context.Context, g row.Generation, token string, to event.Position) error {
	return s.fencedStep(ctx, g, token, "built", to.String())
}

// OpenBuild makes consumers write to the build from now on, and ends the right of a Builder to it.
func (s *Store) OpenBuild(ctx context.Context, g row.Generation, token string) error {
	return s.fencedStep(ctx, g, token, "open", "")
}

// Switch makes the build the live generation, in one step; queries follow within 250 ms. What was live becomes the
// previous one, and the one before that is left to DropGarbage. Repeating it changes nothing.
func (s *Store) Switch(ctx context.Context, g row.Generation, token string) error {
	nodes, err := s.markBuckets(ctx, g)
	if err != nil {
		return fmt.Errorf("switch %s: %w", g, err)
	}
	return s.fencedStep(ctx, g, token, "switch", nodes)
}

// Renew renews the lease on a build.
func (s *Store) Renew(ctx context.Context, g row.Generation, token string) error {
	return s.step(ctx, g, token, "renew")
}

// Leave gives the lease back, so that another may resume the build at once.
func (s *Store) Leave(ctx context.Context, g row.Generation, token string) error {
	return s.step(ctx, g, token, "leave")
}

// Abandon gives the lease back, and leaves the build to DropGarbage; one that was revived is the previous generation again.
func (s *Store) Abandon(ctx context.Context, g row.Generation, token string) error {
	return s.step(ctx, g, token, "abandon")
}

// step takes a step that rests on nothing written before.
func (s *Store) step(ctx context.Context, g row.Generation, token, step string) error {
	ok, err := stepScript.Run(ctx, s.client, []string{s.registryKey(g.View)}, s.stepArgs(g, token, step, "")...).Bool()
	return stepped(g, step, ok, redisdb.Classify(err))
}

func (s *Store) fencedStep(ctx context.Context, g row.Generation, token, step, argument string) error {
	cmds, err := s.claim(ctx, g, func(p redis.Pipeliner, f *redisdb.Fence) {
		p.EvalSha(ctx, f.Hash(takeStepLua), []string{s.registryKey(g.View)}, s.stepArgs(g, token, step, argument)...)
	})
	if err != nil {
		return stepped(g, step, false, err)
	}
	ok, err := cmds[0].(*redis.Cmd).Bool()
	return stepped(g, step, ok, err)
}

func (s *Store) stepArgs(g row.Generation, token, step, argument string) []any {
	return []any{token, s.lease.Milliseconds(), name(g), step, argument}
}

func stepped(g row.Generation, step string, ok bool, err error) error {
	if err == nil && !ok {
		err = row.ErrLost
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", step, g, err)
	}
	return nil
}
