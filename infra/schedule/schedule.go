// Package schedule keeps in Redis which orders are due when, and how far the log has been looked through for such
// orders.
//
// It is two keys in one hash slot, so that a Redis that loses one loses the other, unless it is set to evict them (Keeps):
// <namespace>:{fulfilment}:due, a sorted set of order ids by Unix milliseconds, and <namespace>:{fulfilment}:checkpoint, a position.
// What it holds can be rebuilt from the log; the checkpoint says from where on. A Redis that comes back without its last writes may have lost
// an order and not the checkpoint, so the script that moves that bears a name drawn before the first order was noted: a Redis that does
// not know it is another (docs/adr/0007-fence.md).
//
// A Schedule is safe for concurrent use, by any number of processes. Errors that a retry may cure wrap
// event.ErrUnavailable. Every call may be repeated.
package schedule

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"jangbu/domain/event"
	"jangbu/infra/redisdb"
)

var (
	//go:embed take.lua
	takeLua string
	//go:embed done.lua
	doneLua string
	//go:embed advance.lua
	advanceLua string
	//go:embed forget.lua
	forgetLua string
)

var (
	takeScript   = redis.NewScript(takeLua)
	doneScript   = redis.NewScript(doneLua)
	forgetScript = redis.NewScript(forgetLua)
)

const timeout = 5 * time.Second // of one call

// Config says how to use a Redis. The zero Config is good.
type Config struct {
	Namespace string       // prefix of both keys; default "jangbu"
	Dial      redisdb.Dial // how to connect; default: by TCP, or TLS where the URL says so
}

// Schedule is a client of one Redis or one Redis Cluster.
type Schedule struct {
	client          redis.UniversalClient
	due, checkpoint string
	fences          *redisdb.Fences
}

// Open parses rawURL; it makes no connection yet. redis:// and rediss:// name a single server, redis+cluster:// and
// rediss+cluster:// a node of a cluster.
func Open(rawURL string, cfg Config) (*Schedule, error) {
	client, err := redisdb.Open(rawURL, cfg.Dial)
	if err != nil {
		return nil, err
	}
	if cfg.Namespace == "" {
		cfg.Namespace = "jangbu"
	}
	slot := cfg.Namespace + ":{fulfilment}:"
	return &Schedule{client: client, due: slot + "due", checkpoint: slot + "checkpoint",
		fences: redisdb.NewFences(client, advanceLua)}, nil
}

// Close ends all connections.
func (s *Schedule) Close() error { return s.client.Close() }

// Ping reports whether Redis answers.
func (s *Schedule) Ping(ctx context.Context) error {
	return s.do(ctx, "ping", func(ctx context.Context) error { return s.client.Ping(ctx).Err() })
}

// Keeps is nil where Redis keeps every key, and says what to set where it may evict some (redisdb.Evicts): of the two it may throw away one,
// and without the orders the checkpoint says of them that they are dealt with.
func (s *Schedule) Keeps(ctx context.Context) error {
	if policy := redisdb.Evicts(ctx, s.client); policy != "" {
		return fmt.Errorf("maxmemory-policy of Redis is %s: when its memory is full it may throw away which orders are to be tried again, and nobody tries them; "+
			"set it to noeviction, and then `redis-cli del '%s'`", policy, s.checkpoint)
	}
	return nil
}

// Note puts an order in, due at that time, or moves it there. Times are kept in whole milliseconds.
func (s *Schedule) Note(ctx context.Context, orderID string, due time.Time) error {
	return s.do(ctx, "note order "+orderID, func(ctx context.Context) error {
		if _, err := s.fences.Present(ctx); err != nil {
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
		fence, err := s.fences.Present(ctx)
		if err != nil {
			return err
		}
		text, err := s.client.EvalSha(ctx, fence.Hash(advanceLua), []string{s.checkpoint}, fixed(known), fixed(to)).Text()
		switch {
		case redis.HasErrorPrefix(err, "NOSCRIPT"):
			s.fences.Fell(fence)
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

// Forget takes the checkpoint away, if it stands there. What is noted stays.
func (s *Schedule) Forget(ctx context.Context, at event.Position) error {
	return s.do(ctx, "forget the checkpoint", func(ctx context.Context) error {
		return forgetScript.Run(ctx, s.client, []string{s.checkpoint}, fixed(at)).Err()
	})
}

// fixed is a position as text that sorts as positions do; ParsePosition reads it.
func fixed(p event.Position) string { return fmt.Sprintf("%020d/%020d", p.Commit, p.Prepare) }

func (s *Schedule) do(ctx context.Context, step string, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := call(ctx); err != nil {
		return fmt.Errorf("schedule: %s: %w", step, redisdb.Classify(err))
	}
	return nil
}
