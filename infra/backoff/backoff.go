// Package backoff is how a loop waits, before its next attempt or its next round.
package backoff

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"
)

// Backoff waits longer after each failure in a row: from First, doubling to Most, each jittered so that many workers do not come back at
// once. The zero Backoff is ready for use; it is for one goroutine.
type Backoff struct {
	First time.Duration // default 50 ms
	Most  time.Duration // default 5 s
	pause time.Duration // after the next failure; 0: First
}

const (
	first = 50 * time.Millisecond
	most  = 5 * time.Second
)

// Next is how long to wait after one more failure.
func (b *Backoff) Next() time.Duration {
	pause := cmp.Or(b.pause, b.First, first)
	b.pause = min(2*pause, cmp.Or(b.Most, most))
	return Jittered(pause)
}

// Wait waits for the next attempt; it returns false when ctx has ended.
func (b *Backoff) Wait(ctx context.Context) bool { return Sleep(ctx, b.Next()) == nil }

// Failing reports whether there was a failure since the last Reset.
func (b *Backoff) Failing() bool { return b.pause > 0 }

// Reset says that an attempt went well.
func (b *Backoff) Reset() { b.pause = 0 }

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
