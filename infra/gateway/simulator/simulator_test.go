package simulator_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"

	"jangbu/domain/event"
	"jangbu/domain/payment"
	"jangbu/infra/gateway/gatewaytest"
	"jangbu/infra/gateway/simulator"
)

var amounts = gatewaytest.Amounts{Approved: 1000, Declined: 1002, Rejected: 1007}

func TestConformance(t *testing.T) {
	for name, cfg := range map[string]simulator.Config{"believing": {}, "strict": {Strict: true}} {
		t.Run(name, func(t *testing.T) {
			s := simulator.New(cfg)
			gatewaytest.Run(t, s, amounts)
			wantOnce(t, s)
		})
	}
	t.Run("over HTTP", func(t *testing.T) {
		s := simulator.New(simulator.Config{Strict: true})
		server := httptest.NewServer(simulator.Handler(s))
		t.Cleanup(server.Close)
		gatewaytest.Run(t, simulator.NewClient(server.URL), amounts)
		wantOnce(t, s)
	})
}

func wantOnce(t *testing.T, s *simulator.Simulator) {
	t.Helper()
	for id, b := range s.Balances() {
		for step, n := range b.Steps {
			if n != 1 {
				t.Errorf("order %s: %s %d times", id, step, n)
			}
		}
	}
}

func refund(s *simulator.Simulator, c payment.Charge) error {
	_, err := s.Refund(context.Background(), c, 1, c.Amount)
	return err
}

// TestAmounts: each kind of amount goes wrong where it says, once, and leaves what it says.
func TestAmounts(t *testing.T) {
	authorise := func(s *simulator.Simulator, c payment.Charge) error {
		_, err := s.Authorise(context.Background(), c)
		return err
	}
	capture := func(s *simulator.Simulator, c payment.Charge) error { return s.Capture(context.Background(), c) }
	void := func(s *simulator.Simulator, c payment.Charge) error { return s.Void(context.Background(), c) }
	for _, tt := range []struct {
		name   string
		amount int64
		before []func(*simulator.Simulator, payment.Charge) error
		step   func(*simulator.Simulator, payment.Charge) error
		effect bool // of the try that goes wrong
		left   func(simulator.Balance) bool
	}{
		{"04", 1004, nil, authorise, false, func(b simulator.Balance) bool { return b.Authorised == 1004 }},
		{"05", 1005, nil, authorise, true, func(b simulator.Balance) bool { return b.Authorised == 1005 }},
		{"06", 1006, []func(*simulator.Simulator, payment.Charge) error{authorise}, capture, true,
			func(b simulator.Balance) bool { return b.Captured == 1006 }},
		{"08", 1008, []func(*simulator.Simulator, payment.Charge) error{authorise, capture}, refund, true,
			func(b simulator.Balance) bool { return b.Refunded() == 1008 && b.Kept() == 0 }},
		{"09", 1009, []func(*simulator.Simulator, payment.Charge) error{authorise}, void, true,
			func(b simulator.Balance) bool { return b.Voided }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := simulator.New(simulator.Config{Strict: true})
			c := gatewaytest.Charge(t, tt.amount)
			for _, step := range tt.before {
				if err := step(s, c); err != nil {
					t.Fatal(err)
				}
			}
			if err := tt.step(s, c); !errors.Is(err, event.ErrUnavailable) {
				t.Errorf("first try: %v", err)
			}
			if got := tt.left(s.Balances()[c.OrderID]); got != tt.effect {
				t.Errorf("after the first try: %+v", s.Balances())
			}
			for range 2 {
				if err := tt.step(s, c); err != nil {
					t.Errorf("again: %v", err)
				}
			}
			if !tt.left(s.Balances()[c.OrderID]) {
				t.Errorf("in the end: %+v", s.Balances())
			}
			wantOnce(t, s)
		})
	}
}

func TestSilence(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	s := simulator.New(simulator.Config{})
	go func() {
		_, err := s.Authorise(ctx, gatewaytest.Charge(t, 1003))
		answer <- err
	}()
	cancel()
	if err := <-answer; !errors.Is(err, event.ErrUnavailable) {
		t.Error(err)
	}
	if b := s.Balances(); len(b) != 0 {
		t.Errorf("%+v", b)
	}
}

// TestForgotten: a simulator that was started anew takes and pays back what an earlier one held; a strict one does not.
func TestForgotten(t *testing.T) {
	for _, strict := range []bool{false, true} {
		s := simulator.New(simulator.Config{Strict: strict})
		first, second := gatewaytest.Charge(t, 1000), gatewaytest.Charge(t, 1000)
		for step, err := range map[string]error{"capture": s.Capture(t.Context(), first), "refund": refund(s, second)} {
			if errors.Is(err, payment.ErrRejected) != strict {
				t.Errorf("strict %v: %s: %v", strict, step, err)
			}
		}
	}
}

func TestClientAway(t *testing.T) {
	if err := simulator.NewClient("http://127.0.0.1:1").Void(t.Context(), gatewaytest.Charge(t, 1)); !errors.Is(err, event.ErrUnavailable) {
		t.Error(err)
	}
}
