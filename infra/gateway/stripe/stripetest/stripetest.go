// Package stripetest is enough of Stripe's API for tests: payment intents and refunds that have a state, and idempotency keys.
//
// Stripe's own stripe-mock knows every request's schema and remembers nothing; this remembers. Given a stripe-mock as its
// Schema it sends each request there first, and answers with that answer, in which only the state is changed. So
// what passes here is what Stripe's API description allows.
package stripetest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Amounts that are treated otherwise than approved.
const (
	Declined = 1002        // insufficient_funds
	Rejected = 1007        // resource_missing, wherever the payment method is told
	TooSmall = 7           // amount_too_small
	TooLarge = 100_000_000 // amount_too_large
)

// Unsupported is a currency that the account does not take.
const Unsupported = "IRR"

// Server is a Stripe account. Its zero value has no payments. It is safe for concurrent use.
type Server struct {
	Schema http.Handler // checks requests and makes answers; nil: nobody does

	// Failing is how many new requests with such an end of their path, say "confirm", are answered 500 from now on, which is saved by
	// their key as any answer is.
	Failing map[string]int
	Effect  bool // of those that fail: they are carried out all the same

	// RefundStatus is what new refunds are answered as; "": succeeded. EndRefunds is how they end later.
	RefundStatus string

	mu      sync.Mutex
	intents map[string]*intent
	refunds []map[string]any
	answers map[string]answer // by idempotency key
}

type intent struct {
	id, status       string
	amount, refunded int64
	currency         string
	metadata         map[string]string
	declined         bool
	Holds, Captures  int // how often each happened
}

type answer struct {
	request string
	status  int
	body    []byte
}

// failure is an error as Stripe answers it.
type failure struct {
	status          int
	kind, code, why string
	param           string
	decline         string
}

func invalid(code, param, why string) *failure {
	return &failure{400, "invalid_request_error", code, why, param, ""}
}

func unexpected(in *intent) *failure {
	return invalid("payment_intent_unexpected_state", "", "The intent is "+in.status+".")
}

// Once reports what happened more than once, or was kept although it was let go of.
func (s *Server) Once() (wrong []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	holds, kept, cancelled := map[string]int{}, map[string]bool{}, map[string]bool{} // by order, which may have several intents
	for _, in := range s.intents {
		if in.Holds > 1 || in.Captures > 1 || in.refunded > in.amount {
			wrong = append(wrong, fmt.Sprintf("%+v", *in))
		}
		order := in.metadata["order_id"]
		holds[order] += in.Holds
		kept[order] = kept[order] || in.status == "requires_capture" || in.status == "succeeded"
		cancelled[order] = cancelled[order] || in.status == "canceled"
	}
	for order, n := range holds {
		if n > 1 || kept[order] && cancelled[order] {
			wrong = append(wrong, fmt.Sprintf("order %s: held %d times, kept %v, cancelled %v", order, n, kept[order], cancelled[order]))
		}
	}
	return wrong
}

// EndRefunds puts all refunds of so far into a status. The money of those that are failed or canceled is the account's again.
func (s *Server) EndRefunds(status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, refund := range s.refunds {
		s.book(refund, -1)
		refund["status"] = status
		s.book(refund, 1)
	}
}

// Lapse lets all holds of so far go, as Stripe does after some days.
func (s *Server) Lapse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.intents {
		if in.status == "requires_capture" {
			in.status = "canceled"
		}
	}
}

// book counts a refund in, or with -1 out, unless it pays nothing.
func (s *Server) book(refund map[string]any, sign int64) {
	if status := refund["status"]; status != "failed" && status != "canceled" {
		s.intents[refund["payment_intent"].(string)].refunded += sign * refund["amount"].(int64)
	}
}

// Money is what the intents of an order are about, and what of it has been paid back, as Stripe counts in the currency.
func (s *Server) Money(orderID string) (amount, refunded int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.intents {
		if in.metadata["order_id"] == orderID {
			amount, refunded = amount+in.amount, refunded+in.refunded
		}
	}
	return amount, refunded
}

