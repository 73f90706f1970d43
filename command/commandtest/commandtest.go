// Package commandtest is what the command API promises, as a suite that any Store runs: the routes, the errors, and
// exactly-once under retries and concurrency, all over HTTP.
package commandtest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"jangbu/command"
	"jangbu/infra/web"
)

// Now is the clock of a Client's service.
var Now = time.Date(2026, 2, 28, 15, 0, 0, 0, time.UTC)

// Client calls a command API in this process.
type Client struct {
	t    testing.TB
	echo *echo.Echo
}

// NewClient starts the API over a store. A second client of the same store is a second process, or the same after a
// restart.
func NewClient(t testing.TB, store command.Store, cfg command.Config) *Client {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return Now }
	}
	e := web.New(web.Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	command.New(store, cfg).Register(e)
	return &Client{t: t, echo: e}
}

// Answer is what the API answered.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Post sends a JSON body. Each header is "Name: value".
func (c *Client) Post(path, body string, headers ...string) Answer {
	return c.Do(http.MethodPost, path, body, append([]string{"Content-Type: application/json"}, headers...)...)
}

// Do sends a request. Each header is "Name: value".
func (c *Client) Do(method, path, body string, headers ...string) Answer {
	c.t.Helper()
	return c.DoContext(context.Background(), method, path, body, headers...)
}

// DoContext is Do by a client that goes away when ctx ends.
func (c *Client) DoContext(ctx context.Context, method, path, body string, headers ...string) Answer {
	c.t.Helper()
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ": ")
		if !ok {
			c.t.Errorf("header %q is not of the form Name: value", h)
		}
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	c.echo.ServeHTTP(w, r)
	header := w.Header().Clone()
	header.Del(web.HeaderRequestID) // every request has its own
	return Answer{w.Code, header, strings.TrimSpace(w.Body.String())}
}

// Must is Post for the setting of a scene: anything but a success ends the test.
func (c *Client) Must(path, body string, headers ...string) Answer {
	c.t.Helper()
	a := c.Post(path, body, headers...)
	if a.Status >= 300 {
		c.t.Fatalf("POST %s %s: %d %s", path, body, a.Status, a.Body)
	}
	return a
}

// Equal reports whether two answers are the same to the byte, headers included.
func (a Answer) Equal(b Answer) bool {
	return a.Status == b.Status && a.Body == b.Body &&
		maps.EqualFunc(a.Header, b.Header, func(x, y []string) bool { return strings.Join(x, "\n") == strings.Join(y, "\n") })
}

// Done is the body of a success.
type Done struct {
	ID       string `json:"id"`
	Stream   string `json:"stream"`
	Revision int64  `json:"revision"`
}

// Done decodes a success and checks that status, headers and body agree.
func (a Answer) Done(t testing.TB) Done {
	t.Helper()
	var d Done
	if err := json.Unmarshal([]byte(a.Body), &d); err != nil || (a.Status != 200 && a.Status != 201) {
		t.Fatalf("answer %d %s (%v)", a.Status, a.Body, err)
	}
	if got, want := a.Header.Get("ETag"), web.ETag(d.Revision); got != want {
		t.Errorf("ETag %s, want %s", got, want)
	}
	if got, want := a.Header.Get("Consistency-Token"), web.ConsistencyToken(d.Stream, d.Revision); got != want {
		t.Errorf("Consistency-Token %s, want %s", got, want)
	}
	category := strings.TrimSuffix(d.Stream, "-"+d.ID)
	if location := a.Header.Get("Location"); (a.Status == 201) != (location == "/"+category+"s/"+d.ID) {
		t.Errorf("%d with Location %q for %s", a.Status, location, d.Stream)
	}
	return d
}

// Problem decodes a failure, checks its shape, and returns its code and the pointers of its errors.
func (a Answer) Problem(t testing.TB) (code string, pointers []string) {
	t.Helper()
	var p web.Problem
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil {
		t.Fatalf("answer %d %s: %v", a.Status, a.Body, err)
	}
	if got := a.Header.Get("Content-Type"); got != web.MediaTypeProblem {
		t.Errorf("Content-Type %s", got)
	}
	if p.Status != a.Status || p.Title == "" || p.Detail == "" || p.Code() == p.Type {
		t.Errorf("answer %d %s", a.Status, a.Body)
	}
	if a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") == "" {
		t.Errorf("503 without Retry-After")
	}
	for _, f := range p.Errors {
		if f.Detail == "" {
			t.Errorf("no detail at %s", f.Pointer)
		}
		pointers = append(pointers, f.Pointer)
	}
	return p.Code(), pointers
}

// Shop sets the scene most tests need: member vinet, products queso and apples in USD, mochi in JPY, chai discontinued, and
// orders open, sent and off.
func (c *Client) Shop() {
	c.t.Helper()
	c.Must("/members", `{"id":"vinet","name":"Vins et alcools","country":"France"}`)
	c.Must("/products", `{"id":"queso","name":"Queso","category":"Dairy","price":1400,"currency":"USD"}`)
	c.Must("/products", `{"id":"apples","name":"Apples","category":"Produce","price":4240,"currency":"USD"}`)
	c.Must("/products", `{"id":"mochi","name":"Mochi","category":"Sweets","price":100,"currency":"JPY"}`)
	c.Must("/products", `{"id":"ring","name":"Ring","category":"Jewels","price":1000000000000,"currency":"USD"}`)
	c.Must("/products", `{"id":"chai","name":"Chai","category":"Beverages","price":1800,"currency":"USD"}`)
	c.Must("/products/chai/discontinue", "")
	for _, id := range []string{"open", "sent", "off"} {
		c.Must("/orders", `{"id":"`+id+`","member_id":"vinet","manual":true,"lines":[{"product_id":"queso","quantity":2}]}`)
	}
	c.Must("/orders/sent/ship", `{"carrier":"Federal","shipped_on":"2026-02-28"}`)
	c.Must("/orders/off/cancel", `{"reason":"late"}`)
}
