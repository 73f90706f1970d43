package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"jangbu/domain/event"
	"jangbu/domain/payment"
)

// call is the body of every request to Handler.
type call struct {
	payment.Charge
	Return int   `json:"return,omitempty"`
	Refund int64 `json:"refund,omitempty"`
}

// reply is the body of every answer.
type reply struct {
	Reference string `json:"reference,omitempty"`
	Declined  string `json:"declined,omitempty"`
	Error     string `json:"error,omitempty"`
}

// Handler serves a simulator to several processes, which reach it by a Client: POST /authorise, /void, /capture, /refund,
// and GET /balances.
func Handler(s *Simulator) http.Handler {
	mux := http.NewServeMux()
	serve := func(path string, do func(ctx context.Context, c call) (string, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var c call
			if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
				answer(w, "", fmt.Errorf("read request: %w: %w", payment.ErrRejected, err))
				return
			}
			reference, err := do(r.Context(), c)
			answer(w, reference, err)
		})
	}
	serve("/authorise", func(ctx context.Context, c call) (string, error) { return s.Authorise(ctx, c.Charge) })
	serve("/void", func(ctx context.Context, c call) (string, error) { return "", s.Void(ctx, c.Charge) })
	serve("/capture", func(ctx context.Context, c call) (string, error) { return "", s.Capture(ctx, c.Charge) })
	serve("/refund", func(ctx context.Context, c call) (string, error) { return s.Refund(ctx, c.Charge, c.Return, c.Refund) })
	mux.HandleFunc("GET /balances", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(s.Balances()) // whoever asked has gone, if it fails
	})
	return mux
}

func answer(w http.ResponseWriter, reference string, err error) {
	out, status := reply{Reference: reference}, http.StatusOK
	var refusal *payment.Refusal
	switch {
	case errors.As(err, &refusal):
		out.Declined, status = refusal.Reason, http.StatusPaymentRequired
	case errors.Is(err, payment.ErrRejected):
		out.Error, status = err.Error(), http.StatusBadRequest
	case err != nil:
		out.Error, status = err.Error(), http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out)
}

// Client is a simulator that another process serves. It is safe for concurrent use.
type Client struct {
	url    string
	client *http.Client
}

// NewClient returns a client of the Handler at a URL. It makes no connection yet.
func NewClient(url string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	return &Client{url: strings.TrimSuffix(url, "/"), client: &http.Client{Transport: transport}}
}

// Authorise holds the amount.
func (c *Client) Authorise(ctx context.Context, charge payment.Charge) (string, error) {
	return c.post(ctx, "/authorise", call{Charge: charge})
}

// Void lets go of what is held.
func (c *Client) Void(ctx context.Context, charge payment.Charge) error {
	_, err := c.post(ctx, "/void", call{Charge: charge})
	return err
}

// Capture takes all that is held.
func (c *Client) Capture(ctx context.Context, charge payment.Charge) error {
	_, err := c.post(ctx, "/capture", call{Charge: charge})
	return err
}

// Refund pays a part back.
func (c *Client) Refund(ctx context.Context, charge payment.Charge, n int, amount int64) (string, error) {
	return c.post(ctx, "/refund", call{Charge: charge, Return: n, Refund: amount})
}

func (c *Client) post(ctx context.Context, path string, body call) (string, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("simulator: %w: %w", payment.ErrRejected, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(data))
	if err != nil {
		return "", fmt.Errorf("simulator: %w: %w", payment.ErrRejected, err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(r)
	if err != nil {
		return "", fmt.Errorf("simulator: %w: %w", event.ErrUnavailable, err)
	}
	defer resp.Body.Close()
	var out reply
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&out); err != nil {
		return "", fmt.Errorf("simulator: read the answer: %w: %w", event.ErrUnavailable, err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return out.Reference, nil
	case http.StatusPaymentRequired:
		return "", &payment.Refusal{Reason: out.Declined}
	case http.StatusBadRequest:
		return "", fmt.Errorf("%s: %w", out.Error, payment.ErrRejected)
	}
	return "", fmt.Errorf("%s: %w", out.Error, event.ErrUnavailable)
}
