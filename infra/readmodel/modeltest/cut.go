package modeltest

import (
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
)

// cable is a TCP proxy that lets through so many bytes towards the server and is then cut until it is mended.
type cable struct {
	server string
	left   atomic.Int64
	mu     sync.Mutex
	open   []net.Conn
}

const unlimited = 1 << 60

func newCable(t *testing.T, server string) (c *cable, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c = &cable{server: server}
	c.left.Store(unlimited)
	t.Cleanup(func() { l.Close(); c.cut() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go c.carry(client)
		}
	}()
	return c, l.Addr().String()
}

func (c *cable) carry(client net.Conn) {
	defer client.Close()
	if c.left.Load() <= 0 {
		return
	}
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	c.mu.Lock()
	c.open = append(c.open, client, server)
	c.mu.Unlock()
	go func() {
		_, _ = io.Copy(client, server)
		client.Close()
	}()
	buffer := make([]byte, 512)
	for {
		n, err := client.Read(buffer)
		allowed := min(int64(n), max(0, c.left.Add(-int64(n))+int64(n)))
		if _, failed := server.Write(buffer[:allowed]); err != nil || failed != nil || allowed < int64(n) {
			return
		}
	}
}

func (c *cable) cut() {
	c.left.Store(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		conn.Close()
	}
	c.open = nil
}

func (c *cable) mend() { c.left.Store(unlimited) }

// cutOff: whatever part of a call reached Redis before the connection broke, repeating the call ends well. A cluster is
// left out: its client dials the nodes by the addresses they give.
func cutOff(s *suite) {
	u, err := url.Parse(s.url)
	s.must(err)
	if strings.Contains(u.Scheme, "+cluster") {
		s.Skip("a cluster's client dials past the proxy")
	}
	cable, addr := newCable(s.T, u.Host)
	s.url = "redis://" + addr + "?max_retries=-1&pool_size=1"
	direct := s.m
	m := s.open(readmodel.Config{})
	var number atomic.Int64
	rapid.Check(s.T, func(t *rapid.T) {
		g, want := row.Generation{View: view, Number: number.Add(1)}, reference{}
		var l lander = m
		if rapid.Bool().Draw(t, "builder") {
			l = m.NewBuilder()
		}
		insist := func(step func() error) {
			cable.left.Store(rapid.Int64Range(0, 4000).Draw(t, "bytes"))
			defer cable.mend()
			for {
				err := step()
				if err == nil {
					return
				}
				if !errors.Is(err, event.ErrUnavailable) {
					t.Fatalf("a cut connection is %v", err)
				}
				cable.mend()
			}
		}
		for _, landings := range batches(t) {
			insist(func() error {
				docs, err := l.Land(s.ctx, g, landings)
				if err != nil {
					return err
				}
				bodies := make([][]byte, len(docs))
				for i, d := range docs {
					bodies[i] = []byte(describe(d))
				}
				_, err = l.Compose(s.ctx, g, docs, bodies)
				return err
			})
			want.land(landings)
			for _, landing := range landings {
				contents, _ := want.read(landing.Doc)
				body, err := direct.Document(s.ctx, g, landing.Doc)
				if err != nil || landing.Compose && string(body) != contents {
					t.Fatalf("readers find %s (%v), want %s", body, err, contents)
				}
			}
		}
		s.expectDocuments(t, l, g, want)
	})
}
