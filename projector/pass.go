package projector

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"jangbu/domain/event"
)

// chunk is a stretch of the log: what of it concerns any of the views, and where it ends.
type chunk struct {
	arrivals []arrival
	events   int64
	end      event.Position
}

// pass reads the log once for all builds, from where each stands to the log's present end.
func (r *Replay) pass(ctx context.Context, builds []*build) error {
	if len(builds) == 0 {
		return nil
	}
	for _, b := range builds {
		b.chunks = make(chan chunk, 1)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.read(ctx, builds) })
	for _, b := range builds {
		g.Go(func() error { return r.land(ctx, b) })
	}
	return g.Wait()
}

// read cuts the log into chunks for all builds, from the earliest checkpoint among them to the end of the log. Events
// are decoded here, once for all views.
func (r *Replay) read(ctx context.Context, builds []*build) error {
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
	var c chunk
	size := 0
	send := func() error {
		for _, b := range builds {
			select {
			case b.chunks <- c:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		c, size = chunk{end: c.end}, 0
		return nil
	}
	for e, err := range r.readAll(ctx, from) {
		if err != nil {
			return err
		}
		c.end = e.Position
		c.events++
		if a, wanted := decode(builds, e); wanted {
			c.arrivals = append(c.arrivals, a)
			size += len(e.Data)
		}
		if c.events >= int64(r.chunkEvents) || size >= chunkBytes {
			if err := send(); err != nil {
				return err
			}
		}
	}
	if c.events > 0 {
		return send()
	}
	return ctx.Err()
}

// decode tells whether any view wants an event. One that cannot be decoded stays as it is: each view parks its stream.
func decode(builds []*build, e event.Recorded) (a arrival, wanted bool) {
	for _, b := range builds {
		if source, ok := b.view.Source(e.Stream); ok {
			decoded, _ := source.Decode(e)
			return arrival{Recorded: e, decoded: decoded}, true
		}
	}
	return arrival{}, false
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

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// land lands the chunks of a pass in one build.
func (r *Replay) land(ctx context.Context, b *build) error {
	for c := range b.chunks {
		if c.end.Compare(b.at) > 0 {
			err := r.working(ctx, func() error {
				return r.insist(ctx, b, func() error { return r.landChunk(ctx, b, c) })
			})
			if err != nil {
				return fmt.Errorf("replay %s: %w", b.view.Name, err)
			}
			r.chunks.Add(1)
		}
		b.result.Events += c.events
		r.tell(b, nil)
	}
	return ctx.Err()
}

func (r *Replay) landChunk(ctx context.Context, b *build, c chunk) error {
	fresh := c.arrivals
	for len(fresh) > 0 && fresh[0].Position.Compare(b.at) <= 0 {
		fresh = fresh[1:]
	}
	if _, err := b.applier.apply(ctx, fresh); err != nil {
		return err
	}
	if err := r.model.Built(ctx, b.Generation, r.token, c.end); err != nil {
		return err
	}
	b.at = c.end
	if len(fresh) > 0 {
		return r.model.Advance(ctx, b.Generation, fresh[len(fresh)-1].Recorded)
	}
	return nil
}
