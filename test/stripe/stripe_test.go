// Package stripe_test runs the Stripe gateway against stripe-mock, Stripe's own server for tests, which checks each
// request against Stripe's published API description. It is a module of its own so that stripe-mock's dependencies stay
// out of jangbu's.
package stripe_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stripe/stripe-mock/embedded"
	"github.com/stripe/stripe-mock/server"

	"jangbu/domain/payment"
	"jangbu/infra/gateway/gatewaytest"
	"jangbu/infra/gateway/stripe"
	"jangbu/infra/gateway/stripe/stripetest"
)

// mock is stripe-mock as a handler.
func mock(t *testing.T) http.Handler {
	t.Helper()
	spec, err := server.LoadSpec(embedded.OpenAPISpec, "")
	if err != nil {
		t.Fatal(err)
	}
	fixtures, err := server.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		t.Fatal(err)
	}
	stub, err := server.NewStubServer(fixtures, spec, false, false)
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(stub.HandleRequest)
}

func open(t *testing.T, handler http.Handler) *stripe.Gateway {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return stripe.New("sk_test_123", stripe.Config{URL: s.URL})
}

// TestConformance: stripe-mock checks each request and makes each answer, stripetest remembers.
func TestConformance(t *testing.T) {
	account := &stripetest.Server{Schema: mock(t)}
	g := open(t, account)
	for _, declined := range []int64{stripetest.Declined, stripetest.TooSmall, stripetest.TooLarge} {
		gatewaytest.Run(t, g, gatewaytest.Amounts{Approved: 1000, Declined: declined, Rejected: stripetest.Rejected})
	}
	for _, wrong := range account.Once() {
		t.Error(wrong)
	}
}

// TestBareMock: stripe-mock alone takes every request that the gateway makes. It remembers nothing, so what it answers of
// the payment's state says nothing.
func TestBareMock(t *testing.T) {
	var requests []string
	schema := mock(t)
	g := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := httptest.NewRecorder()
		schema.ServeHTTP(recorded, r)
		requests = append(requests, r.Method+" "+r.URL.Path)
		if recorded.Code != http.StatusOK {
			t.Errorf("%s %s: %d %s", r.Method, r.URL, recorded.Code, recorded.Body)
		}
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(recorded.Body.Bytes())
	}))
	c := gatewaytest.Charge(t, 1000)
	known := payment.Charge{OrderID: c.OrderID, Amount: c.Amount, Currency: c.Currency, Reference: "pi_123"}
	_, _ = g.Authorise(t.Context(), c)
	_ = g.Void(t.Context(), c)
	_ = g.Capture(t.Context(), known)
	_, _ = g.Refund(t.Context(), known, 1, 300)
	if len(requests) < 6 {
		t.Errorf("only %q", requests)
	}
}

// TestTheMockChecks: a request that Stripe's description does not allow is refused, so that passing means something.
func TestTheMockChecks(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/v1/payment_intents", nil)
	r.Header.Set("Authorization", "Bearer sk_test_123")
	w := httptest.NewRecorder()
	if mock(t).ServeHTTP(w, r); w.Code != http.StatusBadRequest {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
