// Package gatewaytest is what a payment gateway promises to fulfilment, as a suite for any implementation.
package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"jangbu/domain/event"
	"jangbu/domain/payment"
)

// Gateway is what is tested.
type Gateway interface {
	Authorise(ctx context.Context, c payment.Charge) (reference string, err error)
	Void(ctx context.Context, c payment.Charge) error
	Capture(ctx context.Context, c payment.Charge) error
	Refund(ctx context.Context, c payment.Charge, n int, amount int64) (reference string, err error)
}

// Amounts asks for amounts, in minor units of EUR, that the gateway treats so; zero: it has none.
type Amounts struct {
	Approved, Declined, Rejected int64
}

// Charge is a payment of a test; no two tests share one.
func Charge(t testing.TB, amount int64) payment.Charge {
	t.Helper()
	names.Lock()
	defer names.Unlock()
	names.n++
	return payment.Charge{OrderID: fmt.Sprintf("gatewaytest-%d", names.n), Amount: amount, Currency: "EUR"}
}

var names struct {
	sync.Mutex
	n int
}

// Run runs the suite over a gateway, which may know payments already.
func Run(t *testing.T, g Gateway, amounts Amounts) {
	for name, test := range map[string]func(*testing.T, Gateway, payment.Charge){
		"authorise, capture, refund": whole,
		"every step again":           again,
		"at once":                    atOnce,
		"void":                       void,
		"void before authorise":      voidFirst,
		"wrong steps are rejected":   wrong,
	} {
		t.Run(name, func(t *testing.T) { test(t, g, Charge(t, amounts.Approved)) })
	}
	t.Run("declined", func(t *testing.T) {
		if amounts.Declined == 0 {
			t.Skip("skipped: this gateway declines no amount")
		}
		c := Charge(t, amounts.Declined)
		for range 2 {
			var refusal *payment.Refusal
			if _, err := g.Authorise(t.Context(), c); !errors.As(err, &refusal) || refusal.Reason == "" {
				t.Errorf("%v", err)
			}
		}
		voidFirst(t, g, c)
		voidFirst(t, g, Charge(t, amounts.Declined))
	})
	t.Run("rejected", func(t *testing.T) {
		if amounts.Rejected == 0 {
			t.Skip("skipped: this gateway rejects no amount")
		}
		c := Charge(t, amounts.Rejected)
		if _, err := g.Authorise(t.Context(), c); !errors.Is(err, payment.ErrRejected) {
			t.Errorf("%v", err)
		}
		must(t, g.Void(t.Context(), c)) // the order gives up, and nothing is held
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func authorise(t *testing.T, g Gateway, c payment.Charge) payment.Charge {
	t.Helper()
	reference, err := g.Authorise(t.Context(), c)
	must(t, err)
	if reference == "" {
		t.Error("authorised without a reference")
	}
	c.Reference = reference
	return c
}

func whole(t *testing.T, g Gateway, c payment.Charge) {
	c = authorise(t, g, c)
	must(t, g.Capture(t.Context(), c))
	first, err := g.Refund(t.Context(), c, 1, c.Amount/4)
	must(t, err)
	second, err := g.Refund(t.Context(), c, 2, c.Amount-c.Amount/4)
	must(t, err)
	if first == second || first == "" {
		t.Errorf("refunds are named %q and %q", first, second)
	}
}

func again(t *testing.T, g Gateway, c payment.Charge) {
	first := authorise(t, g, c)
	if second := authorise(t, g, c); second.Reference != first.Reference {
		t.Errorf("references %q and %q", first.Reference, second.Reference)
	}
	var refunds [2]string
	for range 2 {
		must(t, g.Capture(t.Context(), first))
	}
	for i := range refunds {
		var err error
		refunds[i], err = g.Refund(t.Context(), first, 1, c.Amount) // all of it: a second one would be too much
		must(t, err)
	}
	if refunds[0] != refunds[1] {
		t.Errorf("refunds %q", refunds)
	}
}

func atOnce(t *testing.T, g Gateway, c payment.Charge) {
	for _, step := range []func() error{
		func() error { _, err := g.Authorise(t.Context(), c); return err },
		func() error { return g.Capture(t.Context(), c) },
		func() error { _, err := g.Refund(t.Context(), c, 1, c.Amount); return err },
	} {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := step(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}

func void(t *testing.T, g Gateway, c payment.Charge) {
	authorise(t, g, c) // its reference is lost
	for range 2 {
		must(t, g.Void(t.Context(), c))
	}
	if err := g.Capture(t.Context(), c); err == nil {
		t.Error("captured after the void")
	}
	wantDeclined(t, g, c)
}

func voidFirst(t *testing.T, g Gateway, c payment.Charge) {
	must(t, g.Void(t.Context(), c))
	wantDeclined(t, g, c)
	must(t, g.Void(t.Context(), c))
}

func wantDeclined(t *testing.T, g Gateway, c payment.Charge) {
	t.Helper()
	var refusal *payment.Refusal
	if _, err := g.Authorise(t.Context(), c); !errors.As(err, &refusal) {
		t.Errorf("an authorisation after the void: %v", err)
	}
}

// wrong: what must never be asked is not carried out, and not taken for something that passes.
func wrong(t *testing.T, g Gateway, c payment.Charge) {
	c = authorise(t, g, c)
	must(t, g.Capture(t.Context(), c))
	_, err := g.Refund(t.Context(), c, 1, c.Amount+1)
	for step, err := range map[string]error{"void after capture": g.Void(t.Context(), c), "refund of too much": err} {
		if err == nil || errors.Is(err, event.ErrUnavailable) {
			t.Errorf("%s: %v", step, err)
		}
	}
}
