// Package backoff is how a loop waits, before its next attempt or its next round.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff waits longer after each failure in a row: from 50 ms, doubling to 5 s, each jittered so that many workers do not come back at
// once. The zero Backoff is ready for use; it is for one goroutine.
type Backoff struct{ failures int }

const (
	first = 50 * time.Millisecond
	most  = 5 * time.Second
)

// Wait waits for the next attempt; it returns false when ctx has ended.
func (b *Backoff) Wait(ctx context.Context) bool {
	d := min(first<<min(b.failures, 10), most)
	b.failures++
	return Sleep(ctx, Jittered(d)) == nil
}

// Failing reports whether there was a failure since the last Reset.
func (b *Backoff) Failing() bool { return b.failures > 0 }

// Reset says that an attempt went well.
func (b *Backoff) Reset() { b.failures = 0 }

// Jittered is between half of d and d.
func Jittered(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// Sleep waits for d; it returns an error when ctx has ended.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}
