package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"jangbu/domain/event"
	"jangbu/query/row"
	"jangbu/query/view"
)

// Consumer lands what one view's queue brings. A worker's life: receive, land in the generation being built (if any)
// and then in the live one, delete. While it works, the deliveries stay hidden from others.
//
// When a dependency is away, a worker holds its deliveries and tries again; it does not give them back, because a
// queue counts each handing out against the dead-letter limit, and an outage is not the message's fault. Only a
// delivery that fails by itself goes back, for longer each time, and ends in the dead-letter queue.
type Consumer struct {
	view    *view.View
	queue   Queue
	model   Model
	log     StreamReader
	logger  *slog.Logger
	report  Report
	missing func() // called when the queue may not exist

	heard atomic.Int64 // when the registry was last told that messages come, Unix ms

	visibility time.Duration // how long the queue hides what it has handed out; renewed at a third of it
}

const (
	receiveMax  = 10
	batchMax    = 100
	receiveWait = 20 * time.Second
	visibility  = 30 * time.Second

	awaitInterval = 200 * time.Millisecond
	hearInterval  = time.Second
)

// errNoGeneration: the view has not been built yet. It passes, like an outage. errOthers: another version of its code has built
// it, and what comes is for that.
var (
	errNoGeneration = fmt.Errorf("it is being built: %w", event.ErrUnavailable)
	errOthers       = errors.New("another version of its code built what is live")
)

// writable gives the generations that a view's code may write to; there is at least one, or an error.
func writable(v *view.View, r row.Registry) ([]row.Generation, error) {
	all := r.Writable(v.Version)
	switch {
	case len(all) > 0:
		return all, nil
	case r.Live.Number == 0:
		return nil, errNoGeneration
	}
	return nil, errOthers
}

// Run consumes with that many workers until ctx ends, and returns nil.
func (c *Consumer) Run(ctx context.Context, workers int) error {
	var g errgroup.Group
	for range workers {
		g.Go(func() error {
			c.work(ctx)
			return nil
		})
	}
	return g.Wait()
}

func (c *Consumer) loop() string { return "queue " + c.view.Name }

func (c *Consumer) work(ctx context.Context) {
	var retry backoff
	var wait time.Duration // at first none, so as to know at once whether the queue is there
	for c.awaitGeneration(ctx) {
		deliveries, err := c.receive(ctx, wait)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			c.report(c.loop(), err)
			c.missing()
			retry.wait(ctx)
			wait = 0
			continue
		}
		retry.reset()
		wait = receiveWait
		c.report(c.loop(), nil)
		if len(deliveries) > 0 {
			c.handle(ctx, deliveries)
		}
	}
}

// awaitGeneration waits until there is a generation to write to; false when ctx ended first. Until then messages stay in the
// queue, for projectors of another version, too.
func (c *Consumer) awaitGeneration(ctx context.Context) bool {
	for {
		registry, err := c.model.Registry(ctx, c.view.Name)
		if err == nil {
			_, err = writable(c.view, registry)
		}
		if err == nil {
			return ctx.Err() == nil
		}
		if ctx.Err() == nil {
			c.report(c.loop(), err)
		}
		if sleep(ctx, awaitInterval) != nil {
			return false
		}
	}
}

// receive takes what one poll brings, and as long as the queue has more, more of it: landing a hundred together costs
// little more than landing ten.
func (c *Consumer) receive(ctx context.Context, wait time.Duration) ([]event.Delivery, error) {
	deliveries, err := c.queue.Receive(ctx, receiveMax, wait)
	for last := len(deliveries); err == nil && last == receiveMax && len(deliveries) < batchMax; {
		more, failed := c.queue.Receive(ctx, receiveMax, 0)
		if failed != nil {
			break // the next poll will say so
		}
		last = len(more)
		deliveries = append(deliveries, more...)
	}
	return deliveries, err
}

