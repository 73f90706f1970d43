package readmodel

import (
	"context"
	"fmt"
	"time"

	"jangbu/infra/redisdb"
)

// Lease takes the lease of that name for term, or renews it, and reports whether it is now the token's. A holder that
// does not renew in time loses it to whoever asks next. All who ask for it ask for the same term.
func (s *Store) Lease(ctx context.Context, name, token string, term time.Duration) (bool, error) {
	held, err := leaseScript.Run(ctx, s.client, []string{s.leaseKey(name)}, token, term.Milliseconds()).Bool()
	if err != nil {
		return false, fmt.Errorf("lease %s: %w", name, redisdb.Classify(err))
	}
	return held, nil
}

// Release gives a lease back. One that has passed to another stays with them.
func (s *Store) Release(ctx context.Context, name, token string) error {
	_, err := s.Lease(ctx, name, token, 0)
	return err
}

func (s *Store) leaseKey(name string) string { return s.namespace + ":{lease}:" + name }
