package fulfilment

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/infra/backoff"
)

// The defaults of a Config.
const (
	DefaultPayWithin = 15 * time.Minute
	DefaultWorkers   = 16
	DefaultMargin    = 5 * time.Second
)

const (
	retryFirst = time.Second     // the first pause after a step that failed, doubling from then on
	retryMost  = 5 * time.Minute // the longest
)

// pauseAfter is how long to leave an order alone after a step failed that had failed so often before, without jitter.
func pauseAfter(failures int) time.Duration { return min(retryFirst<<min(failures, 20), retryMost) }

// Config says how orders are fulfilled. The zero Config is ready for use.
type Config struct {
	PayWithin time.Duration // how long after it was placed an order by card may wait to be confirmed; 0: DefaultPayWithin
	Workers   int           // how many orders are driven at a time; 0: DefaultWorkers
	Margin    time.Duration // how long the sweep leaves an order to the others; 0: DefaultMargin

	Now       func() time.Time             // nil: time.Now
	Provision func(context.Context) error  // creates the queue where it is missing; nil: somebody else does
	Report    func(loop string, err error) // tells the health page how a loop is doing, nil is well; default: nothing
	Logger    *slog.Logger                 // nil: slog.Default()
}

func (c Config) withDefaults() Config {
	c.PayWithin = cmp.Or(c.PayWithin, DefaultPayWithin)
	c.Workers = cmp.Or(c.Workers, DefaultWorkers)
	c.Margin = cmp.Or(c.Margin, DefaultMargin)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Report == nil {
		c.Report = func(string, error) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// The names under which a manager reports.
const (
	LoopQueue    = "queue fulfilment"
	LoopSchedule = "fulfilment schedule"
	LoopSweep    = "fulfilment sweep"
	LoopGateway  = "gateway"
	LoopOrders   = "fulfilment orders" // red while there are some that nobody can go on with
)

// Loops lists what a manager reports of, Run or not.
func Loops() []string { return []string{LoopQueue, LoopSchedule, LoopSweep, LoopGateway, LoopOrders} }

const (
	failuresMax = 10_000 // orders of which it is remembered how often they failed in a row
	hintsMax    = 16_384
)

// Manager fulfils orders. It is safe for concurrent use.
type Manager struct {
	shop     Shop
	gateway  Gateway
	schedule Schedule
	cfg      Config

	slots    chan struct{} // one for each order being driven
	hints    chan string
	failures *lru.Cache[string, int]
	stuck    stuck

	mu      sync.Mutex
	flights map[string]*flight
}

// New returns a manager; nothing runs before Run.
func New(shop Shop, gateway Gateway, schedule Schedule, cfg Config) *Manager {
	cfg = cfg.withDefaults()
	failures, err := lru.New[string, int](failuresMax)
	if err != nil {
		panic(err) // only of a size below one
	}
	return &Manager{
		shop: shop, gateway: gateway, schedule: schedule, cfg: cfg, failures: failures,
		slots: make(chan struct{}, cfg.Workers), hints: make(chan string, hintsMax), flights: map[string]*flight{},
		stuck: stuck{report: func(err error) { cfg.Report(LoopOrders, err) }, orders: map[string]*stuckOrder{}},
	}
}

// Run fulfils until ctx ends, and returns nil. It needs no dependency to be there when it starts.
func (m *Manager) Run(ctx context.Context, queue Queue, log Log, checkpoint Checkpoint) error {
	m.cfg.Report(LoopGateway, nil) // until a call says otherwise
	m.cfg.Report(LoopOrders, nil)  // until an order does
	var all sync.WaitGroup
	all.Go(func() { newConsumer(m, queue).run(ctx) })
	all.Go(func() { m.runSchedule(ctx) })
	all.Go(func() { newSweep(m, log, checkpoint).run(ctx) })
	for range m.cfg.Workers {
		all.Go(func() { m.runHints(ctx) })
	}
	all.Wait()
	return nil
}

// Poke hints at an order that may need something. It never blocks; with many hints waiting it is lost, as the queue
// and the sweep know of the order too.
func (m *Manager) Poke(orderID string) {
	select {
	case m.hints <- orderID:
	default:
	}
}

func (m *Manager) runHints(ctx context.Context) {
	for {
		select {
		case id := <-m.hints:
			m.attend(ctx, id)
		case <-ctx.Done():
			return
		}
	}
}

// outcome is what has become of an order that was attended to.
type outcome int

const (
	unsettled outcome = iota // a step failed, and that could not be noted: try again
	noted                    // a step failed; the schedule says when it is tried again
	settled                  // it needs nothing, as far as the state goes that is told
)

// flight is an order being driven. Who comes meanwhile waits for the end, and its state is then at least as new as when they
// came.
type flight struct {
	again  bool // somebody came
	ended  chan struct{}
	result outcome
	last   job
}

// attend drives an order, unless it is being driven, and notes it where a step fails.
func (m *Manager) attend(ctx context.Context, id string) (outcome, job) {
	m.mu.Lock()
	if f := m.flights[id]; f != nil {
		f.again = true
		m.mu.Unlock()
		select {
		case <-f.ended:
			return f.result, f.last
		case <-ctx.Done():
			return unsettled, job{}
		}
	}
	f := &flight{ended: make(chan struct{})}
	m.flights[id] = f
	m.mu.Unlock()
	for {
		f.result, f.last = m.attempt(ctx, id)
		m.mu.Lock()
		if !f.again || f.result != settled {
			delete(m.flights, id)
			close(f.ended)
			m.mu.Unlock()
			return f.result, f.last
		}
		f.again = false
		m.mu.Unlock()
	}
}

func (m *Manager) attempt(ctx context.Context, id string) (outcome, job) {
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return unsettled, job{}
	}
	var j job
	err := guarded(func() (err error) {
		j, err = m.drive(ctx, id)
		return err
	})
	if ctx.Err() != nil && err != nil {
		return unsettled, job{}
	}
	if err == nil {
		m.failures.Remove(id)
		m.stuck.settled(id)
		return settled, j
	}
	due := m.retryAt(id, err)
	m.stuck.failed(id, err, m.cfg.Now(), due)
	m.cfg.Logger.Warn("a step of an order failed; it is tried again", "order", id, "at", due.UTC(), "err", err)
	if err := m.schedule.Note(ctx, id, due); err != nil {
		m.cfg.Report(LoopSchedule, err)
		return unsettled, j
	}
	return noted, j
}

// retryAt is when an order is tried again whose step failed: after a pause that doubles with each failure in a row, at random
// within its upper half, but no later than its next step is another one.
func (m *Manager) retryAt(id string, err error) time.Time {
	n, _ := m.failures.Get(id)
	m.failures.Add(id, n+1)
	due := m.cfg.Now().Add(backoff.Jittered(pauseAfter(n)))
	var failed *stepError
	if errors.As(err, &failed) && !failed.until.IsZero() && failed.until.Before(due) {
		return failed.until
	}
	return due
}

// calls reports whether an event of an order may call for a step. Those that record an outcome do not: who recorded it goes on,
// and if it died, the event that called it has not been dealt with.
func calls(d event.Delivery) bool {
	if d.Hollow {
		return true
	}
	var e any
	err := guarded(func() (err error) {
		e, err = order.Codec.Decode(d.Event.Type, d.Event.Data)
		return err
	})
	if err != nil {
		return true
	}
	switch e := e.(type) {
	case order.Placed:
		return !e.Manual
	case order.Shipped, order.Returned, order.Cancelled:
		return true
	}
	return false
}
