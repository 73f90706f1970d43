// Package simulator is a payment gateway that moves no money. It approves, but for amounts whose last two digits ask for
// something else, so that a shop without an acquirer can see every way a payment may go:
//
//	02  declined: insufficient funds
//	03  the authorisation is never answered
//	04  the first try of the authorisation fails, and had no effect
//	05  authorised, and the first answer is lost
//	06  authorised; captured, and the first answer of the capture is lost
//	07  rejected, as a request with a wrong key is, until the order gives up
//	08  authorised and captured; the first answer of each refund is lost
//	09  authorised; the first answer of the void is lost
//
// It keeps what an acquirer keeps: by payment what is held, taken, paid back and let go of, and by key what it has answered.
// A step with a key it knows is not taken twice. It keeps that in memory, for the last 100,000 payments; of a payment it does
// not know, say after a restart, it believes what it is told. With Strict it does not, and so proves that nothing was asked
// of it that had no right to be.
package simulator

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/hashicorp/golang-lru/v2"

	"jangbu/domain/event"
	"jangbu/domain/payment"
)

const remembered = 100_000 // payments

// Config says how a simulator behaves. The zero Config is good for a shop in development.
type Config struct {
	Strict bool // reject what cannot follow from what was asked before
}

// Balance is what the gateway holds of one payment, in minor units.
type Balance struct {
	Currency   string           `json:"currency"`
	Authorised int64            `json:"authorised"` // as asked for, whatever became of it
	Captured   int64            `json:"captured"`
	Refunds    map[string]int64 `json:"refunds,omitempty"` // by key
	Voided     bool             `json:"voided,omitempty"`
	Declined   string           `json:"declined,omitempty"`
	Steps      map[string]int   `json:"steps"` // how often each step had an effect: 1, if all is well
}

// Refunded is the sum of the refunds.
func (b Balance) Refunded() (sum int64) {
	for _, amount := range b.Refunds {
		sum += amount
	}
	return sum
}

// Kept is what the shop has of the payment.
func (b Balance) Kept() int64 { return b.Captured - b.Refunded() }

// Simulator is the gateway. It is safe for concurrent use.
type Simulator struct {
	strict bool

	mu       sync.Mutex
	payments *lru.Cache[string, *Balance]
	tried    *lru.Cache[string, bool] // steps whose first try went wrong on purpose
}

// New returns a simulator that knows no payment.
func New(cfg Config) *Simulator {
	payments, err := lru.New[string, *Balance](remembered)
	if err != nil {
		panic(err) // only of a size below one
	}
	tried, err := lru.New[string, bool](remembered)
	if err != nil {
		panic(err)
	}
	return &Simulator{strict: cfg.Strict, payments: payments, tried: tried}
}

// Balances returns a copy of what it knows, by order.
func (s *Simulator) Balances() map[string]Balance {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]Balance{}
	for _, id := range s.payments.Keys() {
		b, _ := s.payments.Peek(id)
		clone := *b
		clone.Refunds, clone.Steps = maps.Clone(b.Refunds), maps.Clone(b.Steps)
		all[id] = clone
	}
	return all
}

// The kinds of amounts, by their last two digits.
const (
	declined       = 2
	silent         = 3
	firstTryFails  = 4
	authoriseLost  = 5
	captureLost    = 6
	rejected       = 7
	refundLost     = 8
	voidLost       = 9
	authoriseStep  = "authorise"
	captureStep    = "capture"
	voidStep       = "void"
	insufficient   = "insufficient funds"
	alreadyVoided  = "the payment was cancelled"
	referencedWith = "sim_"
)

func kind(amount int64) int64 { return amount % 100 }

// of returns what is known of a payment. The caller holds the lock.
func (s *Simulator) of(c payment.Charge) *Balance {
	b, found := s.payments.Get(c.OrderID)
	if !found {
		b = &Balance{Currency: c.Currency, Refunds: map[string]int64{}, Steps: map[string]int{}}
		s.payments.Add(c.OrderID, b)
	}
	return b
}

// first reports whether a step that goes wrong once does so now. The caller holds the lock.
func (s *Simulator) first(c payment.Charge, step string) bool {
	key := c.Key(step)
	if s.tried.Contains(key) {
		return false
	}
	s.tried.Add(key, true)
	return true
}

