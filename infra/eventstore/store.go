package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"jangbu/domain/event"
)

// DefaultTimeout is what a call gets when neither Config.Timeout nor the URL's defaultDeadline says otherwise.
const DefaultTimeout = 5 * time.Second

// Config is what may be left out.
type Config struct {
	// Timeout bounds every call, an append's repeats included. A read or a subscription that streams many events is
	// bounded not as a whole but from one event to the next, and not while the consumer holds one.
	Timeout time.Duration

	// Leader makes Open refuse a URL that prefers another node than the leader: another may serve what is old, on which nobody is to decide.
	Leader bool

	// Logger hears of connections made and lost at Info, and all that the esdb client says at Debug. Default: slog.Default().
	Logger *slog.Logger
}

// Store is a client of one event store or cluster. It is safe for concurrent use.
type Store struct {
	timeout time.Duration
	links   *supervisor
}

// Open reads the connection string and begins to connect in the background. The store need not be there yet.
// Close must be called.
func Open(url string, cfg Config) (*Store, error) {
	conf, err := parse(url)
	if err != nil {
		return nil, fmt.Errorf("event store URL: %w", err)
	}
	if cfg.Leader && conf.NodePreference != esdb.NodePreferenceLeader {
		return nil, fmt.Errorf("event store URL: nodePreference=%s may read what is old, and here it is decided what comes next: leave it out", conf.NodePreference)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Timeout <= 0 && conf.DefaultDeadline != nil {
		cfg.Timeout = *conf.DefaultDeadline
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	return &Store{timeout: cfg.Timeout, links: supervise(conf, cfg.Logger)}, nil
}

// Close lets the calls in flight end, at most for Config.Timeout, ends every subscription and read, and closes the
// connection. Calls made after it are refused. A second Close does nothing.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	if err := s.links.close(ctx); err != nil {
		return fmt.Errorf("close event store: %w", err)
	}
	return nil
}

// Ping reports whether the store answers: a request goes there and back. It is event.ErrUnavailable when it does not.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.Last(ctx, watched)
	if err == nil || errors.Is(err, event.ErrStreamNotFound) {
		return nil
	}
	return fmt.Errorf("ping event store: %w", err)
}