// ServeHTTP answers one request of the API. Requests are answered one at a time.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.intents == nil {
		s.intents, s.answers = map[string]*intent{}, map[string]answer{}
	}
	key, request := r.Header.Get("Idempotency-Key"), r.Method+" "+r.URL.Path+" "+string(body)
	if held, ok := s.answers[key]; ok && key != "" {
		if held.request != request {
			write(w, 400, encode(&failure{400, "idempotency_error", "", "The key came with another request.", "", ""}))
			return
		}
		w.Header().Set("Idempotent-Replayed", "true")
		write(w, held.status, held.body)
		return
	}
	status, out := s.answerOrFail(r, body)
	if key != "" {
		s.answers[key] = answer{request, status, out}
	}
	write(w, status, out)
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func encode(f *failure) []byte {
	e := map[string]any{"type": f.kind, "code": f.code, "message": f.why}
	if f.param != "" {
		e["param"] = f.param
	}
	if f.decline != "" {
		e["decline_code"] = f.decline
	}
	out, _ := json.Marshal(map[string]any{"error": e})
	return out
}

func (s *Server) answerOrFail(r *http.Request, body []byte) (int, []byte) {
	kind := path.Base(r.URL.Path)
	if r.Method != http.MethodPost || s.Failing[kind] == 0 {
		return s.answer(r, body)
	}
	s.Failing[kind]--
	if s.Effect {
		s.answer(r, body)
	}
	return 500, encode(&failure{500, "api_error", "", "An unknown error occurred.", "", ""})
}

func (s *Server) answer(r *http.Request, body []byte) (int, []byte) {
	base := map[string]any{}
	if s.Schema != nil {
		w, forward := httptest.NewRecorder(), r.Clone(r.Context())
		forward.Body = io.NopCloser(bytes.NewReader(body))
		if s.Schema.ServeHTTP(w, forward); w.Code != http.StatusOK {
			return w.Code, w.Body.Bytes()
		}
		if err := json.Unmarshal(w.Body.Bytes(), &base); err != nil {
			return 500, []byte(err.Error())
		}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return 400, encode(invalid("", "", err.Error()))
	}
	state, failed := s.route(r, form)
	if failed != nil {
		return failed.status, encode(failed)
	}
	for name, value := range state {
		base[name] = value
	}
	out, err := json.Marshal(base)
	if err != nil {
		return 500, []byte(err.Error())
	}
	return 200, out
}

func (s *Server) route(r *http.Request, form url.Values) (map[string]any, *failure) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/v1/payment_intents" && r.Method == http.MethodPost:
		return s.create(form)
	case r.URL.Path == "/v1/refunds" && r.Method == http.MethodPost:
		return s.refund(form)
	case r.URL.Path == "/v1/refunds":
		return s.listRefunds(r.URL.Query()), nil
	case len(parts) >= 3 && parts[1] == "payment_intents" && s.intents[parts[2]] != nil:
		in := s.intents[parts[2]]
		if len(parts) == 3 {
			return in.json(), nil
		}
		return s.change(in, parts[3], form)
	}
	return nil, &failure{404, "invalid_request_error", "resource_missing", "No such thing: " + r.URL.Path, "", ""}
}

func (s *Server) create(form url.Values) (map[string]any, *failure) {
	amount, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	if err != nil || amount < 50 {
		return nil, invalid("amount_too_small", "amount", "The amount is too small.")
	}
	if amount >= TooLarge {
		return nil, invalid("amount_too_large", "amount", "The amount is too large.")
	}
	if form.Get("currency") == strings.ToLower(Unsupported) {
		return nil, invalid("", "currency", "Invalid currency: "+form.Get("currency")+".")
	}
	if failed := wrongAmount(amount, form.Get("currency")); failed != nil {
		return nil, failed
	}
	in := &intent{id: fmt.Sprintf("pi_%d", len(s.intents)+1), status: "requires_confirmation", amount: amount,
		currency: form.Get("currency"), metadata: metadata(form)}
	switch {
	case form.Get("payment_method") == "":
		in.status = "requires_payment_method"
	case amount == Rejected:
		return nil, noMethod(form)
	}
	s.intents[in.id] = in
	return in.json(), nil
}

