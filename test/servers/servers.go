// Package servers starts the real servers that tests run against, each for one test, on loopback. A server that this
// machine does not have skips the test by name; with JANGBU_TEST_REQUIRE=1, as in CI, it fails instead.
package servers

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"jangbu/infra/embedded/redis"
	"jangbu/test/race"
)

// Missing skips the test, or fails it where everything is required.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("JANGBU_TEST_REQUIRE") != "" {
		t.Fatalf("%s is required here (JANGBU_TEST_REQUIRE is set)", what)
	}
	t.Skipf("skipped: %s", what)
}

// Redis is one way to run a Redis; Start returns its URL.
type Redis struct {
	Name  string
	Start func(t testing.TB) (url string)
}

// Redises lists every kind of Redis that the read model must work on; under the race detector a cluster, or where there is no redis-server
// one that is written in Go, and so several times as slow there.
func Redises() []Redis {
	if race.Enabled {
		if _, err := exec.LookPath("redis-server"); err == nil {
			return []Redis{{"redis-cluster", RedisCluster}}
		}
		return []Redis{{"miniredis", MiniRedis}, {"redis-cluster", RedisCluster}}
	}
	return []Redis{{"miniredis", MiniRedis}, {"redis-server", RedisServer}, {"redis-cluster", RedisCluster}, {"embedded", EmbeddedRedis}}
}

// MiniRedis starts an in-process miniredis.
func MiniRedis(t testing.TB) string {
	return "redis://" + miniredis.RunT(t).Addr()
}

// EmbeddedRedis starts what jangbu stack and jangbu dev run: miniredis, with scripts run another way.
func EmbeddedRedis(t testing.TB) string {
	s, err := redis.Start(redis.Config{})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s.URL()
}

// RedisServer starts a redis-server without persistence.
func RedisServer(t testing.TB) string { return StartRedis(t).URL() }

// RedisCluster starts three redis-servers as a cluster of three primaries.
func RedisCluster(t testing.TB) string {
	url, _ := StartRedisCluster(t)
	return url
}

// StartRedisCluster starts three redis-servers as a cluster of three primaries, without persistence.
func StartRedisCluster(t testing.TB) (url string, nodes []*RedisProcess) {
	ports := make([]string, 3)
	for i := range ports {
		ports[i] = Port(t)
		nodes = append(nodes, startRedis(t, ports[i], "--cluster-enabled", "yes", "--cluster-node-timeout", "5000"))
	}
	const slots = 16384
	clients := make([]*goredis.Client, len(ports))
	for i, port := range ports {
		clients[i] = goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:" + port})
		defer clients[i].Close()
		must(t, clients[i].ClusterAddSlotsRange(t.Context(), i*slots/3, (i+1)*slots/3-1).Err())
		must(t, clients[i].Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
	}
	for _, port := range ports[1:] {
		must(t, clients[0].ClusterMeet(t.Context(), "127.0.0.1", port).Err())
	}
	Eventually(t, "the cluster agrees on its slots", func() bool {
		for _, c := range clients {
			info, err := c.ClusterInfo(t.Context()).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3") {
				return false
			}
		}
		return true
	})
	return "redis+cluster://127.0.0.1:" + ports[0], nodes
}

// StartReplica adds to a cluster a replica of one of its nodes, and returns when it has what that holds.
func StartReplica(t testing.TB, of *RedisProcess) *RedisProcess {
	p := startRedis(t, Port(t), "--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
	primary, replica := of.Client(), p.Client()
	defer primary.Close()
	defer replica.Close()
	id, err := primary.Do(t.Context(), "CLUSTER", "MYID").Text()
	must(t, err)
	must(t, replica.ClusterMeet(t.Context(), "127.0.0.1", of.port).Err())
	Until(t, "the node replicates", func() error { return replica.ClusterReplicate(t.Context(), id).Err() })
	p.awaitPrimary()
	Eventually(t, "the replica knows the cluster", func() bool { // and its epochs
		info, err := replica.ClusterInfo(t.Context()).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:4")
	})
	return p
}

// RedisProcess is a redis-server that a test may kill and start again. It ends with the test.
type RedisProcess struct {
	t    testing.TB
	port string
	args []string
	cmd  *exec.Cmd
}

// StartRedis starts a redis-server, without persistence unless the arguments say otherwise.
func StartRedis(t testing.TB, args ...string) *RedisProcess {
	return startRedis(t, Port(t), args...)
}

func startRedis(t testing.TB, port string, args ...string) *RedisProcess {
	t.Helper()
	args = append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(),
		"--repl-diskless-sync-delay", "0"}, args...)
	p := &RedisProcess{t: t, port: port, args: args}
	t.Cleanup(p.Kill)
	p.Start()
	return p
}

