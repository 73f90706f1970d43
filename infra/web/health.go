package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// ProbeTimeout is how long /readyz waits for one probe.
const ProbeTimeout = 2 * time.Second

var errNotReported = errors.New("has not reported yet")

// Health is what a process knows about itself: named checks, each green or red since some moment. A background loop
// reports with Set, which is all a package that may not import web needs (func(name string, err error)); a dependency
// is asked through Probe. It is safe for concurrent use.
type Health struct {
	now func() time.Time
	log *slog.Logger

	mu     sync.Mutex
	checks map[string]Check
	told   map[string]bool // which of the red ones the log has
	probes map[string]func(context.Context) error
}

// Check is one named check as /readyz shows it.
type Check struct {
	OK    bool      `json:"ok"`
	Since time.Time `json:"since"`           // when it last turned green or red
	Error string    `json:"error,omitempty"` // why it is red
}

const (
	redFor        = 5 * time.Second // how long a check is red before that is logged: much is for a moment, while a process starts
	watchInterval = 2 * time.Second
)

// NewHealth returns a registry without checks. Whenever a report is made, it logs which have stayed red; and when these are green again.
func NewHealth(now func() time.Time, log *slog.Logger) *Health {
	return &Health{now: now, log: log, checks: map[string]Check{}, told: map[string]bool{}, probes: map[string]func(context.Context) error{}}
}

// Expect registers checks as red until their first Set, so that a loop which never starts is seen.
func (h *Health) Expect(names ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range names {
		if _, known := h.checks[name]; !known {
			h.set(name, errNotReported)
		}
	}
}

// Set reports a check: green for a nil error, else red. Reporting the same again is cheap and keeps Since.
func (h *Health) Set(name string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.set(name, err)
}

func (h *Health) set(name string, err error) {
	was, now := h.checks[name], h.now().UTC()
	check := Check{OK: err == nil, Since: was.Since}
	if err != nil {
		check.Error = err.Error()
	}
	if was.Since.IsZero() || check.OK != was.OK {
		check.Since = now
	}
	h.checks[name] = check
	if check.OK && h.told[name] {
		delete(h.told, name)
		h.log.Info("check is green again", "check", name, "after", now.Sub(was.Since).Round(time.Millisecond))
	}
}

// tell logs the checks that have stayed red, each once.
func (h *Health) tell() {
	now := h.now()
	for _, name := range slices.Sorted(maps.Keys(h.checks)) {
		if check := h.checks[name]; !check.OK && !h.told[name] && now.Sub(check.Since) >= redFor {
			h.told[name] = true
			h.log.Warn("check is red", "check", name, "since", check.Since, "err", check.Error)
		}
	}
}

// Watch makes a report every few seconds until ctx ends, and returns nil: what stays red is logged though nobody asks.
func (h *Health) Watch(ctx context.Context) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		h.Report(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Probe registers a check that is asked each time somebody wants to know. The probe must be safe for concurrent use
// and heed its context; it is red when it has not answered within ProbeTimeout.
func (h *Health) Probe(name string, probe func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probes[name] = probe
}

// Report asks every probe at once and returns all checks by name, and whether each is green. When ctx ends, a check whose
// probe has not answered stays as it was: that nobody waits for the answer says nothing about it.
func (h *Health) Report(ctx context.Context) (checks map[string]Check, ready bool) {
	h.mu.Lock()
	probes := maps.Clone(h.probes)
	h.mu.Unlock()

	asking, cancel := context.WithTimeout(ctx, ProbeTimeout)
	defer cancel()
	var asked sync.WaitGroup
	for name, probe := range probes {
		asked.Go(func() {
			if err := ask(asking, probe); err == nil || ctx.Err() == nil {
				h.Set(name, err)
			}
		})
	}
	asked.Wait()

	h.mu.Lock()
	defer h.mu.Unlock()
	h.tell()
	ready = true
	for _, check := range h.checks {
		ready = ready && check.OK
	}
	return maps.Clone(h.checks), ready
}

// ask runs the probe, and leaves one behind that does not heed its context.
func ask(ctx context.Context, probe func(context.Context) error) error {
	answer := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				answer <- fmt.Errorf("probe panicked: %v", v)
			}
		}()
		answer <- probe(ctx)
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer: %w", ctx.Err())
	}
}

func (h *Health) serve(c echo.Context) error {
	checks, ready := h.Report(c.Request().Context())
	type body struct {
		*Problem
		Ready  bool             `json:"ready"`
		Checks map[string]Check `json:"checks"`
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	if ready {
		return c.JSON(http.StatusOK, body{Ready: true, Checks: checks})
	}
	var red []string
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		if !checks[name].OK {
			red = append(red, name)
		}
	}
	p := NewProblem(http.StatusServiceUnavailable, "not-ready", "Red: "+strings.Join(red, ", ")+".").RetryAfter(time.Second)
	return p.write(c.Response(), body{Problem: p, Checks: checks})
}
