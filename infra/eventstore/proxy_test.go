package eventstore_test

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy stands between a client and a server, and does to their connections what networks do.
type proxy struct {
	t      *testing.T
	target string
	addr   string

	mu       sync.Mutex
	listener net.Listener // nil while connections are refused
	pairs    map[*pair]bool
	held     [2]bool // which direction is held back: up, from client to server, and down
	lag      time.Duration
	turn     chan struct{} // closed, and replaced, when held changes
	wg       sync.WaitGroup
}

const (
	up   = 0
	down = 1
)

// pair is one connection on both its sides.
type pair struct {
	client, server net.Conn
	cut            chan struct{}
}

// newProxy listens on a port of its own, and ends with the test.
func newProxy(t *testing.T, target string) *proxy {
	p := &proxy{t: t, target: target, addr: "127.0.0.1:0", pairs: map[*pair]bool{}, turn: make(chan struct{})}
	p.restore()
	t.Cleanup(func() {
		p.refuse()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) url() string { return "esdb://" + p.addr + "?tls=false" }

// refuse cuts every connection and refuses new ones.
func (p *proxy) refuse() {
	p.mu.Lock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.mu.Unlock()
	p.cut()
}

// restore accepts connections again.
func (p *proxy) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	listener, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.listener, p.addr = listener, listener.Addr().String()
	p.wg.Go(func() { p.serve(listener) })
}

// cut resets every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		_, _ = c.client.(*net.TCPConn).SetLinger(0), c.server.(*net.TCPConn).SetLinger(0)
		p.drop(c)
	}
}

// drop closes a connection on both sides, once. The lock is held.
func (p *proxy) drop(c *pair) {
	if p.pairs[c] {
		delete(p.pairs, c)
		close(c.cut)
		_, _ = c.client.Close(), c.server.Close()
	}
}

// hold keeps bytes back, by direction, until it is called again. Nothing is lost by it.
func (p *proxy) hold(upwards, downwards bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = [2]bool{upwards, downwards}
	close(p.turn)
	p.turn = make(chan struct{})
}

// delay makes every piece that passes take its time.
func (p *proxy) delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lag = d
}

func (p *proxy) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", strings.TrimPrefix(p.target, "tcp://"))
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &pair{client: client, server: server, cut: make(chan struct{})}
		p.mu.Lock()
		if p.listener == nil {
			p.mu.Unlock()
			_, _ = client.Close(), server.Close()
			return
		}
		p.pairs[c] = true
		p.mu.Unlock()
		p.wg.Go(func() { p.pump(c, up, server, client) })
		p.wg.Go(func() { p.pump(c, down, client, server) })
	}
}

func (p *proxy) pump(c *pair, direction int, to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !p.pass(c, direction) {
			return
		}
		if n > 0 {
			if _, writeErr := to.Write(buf[:n]); writeErr != nil {
				err = writeErr
			}
		}
		if err != nil {
			p.mu.Lock()
			p.drop(c)
			p.mu.Unlock()
			return
		}
	}
}

// pass waits until a piece may go on; it reports false when the connection was cut first.
func (p *proxy) pass(c *pair, direction int) bool {
	for {
		p.mu.Lock()
		held, lag, turn := p.held[direction], p.lag, p.turn
		p.mu.Unlock()
		var later <-chan time.Time
		switch {
		case !held && lag == 0:
			return true
		case !held:
			later = time.After(lag)
			turn = nil
		}
		select {
		case <-turn:
		case <-later:
			return true
		case <-c.cut:
			return false
		}
	}
}