// URL is the server's address, the same after every start.
func (p *RedisProcess) URL() string { return "redis://127.0.0.1:" + p.port }

// Start starts the server again, with what it has on disk, and returns when it answers.
func (p *RedisProcess) Start() {
	p.t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		Missing(p.t, "redis-server is not installed (apt-get install redis-server)")
	}
	p.cmd = exec.Command(binary, p.args...)
	must(p.t, p.cmd.Start())
	client := p.Client()
	defer client.Close()
	Eventually(p.t, "redis-server answers", func() bool { return client.Ping(context.Background()).Err() == nil })
}

// Kill ends the server at once, by SIGKILL.
func (p *RedisProcess) Kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill() // it may have ended
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// Copy gives the server, while it runs, what another holds, in place of what it holds itself: it is made a replica of that, and then a primary
// again, as by a failover and the way back.
func (p *RedisProcess) Copy(from *RedisProcess) {
	p.t.Helper()
	client := p.Client()
	defer client.Close()
	must(p.t, client.ReplicaOf(p.t.Context(), "127.0.0.1", from.port).Err())
	p.awaitPrimary()
	must(p.t, client.ReplicaOf(p.t.Context(), "NO", "ONE").Err())
}

// TakeOver makes a node of a cluster, a replica, the primary, and what was that its replica.
func (p *RedisProcess) TakeOver() {
	p.t.Helper()
	p.awaitPrimary()
	client := p.Client()
	defer client.Close()
	must(p.t, client.Do(p.t.Context(), "CLUSTER", "FAILOVER", "TAKEOVER").Err()) // without asking, which others may not be ready for
	Eventually(p.t, "the replica has taken over", func() bool { return p.replication("role:master") })
}

// awaitPrimary waits until a replica has what its primary holds.
func (p *RedisProcess) awaitPrimary() {
	p.t.Helper()
	Eventually(p.t, "the replica has what the primary holds", func() bool { return p.replication("master_link_status:up") })
}

func (p *RedisProcess) replication(says string) bool {
	client := p.Client()
	defer client.Close()
	info, err := client.Info(p.t.Context(), "replication").Result()
	return err == nil && strings.Contains(info, says)
}

// Client is a plain connection to the server.
func (p *RedisProcess) Client() *goredis.Client {
	return goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:" + p.port})
}

// Port returns a TCP port that nobody listens on, and that no other test is given until this one ends: a server may stop and have it
// again. It lies below the ports of outgoing connections, and the port 10000 above it, of the bus of a cluster's node, is given to nobody.
func Port(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(10000 + rand.IntN(10000))
		addr := "127.0.0.1:" + port
		claim, err := net.ListenPacket("udp", addr) // the tests of every process see it, and it is in no server's way
		if err != nil {
			continue
		}
		t.Cleanup(func() { must(t, claim.Close()) })
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		must(t, l.Close())
		return port
	}
	t.Fatal("no free port")
	return ""
}

// Northwind returns the folder of real orders, which is not part of this repository.
func Northwind(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("JANGBU_TEST_NORTHWIND")
	if dir == "" {
		_, here, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(here), "..", "..", "..", "shared", "data", "northwind")
	}
	if _, err := os.Stat(dir); err != nil {
		Missing(t, fmt.Sprintf("the Northwind data is not at %s (set JANGBU_TEST_NORTHWIND to its folder)", dir))
	}
	return dir
}

// ReadCSV reads a file's rows by the names of its columns.
func ReadCSV(t testing.TB, path ...string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for _, record := range records[1:] {
		r := map[string]string{}
		for i, column := range records[0] {
			r[strings.TrimPrefix(column, "\ufeff")] = record[i]
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no rows", f.Name())
	}
	return rows
}

// Eventually waits until a condition holds, and fails the test if it never does: in two minutes, since a machine may be busy.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	Until(t, what, func() error {
		if !holds() {
			return errors.New("not yet")
		}
		return nil
	})
}

// Until is Eventually with a condition whose error says what is missing.
func Until(t testing.TB, what string, holds func() error) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("never happened: %s: %v", what, err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
