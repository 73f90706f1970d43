package redis

import (
	"bufio"
	"io"
	"sync"
	"testing"

	client "github.com/redis/go-redis/v9"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// Clients may be there before scripts are served, and send what the start itself sends. One that was taken for the start hung the
// server; that takes one start in fifty.
func TestScriptsRunWhoeverCallsDuringTheStart(t *testing.T) {
	for range 200 {
		mini := miniredis.NewMiniRedis()
		if err := mini.Start(); err != nil {
			t.Fatal(err)
		}
		stop := pings(mini.Server())
		serveScripts(mini)
		stop()
		c := client.NewClient(&client.Options{Addr: mini.Addr(), MaxRetries: -1})
		defer c.Close()
		sha, err := c.ScriptLoad(t.Context(), `return redis.call('ECHO', ARGV[1])`).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.EvalSha(t.Context(), sha, nil, "42").Text(); err != nil || got != "42" {
			t.Fatalf("script answered %q, %v", got, err) // and mini hangs, so it is not closed
		}
		mini.Close()
	}
}

// pings sends PING without pause, and as if from many clients that have called before, until it is stopped.
func pings(srv *server.Server) (stop func()) {
	peers := make([]*server.Peer, 100)
	for i := range peers {
		peers[i] = server.NewPeer(bufio.NewWriter(io.Discard))
		srv.Dispatch(peers[i], []string{"PING"})
	}
	var calls sync.WaitGroup
	stopped := make(chan struct{})
	calls.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stopped:
				return
			default:
				calls.Go(func() { srv.Dispatch(peers[i%len(peers)], []string{"PING"}) })
			}
		}
	})
	return func() {
		close(stopped)
		calls.Wait()
	}
}
