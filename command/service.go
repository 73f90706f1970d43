package command

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"jangbu/domain/event"
)

// Store is the log. All methods are safe for concurrent use and heed their context.
type Store interface {
	// ReadStream yields the events of a stream in order, starting at revision from. A stream without events yields one
	// event.ErrStreamNotFound; a store that does not answer, one event.ErrUnavailable. An error ends the sequence.
	ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error]

	// Append writes the events after the revision expected, all of them or none, durably before it returns. When the
	// stream is elsewhere it fails with event.ErrConflict, unless these very event ids stand there already: that is
	// success. event.ErrUnavailable leaves open whether it happened; event.ErrTooLarge, and event.ErrStreamNotFound for a
	// stream deleted for good, mean that it never will.
	Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error)
}

// The defaults of a Config.
const (
	DefaultMaxAttempts = 20
	DefaultTimeout     = 10 * time.Second
	DefaultParallel    = 16
)

// Config says how commands are run. The zero Config is ready for use.
type Config struct {
	Now         func() time.Time // the clock of rules that speak of today; nil: time.Now
	NewID       func() uuid.UUID // fresh ids of things and commands, UUIDv7 so that they sort by time; nil: uuid.NewV7
	MaxAttempts int              // how often a command is decided before 409 concurrent-change; 0: DefaultMaxAttempts
	Timeout     time.Duration    // of one command, before 503; 0: DefaultTimeout
	Parallel    int              // how many streams one order reads at a time; 0: DefaultParallel
}

// Service runs commands. It is safe for concurrent use and keeps no state of its own: any number of processes may serve
// the same log.
type Service struct {
	store Store
	cfg   Config
}

// New returns a service that writes to the store.
func New(store Store, cfg Config) *Service {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = func() uuid.UUID { return uuid.Must(uuid.NewV7()) }
	}
	if cfg.MaxAttempts == 0 {
		cfg.MaxAttempts = DefaultMaxAttempts
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Parallel == 0 {
		cfg.Parallel = DefaultParallel
	}
	return &Service{store: store, cfg: cfg}
}

// Register adds the routes of the command API. Their errors are problems, so e should come from web.New.
func (s *Service) Register(e *echo.Echo) {
	s.registerMembers(e)
	s.registerProducts(e)
	s.registerStock(e)
	s.registerOrders(e)
}
