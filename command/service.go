package command

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"

	"jangbu/domain/event"
	"jangbu/infra/web"
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

	// Last returns the newest event of a stream: event.ErrStreamNotFound if it has none, event.ErrUnavailable.
	Last(ctx context.Context, stream string) (event.Recorded, error)

	// SetMaxCount makes the stream, which need not exist, keep its last n events only. It does nothing when that is so.
	SetMaxCount(ctx context.Context, stream string, n int) error
}

// The defaults of a Config.
const (
	DefaultCache         = 10_000
	DefaultSnapshotEvery = 250
	DefaultMaxAttempts   = 20
	DefaultTimeout       = 10 * time.Second
	DefaultBatchTimeout  = time.Minute
)

// Trust is how long a state in memory is taken for that of a stream which may be deleted.
const Trust = 10 * time.Second

// Config says how commands are run. The zero Config is ready for use.
type Config struct {
	Now         func() time.Time // the clock of rules that speak of today, and of Trust; nil: time.Now
	MaxAttempts int              // how often a command is decided before 409 concurrent-change; 0: DefaultMaxAttempts
	Timeout     time.Duration    // of one command, before 503; 0: DefaultTimeout

	// BatchTimeout is how long the commands of a batch have, before 503 for those that are left. It must end before the server gives up the
	// answer (web.DefaultAnswerTimeout), or what was done is never told. 0: DefaultBatchTimeout.
	BatchTimeout time.Duration

	Cache         int // of how many streams the state is kept in memory; 0: DefaultCache
	MaxRow        int // how many commands of one stream are decided in a row and appended together; 0: as many as can be
	SnapshotEvery int // after how many events of a stream its state is written to the log; 0: DefaultSnapshotEvery

	// OrderChanged hears of each order that a client's command was about, after it succeeded. It must not block. It is a hint
	// for fulfilment in the same process; nil: nobody listens.
	OrderChanged func(orderID string)

	Logger *slog.Logger // hears of a stream of which no snapshot can be written, once; nil: slog.Default()
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	c.MaxAttempts = cmp.Or(c.MaxAttempts, DefaultMaxAttempts)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.BatchTimeout = cmp.Or(c.BatchTimeout, DefaultBatchTimeout)
	c.Cache = cmp.Or(max(c.Cache, 0), DefaultCache) // of these three anything below 1, too, is the default
	c.MaxRow = min(cmp.Or(max(c.MaxRow, 0), maxRow), maxRow)
	c.SnapshotEvery = cmp.Or(max(c.SnapshotEvery, 0), DefaultSnapshotEvery)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

// Service runs commands. It is safe for concurrent use. What it knows of streams it holds against the log before it
// relies on it: any number of processes may serve the same log.
type Service struct {
	store Store
	cfg   Config

	cache     *lru.Cache[string, known]
	lines     lines
	reads     reads
	snapshots snapshots
}

// New returns a service that writes to the store.
func New(store Store, cfg Config) *Service {
	cfg = cfg.withDefaults()
	cache, err := lru.New[string, known](cfg.Cache)
	if err != nil {
		panic(err) // only of a size below 1
	}
	return &Service{
		store: store, cfg: cfg, cache: cache,
		lines: lines{of: map[string][]*turn{}}, reads: reads{of: map[string]*reading{}}, snapshots: snapshots{writing: map[string]bool{}, reported: map[string]bool{}},
	}
}

// Register adds the routes of the command API. Their errors are problems, so e should come from web.New.
func (s *Service) Register(e *echo.Echo) {
	s.registerMembers(e)
	s.registerProducts(e)
	s.registerStock(e)
	s.registerOrders(e)
	e.POST(batchPath, s.batch, web.LimitBody(MaxBatchBytes))
}
