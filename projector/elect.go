package projector

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// electionTerm is how long an elected loop that says nothing stays elected.
const electionTerm = 5 * time.Second

// elected runs a loop while this process holds a lease on it, so that of many projectors one does the work. Two at once,
// as when a lease ran out unnoticed, only do it twice. While the keeper of leases is away, whoever was elected goes on. Who is not
// elected reports of the loop too. What the loop reports of its parts holds while it runs: when a term ends, an error there is
// no longer this process's, which might never run the loop again to take it back.
func (s *Service) elected(ctx context.Context, loop, lease string, run func(context.Context) error, parts ...string) error {
	token := uuid.NewString()
	for ctx.Err() == nil {
		if !s.await(ctx, loop, lease, token) {
			return nil
		}
		err := s.serve(ctx, lease, token, run)
		if err != nil {
			return err
		}
		for _, part := range parts {
			s.cfg.Report(part, nil)
		}
	}
	return nil
}

// await waits until the lease is ours; false when ctx ended first.
func (s *Service) await(ctx context.Context, loop, lease, token string) bool {
	ticker := time.NewTicker(electionTerm / 5)
	defer ticker.Stop()
	for {
		held, err := s.model.Lease(ctx, lease, token, electionTerm)
		if held {
			return true
		}
		if ctx.Err() == nil {
			if err != nil {
				err = fmt.Errorf("waiting to be elected: %w", err)
			}
			s.cfg.Report(loop, err) // another does it: well
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
}

// serve runs the loop until ctx ends or the lease has passed to another.
func (s *Service) serve(ctx context.Context, lease, token string, run func(context.Context) error) error {
	term, resign := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error {
		defer resign()
		return run(term)
	})
	ticker := time.NewTicker(electionTerm / 5)
	defer ticker.Stop()
	for term.Err() == nil {
		select {
		case <-ticker.C:
			if held, err := s.model.Lease(ctx, lease, token, electionTerm); err == nil && !held {
				resign()
			}
		case <-term.Done():
		}
	}
	err := g.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = s.model.Release(last, lease, token) // else it runs out
	return err
}
