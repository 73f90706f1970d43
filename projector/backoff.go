package projector

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff waits longer after each failure in a row: from 50 ms, doubling to 5 s, each with full jitter on its upper
// half so that many workers do not come back at once.
type backoff struct{ failures int }

const (
	backoffFirst = 50 * time.Millisecond
	backoffMost  = 5 * time.Second
)

// wait waits for the next attempt; it returns false when ctx has ended.
func (b *backoff) wait(ctx context.Context) bool {
	d := min(backoffFirst<<min(b.failures, 10), backoffMost)
	b.failures++
	timer := time.NewTimer(jittered(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// jittered is between half of d and d.
func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }

func (b *backoff) reset() { b.failures = 0 }
