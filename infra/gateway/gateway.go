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

// The defaults of a Config.
const (
	DefaultTimeout    = 3 * time.Second
	DefaultAttempts   = 3
	DefaultRetryFirst = 100 * time.Millisecond
	DefaultRetryMost  = time.Second
	DefaultRest       = 10 * time.Second
)

// The breaker opens when, of at least breakerLeast tries in breakerPeriod, this share got no answer.
const (
	breakerRate   = 0.5
	breakerLeast  = 20
	breakerPeriod = 10 * time.Second
)

// Config says how patient to be. The zero Config is ready for use.
type Config struct {
	Timeout    time.Duration // of one try; 0: DefaultTimeout
	Attempts   int           // how often a call is tried; 0: DefaultAttempts
	RetryFirst time.Duration // the first pause between tries, doubling from then on, with jitter; 0: DefaultRetryFirst
	RetryMost  time.Duration // the longest; 0: DefaultRetryMost
	Rest       time.Duration // how long a gateway is left alone that does not answer; 0: DefaultRest

	// Report hears how the gateway is: nil when it answers, an error when it rejects what we ask or is left alone.
	Report func(err error)
}

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.Attempts = cmp.Or(c.Attempts, DefaultAttempts)
	c.RetryFirst = cmp.Or(c.RetryFirst, DefaultRetryFirst)
	c.RetryMost = cmp.Or(c.RetryMost, DefaultRetryMost)
	c.Rest = cmp.Or(c.Rest, DefaultRest)
	if c.Report == nil {
		c.Report = func(error) {}
	}
	return c
}

// Patient is a gateway made reliable. It is safe for concurrent use.
type Patient struct {
	gateway Gateway
	cfg     Config
	calls   failsafe.Executor[string]
}

// New makes a gateway reliable.
func New(g Gateway, cfg Config) *Patient {
	cfg = cfg.withDefaults()
	breaker := circuitbreaker.NewBuilder[string]().
		HandleIf(func(_ string, err error) bool { return unanswered(err) }).
		WithFailureRateThreshold(breakerRate, breakerLeast, breakerPeriod).
		WithDelay(cfg.Rest).
		Build()
	retry := retrypolicy.NewBuilder[string]().
		HandleIf(func(_ string, err error) bool { return unanswered(err) }).
		WithMaxAttempts(cfg.Attempts).
		WithBackoff(cfg.RetryFirst, cfg.RetryMost).
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
	var refusal *payment.Refusal
	switch {
	case err == nil, errors.As(err, &refusal):
		p.cfg.Report(nil)
	case errors.Is(err, circuitbreaker.ErrOpen):
		err = fmt.Errorf("the payment gateway does not answer and is left alone for a while: %w: %w", event.ErrUnavailable, err)
		p.cfg.Report(err)
	case errors.Is(err, payment.ErrRejected):
		p.cfg.Report(err)
	}
	if err != nil {
		return "", fmt.Errorf("%s payment of order %s: %w", step, c.OrderID, err)
	}
	return reference, nil
}

// final reports whether an error is an answer.
func final(err error) bool {
	var refusal *payment.Refusal
	return errors.As(err, &refusal) || errors.Is(err, payment.ErrRejected)
}
