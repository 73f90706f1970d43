package projector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/backoff"
	"jangbu/query/row"
	"jangbu/query/view"
)

// consumer lands what one view's queue brings. Its receivers take messages and keep them hidden from others; what has come
// while a batch was landed is the next batch, which lands in the generation being built (if any) and then in the live one;
// then its messages are deleted, ten a call. So a lone event waits for nothing, and a flood is landed in few round trips.
//
//	receivers ─► arrived (bounded) ─► land ─► landed ─► delete
//
// When a dependency is away, the consumer holds its deliveries and tries again; it does not give them back, because a
// queue counts each handing out against the dead-letter limit, and an outage is not the message's fault. Only a
// delivery that fails by itself goes back, for longer each time, and ends in the dead-letter queue.
type consumer struct {
	view    *view.View
	queue   Queue
	model   Model
	log     StreamReader
	logger  *slog.Logger
	report  Report
	missing func() // called when the queue does not exist

	decodings *decodings // shared with other consumers; nil: none

	heard atomic.Int64 // when the registry was last told that messages come, Unix ms
	ready atomic.Int64 // when there was last a generation to write to, Unix ms

	failing atomic.Bool // what has come cannot be landed just now

	visibility time.Duration // how long the queue hides what it has handed out; renewed at a third of it
}

const (
	receiveMax  = 10
	batchMax    = 500
	receiveWait = 20 * time.Second
	visibility  = 30 * time.Second

	awaitInterval = 200 * time.Millisecond
	hearInterval  = time.Second
)

// held is what one receive brought, hidden from others until it is released.
type held struct {
	deliveries []event.Delivery
	release    func()
}

var (
	// errNoGeneration: the view has not been built yet. It passes, like an outage.
	errNoGeneration = fmt.Errorf("it is being built: %w", event.ErrUnavailable)
	// errOthers: another version of its code has built it, and what comes is for that.
	errOthers = errors.New("another version of its code built what is live")
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

// Run consumes with that many receivers until ctx ends, and returns nil.
func (c *consumer) Run(ctx context.Context, receivers int) error {
	arrived := make(chan held, batchMax/receiveMax)
	landed := make(chan []event.Delivery)
	var all sync.WaitGroup
	for range receivers {
		all.Go(func() { c.receive(ctx, arrived) })
	}
	all.Go(func() {
		defer close(landed)
		for batch := c.gather(ctx, arrived); len(batch) > 0; batch = c.gather(ctx, arrived) {
			if done := c.handle(ctx, batch); len(done) > 0 {
				landed <- done
			}
		}
	})
	all.Go(func() { c.deleteAll(ctx, landed) })
	all.Wait()
	return nil
}

func (c *consumer) loop() string { return "queue " + c.view.Name }

// receive takes messages, as long as there is a generation to land them in.
func (c *consumer) receive(ctx context.Context, arrived chan<- held) {
	var retry backoff.Backoff
	var wait time.Duration // at first none, so as to know at once whether the queue is there
	for c.awaitGeneration(ctx) {
		deliveries, err := c.queue.Receive(ctx, receiveMax, wait)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			c.report(c.loop(), err)
			if errors.Is(err, event.ErrNotProvisioned) {
				c.missing()
			}
			retry.Wait(ctx)
			wait = 0
			continue
		}
		retry.Reset()
		wait = receiveWait
		if !c.failing.Load() { // else the report of that stands, whatever else comes meanwhile
			c.report(c.loop(), nil)
		}
		if len(deliveries) == 0 {
			continue
		}
		h := held{deliveries, c.keepHidden(ctx, deliveries)}
		select {
		case arrived <- h:
		case <-ctx.Done():
			h.release()
			return
		}
	}
}

// awaitGeneration waits until there is a generation to write to; false when ctx ended first. Until then messages stay in the
// queue, for projectors of another version, too.
func (c *consumer) awaitGeneration(ctx context.Context) bool {
	for {
		if time.Now().UnixMilli()-c.ready.Load() < awaitInterval.Milliseconds() {
			return ctx.Err() == nil
		}
		registry, err := c.model.Registry(ctx, c.view.Name)
		if err == nil {
			_, err = c.writable(registry)
		}
		if err == nil {
			return ctx.Err() == nil
		}
		if ctx.Err() == nil {
			c.report(c.loop(), err)
		}
		if backoff.Sleep(ctx, awaitInterval) != nil {
			return false
		}
	}
}