// handle lands deliveries and deletes them. What it cannot land stays in the queue.
func (c *Consumer) handle(ctx context.Context, deliveries []event.Delivery) {
	stop := c.keepHidden(ctx, deliveries)
	defer stop()
	var good []event.Delivery
	for _, d := range deliveries {
		if d.Err != nil {
			c.logger.Error("a message is no event; it goes to the dead-letter queue", "view", c.view.Name, "receives", d.Receives, "err", d.Err)
			continue
		}
		good = append(good, d)
	}
	landed := c.landWithPatience(ctx, good)
	if len(landed) == 0 {
		return
	}
	if err := c.queue.Delete(ctx, landed); err != nil && ctx.Err() == nil {
		c.report(c.loop(), err) // they come again, and change nothing
	}
}

// landWithPatience returns the deliveries that have landed: all, or those that do not fail by themselves, or none when
// ctx ended during an outage, or they are for others.
func (c *Consumer) landWithPatience(ctx context.Context, deliveries []event.Delivery) []event.Delivery {
	var retry backoff
	for len(deliveries) > 0 {
		err := c.land(ctx, deliveries)
		if err == nil {
			return deliveries
		}
		c.report(c.loop(), err)
		switch {
		case errors.Is(err, errOthers):
			return nil // they come again, perhaps to others
		case !errors.Is(err, event.ErrUnavailable) && ctx.Err() == nil:
			return c.landEach(ctx, deliveries, err)
		case errors.Is(err, errNoGeneration):
			retry.reset() // a build ends at some moment, not less likely soon for having taken long
		}
		if !retry.wait(ctx) {
			return nil
		}
	}
	return nil
}

func (c *Consumer) landEach(ctx context.Context, deliveries []event.Delivery, err error) []event.Delivery {
	if len(deliveries) > 1 {
		var landed []event.Delivery
		for i := range deliveries {
			landed = append(landed, c.landWithPatience(ctx, deliveries[i:i+1])...)
		}
		return landed
	}
	d := deliveries[0]
	c.logger.Error("an event cannot be landed; it is tried again later", "view", c.view.Name,
		"stream", d.Event.Stream, "revision", d.Event.Revision, "receives", d.Receives, "err", err)
	c.report(c.loop(), err)
	if err := c.queue.Hide(ctx, deliveries, min(time.Second<<min(d.Receives, 10), 15*time.Minute)); err != nil {
		c.report(c.loop(), err)
	}
	return nil
}

// land puts events into every generation that must have them. The registry is read after the deliveries were
// received: a build that is opened later than this read is opened after these events were recorded, and then finds them
// in the log. The generation being built comes first, so that the live one never holds what its successor lacks.
func (c *Consumer) land(ctx context.Context, deliveries []event.Delivery) error {
	registry, err := c.model.Registry(ctx, c.view.Name)
	if err != nil {
		return err
	}
	events := make([]event.Recorded, len(deliveries))
	for i, d := range deliveries {
		events[i] = d.Event
	}
	c.hear(ctx, registry)
	generations, err := writable(c.view, registry)
	if err != nil {
		return err
	}
	for _, g := range generations {
		if err := NewApplier(c.view, g, c.model, c.log).Apply(ctx, events); err != nil {
			return err
		}
	}
	return nil
}

// hear tells the registry once a while that messages come.
func (c *Consumer) hear(ctx context.Context, registry row.Registry) {
	last, now := c.heard.Load(), time.Now().UnixMilli()
	if now-last < hearInterval.Milliseconds() && registry.Silent.IsZero() || !c.heard.CompareAndSwap(last, now) {
		return
	}
	if err := c.model.Heard(ctx, registry.Live); err != nil && ctx.Err() == nil {
		c.report(c.loop(), err) // the next batch tells it
	}
}

// keepHidden renews the deliveries' visibility timeout until stop is called.
func (c *Consumer) keepHidden(ctx context.Context, deliveries []event.Delivery) (stop func()) {
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
