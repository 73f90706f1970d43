package eventstoredb

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// mux shares one port between gRPC and plain HTTP/1.1. It looks at the first bytes of each connection, once: HTTP/2
// clients open with a fixed preface. After that a connection costs nothing extra.
type mux struct {
	listener   net.Listener
	grpc, http *handover
	waiting    sync.WaitGroup
}

const (
	preface     = "PRI * HTTP/2.0"
	sniffFor    = 10 * time.Second
	acceptPause = 20 * time.Millisecond
)

func newMux(l net.Listener) *mux {
	return &mux{listener: l, grpc: newHandover(l.Addr()), http: newHandover(l.Addr())}
}

// run accepts connections until close.
func (m *mux) run() {
	for {
		conn, err := m.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			m.waiting.Wait()
			return
		}
		if err != nil { // out of file descriptors, say: it passes
			select {
			case <-m.grpc.closed:
			case <-time.After(acceptPause):
			}
			continue
		}
		m.waiting.Go(func() { m.sort(conn) })
	}
}

func (m *mux) close() {
	// The listener's error would say only that it is closed already.
	_ = m.listener.Close()
	_ = m.grpc.Close()
	_ = m.http.Close()
}

// sort hands a connection to the server it speaks to.
func (m *mux) sort(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(sniffFor)) // before the goroutine that may shorten it
	sorted := make(chan struct{})
	defer close(sorted)
	m.waiting.Go(func() { // so that close does not wait for a silent client
		select {
		case <-m.grpc.closed:
			_ = conn.SetReadDeadline(time.Unix(1, 0))
		case <-sorted:
		}
	})
	first := make([]byte, len(preface))
	n, err := readPreface(conn, first)
	if err != nil {
		_ = conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	to := m.http
	if string(first[:n]) == preface {
		to = m.grpc
	}
	to.give(&sniffed{Conn: conn, first: first[:n]})
}

// readPreface reads as long as what comes could be the preface.
func readPreface(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && string(b[:n]) == preface[:n] {
		k, err := r.Read(b[n:])
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

// sniffed is a connection whose first bytes have been read.
type sniffed struct {
	net.Conn
	first []byte
}

func (s *sniffed) Read(b []byte) (int, error) {
	if len(s.first) > 0 {
		n := copy(b, s.first)
		s.first = s.first[n:]
		return n, nil
	}
	return s.Conn.Read(b)
}

// handover is a listener that is given its connections.
type handover struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandover(addr net.Addr) *handover {
	return &handover{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (h *handover) give(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.closed:
		_ = conn.Close()
	}
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *handover) Addr() net.Addr { return h.addr }
