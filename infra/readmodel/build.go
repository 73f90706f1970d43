package readmodel

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"jangbu/domain/event"
	"jangbu/query/row"
)

// defaultLease bounds how long a killed replay keeps others waiting. A living one renews its lease every few seconds.
const defaultLease = 15 * time.Second

// Begin takes the lease on building a view for the builder named by token, and starts the next generation or resumes
// what another left behind for the same version of the view's code. While another builder holds the lease it is
// row.ErrBusy.
func (s *Store) Begin(ctx context.Context, view string, version int, token string) (row.Build, error) {
	answer, err := beginScript.Run(ctx, s.client, []string{s.registryKey(view)}, version, token, s.lease.Milliseconds()).Int64Slice()
	if err != nil {
		return row.Build{}, fmt.Errorf("begin a generation of %s: %w", view, classify(err))
	}
	if answer[0] == 0 {
		return row.Build{}, fmt.Errorf("begin a generation of %s: %w (its lease ends in %s)", view, row.ErrBusy, time.Duration(answer[1])*time.Millisecond)
	}
	registry, err := s.Registry(ctx, view)
	if err != nil {
		return row.Build{}, err
	}
	return row.Build{
		Generation: row.Generation{View: view, Number: answer[0]},
		Fresh:      answer[1] == 1,
		Open:       answer[2] == 1,
		Built:      registry.Built,
	}, nil
}

// Built notes that everything up to a position has landed in the build, and renews the lease.
func (s *Store) Built(ctx context.Context, g row.Generation, token string, to event.Position) error {
	return s.step(ctx, g, token, "built", to.String())
}

// Renew renews the lease on a build.
func (s *Store) Renew(ctx context.Context, g row.Generation, token string) error {
	return s.step(ctx, g, token, "built", "")
}

// OpenBuild makes consumers write to the build from now on, and ends the right of a Builder to it.
func (s *Store) OpenBuild(ctx context.Context, g row.Generation, token string) error {
	return s.step(ctx, g, token, "open", "")
}

// Switch makes the build the live generation, in one step; queries follow within 250 ms. What was live becomes the
// previous one, and the one before that is garbage. Repeating it changes nothing.
func (s *Store) Switch(ctx context.Context, g row.Generation, token string) error {
	return s.step(ctx, g, token, "switch", "")
}

// Leave gives the lease back, so that another may resume the build at once.
func (s *Store) Leave(ctx context.Context, g row.Generation, token string) error {
	return s.step(ctx, g, token, "leave", "")
}

func (s *Store) step(ctx context.Context, g row.Generation, token, step, argument string) error {
	ok, err := stepScript.Run(ctx, s.client, []string{s.registryKey(g.View)}, token, s.lease.Milliseconds(), strconv.FormatInt(g.Number, 10), step, argument).Bool()
	if err != nil {
		return fmt.Errorf("%s %s: %w", step, g, classify(err))
	}
	if !ok {
		return fmt.Errorf("%s %s: %w", step, g, row.ErrLost)
	}
	return nil
}
