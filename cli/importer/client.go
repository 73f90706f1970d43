package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"jangbu/infra/backoff"
)

// ErrStopped is wrapped by the error of a run that ended before its plan did, because nothing was answered for good any
// more. The run can be repeated to resume it.
var ErrStopped = errors.New("the import does not get on")

// ErrNoAPI is wrapped by the error of a run that ended because what answers at its URL takes no batches of commands: it is
// another service, or something before the API that lets none through.
var ErrNoAPI = errors.New("is that jangbu's command API?")

// ErrNoURL is wrapped by the error of a run that is told to post to something else than a URL.
var ErrNoURL = errors.New("is not a URL such as http://127.0.0.1:8080")

// errTooLarge is wrapped by the error of a batch of several commands that is larger than the API, or something before it, takes.
var errTooLarge = errors.New("fewer at once may fit")

// client posts commands until they are answered for good. It is safe for concurrent use.
type client struct {
	http     *http.Client
	base     string
	patience time.Duration
	backoff  time.Duration
	began    time.Time
	progress atomic.Int64 // when the server last gave an answer for good, as nanoseconds since began
}

const (
	tryTimeout    = 30 * time.Second // of one try of one batch
	maxBackoff    = 2 * time.Second  // of the pause between two tries of one request
	maxRetryAfter = 10 * time.Second // of one that the server asks for
	maxFaults     = 4                // tries of a command that the server answers with 500
	maxAnswer     = 16 << 20
)

// answer is what the server said for good.
type answer struct {
	status  int
	problem problemBody
}

// problemBody is the part of an RFC 9457 problem that a person wants to read.
type problemBody struct {
	Type   string `json:"type"`
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
		return nil, fmt.Errorf("%q %w", cfg.URL, ErrNoURL)
	}
	c := &client{http: cfg.HTTP, base: strings.TrimRight(cfg.URL, "/"), patience: cfg.Patience,
		backoff: cfg.Backoff, began: time.Now()}
	if c.http == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, cfg.Workers
		c.http = &http.Client{Transport: transport}
	}
	return c, nil
}

