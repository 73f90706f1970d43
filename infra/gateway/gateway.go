// Package gateway makes calls to a payment gateway that can be relied on: each try is bounded in time, one that was not
// answered is made again a few times, and while a gateway does not answer at all it is left alone for a while.
//
// The failures of a gateway are of three classes. A refusal (*payment.Refusal) is its answer and final. What is rejected
// (payment.ErrRejected) is our fault, and no try will change it. Everything else wraps event.ErrUnavailable: it may have
// happened, and is asked for again under the same key.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"jangbu/domain/event"
	"jangbu/domain/payment"
)

// Gateway is what is made reliable; Patient is one itself.
type Gateway interface {
	Authorise(ctx context.Context, c payment.Charge) (reference string, err error)
	Void(ctx context.Context, c payment.Charge) error
	Capture(ctx context.Context, c payment.Charge) error
	Refund(ctx context.Context, c payment.Charge, n int, amount int64) (reference string, err error)
}

// Rest is how long a gateway is left alone that does not answer.
const Rest = 10 * time.Second

const (
	attempts   = 3                      // how often a call is tried
	retryFirst = 100 * time.Millisecond // the first pause between tries, doubling from then on, with jitter
	retryMost  = time.Second            // the longest
)

// The breaker opens when, of at least breakerLeast tries in breakerPeriod, this share got no answer.
const (
	breakerRate   = 0.5
	breakerLeast  = 20
	breakerPeriod = 10 * time.Second
)

// No try begins later than this after the first of its call. With the longest try, which is Stripe's, a call so ends within the 30 seconds for
// which the schedule of fulfilment leaves an order to its taker, and SQS a message; the schedule tries again.
const lastTryWithin = 8 * time.Second

// A gateway counts as silent when it has answered nothing for silentAfter. What was said of it is stale when nobody has asked it for
// staleAfter, which is longer than an order waits for its next try: another process has that now.
const (
	silentAfter = time.Minute
	staleAfter  = 10 * time.Minute
)

// Config says how patient to be, and who hears of it. The zero Config is ready for use.
type Config struct {
	Timeout time.Duration // of one try, all its requests together; 0: 3 seconds

	// Report hears how the gateway is: nil when it answers, or has not been asked for ten minutes; an error when it has not answered for
	// one, or is left alone. It must be cheap and safe for concurrent use.
	Report func(err error)
}

// Patient is a gateway made reliable. It is safe for concurrent use.
type Patient struct {
	gateway Gateway
	cfg     Config
	calls   failsafe.Executor[string]

	mu    sync.Mutex
	since time.Time   // when a call first got no answer since the last that got one; zero: none has
	stale *time.Timer // ends since, and what was reported of it
}

// New makes a gateway reliable.
func New(g Gateway, cfg Config) *Patient {
	cfg.Timeout = cmp.Or(cfg.Timeout, 3*time.Second)
	if cfg.Report == nil {
		cfg.Report = func(error) {}
	}
	breaker := circuitbreaker.NewBuilder[string]().
		HandleIf(func(_ string, err error) bool { return unanswered(err) }).
		WithFailureRateThreshold(breakerRate, breakerLeast, breakerPeriod).
		WithDelay(Rest).
		Build()
	retry := retrypolicy.NewBuilder[string]().
		HandleIf(func(_ string, err error) bool { return unanswered(err) }).
		WithMaxAttempts(attempts).
		WithMaxDuration(lastTryWithin).
		WithBackoff(retryFirst, retryMost).
		WithJitterFactor(0.3).
		ReturnLastFailure().
		Build()
	return &Patient{gateway: g, cfg: cfg, calls: failsafe.With[string](retry, breaker)}
}

// unanswered reports whether a try got no answer, and not by our own doing.
func unanswered(err error) bool {
	return errors.Is(err, event.ErrUnavailable) && !errors.Is(err, context.Canceled)
}

// Authorise holds the amount.
func (p *Patient) Authorise(ctx context.Context, c payment.Charge) (string, error) {
	return p.call(ctx, "authorise", c, func(ctx context.Context) (string, error) { return p.gateway.Authorise(ctx, c) })
}

// Void lets go of what is held.
func (p *Patient) Void(ctx context.Context, c payment.Charge) error {
	_, err := p.call(ctx, "void", c, func(ctx context.Context) (string, error) { return "", p.gateway.Void(ctx, c) })
	return err
}

// Capture takes all that is held.
func (p *Patient) Capture(ctx context.Context, c payment.Charge) error {
	_, err := p.call(ctx, "capture", c, func(ctx context.Context) (string, error) { return "", p.gateway.Capture(ctx, c) })
	return err
}

// Refund pays a part back.
func (p *Patient) Refund(ctx context.Context, c payment.Charge, n int, amount int64) (string, error) {
	return p.call(ctx, "refund", c, func(ctx context.Context) (string, error) { return p.gateway.Refund(ctx, c, n, amount) })
}

func (p *Patient) call(ctx context.Context, step string, c payment.Charge, try func(context.Context) (string, error)) (string, error) {
	reference, err := p.calls.WithContext(ctx).Get(func() (string, error) {
		bounded, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
		defer cancel()
		reference, err := try(bounded)
		if err != nil && bounded.Err() != nil && ctx.Err() == nil && !final(err) {
			err = fmt.Errorf("no answer within %v: %w: %w", p.cfg.Timeout, event.ErrUnavailable, err)
		}
		return reference, err
	})
	if errors.Is(err, circuitbreaker.ErrOpen) {
		err = fmt.Errorf("the payment gateway does not answer and is left alone for a while: %w: %w", event.ErrUnavailable, err)
	}
	p.tell(err)
	if err != nil {
		return "", fmt.Errorf("%s payment of order %s: %w", step, c.OrderID, err)
	}
	return reference, nil
}

// tell reports what a call says of the gateway. One that we gave up says nothing.
func (p *Patient) tell(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil, final(err):
		p.answered()
	case unanswered(err):
		now := time.Now()
		if p.since.IsZero() {
			p.since = now
		}
		if errors.Is(err, circuitbreaker.ErrOpen) || now.Sub(p.since) >= silentAfter {
			p.cfg.Report(fmt.Errorf("no answer since %s: %w", p.since.UTC().Format(time.RFC3339), err))
		}
		p.expire()
	}
}

// answered is for a gateway of which nothing bad is known. The caller holds the lock.
func (p *Patient) answered() {
	if p.stale != nil {
		p.stale.Stop()
	}
	p.since, p.stale = time.Time{}, nil
	p.cfg.Report(nil)
}

// expire makes what is known stale some time from now. The caller holds the lock.
func (p *Patient) expire() {
	if p.stale != nil {
		p.stale.Stop()
	}
	var timer *time.Timer
	timer = time.AfterFunc(staleAfter, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.stale == timer {
			p.answered()
		}
	})
	p.stale = timer
}

// final reports whether an error is an answer.
func final(err error) bool {
	var refusal *payment.Refusal
	return errors.As(err, &refusal) || errors.Is(err, payment.ErrRejected)
}
