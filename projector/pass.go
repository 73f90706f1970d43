package projector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"jangbu/domain/event"
)

// chunk is a stretch of the log: its events that concern any of the views.
type chunk struct {
	groups []group
	events int64
	end    event.Position
	last   event.Recorded // of those read so far that concern any of the views
}

// pass reads the log once for all builds, from where each stands to the log's present end. When ctx ends, or the log cannot be
// read on, what has been read is landed before pass returns, unless that takes too long.
func (r *Replay) pass(ctx context.Context, builds []*build) error {
	if len(builds) == 0 {
		return nil
	}
	landing, stop := r.gracefully(ctx)
	defer stop()
	g, landing := errgroup.WithContext(landing)
	reading, halt := context.WithCancel(ctx)
	defer halt()
	context.AfterFunc(landing, halt)
	for _, b := range builds {
		b.chunks = make(chan chunk, chunksAhead)
		g.Go(func() error {
			err := r.land(landing, b)
			if uncomposable(err) {
				b.careful = true
			}
			if err != nil {
				return fmt.Errorf("replay %s: %w", b.view.Name, err)
			}
			return nil
		})
	}
	failed := r.read(reading, landing, builds)
	if err := g.Wait(); err != nil {
		return err
	}
	return failed
}

// gracefully gives a context for landing what has been read when ctx ends; it ends some time later, or at once if that is because
// the lease was lost.
func (r *Replay) gracefully(ctx context.Context) (context.Context, context.CancelFunc) {
	landing, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	hooked := context.AfterFunc(ctx, func() {
		cause := context.Cause(ctx)
		if !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
			cancel(cause)
			return
		}
		r.hurried.Store(true)
		timer := time.AfterFunc(r.grace, func() { cancel(cause) })
		context.AfterFunc(landing, func() { timer.Stop() })
	})
	return landing, func() {
		hooked()
		cancel(nil)
	}
}

// read cuts the log into chunks for all builds, from the earliest checkpoint among them to the end of the log or of ctx. Events
// are decoded here, once for all views.
func (r *Replay) read(ctx, landing context.Context, builds []*build) error {
	defer func() {
		for _, b := range builds {
			close(b.chunks)
		}
	}()
	from := builds[0].at
	for _, b := range builds {
		if b.at.Compare(from) < 0 {
			from = b.at
		}
	}
	cut := newCutter(sources(builds), r.chunkEvents)
	send := func(c chunk) error {
		for _, b := range builds {
			select {
			case b.chunks <- c:
			case <-landing.Done():
				return landing.Err()
			}
		}
		return nil
	}
	var failed error
	for e, err := range r.readAll(ctx, from) {
		if failed = err; err != nil {
			break
		}
		if cut.add(e) {
			if err := send(cut.cut()); err != nil {
				return err
			}
		}
		if failed = ctx.Err(); failed != nil {
			break
		}
	}
	if cut.more() {
		if err := send(cut.cut()); err != nil {
			return err
		}
	}
	return cmp.Or(failed, ctx.Err())
}

// readAll reads on after interruptions, from the last event it saw, no faster than the rate allows.
func (r *Replay) readAll(ctx context.Context, after event.Position) func(func(event.Recorded, error) bool) {
	return func(yield func(event.Recorded, error) bool) {
		patience := r.newPatience()
		for {
			var failed error
			for e, err := range r.log.ReadAll(ctx, after) {
				if err == nil {
					err = r.throttle(ctx)
				}
				if err != nil {
					failed = err
					break
				}
				patience.renew()
				after = e.Position
				if !yield(e, nil) {
					return
				}
			}
			if failed == nil {
				return
			}
			if err := patience.wait(ctx, failed); err != nil {
				yield(event.Recorded{}, fmt.Errorf("read the log: %w", err))
				return
			}
		}
	}
}

// throttle waits until one more event may be read. Shorter waits than a timer can keep are added up first.
func (r *Replay) throttle(ctx context.Context) error {
	const shortest = 10 * time.Millisecond
	if r.limiter == nil {
		return nil
	}
	now := r.now()
	if wait := r.limiter.ReserveN(now, 1).DelayFrom(now); wait >= shortest {
		return r.sleep(ctx, wait)
	}
	return nil
}

// land lands the chunks of a pass in one build.
func (r *Replay) land(ctx context.Context, b *build) error {
	var last event.Recorded
	for c := range b.chunks {
		if b.assembler != nil || c.end.Compare(b.at) > 0 {
			if err := r.insisting(ctx, b, func() error { return r.landChunk(ctx, b, c) }); err != nil {
				return err
			}
			r.chunks.Add(1)
			b.at, last = c.end, c.last
		}
		b.result.Events += c.events
		r.tell(b, nil)
	}
	if ctx.Err() != nil || b.assembler == nil || !b.unsettled {
		return ctx.Err()
	}
	if err := r.insisting(ctx, b, func() error { return b.assembler.flush(ctx) }); err != nil {
		return err
	}
	return r.insisting(ctx, b, func() error {
		if err := r.claimBuilt(ctx, b, b.at, last); err != nil {
			return err
		}
		b.unsettled = false
		return nil
	})
}

// insisting takes a step as one of the views that work at once, and as long as patience lasts.
func (r *Replay) insisting(ctx context.Context, b *build, step func() error) error {
	return r.working(ctx, func() error { return r.insist(ctx, b, step) })
}

func (r *Replay) landChunk(ctx context.Context, b *build, c chunk) error {
	if b.assembler != nil {
		b.unsettled = true
		return b.assembler.land(ctx, c.groups)
	}
	var fresh []arrival
	for _, g := range c.groups {
		for _, a := range g.arrivals {
			if a.Position.Compare(b.at) > 0 {
				fresh = append(fresh, a)
			}
		}
	}
	if _, err := b.applier.apply(ctx, fresh); err != nil {
		return err
	}
	return r.claimBuilt(ctx, b, c.end, c.last)
}

// claimBuilt notes that everything up to a position has landed; last is the last event there is to it.
func (r *Replay) claimBuilt(ctx context.Context, b *build, to event.Position, last event.Recorded) error {
	if err := r.model.Built(ctx, b.Generation, r.token, to); err != nil {
		return err
	}
	if last.Position == (event.Position{}) {
		return nil
	}
	return r.model.Advance(ctx, b.Generation, last)
}

// leaveOut lands the streams anew, in a build that is open, of which events are left out: what was left out since the build began, or since
// what is revived was live, may be in it. Who leaves out one from now on sees to the build, too.
func (r *Replay) leaveOut(ctx context.Context, b *build) error {
	return r.insist(ctx, b, func() error {
		skipped, err := r.model.Skipped(ctx, b.view.Name)
		if err != nil {
			return err
		}
		for stream := range skipped {
			if err := landWhole(ctx, r.model, r.log, b.view, b.Generation, stream); err != nil {
				return fmt.Errorf("leave events of %s out: %w", stream, err)
			}
		}
		return nil
	})
}
