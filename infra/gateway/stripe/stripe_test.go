package stripe_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/payment"
	"jangbu/infra/gateway"
	"jangbu/infra/gateway/gatewaytest"
	"jangbu/infra/gateway/stripe"
	"jangbu/infra/gateway/stripe/stripetest"
)

func open(t *testing.T, handler http.Handler) *stripe.Gateway {
	t.Helper()
	return openMethod(t, handler, "")
}

func openMethod(t *testing.T, handler http.Handler, method string) *stripe.Gateway {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return stripe.New("sk_test_123", stripe.Config{URL: server.URL, PaymentMethod: method})
}

// test/stripe runs the same against the schema of stripe-mock.
func TestConformance(t *testing.T) {
	amounts := gatewaytest.Amounts{Approved: 1000, Declined: stripetest.Declined, Rejected: stripetest.Rejected}
	account := &stripetest.Server{}
	g := open(t, account)
	t.Run("bare", func(t *testing.T) { gatewaytest.Run(t, g, amounts) })
	t.Run("patient", func(t *testing.T) { gatewaytest.Run(t, gateway.New(g, gateway.Config{}), amounts) })
	for _, wrong := range account.Once() {
		t.Error(wrong)
	}
}

// TestMethodChanged: payments in flight survive that another method is charged from now on.
func TestMethodChanged(t *testing.T) {
	account := &stripetest.Server{}
	var meanwhile func() // before the next confirmation by the second gateway
	first := openMethod(t, account, "pm_first")
	second := openMethod(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/confirm") && meanwhile != nil {
			meanwhile()
			meanwhile = nil
		}
		account.ServeHTTP(w, r)
	}), "pm_second")
	charge := func(amount int64) (c payment.Charge, authorise func() string) {
		c = gatewaytest.Charge(t, amount)
		return c, func() string {
			reference, err := first.Authorise(t.Context(), c)
			if err != nil {
				return err.Error()
			}
			return reference
		}
	}

	c, authorise := charge(1000)
	want := authorise() // its answer is lost
	if got, err := second.Authorise(t.Context(), c); err != nil || got != want {
		t.Errorf("once authorised: %q, %v, want %s", got, err, want)
	}
	if err := second.Void(t.Context(), c); err != nil {
		t.Errorf("void: %v", err)
	}

	c, authorise = charge(1000)
	meanwhile = func() { want = authorise() }
	if got, err := second.Authorise(t.Context(), c); err != nil || got != want {
		t.Errorf("authorised at the same time: %q, %v, want %s", got, err, want)
	}

	c, authorise = charge(stripetest.Declined)
	meanwhile = func() { authorise() }
	var refusal *payment.Refusal
	if _, err := second.Authorise(t.Context(), c); !errors.As(err, &refusal) || refusal.Reason != "insufficient funds" {
		t.Errorf("declined at the same time: %v", err)
	}

	c, authorise = charge(stripetest.Rejected)
	authorise()
	if _, err := second.Authorise(t.Context(), c); !errors.Is(err, payment.ErrRejected) {
		t.Errorf("once rejected: %v", err)
	}
	if err := second.Void(t.Context(), c); err != nil {
		t.Errorf("void of a rejected one: %v", err)
	}
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

// TestNeverTaken: an amount or a currency that Stripe does not take is refused, and there is nothing to void.
func TestNeverTaken(t *testing.T) {
	for _, tt := range []struct {
		amount         int64
		currency, says string
	}{
		{stripetest.TooSmall, "EUR", "too small"},
		{stripetest.TooLarge, "EUR", "too large"},
		{1000, stripetest.Unsupported, "currency"},
	} {
		g, c := open(t, &stripetest.Server{}), gatewaytest.Charge(t, tt.amount)
		c.Currency = tt.currency
		for range 2 {
			var refusal *payment.Refusal
			if _, err := g.Authorise(t.Context(), c); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, tt.says) {
				t.Errorf("authorise %d %s: %v", tt.amount, tt.currency, err)
			}
			if err := g.Void(t.Context(), c); err != nil {
				t.Errorf("void %d %s: %v", tt.amount, tt.currency, err)
			}
		}
	}
}

