package projector

import (
	"context"
	"errors"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/backoff"
	"jangbu/query/row"
)

// patience bounds how long to wait for a dependency.
type patience struct {
	retry backoff.Backoff
	limit time.Duration
	since time.Time
}

func (r *Replay) newPatience() *patience { return &patience{limit: r.cfg.Patience, since: time.Now()} }

func (p *patience) renew() {
	if p.retry.Failing() {
		p.retry.Reset()
		p.since = time.Now()
	}
}

// wait returns err when trying again is no use, and nil when it is time to.
func (p *patience) wait(ctx context.Context, err error) error {
	if !p.retry.Failing() {
		p.since = time.Now()
	}
	hopeless := !errors.Is(err, event.ErrUnavailable) || errors.Is(err, row.ErrBusy)
	if hopeless || time.Since(p.since) > p.limit || !p.retry.Wait(ctx) {
		return err
	}
	return nil
}

// insist repeats a step while what it needs is away, as long as patience lasts. A step that rests on what a restart of Redis
// may have lost, or what a write gone astray may spoil, is not repeated: all of the job is. Nor is one for which Redis has no room, once
// the build takes some itself: others are in want of that meanwhile.
func (r *Replay) insist(ctx context.Context, b *build, step func() error) error {
	patience := r.newPatience()
	for {
		err := step()
		if err == nil {
			return nil
		}
		r.tell(b, err)
		b.astray = b.astray || errors.Is(err, row.ErrAstray)
		if beginAgain(err) || r.hurried.Load() || b.held && errors.Is(err, event.ErrNoRoom) {
			return err
		}
		if err := patience.wait(ctx, err); err != nil {
			return err
		}
	}
}

// beginAgain reports whether a job has to be begun again, in whatever of it can still be trusted.
func beginAgain(err error) bool {
	return errors.Is(err, row.ErrRestarted) || errors.Is(err, row.ErrAstray)
}
