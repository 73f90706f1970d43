package shopgen

import (
	"context"
	"fmt"
	"hash/maphash"
	"iter"

	"golang.org/x/sync/errgroup"

	"jangbu/domain/event"
)

// Store is where events go: see eventstore.Store.Append.
type Store interface {
	Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error)
}

// Fill makes the appends, those of each stream in order, that many side by side, and returns how many events it wrote.
// With one writer the log has the order of the history. Doing it again writes nothing: the event ids are the same.
func Fill(ctx context.Context, store Store, appends iter.Seq[Append], writers int) (events int, err error) {
	g, ctx := errgroup.WithContext(ctx)
	seed := maphash.MakeSeed()
	queues := make([]chan Append, writers)
	for i := range queues {
		queues[i] = make(chan Append, 256)
		g.Go(func() error {
			for a := range queues[i] {
				if _, err := store.Append(ctx, a.Stream, a.Expected, a.Events); err != nil {
					return fmt.Errorf("fill %s after %d: %w", a.Stream, a.Expected, err)
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer func() {
			for _, q := range queues {
				close(q)
			}
		}()
		for a := range appends {
			select {
			case queues[maphash.String(seed, a.Stream)%uint64(writers)] <- a:
				events += len(a.Events)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	err = g.Wait()
	return events, err
}
