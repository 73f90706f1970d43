// Package schedule keeps in Redis which orders are due when, and how far the log has been looked through for such
// orders.
//
// It is two keys in one hash slot, so that a Redis that loses one loses the other: <namespace>:{fulfilment}:due, a sorted set of
// order ids by Unix milliseconds, and <namespace>:{fulfilment}:checkpoint, a position. What it holds can be rebuilt from
// the log; the checkpoint says from where on. A Redis that comes back without its last writes may have lost an order and not the
// checkpoint, so the script that moves that bears a name drawn before the first order was noted: a Redis that does not know it is
// another (docs/adr/0007-fence.md).
//
// A Schedule is safe for concurrent use, by any number of processes. Errors that a retry may cure wrap
// event.ErrUnavailable. Every call may be repeated.
package schedule

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"jangbu/domain/event"
)

var (
	//go:embed take.lua
	takeLua string
	//go:embed done.lua
	doneLua string
	//go:embed advance.lua
	advanceLua string
)

var (
	takeScript = redis.NewScript(takeLua)
	doneScript = redis.NewScript(doneLua)
)

// DefaultTimeout bounds every call.
const DefaultTimeout = 5 * time.Second

// Config says how to use a Redis. The zero Config is good.
type Config struct {
	Namespace string        // prefix of both keys; default "jangbu"
	Timeout   time.Duration // of one call; default DefaultTimeout
}

// Schedule is a client of one Redis or one Redis Cluster.
type Schedule struct {
	client          redis.UniversalClient
	due, checkpoint string
	timeout         time.Duration

	mu      sync.Mutex
	advance *redis.Script // nil before the first order is noted, and after a restart of Redis
}

// Open parses rawURL; it makes no connection yet. redis:// and rediss:// name a single server, redis+cluster:// and
// rediss+cluster:// a node of a cluster.
func Open(rawURL string, cfg Config) (*Schedule, error) {
	client, err := connect(rawURL)
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL %q: %w; it looks like redis://127.0.0.1:6379 or redis+cluster://host:port", redacted(rawURL), err)
	}
	if cfg.Namespace == "" {
		cfg.Namespace = "jangbu"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	slot := cfg.Namespace + ":{fulfilment}:"
	return &Schedule{client: client, due: slot + "due", checkpoint: slot + "checkpoint", timeout: cfg.Timeout}, nil
}

func connect(rawURL string) (redis.UniversalClient, error) {
	// It spares new connections a question that only Redis Enterprise answers.
	noNotices := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	scheme, rest, _ := strings.Cut(rawURL, "://")
	if base, ok := strings.CutSuffix(scheme, "+cluster"); ok {
		opt, err := redis.ParseClusterURL(base + "://" + rest)
		if err != nil {
			return nil, err
		}
		opt.DialerRetries, opt.MaintNotificationsConfig = 1, noNotices
		return redis.NewClusterClient(opt), nil
	}
	opt, err := redis.ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	opt.DialTimeout, opt.DialerRetries, opt.MaintNotificationsConfig = 2*time.Second, 1, noNotices
	return redis.NewClient(opt), nil
}

func redacted(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "(unreadable)"
	}
	return u.Redacted()
}

// Close ends all connections.
func (s *Schedule) Close() error { return s.client.Close() }

// Ping reports whether Redis answers.
func (s *Schedule) Ping(ctx context.Context) error {
	return s.do(ctx, "ping", func(ctx context.Context) error { return s.client.Ping(ctx).Err() })
}

// Note puts an order in, due at that time, or moves it there. Times are kept in whole milliseconds.
func (s *Schedule) Note(ctx context.Context, orderID string, due time.Time) error {
	return s.do(ctx, "note order "+orderID, func(ctx context.Context) error {
		if _, err := s.fence(ctx); err != nil {
			return err
		}
		return s.client.ZAdd(ctx, s.due, redis.Z{Score: float64(due.UnixMilli()), Member: orderID}).Err()
	})
}