// wrongAmount refuses what is no amount of that currency at Stripe, where some have their own rules.
func wrongAmount(amount int64, currency string) *failure {
	step := map[string]int64{"isk": 100, "ugx": 100, "bhd": 10, "jod": 10, "kwd": 10, "omr": 10, "tnd": 10}[currency]
	if step == 0 || amount%step == 0 {
		return nil
	}
	return invalid("", "amount", fmt.Sprintf("Invalid amount: in %s it must be evenly divisible by %d.", currency, step))
}

func noMethod(form url.Values) *failure {
	return invalid("resource_missing", "payment_method", "No such PaymentMethod: '"+form.Get("payment_method")+"'.")
}

func metadata(form url.Values) map[string]string {
	all := map[string]string{}
	for name := range form {
		if key, ok := strings.CutPrefix(name, "metadata["); ok {
			all[strings.TrimSuffix(key, "]")] = form.Get(name)
		}
	}
	return all
}

func (in *intent) json() map[string]any {
	out := map[string]any{"id": in.id, "object": "payment_intent", "status": in.status, "amount": in.amount, "currency": in.currency,
		"capture_method": "manual", "metadata": in.metadata, "last_payment_error": nil}
	if in.declined {
		out["last_payment_error"] = map[string]any{"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}
	}
	return out
}

func (s *Server) change(in *intent, step string, form url.Values) (map[string]any, *failure) {
	charged := step == "confirm" && (in.status == "requires_confirmation" || in.status == "requires_payment_method" && form.Get("payment_method") != "")
	switch {
	case charged && in.amount == Rejected:
		return nil, noMethod(form)
	case charged && in.amount == Declined:
		in.status, in.declined = "requires_payment_method", true
		return nil, &failure{402, "card_error", "card_declined", "Your card has insufficient funds.", "", "insufficient_funds"}
	case charged:
		in.status = "requires_capture"
		in.Holds++
	case step == "capture" && in.status == "requires_capture":
		in.status = "succeeded"
		in.Captures++
	case step == "cancel" && strings.HasPrefix(in.status, "requires_"):
		in.status = "canceled"
	default:
		return nil, unexpected(in)
	}
	return in.json(), nil
}

func (s *Server) refund(form url.Values) (map[string]any, *failure) {
	in := s.intents[form.Get("payment_intent")]
	amount, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	switch {
	case in == nil || err != nil || amount < 1 || in.status != "succeeded":
		return nil, invalid("", "", "This payment has no successful charge.")
	case wrongAmount(amount, in.currency) != nil:
		return nil, wrongAmount(amount, in.currency)
	case in.refunded+amount > in.amount:
		return nil, invalid("charge_already_refunded", "", "Too much.")
	}
	refund := map[string]any{"id": fmt.Sprintf("re_%d", len(s.refunds)+1), "object": "refund", "status": cmp.Or(s.RefundStatus, "succeeded"),
		"amount": amount, "payment_intent": in.id, "metadata": metadata(form)}
	if refund["status"] == "failed" {
		refund["failure_reason"] = "lost_or_stolen_card"
	}
	s.book(refund, 1)
	s.refunds = append(s.refunds, refund)
	return refund, nil
}

// listRefunds is a page of them, the newest first.
func (s *Server) listRefunds(query url.Values) map[string]any {
	left := 10
	if n, err := strconv.Atoi(query.Get("limit")); err == nil {
		left = min(n, 100)
	}
	data, more := []map[string]any{}, false
	begun := query.Get("starting_after") == ""
	for _, refund := range slices.Backward(s.refunds) {
		switch {
		case refund["payment_intent"] != query.Get("payment_intent"):
		case !begun:
			begun = refund["id"] == query.Get("starting_after")
		case len(data) == left:
			more = true
		default:
			data = append(data, refund)
		}
	}
	return map[string]any{"object": "list", "url": "/v1/refunds", "has_more": more, "data": data}
}
