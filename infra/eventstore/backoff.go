package eventstore

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff yields pauses that double from min to max, each with jitter between half and the whole of it.
type backoff struct {
	min, max, pause time.Duration
}

func newBackoff(min, max time.Duration) *backoff { return &backoff{min: min, max: max, pause: min} }

func (b *backoff) reset() { b.pause = b.min }

func (b *backoff) next() time.Duration {
	pause := b.pause
	b.pause = min(2*b.pause, b.max)
	return pause/2 + rand.N(pause/2+1)
}

// wait sleeps for the next pause, and reports false when ctx ended first.
func (b *backoff) wait(ctx context.Context) bool {
	timer := time.NewTimer(b.next())
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
