package redisdb

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Watch returns a context for calls of a client of OpenOnce, and what tells whether Redis left one of their pipelines unanswered. What was
// sent with that may still be under way, in a connection that stands still or a proxy, and be carried out at any time to come, after
// whatever is sent next: a client that sends it again, and is answered, does not take it back.
func Watch(ctx context.Context) (watched context.Context, unanswered func() bool) {
	mark := new(atomic.Bool)
	return context.WithValue(ctx, watchKey{}, mark), mark.Load
}

type watchKey struct{}

// watch is a hook that sees every try of a pipeline.
type watch struct{}

func (watch) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (watch) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (watch) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		mark, _ := ctx.Value(watchKey{}).(*atomic.Bool)
		if mark != nil && (unanswered(err) || slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return unanswered(c.Err()) })) {
			mark.Store(true)
		}
		return err
	}
}

// unanswered reports whether a command that failed so may have been sent, and not been answered.
func unanswered(err error) bool {
	var reply redis.Error
	var network *net.OpError
	switch {
	case err == nil, errors.As(err, &reply):
		return false
	case errors.As(err, &network) && network.Op == "dial", errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrClosed):
		return false
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded): // before it was sent: no call is broken off
		return false
	}
	return true
}

// longer is the time limit of a client that does not try again, as long as go-redis takes with all of its tries.
func longer(limit time.Duration) time.Duration {
	const usual, tries = 3 * time.Second, 4
	if limit == 0 {
		limit = usual
	}
	return max(tries*limit, -1) // -1: none
}
