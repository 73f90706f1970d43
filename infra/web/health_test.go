package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHealth(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	start := now
	var log strings.Builder
	h := NewHealth(func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil)))
	report := func() (map[string]Check, bool) { return h.Report(t.Context()) }
	if _, ready := report(); !ready {
		t.Error("without checks it is not ready")
	}

	h.Expect("relay")
	h.Expect("relay")
	if checks, ready := report(); ready || checks["relay"].Error == "" {
		t.Errorf("a loop that never reported: %+v, ready %v", checks, ready)
	}
	now = now.Add(time.Minute)
	h.Set("relay", nil)
	h.Expect("relay")
	if checks, ready := report(); !ready || !checks["relay"].Since.Equal(now) || checks["relay"].Error != "" {
		t.Errorf("green: %+v, ready %v", checks, ready)
	}
	red := now.Add(time.Minute)
	for _, text := range []string{"away", "still away"} {
		now = now.Add(time.Minute)
		h.Set("relay", errors.New(text))
		if checks, ready := report(); ready || checks["relay"] != (Check{Since: red, Error: text}) {
			t.Errorf("red: %+v, ready %v, started %v", checks, ready, start)
		}
	}
	h.Set("relay", nil)
	said := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(said) != 2 || !strings.Contains(said[0], `level=WARN msg="check is red" check=relay since=2026-01-01T00:02:00.000Z err="still away"`) ||
		!strings.Contains(said[1], `msg="check is green again" check=relay after=1m0s`) {
		t.Errorf("logged: %q", said)
	}
}

func TestHealthProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth(time.Now, slog.New(slog.DiscardHandler))
		var down error
		h.Probe("redis", func(context.Context) error { return down })
		if checks, ready := h.Report(t.Context()); !ready || !checks["redis"].OK {
			t.Errorf("%+v, ready %v", checks, ready)
		}
		down = errors.New("refused")
		if checks, ready := h.Report(t.Context()); ready || checks["redis"].Error != "refused" {
			t.Errorf("%+v, ready %v", checks, ready)
		}
		h.Probe("redis", func(context.Context) error { panic("no client") })
		if checks, ready := h.Report(t.Context()); ready || checks["redis"].Error != "probe panicked: no client" {
			t.Errorf("%+v, ready %v", checks, ready)
		}
		// One that heeds no context must not hang the others.
		release := make(chan struct{})
		h.Probe("redis", func(context.Context) error { return nil })
		h.Probe("store", func(context.Context) error { <-release; return nil })
		begin := time.Now()
		if checks, ready := h.Report(t.Context()); ready || checks["store"].OK || !checks["redis"].OK || time.Since(begin) != ProbeTimeout {
			t.Errorf("%+v, ready %v after %v", checks, ready, time.Since(begin))
		}
		close(release)
	})
}

// TestHealthClientLeaves: a client that hangs up while a probe is asked does not turn it red.
func TestHealthClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth(time.Now, slog.New(slog.DiscardHandler))
		h.Probe("redis", func(ctx context.Context) error { // as a client of Redis, which says so at once
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		h.Probe("store", func(context.Context) error { time.Sleep(time.Second); return nil })
		before, ready := h.Report(t.Context())
		if !ready || len(before) != 2 {
			t.Fatalf("%+v, ready %v", before, ready)
		}
		ctx, leave := context.WithTimeout(t.Context(), time.Second/2)
		defer leave()
		if checks, ready := h.Report(ctx); !ready || !maps.Equal(checks, before) {
			t.Errorf("when a client has left: %+v, ready %v", checks, ready)
		}
		if checks, _ := h.Report(t.Context()); !maps.Equal(checks, before) {
			t.Errorf("for the next client: %+v, at first %+v", checks, before)
		}
	})
}

func TestReadyz(t *testing.T) {
	h := NewHealth(func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }, slog.New(slog.DiscardHandler))
	e := New(Config{Health: h, Log: quiet()})
	h.Set("relay", nil)
	a := get(e, "/readyz")
	if want := `{"ready":true,"checks":{"relay":{"ok":true,"since":"2026-01-02T03:04:05Z"}}}`; a.Code != 200 || trimmed(a) != want {
		t.Errorf("%d %s", a.Code, trimmed(a))
	}
	h.Set("apply", errors.New("redis is away"))
	a = get(e, "/readyz")
	var body struct {
		Problem
		Ready  bool
		Checks map[string]Check
	}
	if err := json.Unmarshal(a.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if a.Code != 503 || body.Status != 503 || body.Code() != "not-ready" || body.Detail != "Red: apply." || body.Ready ||
		body.Checks["apply"].Error != "redis is away" || !body.Checks["relay"].OK || a.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v %s", a.Code, a.Header(), trimmed(a))
	}
	if a := get(e, "/healthz"); a.Code != 200 || trimmed(a) != `{"status":"ok"}` {
		t.Errorf("healthz of a red process: %d %s", a.Code, trimmed(a))
	}
}
