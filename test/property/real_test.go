package property_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"jangbu/infra/readmodel"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// TestViewsEqualTheLogInRedis plays smaller histories in real time, over what the bubble cannot hold: sockets, a redis-server, and
// a Redis Cluster, which refuses a script that touches two slots, and whose nodes lose what they hold one by one.
func TestViewsEqualTheLogInRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it takes real time (-short)")
	}
	readmodel.LogTo(slog.New(slog.DiscardHandler)) // who kills processes need not hear of each connection
	for _, kind := range []struct {
		name  string
		start func(t *testing.T) *realRedis
	}{
		{"redis-server", func(t *testing.T) *realRedis {
			p := servers.StartRedis(t)
			return &realRedis{address: p.URL(), nodes: []*servers.RedisProcess{p}}
		}},
		{"redis-cluster", func(t *testing.T) *realRedis {
			url, nodes := servers.StartRedisCluster(t)
			return &realRedis{address: url, nodes: nodes}
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			history.Few(t, 3, func(t *testing.T, r *rand.Rand) {
				t.Parallel()
				redis := kind.start(t)
				redis.choose = r.IntN
				run := newRun(t, r, redis, nil)
				run.world.clock = real{run}
				run.play(5 + r.IntN(8))
			})
		})
	}
}

// real is the time of the clock on the wall. Nobody waits for it: what passes is steps of the processes.
type real struct{ *run }

// passStep is how much of a bubble's time one step of a process stands for.
const passStep = 50 * time.Millisecond

func (r real) pass(d time.Duration) {
	until := r.world.steps.Load() + int64(d/passStep)
	r.eventually(r.T, fmt.Sprintf("the processes take steps for %s", d), func() bool {
		r.revive()
		return r.world.steps.Load() >= until
	})
}

func (real) eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("never happened: %s", what)
		}
	}
}

// realRedis is one redis-server, or the nodes of a cluster.
type realRedis struct {
	address string
	nodes   []*servers.RedisProcess
	choose  func(n int) int
}

func (r *realRedis) url() string { return r.address }

func (r *realRedis) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	return dialer.DialContext(ctx, network, addr)
}

// backup has every node write down what it holds.
func (r *realRedis) backup(t *testing.T) {
	t.Helper()
	for _, node := range r.nodes {
		client := node.Client()
		if err := client.Save(t.Context()).Err(); err != nil {
			t.Error(err)
		}
		client.Close()
	}
}

// restart kills one node, which comes back as it was written down, or empty.
func (r *realRedis) restart(*testing.T) {
	node := r.nodes[r.choose(len(r.nodes))]
	node.Kill()
	node.Start()
}
