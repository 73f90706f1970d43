package projector

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"jangbu/infra/readmodel"
	"jangbu/query/view"
	"jangbu/test/folded"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// stall is a network in which one connection stands still from some write of a builder on: what is written to it stays under way when the
// client has given it up, as in the kernel of an orphaned socket, or in a proxy, and arrives when the test says so.
type stall struct {
	at int // which of the writes

	mu     sync.Mutex
	writes int
	still  *stalledConn
}

type stalledConn struct {
	net.Conn
	network *stall
	held    []byte
}

func (s *stall) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &stalledConn{Conn: conn, network: s}, nil
}

func (c *stalledConn) Write(b []byte) (int, error) {
	s := c.network
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Contains(b, []byte("\r\nhset\r\n")) { // a Put
		if s.writes++; s.writes == s.at {
			s.still = c
		}
	}
	if s.still != c {
		return c.Conn.Write(b)
	}
	c.held = append(c.held, b...)
	return len(b), nil
}

func (c *stalledConn) Close() error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.network.still == c {
		return nil // the server does not hear of it
	}
	return c.Conn.Close()
}

// arrive lets what was held arrive, and returns when Redis has carried it out.
func (s *stall) arrive(t *testing.T) {
	t.Helper()
	if s.still == nil {
		t.Fatalf("no more than %d writes", s.writes)
	}
	conn := s.still.Conn.(*net.TCPConn)
	defer conn.Close()
	answered := make(chan error, 1)
	_ = conn.SetDeadline(time.Time{})
	go func() {
		_, err := io.Copy(io.Discard, conn)
		answered <- err
	}()
	_, err := conn.Write(s.still.held)
	if err := cmp.Or(err, conn.CloseWrite(), <-answered); err != nil {
		t.Fatal(err)
	}
}

// TestWriteComesLate: a write of a replay that was not answered, and comes when all has been built and switched, changes nothing, since it is
// of a generation that was given up.
func TestWriteComesLate(t *testing.T) {
	log := history.Random(t, rand.New(rand.NewPCG(5, 6)), 300)
	views := []*view.View{view.Sales, view.OrderLists, view.Products}
	for _, redis := range servers.Redises() {
		t.Run(redis.Name, func(t *testing.T) {
			for _, at := range []int{1, 10, 40} {
				t.Run(fmt.Sprint(at), func(t *testing.T) {
					t.Parallel() // each waits for time limits
					network := &stall{at: at}
					store, err := readmodel.Open(redis.Start(t)+"?read_timeout=50ms", readmodel.Config{Dial: network.dial})
					if err != nil {
						t.Fatal(err)
					}
					defer store.Close()
					r := NewReplay(store, log, ReplayConfig{Builder: newFaultyModel(store).builder})
					r.chunkEvents, r.room.hold, r.room.remember = 20, 8, 8
					if _, err := r.Run(t.Context(), views); err != nil {
						t.Fatal(err)
					}
					network.arrive(t)
					for _, v := range views {
						registry, err := store.Registry(t.Context(), v.Name)
						if err != nil {
							t.Fatal(err)
						}
						folded.Want(t, store, v, registry.Live, log.Events())
					}
				})
			}
		})
	}
}