// writable gives the generations to land in, and notes when there were any.
func (c *consumer) writable(r row.Registry) ([]row.Generation, error) {
	generations, err := writable(c.view, r)
	if err == nil {
		c.ready.Store(time.Now().UnixMilli())
	}
	return generations, err
}

// gather waits for something to land, and takes all there is with it. It takes nothing once ctx has ended.
func (c *consumer) gather(ctx context.Context, arrived <-chan held) (batch []held) {
	for n := 0; n < batchMax && ctx.Err() == nil; n += len(batch[len(batch)-1].deliveries) {
		select {
		case h := <-arrived:
			batch = append(batch, h)
			continue
		default:
		}
		if len(batch) > 0 {
			break
		}
		select {
		case h := <-arrived:
			batch = append(batch, h)
		case <-ctx.Done():
			return nil
		}
	}
	return batch
}

// handle lands a batch, and returns what may be deleted. What it cannot land stays in the queue.
func (c *consumer) handle(ctx context.Context, batch []held) []event.Delivery {
	var good []event.Delivery
	for _, h := range batch {
		defer h.release()
		for _, d := range h.deliveries {
			if d.Err != nil {
				c.logger.Error("a message is no event; it goes to the dead-letter queue", "view", c.view.Name, "receives", d.Receives, "err", d.Err)
				continue
			}
			good = append(good, d)
		}
	}
	return c.landWithPatience(ctx, good)
}

// landWithPatience returns the deliveries that have landed: all, or those that do not fail by themselves, or none when
// ctx ended during an outage, or they are for others.
func (c *consumer) landWithPatience(ctx context.Context, deliveries []event.Delivery) []event.Delivery {
	defer c.failing.Store(false)
	var retry backoff.Backoff
	for len(deliveries) > 0 {
		err := c.land(ctx, deliveries)
		if err == nil {
			return deliveries
		}
		c.failing.Store(true)
		c.report(c.loop(), err)
		switch {
		case errors.Is(err, errOthers):
			return nil // they come again, perhaps to others
		case !errors.Is(err, event.ErrUnavailable) && ctx.Err() == nil:
			return c.landEach(ctx, deliveries, err)
		case errors.Is(err, errNoGeneration):
			retry.Reset() // a build ends at some moment, not less likely soon for having taken long
		}
		if !retry.Wait(ctx) {
			return nil
		}
	}
	return nil
}

func (c *consumer) landEach(ctx context.Context, deliveries []event.Delivery, err error) []event.Delivery {
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
// in the log. The generation being built comes first, and what waits there is kept from the live one, too, so that this never holds what
// its successor lacks. All else lands in both.
func (c *consumer) land(ctx context.Context, deliveries []event.Delivery) error {
	registry, err := c.model.Registry(ctx, c.view.Name)
	if err != nil {
		return err
	}
	c.hear(ctx, registry)
	generations, err := c.writable(registry)
	if err != nil {
		return err
	}
	events := make([]event.Recorded, len(deliveries))
	for i, d := range deliveries {
		events[i] = d.Event
	}
	var first error
	for _, g := range generations {
		a := NewApplier(c.view, g, c.model, c.log)
		a.fromQueue = true
		a.decodings = c.decodings
		err := a.Apply(ctx, events)
		first = cmp.Or(first, err)
		waits := new(waitsError)
		if err != nil && !errors.As(err, &waits) {
			return first
		}
		events = slices.DeleteFunc(events, func(e event.Recorded) bool { return waits.streams[e.Stream] })
	}
	return first
}

// hear tells the registry once a while that messages come.
func (c *consumer) hear(ctx context.Context, registry row.Registry) {
	last, now := c.heard.Load(), time.Now().UnixMilli()
	if now-last < hearInterval.Milliseconds() && registry.Silent.IsZero() || !c.heard.CompareAndSwap(last, now) {
		return
	}
	if err := c.model.Heard(ctx, registry.Live); err != nil && ctx.Err() == nil {
		c.report(c.loop(), err) // the next batch tells it
	}
}
