package stripe_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"jangbu/domain/event"
	"jangbu/domain/payment"
	"jangbu/infra/gateway"
	"jangbu/infra/gateway/gatewaytest"
	"jangbu/infra/gateway/stripe"
	"jangbu/infra/gateway/stripe/stripetest"
)

func open(t *testing.T, handler http.Handler) *stripe.Gateway {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	g, err := stripe.New("sk_test_123", stripe.Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// test/stripe runs the same against the schema of stripe-mock.
func TestConformance(t *testing.T) {
	amounts := gatewaytest.Amounts{Approved: 1000, Declined: stripetest.Declined, Rejected: stripetest.TooSmall}
	account := &stripetest.Server{}
	g := open(t, account)
	t.Run("bare", func(t *testing.T) { gatewaytest.Run(t, g, amounts) })
	t.Run("patient", func(t *testing.T) { gatewaytest.Run(t, gateway.New(g, gateway.Config{}), amounts) })
	for _, wrong := range account.Once() {
		t.Error(wrong)
	}
}

// TestForgottenKeys: after a day Stripe knows no key any more. Steps that were taken are found to have been all the same.
func TestForgottenKeys(t *testing.T) {
	account := &stripetest.Server{}
	g := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Idempotency-Key")
		account.ServeHTTP(w, r)
	}))
	c := gatewaytest.Charge(t, 1000)
	var err error
	if c.Reference, err = g.Authorise(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := g.Capture(t.Context(), c); err != nil {
			t.Error(err)
		}
		if _, err := g.Refund(t.Context(), c, 1, 300); err != nil {
			t.Error(err)
		}
	}
	if reference, err := g.Refund(t.Context(), c, 2, 700); err != nil {
		t.Errorf("%q: %v", reference, err)
	}
	for _, wrong := range account.Once() {
		t.Error(wrong)
	}
}

func TestClasses(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		status     int
		want       error
		says       string
	}{
		{"a wrong key", `{"error":{"type":"invalid_request_error","message":"Invalid API Key"}}`, 401, payment.ErrRejected, "Invalid API Key"},
		{"a bad request", `{"error":{"type":"invalid_request_error","code":"parameter_missing","message":"m"}}`, 400, payment.ErrRejected, "parameter_missing"},
		{"too many", `{"error":{"type":"invalid_request_error","code":"rate_limit","message":"m"}}`, 429, event.ErrUnavailable, "rate_limit"},
		{"the same at once", `{"error":{"type":"invalid_request_error","code":"idempotency_key_in_use","message":"m"}}`, 409, event.ErrUnavailable, ""},
		{"their fault", `{"error":{"type":"api_error","message":"m"}}`, 500, event.ErrUnavailable, ""},
		{"no JSON", `<html>`, 502, event.ErrUnavailable, ""},
		{"a stolen card", `{"error":{"type":"card_error","code":"card_declined","decline_code":"stolen_card","message":"m"}}`, 402, nil, "the bank refused it"},
		{"an old card", `{"error":{"type":"card_error","code":"expired_card","decline_code":"expired_card","message":"m"}}`, 402, nil, "the card has expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := open(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			_, err := g.Authorise(t.Context(), gatewaytest.Charge(t, 1000))
			var refusal *payment.Refusal
			if (tt.want == nil) != errors.As(err, &refusal) || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAway(t *testing.T) {
	g, err := stripe.New("sk_test_123", stripe.Config{URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Void(t.Context(), gatewaytest.Charge(t, 1000)); !errors.Is(err, event.ErrUnavailable) {
		t.Error(err)
	}
}

func TestWrongURL(t *testing.T) {
	if _, err := stripe.New("sk_test_123", stripe.Config{URL: "stripe"}); err == nil || !strings.Contains(err.Error(), "is not a URL") {
		t.Error(err)
	}
}