func lost(step string) error {
	return fmt.Errorf("simulator: the answer to %s is lost: %w", step, event.ErrUnavailable)
}

func reject(c payment.Charge, format string, args ...any) error {
	return fmt.Errorf("simulator: payment of order %s: %s: %w", c.OrderID, fmt.Sprintf(format, args...), payment.ErrRejected)
}

// Authorise holds the amount.
func (s *Simulator) Authorise(ctx context.Context, c payment.Charge) (reference string, err error) {
	if kind(c.Amount) == silent {
		<-ctx.Done()
		return "", fmt.Errorf("simulator: no answer: %w: %w", event.ErrUnavailable, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Amount <= 0 || kind(c.Amount) == rejected {
		return "", reject(c, "the amount %d is not taken", c.Amount)
	}
	if kind(c.Amount) == firstTryFails && s.first(c, authoriseStep) {
		return "", fmt.Errorf("simulator: not now: %w", event.ErrUnavailable)
	}
	b := s.of(c)
	switch {
	case b.Declined != "":
		return "", &payment.Refusal{Reason: b.Declined}
	case b.Voided:
		return "", &payment.Refusal{Reason: alreadyVoided}
	case b.Authorised == 0 && kind(c.Amount) == declined:
		b.Declined = insufficient
		b.Steps[authoriseStep]++
		return "", &payment.Refusal{Reason: b.Declined}
	case b.Authorised == 0:
		b.Authorised, b.Currency = c.Amount, c.Currency
		b.Steps[authoriseStep]++
	case b.Authorised != c.Amount || b.Currency != c.Currency:
		return "", reject(c, "the key belongs to another amount")
	}
	if kind(c.Amount) == authoriseLost && s.first(c, authoriseStep) {
		return "", lost(authoriseStep)
	}
	return referencedWith + c.OrderID, nil
}

// Void lets go of what is held, and of what would be.
func (s *Simulator) Void(_ context.Context, c payment.Charge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.of(c)
	if b.Captured > 0 {
		return reject(c, "it was captured")
	}
	if !b.Voided {
		b.Voided = true
		b.Steps[voidStep]++
	}
	if kind(c.Amount) == voidLost && s.first(c, voidStep) {
		return lost(voidStep)
	}
	return nil
}

// Capture takes all that is held.
func (s *Simulator) Capture(_ context.Context, c payment.Charge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.of(c)
	if b.Authorised == 0 && b.Declined == "" && !s.strict {
		b.Authorised = c.Amount
	}
	switch {
	case b.Voided || b.Declined != "":
		return reject(c, "it was voided or declined")
	case b.Authorised != c.Amount:
		return reject(c, "%d are held, not %d", b.Authorised, c.Amount)
	case b.Captured == 0:
		b.Captured = c.Amount
		b.Steps[captureStep]++
	}
	if kind(c.Amount) == captureLost && s.first(c, captureStep) {
		return lost(captureStep)
	}
	return nil
}

// Refund pays a part back.
func (s *Simulator) Refund(_ context.Context, c payment.Charge, n int, amount int64) (reference string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, step := s.of(c), RefundStep(n)
	if b.Captured == 0 && b.Authorised == 0 && !s.strict {
		b.Authorised, b.Captured = c.Amount, c.Amount
	}
	switch before, done := b.Refunds[step]; {
	case done && before != amount:
		return "", reject(c, "the key belongs to a refund of %d", before)
	case done:
	case amount <= 0 || b.Refunded()+amount > b.Captured:
		return "", reject(c, "%d of %d have been paid back, %d more cannot be", b.Refunded(), b.Captured, amount)
	default:
		b.Refunds[step] = amount
		b.Steps[step]++
	}
	if kind(c.Amount) == refundLost && s.first(c, step) {
		return "", lost(step)
	}
	return fmt.Sprintf("%s%s_%d", referencedWith, c.OrderID, n), nil
}

// RefundStep names the refund for a return among the steps of a payment.
func RefundStep(n int) string { return fmt.Sprintf("refund-%d", n) }
