package projector

import (
	"context"
	"sync"
	"time"

	"jangbu/domain/event"
)

const (
	deleteMax      = 10 // messages a call
	deleteInFlight = 4  // such calls at once

	// deleteLinger is how long a message that has landed may wait for others to be deleted with it. It stays hidden
	// meanwhile; a crash brings it again, which is harmless.
	deleteLinger = 100 * time.Millisecond

	deleteLast = 2 * time.Second // for what is left when the consumer stops
)

// deleteAll deletes what has landed until there is no more, which is after ctx has ended.
func (c *consumer) deleteAll(ctx context.Context, landed <-chan []event.Delivery) {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(deleteLast, cancel) })()
	var calls sync.WaitGroup
	defer calls.Wait()
	slots := make(chan struct{}, deleteInFlight)
	var pending []event.Delivery
	remove := func(n int) {
		part := pending[:n:n]
		pending = pending[n:]
		slots <- struct{}{}
		calls.Go(func() {
			defer func() { <-slots }()
			if err := c.queue.Delete(last, part); err != nil && ctx.Err() == nil {
				c.report(c.loop(), err) // they come again, and change nothing
			}
		})
	}
	linger := time.NewTimer(deleteLinger)
	defer linger.Stop()
	for {
		select {
		case more, ok := <-landed:
			if !ok {
				remove(len(pending))
				return
			}
			if len(pending) == 0 {
				linger.Reset(deleteLinger)
			}
			pending = append(pending, more...)
			for len(pending) >= deleteMax {
				remove(deleteMax)
			}
		case <-linger.C:
			if len(pending) > 0 {
				remove(len(pending))
			}
		}
	}
}

// keepHidden renews the deliveries' visibility timeout until stop is called.
func (c *consumer) keepHidden(ctx context.Context, deliveries []event.Delivery) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(c.visibility/3, func() {
		ticker := time.NewTicker(c.visibility / 3)
		defer ticker.Stop()
		for ctx.Err() == nil {
			if err := c.queue.Hide(ctx, deliveries, c.visibility); err != nil && ctx.Err() == nil {
				c.report(c.loop(), err) // others may take them meanwhile, which is harmless
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	})
	return func() {
		timer.Stop()
		cancel()
	}
}