// TestCurrencies: Stripe's minor unit is not everywhere ISO 4217's, which is ours. Where it is coarser, an amount between two of Stripe's is
// refused, and what is paid back is rounded up, all refunds together: nobody gets less than is due, and in all no more than was paid.
func TestCurrencies(t *testing.T) {
	for _, tt := range []struct {
		currency       string
		amount, stripe int64 // the latter 0: refused
		refunds        []int64
		want           []int64 // paid back at Stripe after each
	}{
		{"EUR", 1000, 1000, []int64{333, 667}, []int64{333, 1000}},
		{"JPY", 1000, 1000, []int64{1, 999}, []int64{1, 1000}},
		{"HUF", 1000, 1000, []int64{1}, []int64{1}},
		{"ISK", 1000, 100_000, []int64{1, 999}, []int64{100, 100_000}},
		{"UGX", 1000, 100_000, []int64{1000}, []int64{100_000}},
		{"MGA", 100_000, 1000, []int64{30, 30, 40, 120, 99_780}, []int64{1, 1, 1, 3, 1000}},
		{"MGA", 100_030, 0, nil, nil},
		{"BHD", 1000, 1000, []int64{333, 333, 334}, []int64{340, 670, 1000}},
		{"JOD", 1230, 1230, []int64{4}, []int64{10}},
		{"KWD", 1235, 0, nil, nil},
		{"OMR", 1001, 0, nil, nil},
		{"TND", 1009, 0, nil, nil},
	} {
		t.Run(fmt.Sprint(tt.currency, tt.amount), func(t *testing.T) {
			account := &stripetest.Server{}
			g, c := open(t, account), gatewaytest.Charge(t, tt.amount)
			c.Currency = tt.currency
			reference, err := g.Authorise(t.Context(), c)
			var refusal *payment.Refusal
			if refused := errors.As(err, &refusal); refused != (tt.stripe == 0) || !refused && err != nil {
				t.Fatal(err)
			}
			if amount, _ := account.Money(c.OrderID); amount != tt.stripe {
				t.Errorf("%d is held", amount)
			}
			if tt.stripe == 0 {
				if err := g.Void(t.Context(), c); err != nil {
					t.Error(err)
				}
				return
			}
			if c.Reference = reference; g.Capture(t.Context(), c) != nil {
				t.Fatal("not captured")
			}
			for i, amount := range tt.refunds {
				for range 2 {
					if _, err := g.Refund(t.Context(), c, i+1, amount); err != nil {
						t.Errorf("refund %d: %v", i+1, err)
					}
				}
				if _, refunded := account.Money(c.OrderID); refunded != tt.want[i] {
					t.Errorf("after refund %d, %d are paid back, want %d", i+1, refunded, tt.want[i])
				}
				c.Refunded += amount
			}
			if _, err := g.Refund(t.Context(), c, len(tt.refunds)+1, tt.amount-c.Refunded+1); !errors.Is(err, payment.ErrRejected) {
				t.Errorf("a refund of too much: %v", err)
			}
		})
	}
}

