package property_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jangbu/command"
	"jangbu/command/fulfilment"
	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/infra/bus"
	"jangbu/infra/readmodel"
	"jangbu/infra/redisdb"
	"jangbu/infra/schedule"
	"jangbu/projector"
	"jangbu/query/view"
)

var errKilled = fmt.Errorf("killed: %w", event.ErrUnavailable)

// life is that of one process. It ends, as by kill -9, at a step: before or after any read or write of a connection, or any
// call of the event store. After that nothing the process does has an effect any more.
type life struct {
	end   context.CancelFunc
	taken *atomic.Int64 // counts the steps of all; nil: nobody wants to know

	mu    sync.Mutex
	steps int // left to live; negative: no end is set
	over  bool
	conns map[net.Conn]bool
}

func (l *life) step() error {
	if l.taken != nil {
		l.taken.Add(1)
	}
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return errKilled
	}
	l.steps--
	last := l.steps == 0
	l.mu.Unlock()
	if last {
		l.kill()
		return errKilled
	}
	return nil
}

// endAfter sets how many steps are left.
func (l *life) endAfter(steps int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps = steps
}

func (l *life) kill() {
	l.mu.Lock()
	l.over = true
	conns := l.conns
	l.conns = nil
	l.mu.Unlock()
	l.end()
	for c := range conns {
		c.Close()
	}
}

// through makes a way to connect end with the process.
func (l *life) through(dial redisdb.Dial) redisdb.Dial {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if err := l.step(); err != nil {
			return nil, err
		}
		inner, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := &mortal{inner, l}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.over {
			inner.Close()
			return nil, errKilled
		}
		l.conns[c] = true
		return c, nil
	}
}

// mortal is a connection of a process.
type mortal struct {
	net.Conn
	life *life
}

func (c *mortal) Write(b []byte) (int, error) {
	if err := c.life.step(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *mortal) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil {
		err = c.life.step()
	}
	return n, err
}

func (c *mortal) Close() error {
	c.life.mu.Lock()
	delete(c.life.conns, c)
	c.life.mu.Unlock()
	return c.Conn.Close()
}

// process is a projector, fulfilment, or a replay, with clients of its own.
type process struct {
	*life
	store client
	model *readmodel.Store
	bus   *bus.Bus
	done  chan struct{}
}

// start runs a process until it is killed.
func (w *world) start(t *testing.T, run func(ctx context.Context, p *process) error) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &life{end: cancel, taken: &w.steps, conns: map[net.Conn]bool{}}
	model, err := readmodel.Open(w.redis.url()+"?pool_size=100", readmodel.Config{Dial: l.through(w.redis.dial)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bus.Connect(ctx, bus.Config{Endpoint: "http://127.0.0.1:1", Dial: l.through(w.dialBus)})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{life: l, store: client{&w.log, l}, model: model, bus: b, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		if err := run(ctx, p); err != nil && ctx.Err() == nil {
			t.Errorf("a process ended by itself: %v", err)
		}
		b.Close()
		model.Close()
	}()
	return p
}

// stop kills the process, if nothing has yet, and waits until its goroutines have ended.
func (p *process) stop() {
	p.kill()
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// projector is what `jangbu projector` runs.
func (w *world) projector(ctx context.Context, p *process) error {
	return projector.New(p.store, p.model, p.bus, func(view string) projector.Queue { return p.bus.Queue(view) }, projector.Config{
		Workers: 2, Views: w.views, Logger: slog.New(slog.DiscardHandler),
		Builder: p.builder, Provision: w.provision(p),
	}).Run(ctx)
}

const (
	fulfilmentQueue = "fulfilment"
	payWithin       = time.Minute
)

// fulfilment is what `jangbu fulfilment` runs.
func (w *world) fulfilment(ctx context.Context, p *process) error {
	due, err := schedule.Open(w.redis.url(), schedule.Config{Dial: p.through(w.redis.dial)})
	if err != nil {
		return err
	}
	defer due.Close()
	return fulfilment.New(command.New(p.store, command.Config{}), w.gateway, due, fulfilment.Config{
		PayWithin: payWithin, Workers: 2, Logger: slog.New(slog.DiscardHandler), Provision: w.provision(p),
	}).Run(ctx, p.bus.Queue(fulfilmentQueue), p.store, due)
}

// provision makes the queues of all processes.
func (w *world) provision(p *process) func(context.Context) error {
	subs := []bus.Subscription{{View: fulfilmentQueue, Categories: []string{order.Category}}}
	for _, v := range w.views {
		subs = append(subs, bus.Subscription{View: v.Name, Categories: v.Categories()})
	}
	return func(ctx context.Context) error {
		_, err := p.bus.Provision(ctx, subs)
		return err
	}
}

func (p *process) builder() projector.Builder { return p.model.NewBuilder() }

// replay is what `jangbu replay VIEW` runs. It may come while another is at work, or Redis may be emptied under it; drift is
// never right.
func (w *world) replay(v *view.View) func(ctx context.Context, p *process) error {
	return func(ctx context.Context, p *process) error {
		_, err := projector.NewReplay(p.model, p.store, projector.ReplayConfig{Builder: p.builder, Workers: 1}).Run(ctx, []*view.View{v})
		var drift *projector.DriftError
		if errors.As(err, &drift) {
			return err
		}
		return nil
	}
}
