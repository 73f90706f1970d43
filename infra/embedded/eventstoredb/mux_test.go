package eventstoredb

import (
	"net"
	"testing"
	"time"
)

// lateDeadline is a connection on which a deadline to come is set late: after one that has passed, if there is one.
type lateDeadline struct {
	net.Conn
	past chan struct{}
}

func (l *lateDeadline) SetReadDeadline(d time.Time) error {
	if d.Before(time.Now()) {
		defer close(l.past)
		return l.Conn.SetReadDeadline(d)
	}
	select {
	case <-l.past:
	case <-time.After(200 * time.Millisecond):
	}
	return l.Conn.SetReadDeadline(d)
}

func TestClosingMuxDoesNotWaitForASilentClient(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := newMux(l)
	m.close()
	server, client := net.Pipe()
	defer client.Close()
	since := time.Now()
	m.sort(&lateDeadline{Conn: server, past: make(chan struct{})})
	if waited := time.Since(since); waited > sniffFor/2 {
		t.Errorf("closing waited %v for a client that says nothing", waited)
	}
}
