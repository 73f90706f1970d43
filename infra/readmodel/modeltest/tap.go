package modeltest

import (
	"bytes"
	"context"
	"net"
	"sync"

	"jangbu/infra/readmodel"
)

// tap is on all connections of a Store, and does something while an answer is on its way.
type tap struct {
	mu   sync.Mutex
	mark string
	do   func()
}

// tapped opens a Store with a tap.
func (s *suite) tapped() (*readmodel.Store, *tap) {
	s.Helper()
	t := &tap{}
	return s.open(readmodel.Config{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &tappedConn{Conn: c, tap: t}, err
	}}), t
}

// after sets what is to be done, once, when the next command that holds mark has been answered and before the Store sees the answer.
func (t *tap) after(mark string, do func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mark, t.do = mark, do
}

// done reports whether nothing is left to do.
func (t *tap) done() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.do == nil
}

// take gives what is to be done after a command.
func (t *tap) take(command []byte) func() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.do == nil || !bytes.Contains(command, []byte(t.mark)) {
		return nil
	}
	do := t.do
	t.do = nil
	return do
}

// tappedConn is used by one goroutine at a time.
type tappedConn struct {
	net.Conn
	tap *tap
	due func()
}

func (c *tappedConn) Write(b []byte) (int, error) {
	if do := c.tap.take(b); do != nil {
		c.due = do
	}
	return c.Conn.Write(b)
}

func (c *tappedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if do := c.due; do != nil {
		c.due = nil
		do()
	}
	return n, err
}
