package fulfilment

import (
	"context"
	"errors"
	"sync"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/backoff"
)

// consumer takes orders from the queue. A delivery is deleted once its order needs nothing or is noted; if this process dies
// before, it comes again.
type consumer struct {
	m            *Manager
	queue        Queue
	provisioning backoff.OnDemand
}

const (
	receiveMax  = 10
	receiveWait = 20 * time.Second
	receivers   = 2

	provisionPause = 5 * time.Second // after each provisioning, before the next is heard
)

func newConsumer(m *Manager, queue Queue) *consumer {
	return &consumer{m: m, queue: queue, provisioning: backoff.NewOnDemand()}
}

func (c *consumer) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	if c.m.cfg.Provision != nil {
		all.Go(func() { c.provision(ctx) })
	}
	// Deliveries at work are bounded, since each batch has one that does something: what is not at work here is left to others.
	batches := make(chan struct{}, c.m.cfg.Workers)
	for range receivers {
		all.Go(func() { c.receive(ctx, batches, &all) })
	}
}

func (c *consumer) receive(ctx context.Context, batches chan struct{}, all *sync.WaitGroup) {
	var retry backoff.Backoff
	var wait time.Duration // at first none, so as to know at once whether the queue is there
	for {
		select {
		case batches <- struct{}{}:
		case <-ctx.Done():
			return
		}
		deliveries, err := c.queue.Receive(ctx, receiveMax, wait)
		if ctx.Err() != nil {
			return
		}
		c.m.cfg.Report(LoopQueue, err)
		if err != nil {
			<-batches
			if errors.Is(err, event.ErrNotProvisioned) {
				c.provisioning.Ask()
			}
			retry.Wait(ctx)
			wait = 0
			continue
		}
		retry.Reset()
		wait = receiveWait
		if len(deliveries) == 0 {
			<-batches
			continue
		}
		all.Go(func() {
			defer func() { <-batches }()
			c.handle(ctx, deliveries)
		})
	}
}

// handle attends to the orders of a batch at the same time, each once, and deletes what is dealt with.
func (c *consumer) handle(ctx context.Context, deliveries []event.Delivery) {
	byOrder := map[string][]event.Delivery{}
	var done []event.Delivery
	for _, d := range deliveries {
		switch {
		case d.Err != nil:
			c.m.cfg.Logger.Error("a message is no event; it goes to the dead-letter queue", "receives", d.Receives, "err", d.Err)
		case !calls(d):
			done = append(done, d)
		default:
			id := event.StreamID(d.Event.Stream)
			byOrder[id] = append(byOrder[id], d)
		}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for id, of := range byOrder {
		all.Go(func() {
			if result, _ := c.m.attend(ctx, id); result == unsettled {
				return // they come again
			}
			mu.Lock()
			defer mu.Unlock()
			done = append(done, of...)
		})
	}
	all.Wait()
	if len(done) == 0 {
		return
	}
	if err := c.queue.Delete(ctx, done); err != nil && ctx.Err() == nil {
		c.m.cfg.Report(LoopQueue, err) // they come again, and find nothing to do
	}
}

// provision creates the queue, at the start and whenever it is missed.
func (c *consumer) provision(ctx context.Context) {
	c.provisioning.Run(ctx, provisionPause, c.m.cfg.Provision, func(err error) {
		if err != nil {
			c.m.cfg.Report(LoopQueue, errors.Join(errProvision, err))
		}
	})
}

var errProvision = errors.New("the queue cannot be created")
