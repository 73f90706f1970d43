package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/payment"
	"jangbu/infra/gateway"
	"jangbu/infra/gateway/gatewaytest"
	"jangbu/infra/gateway/simulator"
)

func TestConformance(t *testing.T) {
	s := simulator.New(simulator.Config{Strict: true})
	gatewaytest.Run(t, gateway.New(s, gateway.Config{}), gatewaytest.Amounts{Approved: 1000, Declined: 1002, Rejected: 1007})
}

// scripted answers the tries of an authorisation.
type scripted struct {
	gateway.Gateway
	answer func(ctx context.Context, try int) error
	tries  int
}

func (s *scripted) Authorise(ctx context.Context, c payment.Charge) (string, error) {
	s.tries++
	return "ref", s.answer(ctx, s.tries)
}

var (
	errAway = fmt.Errorf("away: %w", event.ErrUnavailable)
	errWe   = fmt.Errorf("no such key: %w", payment.ErrRejected)
)

func TestTries(t *testing.T) {
	silent := func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
	for _, tt := range []struct {
		name   string
		answer func(context.Context, int) error
		tries  int
		want   error
	}{
		{"answered", func(context.Context, int) error { return nil }, 1, nil},
		{"away once", func(_ context.Context, try int) error {
			if try == 1 {
				return errAway
			}
			return nil
		}, 2, nil},
		{"away", func(context.Context, int) error { return errAway }, 3, event.ErrUnavailable},
		{"silent", silent, 3, event.ErrUnavailable},
		{"refused", func(context.Context, int) error { return &payment.Refusal{Reason: "no"} }, 1, nil},
		{"rejected", func(context.Context, int) error { return errWe }, 1, payment.ErrRejected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reported error
				g := &scripted{answer: tt.answer}
				reference, err := gateway.New(g, gateway.Config{Report: func(err error) { reported = err }}).Authorise(t.Context(), payment.Charge{OrderID: "o"})
				var refusal *payment.Refusal
				switch {
				case tt.name == "refused":
					if !errors.As(err, &refusal) {
						t.Errorf("%v", err)
					}
				case tt.want == nil && (err != nil || reference != "ref"), tt.want != nil && !errors.Is(err, tt.want):
					t.Errorf("%q, %v", reference, err)
				}
				if g.tries != tt.tries || reported != nil {
					t.Errorf("%d tries, reported %v", g.tries, reported)
				}
			})
		})
	}
}

// TestLongTries: a call of long tries is left to whoever makes it again.
func TestLongTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		g := &scripted{answer: func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }}
		_, err := gateway.New(g, gateway.Config{Timeout: 20 * time.Second}).Authorise(t.Context(), payment.Charge{OrderID: "o"})
		if took := time.Since(begin); !errors.Is(err, event.ErrUnavailable) || g.tries != 1 || took != 20*time.Second {
			t.Errorf("%v after %d tries in %v", err, g.tries, took)
		}
	})
}

// TestBreaker: a gateway that does not answer is left alone, said to be, and asked again after a while.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reported error
		away := true
		g := &scripted{answer: func(context.Context, int) error {
			if away {
				return errAway
			}
			return nil
		}}
		p := gateway.New(g, gateway.Config{Report: func(err error) { reported = err }})
		ask := func() error { _, err := p.Authorise(t.Context(), payment.Charge{OrderID: "o"}); return err }
		for range 50 {
			if err := ask(); !errors.Is(err, event.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		if g.tries >= 50 || reported == nil || !strings.Contains(reported.Error(), "left alone") {
			t.Errorf("%d tries, reported %v", g.tries, reported)
		}
		away = false
		time.Sleep(gateway.Rest) // of the bubble's clock
		if err := ask(); err != nil || reported != nil {
			t.Errorf("%v, reported %v", err, reported)
		}
	})
}

// TestSilent: a gateway that answers nothing is said to, however rarely it is asked, until it answers, or nobody asks it any more.
func TestSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var reported error
		red := func() bool {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return reported != nil
		}
		answer := errAway
		g := &scripted{answer: func(context.Context, int) error { return answer }}
		p := gateway.New(g, gateway.Config{Report: func(err error) { mu.Lock(); reported = err; mu.Unlock() }})
		ask := func(after time.Duration) {
			time.Sleep(after) // of the bubble's clock
			_, _ = p.Authorise(t.Context(), payment.Charge{OrderID: "o"})
		}
		since := time.Now().UTC()
		ask(0)
		if ask(40 * time.Second); red() {
			t.Errorf("red after less than a minute: %v", reported)
		}
		if ask(40 * time.Second); !red() || !strings.Contains(reported.Error(), "no answer since "+since.Format("2006-01-02T15:04:0")) {
			t.Errorf("after more than a minute it says %v", reported)
		}
		if ask(9 * time.Minute); !red() {
			t.Error("it is green, and is asked again and again")
		}
		answer = errWe // which is an answer
		if ask(0); red() {
			t.Errorf("red after an answer: %v", reported)
		}
		answer = errAway
		ask(0)
		if ask(2 * time.Minute); !red() {
			t.Error("green after two minutes")
		}
		if time.Sleep(9 * time.Minute); !red() {
			t.Error("green before it is tried again")
		}
		if time.Sleep(2 * time.Minute); red() {
			t.Errorf("red although nobody asks any more: %v", reported)
		}
		if ask(0); red() {
			t.Errorf("red at the first call for long: %v", reported)
		}
		answer = nil
		ask(0) // and no timer is left
	})
}

// TestStopped: a caller that gives up is no fault of the gateway.
func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	g := &scripted{answer: func(ctx context.Context, _ int) error { cancel(); <-ctx.Done(); return ctx.Err() }}
	if _, err := gateway.New(g, gateway.Config{}).Authorise(ctx, payment.Charge{OrderID: "o"}); !errors.Is(err, context.Canceled) || g.tries != 1 {
		t.Errorf("%v after %d tries", err, g.tries)
	}
}