// post sends commands in batches until each is answered for good or to come later, pausing longer after each try that
// failed in passing: no connection, no answer in time, a status that says to come back. Only the commands that are not
// answered go again, and after a batch without an answer half as many at once, so that a connection that breaks over and
// over still brings some through. A batch that is too large goes in halves at once; a command that is too large by itself has
// its answer. The error is that of ctx, or ErrNoAPI, or ErrStopped when no command of this client has been
// answered for the client's patience.
func (c *client) post(ctx context.Context, steps []*step) ([]answer, error) {
	started := time.Now()
	p := &posting{steps: steps, answers: make([]answer, len(steps)), faults: make([]int, len(steps)), size: len(steps), most: len(steps)}
	for i := range steps {
		p.open = append(p.open, i)
	}
	for failed := 0; ; failed++ {
		before := len(p.open)
		pause, err := c.try(ctx, p)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if len(p.open) < before {
			failed = 0
		}
		if len(p.open) == 0 {
			return p.answers, nil
		}
		if err == nil {
			continue
		}
		if errors.Is(err, ErrNoAPI) {
			return nil, err
		}
		if err := c.silent(started, c.patience, err); err != nil {
			return nil, err
		}
		if backoff.Sleep(ctx, max(pause, c.jitter(failed))) != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// silent is ErrStopped if nothing has been answered for good for longer than patience, reckoned from since at the earliest;
// why is what was answered instead.
func (c *client) silent(since time.Time, patience time.Duration, why error) error {
	quiet := min(time.Since(since), time.Since(c.began)-time.Duration(c.progress.Load()))
	if quiet <= patience {
		return nil
	}
	return fmt.Errorf("%w: %s, nothing for %s (%w)", ErrStopped, c.base, patience, why)
}

// posting is what has come of the commands of one call of post.
type posting struct {
	steps   []*step
	answers []answer
	faults  []int // answers with 500, by command
	open    []int // commands without an answer for good
	size    int   // of the next batch
	most    int   // commands of a batch that may fit
}

// try sends one batch of the open commands. Those that have to go again go behind the others; the error says why, and
// pause is the least that the server asks for.
func (c *client) try(ctx context.Context, p *posting) (pause time.Duration, why error) {
	sent := p.open[:min(p.size, len(p.open))]
	batch := make([]command, len(sent))
	for k, i := range sent {
		s := p.steps[i]
		batch[k] = command{Path: s.path, Body: s.body, Key: s.key, IfMatch: s.ifMatch}
	}
	got, pause, err := c.send(ctx, batch)
	if err != nil {
		p.size = max(1, len(sent)/2)
		if errors.Is(err, errTooLarge) {
			p.most, err = p.size, nil
		}
		return pause, err
	}
	p.size = min(2*p.size, p.most)
	rest := slices.Clone(p.open[len(sent):])
	for k, i := range sent {
		p.answers[i] = got[k]
		if got[k].status == http.StatusInternalServerError {
			p.faults[i]++
		}
		switch {
		case got[k].passing() && p.faults[i] < maxFaults:
			rest, why = append(rest, i), errors.New(got[k].text())
		case !got[k].later():
			c.progress.Store(int64(time.Since(c.began)))
		}
	}
	p.open = rest
	return 0, why
}

// jitter is a random pause between half and all of the backoff, which doubles with every try.
func (c *client) jitter(try int) time.Duration {
	return backoff.Jittered(min(c.backoff<<min(try, 16), maxBackoff))
}

// command is a command of a batch, and commandAnswer its answer: see POST /batch.
type command struct {
	Path    string          `json:"path"`
	Body    json.RawMessage `json:"body"`
	Key     string          `json:"idempotency_key,omitempty"`
	IfMatch string          `json:"if_match,omitempty"`
}

type commandAnswer struct {
	Status int         `json:"status"`
	Body   problemBody `json:"body"`
}

// send posts a batch. An error other than ErrNoAPI and errTooLarge means that the answer may be another next time; pause is then the least
// the server asks for.
func (c *client) send(ctx context.Context, batch []command) (answers []answer, pause time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	body, err := json.Marshal(batch)
	if err != nil {
		return nil, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/batch", bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, 0, fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK { // that is about no command, but for 413: a 404 does not say that a product is not there
		a := answer{status: resp.StatusCode}
		if json.Unmarshal(body, &a.problem) != nil {
			a.problem = problemBody{} // not from our server; the status says enough
		}
		if a.status == http.StatusRequestEntityTooLarge {
			if len(batch) == 1 {
				return []answer{a}, 0, nil
			}
			return nil, 0, fmt.Errorf("%s: %w", a.text(), errTooLarge)
		}
		if a.passing() {
			return nil, retryAfter(resp.Header.Get("Retry-After")), errors.New(a.text())
		}
		return nil, 0, fmt.Errorf("%s answers POST /batch with %s: %w", c.base, a.text(), ErrNoAPI)
	}
	var all []commandAnswer
	if err := json.Unmarshal(body, &all); err != nil || len(all) != len(batch) {
		return nil, 0, fmt.Errorf("the answer to a batch of %d commands cannot be read (%d answers, %w)", len(batch), len(all), err)
	}
	for _, one := range all {
		answers = append(answers, answer{status: one.Status, problem: one.Body})
	}
	return answers, 0, nil
}

// passing reports whether the same command may be answered otherwise when it comes again.
func (a answer) passing() bool {
	switch a.status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// later reports whether a command can only be carried out when fulfilment has come to its order. That may take longer than a
// worker should wait.
func (a answer) later() bool { return strings.HasSuffix(a.problem.Type, notConfirmed) }

// notConfirmed ends the type of the problem of shipping an order whose fulfilment is still under way.
const notConfirmed = ":order-not-confirmed"

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
