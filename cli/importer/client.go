package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// ErrStopped is wrapped by the error of a run that ended before its plan did, because the server stayed silent.
// The run can be repeated to resume it.
var ErrStopped = errors.New("the server does not answer")

// client posts requests until they are answered for good. It is safe for concurrent use.
type client struct {
	http     *http.Client
	base     string
	timeout  time.Duration
	patience time.Duration
	backoff  time.Duration
	began    time.Time
	progress atomic.Int64 // when the server last gave an answer for good, as nanoseconds since began
}

// Limits of the pause between two tries of one request.
const (
	maxBackoff    = 2 * time.Second
	maxRetryAfter = 10 * time.Second
	maxFaults     = 4 // tries of a request that the server answers with 500
)

// answer is what the server said for good.
type answer struct {
	status  int
	problem problemBody
}

// problemBody is the part of an RFC 9457 problem that a person wants to read.
type problemBody struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"errors"`
}

func newClient(cfg Config) (*client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("%q is not a URL such as http://127.0.0.1:8080", cfg.URL)
	}
	c := &client{http: cfg.HTTP, base: strings.TrimRight(cfg.URL, "/"), timeout: cfg.Timeout, patience: cfg.Patience,
		backoff: cfg.Backoff, began: time.Now()}
	if c.http == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, cfg.Workers
		c.http = &http.Client{Transport: transport}
	}
	return c, nil
}

// post sends one request until the server answers it for good, pausing longer after each try that failed in passing:
// no connection, no answer in time, or a status that says to come back. Its error is that of ctx, or ErrStopped when no
// request of this client has been answered for the client's patience.
func (c *client) post(ctx context.Context, s *step) (answer, error) {
	started := time.Since(c.began)
	faults := 0
	for try := 0; ; try++ {
		a, pause, err := c.send(ctx, s)
		if ctx.Err() != nil {
			return answer{}, context.Cause(ctx)
		}
		if a.status == http.StatusInternalServerError {
			faults++
		}
		if err == nil || faults == maxFaults {
			c.progress.Store(int64(time.Since(c.began)))
			return a, nil
		}
		silent := time.Since(c.began) - max(started, time.Duration(c.progress.Load()))
		if silent > c.patience {
			return answer{}, fmt.Errorf("%w: %s, nothing for %s (%w)", ErrStopped, c.base, c.patience, err)
		}
		wait := time.NewTimer(max(pause, c.jitter(try)))
		select {
		case <-ctx.Done():
			wait.Stop()
			return answer{}, context.Cause(ctx)
		case <-wait.C:
		}
	}
}

// jitter is a random pause between half and all of the backoff, which doubles with every try.
func (c *client) jitter(try int) time.Duration {
	top := min(c.backoff<<min(try, 16), maxBackoff)
	return top/2 + rand.N(top/2+1)
}

// send tries once. An error means that the answer may be another next time; pause is then the least the server asks for.
func (c *client) send(ctx context.Context, s *step) (a answer, pause time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+s.path, bytes.NewReader(s.body))
	if err != nil {
		return answer{}, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if s.key != "" {
		req.Header.Set("Idempotency-Key", s.key)
	}
	if s.ifMatch != "" {
		req.Header.Set("If-Match", s.ifMatch)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return answer{}, 0, fmt.Errorf("read answer: %w", err)
	}
	a.status = resp.StatusCode
	if a.status >= 400 && json.Unmarshal(body, &a.problem) != nil {
		a.problem = problemBody{} // not from our server; the status says enough
	}
	switch a.status {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return a, retryAfter(resp.Header.Get("Retry-After")), errors.New(a.text())
	}
	return a, 0, nil
}

// retryAfter reads the header's form in seconds, bounded; the form with a date is left to the backoff.
func retryAfter(header string) time.Duration {
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// good reports whether the step is done.
func (a answer) good(s *step) bool {
	if a.status >= 200 && a.status < 300 {
		return true
	}
	for _, status := range s.fine {
		if a.status == status {
			return true
		}
	}
	return false
}

// text is the answer in one line.
func (a answer) text() string {
	out := strconv.Itoa(a.status) + " " + http.StatusText(a.status)
	if detail := a.problem.Detail; detail != "" {
		out += ": " + detail
	} else if a.problem.Title != "" {
		out += ": " + a.problem.Title
	}
	for _, e := range a.problem.Errors {
		out += "; " + e.Pointer + ": " + e.Detail
	}
	return strings.Join(strings.Fields(out), " ")
}
