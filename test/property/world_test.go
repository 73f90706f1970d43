package property_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"jangbu/infra/embedded/snssqs"
	"jangbu/infra/gateway/simulator"
	"jangbu/query/view"
	"jangbu/test/history"
)

// world is what outlives the processes: an event store, an SNS/SQS endpoint, a Redis and a payment gateway.
type world struct {
	log     history.History
	views   []*view.View
	clock   clock
	redis   redisServer
	gateway *simulator.Simulator
	steps   atomic.Int64 // that processes have taken

	mu       sync.Mutex
	listener *bufconn.Listener
	sqs      *snssqs.Server
	faults   snssqs.Faults
}

// clock is how time passes in a world.
type clock interface {
	// pass lets something happen, as long as d if time can be had for nothing.
	pass(d time.Duration)
	// eventually waits until a condition holds.
	eventually(t *testing.T, what string, holds func() bool)
}

// redisServer is a Redis that may lose what it holds. Its methods are for the test's goroutine, but for dial.
type redisServer interface {
	url() string
	dial(ctx context.Context, network, addr string) (net.Conn, error)
	// backup keeps a copy of what it holds.
	backup(t *testing.T)
	// restart puts it back to the last backup, or empties it if there is none. Connections and scripts are lost.
	restart(t *testing.T)
}

func newWorld(t *testing.T, views []*view.View, redis redisServer, clock clock) *world {
	w := &world{views: views, redis: redis, clock: clock, gateway: simulator.New(simulator.Config{Strict: true})}
	w.startBus(t, 0)
	t.Cleanup(func() { w.sqs.Close() })
	return w
}

func (w *world) dialBus(ctx context.Context, _, _ string) (net.Conn, error) {
	w.mu.Lock()
	listener := w.listener
	w.mu.Unlock()
	return listener.DialContext(ctx)
}

// startBus puts another endpoint in the place of the one that runs, whose topic, queues and messages are lost.
func (w *world) startBus(t *testing.T, seed uint64) {
	listener := bufconn.Listen(1 << 16)
	server, err := snssqs.Start(snssqs.Config{Listener: listener, Seed: seed, Faults: w.faults})
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	old := w.sqs
	w.sqs, w.listener = server, listener
	w.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

func (w *world) setFaults(f snssqs.Faults) {
	w.faults = f
	w.sqs.SetFaults(f)
}
