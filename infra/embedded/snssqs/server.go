package snssqs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Config says how to start a Server. The zero value serves a free port of the loopback interface.
type Config struct {
	// Addr is where to listen. Default "127.0.0.1:0".
	Addr string
	// Listener, if set, is served instead of Addr, and closed with the server.
	Listener net.Listener
	// AccountID and Region stand in every ARN. Defaults "000000000000" and "us-east-1".
	AccountID string
	Region    string
	// Now is the clock of timestamps, delays, visibility and retention. Default time.Now. With a clock that a test moves
	// by hand, call Server.Recheck after moving it.
	Now func() time.Time
	// Faults are switched on from the start; Server.SetFaults changes them. Seed makes their dice repeatable.
	Faults Faults
	Seed   uint64
	// Logger gets what goes wrong inside the server itself. Default: nothing is logged.
	Logger *slog.Logger
}

// Server is a running endpoint.
type Server struct {
	cfg      Config
	listener net.Listener
	http     *http.Server
	served   chan struct{}
	closing  chan struct{} // closed first by Close: long polls end
	once     sync.Once
	dice     dice

	mu     sync.RWMutex // guards the two maps; never held while a queue's lock is taken
	queues map[string]*queue
	topics map[string]*topic
}

// Start listens and serves until Close. It fails only when it cannot listen.
func Start(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	listener := cfg.Listener
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", cfg.Addr); err != nil {
			return nil, fmt.Errorf("start sns/sqs: %w", err)
		}
	}
	s := &Server{
		cfg:      cfg,
		listener: listener,
		served:   make(chan struct{}),
		closing:  make(chan struct{}),
		queues:   map[string]*queue{},
		topics:   map[string]*topic{},
	}
	s.dice.seed(cfg.Seed)
	s.SetFaults(cfg.Faults)
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			cfg.Logger.Error("sns/sqs stopped serving", "error", err)
		}
	}()
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.AccountID == "" {
		c.AccountID = "000000000000"
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Addr is the host:port it listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is what AWS_ENDPOINT_URL should say.
func (s *Server) URL() string { return "http://" + s.Addr() }

// Close ends the long polls, gives other requests a moment to be answered, and stops. Everything held is gone.
// It may be called more than once.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closing)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err = s.http.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			err = s.http.Close()
		}
		<-s.served
		for _, q := range s.allQueues() {
			q.close()
		}
	})
	if err != nil {
		return fmt.Errorf("close sns/sqs: %w", err)
	}
	return nil
}

// Depth counts the messages of one queue.
type Depth struct {
	Visible  int // may be received now
	InFlight int // received, and neither deleted nor visible again
	Delayed  int // not to be received before their delay ends
}

// Depth counts the messages of the queue of that name, and reports whether there is one.
func (s *Server) Depth(queue string) (Depth, bool) {
	q := s.queueNamed(queue)
	if q == nil {
		return Depth{}, false
	}
	return q.depth(s.cfg.Now()), true
}

// Queues lists the names of the queues, sorted.
func (s *Server) Queues() []string {
	var names []string
	for _, q := range s.allQueues() {
		names = append(names, q.name)
	}
	slices.Sort(names)
	return names
}

// Recheck looks at the clock again: what has become due is visible and long polls waiting for it are answered. It is
// only needed after Config.Now has jumped.
func (s *Server) Recheck() {
	for _, q := range s.allQueues() {
		q.recheck()
	}
}

func (s *Server) queueNamed(name string) *queue {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.queues[name]
}

func (s *Server) allQueues() []*queue {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*queue, 0, len(s.queues))
	for _, q := range s.queues {
		all = append(all, q)
	}
	return all
}

func (s *Server) queueARN(name string) string {
	return "arn:aws:sqs:" + s.cfg.Region + ":" + s.cfg.AccountID + ":" + name
}

func (s *Server) topicARN(name string) string {
	return "arn:aws:sns:" + s.cfg.Region + ":" + s.cfg.AccountID + ":" + name
}