// TestSavedFailures: Stripe saves a failure by its key, whether or not the step was taken. Each step succeeds all the same, once.
func TestSavedFailures(t *testing.T) {
	again := func(t *testing.T, step func() error) {
		t.Helper()
		for range 10 {
			err := step()
			if err == nil {
				return
			}
			if !errors.Is(err, event.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		t.Fatal("it never succeeds")
	}
	for _, effect := range []bool{false, true} {
		for name, reference := range map[string]bool{"known": true, "lost": false} {
			t.Run(fmt.Sprintf("effect %v, reference %s", effect, name), func(t *testing.T) {
				account := &stripetest.Server{Effect: effect}
				g := open(t, account)
				held := func() payment.Charge {
					account.Failing = map[string]int{"payment_intents": 3, "confirm": 3, "capture": 3, "cancel": 3}
					c := gatewaytest.Charge(t, 1000)
					again(t, func() (err error) { c.Reference, err = g.Authorise(t.Context(), c); return err })
					if !reference {
						c.Reference = ""
					}
					return c
				}
				taken, voided := held(), held()
				again(t, func() error { return g.Capture(t.Context(), taken) })
				again(t, func() error { return g.Void(t.Context(), voided) })
				for _, wrong := range account.Once() {
					t.Error(wrong)
				}
			})
		}
	}
}

// TestSavedFailureOfRefund: a refund is not sent under another key, since both might be paid.
func TestSavedFailureOfRefund(t *testing.T) {
	g, c := open(t, &stripetest.Server{Failing: map[string]int{"refunds": 1}}), gatewaytest.Charge(t, 1000)
	if _, err := g.Authorise(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := g.Capture(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := g.Refund(t.Context(), c, 1, 300); !errors.Is(err, event.ErrUnavailable) {
			t.Error(err)
		}
	}
}

// TestFailedRefunds: a refund that ended without paying counts for nothing, and is made anew; one that pays, now or soon, is found.
func TestFailedRefunds(t *testing.T) {
	account := &stripetest.Server{RefundStatus: "pending"}
	g, c := open(t, account), gatewaytest.Charge(t, 1000)
	if _, err := g.Authorise(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := g.Capture(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	refund := func(want string) {
		t.Helper()
		for range 2 {
			if reference, err := g.Refund(t.Context(), c, 1, 700); err != nil || reference != want {
				t.Errorf("refund %q, %v, want %s", reference, err, want)
			}
		}
	}
	refund("re_1")
	for i, end := range []string{"failed", "canceled"} {
		account.EndRefunds(end)
		refund(fmt.Sprint("re_", i+2))
	}
	account.EndRefunds("failed")
	account.RefundStatus = "failed"
	for range 2 { // each is another one
		if _, err := g.Refund(t.Context(), c, 1, 700); !errors.Is(err, payment.ErrRejected) || !strings.Contains(err.Error(), "lost_or_stolen_card") {
			t.Errorf("a refund that fails at once: %v", err)
		}
	}
	account.RefundStatus = ""
	refund("re_6")
	if _, refunded := account.Money(c.OrderID); refunded != 700 {
		t.Errorf("%d are paid back", refunded)
	}
}

// TestManyRefunds: an order of many returns is looked through a hundred at a time.
func TestManyRefunds(t *testing.T) {
	account, lists := &stripetest.Server{}, 0
	g := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/v1/refunds" {
			lists++
		}
		account.ServeHTTP(w, r)
	}))
	c := gatewaytest.Charge(t, 1000)
	if _, err := g.Authorise(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := g.Capture(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 150; n++ {
		if _, err := g.Refund(t.Context(), c, n, 1); err != nil {
			t.Fatal(err)
		}
		c.Refunded++
	}
	lists = 0
	if reference, err := g.Refund(t.Context(), c, 1, 1); err != nil || reference != "re_1" || lists != 2 {
		t.Errorf("the first of 150 is %q, %v, after %d lists", reference, err, lists)
	}
}

// slow is a Stripe that takes nearly as long as it may over each request, and longer, with its answer cut off, over the first of each kind
// that changes anything. What was begun is carried out.
type slow struct {
	account *stripetest.Server
	known   map[string]bool
}

func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	pause := stripe.RequestTimeout - time.Millisecond
	if kind := path.Base(r.URL.Path); r.Method == http.MethodPost && !s.known[kind] {
		s.known[kind] = true
		pause = stripe.RequestTimeout + time.Millisecond
	}
	forward := r.Clone(r.Context())
	if forward.Body == nil {
		forward.Body = http.NoBody
	}
	answer := httptest.NewRecorder()
	s.account.ServeHTTP(answer, forward)
	select {
	case <-time.After(pause): // of the bubble's clock
		return answer.Result(), nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// TestSlow: each step is taken once and heard of, also of a payment of which nothing but the order is known, and no call lasts longer than
// fulfilment keeps an order to itself.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := &stripetest.Server{}
		s := &slow{account: account, known: map[string]bool{}}
		g := gateway.New(stripe.New("sk_test_123", stripe.Config{Transport: s}), gateway.Config{Timeout: stripe.CallTimeout})
		again := func(name string, step func() error) {
			t.Helper()
			var err error
			for range 3 {
				begin := time.Now()
				err = step()
				if took := time.Since(begin); took > 28*time.Second {
					t.Errorf("%s: a call lasts %v", name, took)
				}
				if err == nil {
					return
				}
				if !errors.Is(err, event.ErrUnavailable) {
					break
				}
			}
			t.Errorf("%s: %v", name, err)
		}
		taken, voided := gatewaytest.Charge(t, 1000), gatewaytest.Charge(t, 1000)
		again("authorise", func() (err error) { taken.Reference, err = g.Authorise(t.Context(), taken); return err })
		again("authorise another", func() error { _, err := g.Authorise(t.Context(), voided); return err })
		again("authorise it again", func() error { _, err := g.Authorise(t.Context(), voided); return err })
		again("void", func() error { return g.Void(t.Context(), voided) })
		if err := g.Capture(t.Context(), voided); !errors.Is(err, payment.ErrRejected) {
			t.Errorf("capture of a voided one: %v", err)
		}
		again("capture", func() error { return g.Capture(t.Context(), taken) })
		for n := 1; n <= 2; n++ {
			again("refund", func() error { _, err := g.Refund(t.Context(), taken, n, 300); return err })
		}
		if _, refunded := account.Money(taken.OrderID); refunded != 600 {
			t.Errorf("%d are paid back", refunded)
		}
		for _, wrong := range account.Once() {
			t.Error(wrong)
		}
	})
}

// TestSilent: a Stripe that answers nothing is left alone, although each try waits for as long as a request may take.
func TestSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var leftAlone atomic.Bool
		report := func(err error) {
			if err != nil && strings.Contains(err.Error(), "left alone") {
				leftAlone.Store(true)
			}
		}
		g := gateway.New(stripe.New("sk_test_123", stripe.Config{Transport: silent{}}), gateway.Config{Timeout: stripe.CallTimeout, Report: report})
		var workers sync.WaitGroup
		for range 16 { // fulfilment.DefaultWorkers
			c := gatewaytest.Charge(t, 1000)
			workers.Go(func() {
				for range 3 {
					if _, err := g.Authorise(t.Context(), c); !errors.Is(err, event.ErrUnavailable) {
						t.Error(err)
					}
				}
			})
		}
		if workers.Wait(); !leftAlone.Load() {
			t.Error("it is asked on and on")
		}
	})
}

// silent never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestLapsedHold: what is said is what happened, and short enough for the health page to show it whole.
func TestLapsedHold(t *testing.T) {
	account := &stripetest.Server{}
	g, c := open(t, account), gatewaytest.Charge(t, 1000)
	var err error
	if c.Reference, err = g.Authorise(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	account.Lapse()
	err = gateway.New(g, gateway.Config{}).Capture(t.Context(), c)
	if !errors.Is(err, payment.ErrRejected) || !strings.Contains(err.Error(), "the hold has lapsed") || !strings.Contains(err.Error(), "docs/payments.md") || len(err.Error()) > 280 {
		t.Errorf("%d bytes: %v", len(err.Error()), err)
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
	g := stripe.New("sk_test_123", stripe.Config{URL: "http://127.0.0.1:1"})
	if err := g.Void(t.Context(), gatewaytest.Charge(t, 1000)); !errors.Is(err, event.ErrUnavailable) {
		t.Error(err)
	}
}