// Take returns up to limit orders that are due at now, the longest due first, and moves them to until: if the taker dies,
// they are due again then.
func (s *Schedule) Take(ctx context.Context, now, until time.Time, limit int) (orderIDs []string, err error) {
	err = s.do(ctx, "take what is due", func(ctx context.Context) error {
		orderIDs, err = takeScript.Run(ctx, s.client, []string{s.due}, now.UnixMilli(), until.UnixMilli(), limit).StringSlice()
		return err
	})
	return orderIDs, err
}

// Done takes an order out, if it is due at that time and was not noted anew meanwhile.
func (s *Schedule) Done(ctx context.Context, orderID string, due time.Time) error {
	return s.do(ctx, "take order "+orderID+" out", func(ctx context.Context) error {
		return doneScript.Run(ctx, s.client, []string{s.due}, orderID, due.UnixMilli()).Err()
	})
}

// Checkpoint returns where the checkpoint stands. In a Redis that has lost it, or never had it, it is the zero Position.
func (s *Schedule) Checkpoint(ctx context.Context) (at event.Position, err error) {
	err = s.do(ctx, "read the checkpoint", func(ctx context.Context) error {
		text, err := s.client.Get(ctx, s.checkpoint).Result()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		if err == nil {
			at, err = event.ParsePosition(text)
		}
		return err
	})
	return at, err
}

// Advance moves the checkpoint forwards to a position, and returns where it stands. It never moves back; and it stays where it is, and
// lost is true, if this Redis may have lost what was noted: if that is before known, or Redis was restarted since an order was first noted
// here, or the last Advance.
func (s *Schedule) Advance(ctx context.Context, known, to event.Position) (at event.Position, lost bool, err error) {
	err = s.do(ctx, "move the checkpoint", func(ctx context.Context) error {
		script, err := s.fence(ctx)
		if err != nil {
			return err
		}
		text, err := script.EvalSha(ctx, s.client, []string{s.checkpoint}, fixed(known), fixed(to)).Text()
		switch {
		case redis.HasErrorPrefix(err, "NOSCRIPT"):
			s.forget(script)
			lost = true
			return nil
		case err != nil:
			return err
		}
		at, err = event.ParsePosition(text)
		lost = err == nil && at.Compare(known) < 0
		return err
	})
	return at, lost, err
}

// fence gives the script that the present run of Redis knows, as far as anybody has noticed.
func (s *Schedule) fence(ctx context.Context) (*redis.Script, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.advance != nil {
		return s.advance, nil
	}
	script := redis.NewScript("-- fence " + uuid.NewString() + "\n" + advanceLua)
	load := func(ctx context.Context, c *redis.Client) error { return script.Load(ctx, c).Err() }
	var err error
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, load) // and no replica, which shall not pass for its primary
	case *redis.Client:
		err = load(ctx, c)
	}
	if err == nil {
		s.advance = script
	}
	return script, err
}

func (s *Schedule) forget(script *redis.Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.advance == script {
		s.advance = nil
	}
}

// fixed is a position as text that sorts as positions do; ParsePosition reads it.
func fixed(p event.Position) string { return fmt.Sprintf("%020d/%020d", p.Commit, p.Prepare) }

func (s *Schedule) do(ctx context.Context, step string, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := call(ctx); err != nil {
		return fmt.Errorf("schedule: %s: %w", step, classify(err))
	}
	return nil
}

// classify marks errors that a retry may cure: all but those in which Redis itself refuses a command for good.
func classify(err error) error {
	var reply redis.Error
	if errors.Is(err, context.Canceled) || errors.As(err, &reply) && !temporary(reply.Error()) {
		return err
	}
	return fmt.Errorf("%w: %w", event.ErrUnavailable, err)
}

func temporary(reply string) bool {
	code, _, _ := strings.Cut(reply, " ")
	switch code {
	case "LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "OOM", "BUSY", "MISCONF", "MOVED", "ASK", "NOREPLICAS":
		return true
	}
	return false
}
