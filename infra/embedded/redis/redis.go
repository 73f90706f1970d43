// Package redis runs a Redis-compatible server (miniredis) inside this process, for development and tests without
// Docker. It speaks the protocol on a TCP port, so the same client talks to it as to Redis; its data ends with it.
//
// Unlike a bare miniredis its keys expire by themselves: miniredis lets time stand still for TTLs, so the server
// advances them by the clock every Tick. An expiry is therefore late by up to one Tick; with very many keys by more, since
// an advance visits them all and takes at most a hundredth of the server's time.
//
// Caveats, which are miniredis's: no persistence, no CONFIG, FUNCTION or CLIENT TRACKING, commands run one at a time,
// and a Lua script may touch keys of several hash slots, which a Redis Cluster refuses.
package redis

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// DefaultTick is how often expiry is advanced.
const DefaultTick = 100 * time.Millisecond

// Config says how to start a Server. The zero Config serves a free port of the loopback interface.
type Config struct {
	Addr string        // where to listen; default "127.0.0.1:0"
	Tick time.Duration // between two advances of TTLs; default DefaultTick
}

// Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	mini *miniredis.Miniredis
	addr string
	stop chan struct{}
	once sync.Once
	done sync.WaitGroup
}

// Start listens and serves until Close. When the port is taken the error is syscall.EADDRINUSE, wrapped with the address.
func Start(cfg Config) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Tick <= 0 {
		cfg.Tick = DefaultTick
	}
	s := &Server{mini: miniredis.NewMiniRedis(), stop: make(chan struct{})}
	if err := s.mini.StartAddr(cfg.Addr); err != nil {
		return nil, fmt.Errorf("start redis on %s: %w", cfg.Addr, err)
	}
	s.addr = s.mini.Addr()
	serveScripts(s.mini)
	s.done.Go(func() { s.advance(cfg.Tick) })
	return s, nil
}

func (s *Server) advance(tick time.Duration) {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	last := time.Now()
	for {
		select {
		case <-s.stop:
			return
		case <-timer.C:
			now := time.Now()
			s.mini.FastForward(now.Sub(last))
			last = now
			timer.Reset(max(tick, 100*time.Since(now)))
		}
	}
}

// Addr is the address it listens on, with the port it was given when Config.Addr asked for port 0.
func (s *Server) Addr() string { return s.addr }

// URL is what a client on this machine connects to.
func (s *Server) URL() string {
	host, port, err := net.SplitHostPort(s.addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip.IsUnspecified()) {
		return "redis://" + net.JoinHostPort("127.0.0.1", port)
	}
	return "redis://" + s.addr
}

// Close closes every connection. Only Save may be called after it. A second Close does nothing.
func (s *Server) Close() error {
	s.once.Do(func() {
		close(s.stop)
		s.mini.Close()
	})
	s.done.Wait()
	return nil
}
