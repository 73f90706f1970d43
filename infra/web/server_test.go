package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func get(e *echo.Echo, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func trimmed(w *httptest.ResponseRecorder) string { return strings.TrimSpace(w.Body.String()) }

// routes serves a handler a kind of failure, and logs to the buffer.
func routes(level slog.Level) (*echo.Echo, *bytes.Buffer) {
	var log bytes.Buffer
	e := New(Config{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level})), BodyLimit: 100})
	e.GET("/fine", func(c echo.Context) error { return c.String(200, "fine") })
	e.GET("/missing", func(echo.Context) error { return fmt.Errorf("wrapped: %w", NotFound("order", "7")) })
	e.GET("/away", func(echo.Context) error { return Unavailable("Away.", errors.New("secret")) })
	e.GET("/bug", func(echo.Context) error { return errors.New("secret") })
	e.GET("/teapot", func(echo.Context) error { return echo.NewHTTPError(418, "short and stout") })
	e.GET("/panic", func(echo.Context) error { panic("secret") })
	e.GET("/gone", func(echo.Context) error { return context.Canceled })
	e.GET("/half", func(c echo.Context) error {
		c.Response().WriteHeader(200)
		_, _ = c.Response().Write([]byte("half"))
		panic("secret")
	})
	e.POST("/echo", func(c echo.Context) error {
		var v thing
		if err := Decode(c, &v); err != nil {
			return err
		}
		return c.JSON(200, v)
	})
	return e, &log
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		code                     string
		header, value            string
		logged                   int // lines
	}{
		{"a problem, wrapped", "GET", "/missing", "", 404, "order-not-found", "", "", 0},
		{"no route", "GET", "/nowhere", "", 404, "route-not-found", "", "", 0},
		{"no route, with a body", "POST", "/nowhere", "{}", 404, "route-not-found", "", "", 0},
		{"no such method", "DELETE", "/fine", "", 405, "method-not-allowed", "Allow", "OPTIONS, GET, HEAD", 0},
		{"no such method of what is posted", "GET", "/echo", "", 405, "method-not-allowed", "Allow", "OPTIONS, POST", 0},
		{"a dependency away", "GET", "/away", "", 503, "unavailable", "Retry-After", "1", 0},
		{"an error of echo's", "GET", "/teapot", "", 418, "i'm-a-teapot", "", "", 0},
		{"the client gone", "GET", "/gone", "", 503, "unavailable", "", "", 0},
		{"a bug", "GET", "/bug", "", 500, "internal", "", "", 1},
		{"a panic", "GET", "/panic", "", 500, "internal", "", "", 1},
		{"too large by its length", "POST", "/echo", `{"name":"` + strings.Repeat("x", 100) + `"}`, 413, "body-too-large", "", "", 0},
		{"malformed", "POST", "/echo", `{`, 400, "malformed-body", "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, log := routes(slog.LevelInfo)
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatalf("%s: %v", w.Body, err)
			}
			if w.Code != c.status || p.Status != c.status || p.Type != "urn:jangbu:problem:"+c.code || p.Title == "" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type %s", got)
			}
			if got := w.Header().Get(c.header); c.header != "" && got != c.value {
				t.Errorf("%s: %q, want %q", c.header, got, c.value)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the body tells a secret: %s", w.Body)
			}
			if got := strings.Count(log.String(), "\n"); got != c.logged {
				t.Errorf("%d lines in the log:\n%s", got, log)
			}
			id := w.Header().Get(HeaderRequestID)
			if c.status == 500 && (!strings.Contains(log.String(), "secret") || !strings.Contains(log.String(), id) || p.Instance != "urn:jangbu:request:"+id) {
				t.Errorf("instance %s, request %s, log %s", p.Instance, id, log)
			}
		})
	}
}

func TestBodyOfUnknownLength(t *testing.T) {
	e, _ := routes(slog.LevelInfo)
	r := httptest.NewRequest(http.MethodPost, "/echo", io.MultiReader(strings.NewReader(`{"name":"`), strings.NewReader(strings.Repeat("x", 100)), strings.NewReader(`"}`)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	if w.Code != 413 || !strings.Contains(w.Body.String(), "body-too-large") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRequestID(t *testing.T) {
	e, _ := routes(slog.LevelInfo)
	ask := func(id string) string {
		r := httptest.NewRequest(http.MethodGet, "/fine", nil)
		if id != "" {
			r.Header.Set(HeaderRequestID, id)
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		return w.Header().Get(HeaderRequestID)
	}
	if got := ask("mine-1"); got != "mine-1" {
		t.Errorf("the client's id became %q", got)
	}
	for _, bad := range []string{"", "a b", "é", strings.Repeat("x", 129)} {
		if first, second := ask(bad), ask(bad); len(first) != 32 || first == second || first == bad {
			t.Errorf("for %q: %q, then %q", bad, first, second)
		}
	}
}

func TestAccessLog(t *testing.T) {
	e, log := routes(slog.LevelDebug)
	get(e, "/fine")
	get(e, "/away")
	for _, want := range []string{"method=GET path=/fine status=200 bytes=4", "path=/away status=503", "secret"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
}

// start serves e on a free port and returns its address, and what stops it and returns what Serve returned.
func start(t *testing.T, e *echo.Echo, grace time.Duration) (addr string, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, e, listener, grace) }()
	return "http://" + listener.Addr().String(), func() error { cancel(); return <-served }
}

func TestServeHead(t *testing.T) {
	e, _ := routes(slog.LevelInfo)
	addr, stop := start(t, e, time.Minute)
	response, err := http.Head(addr + "/fine")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if response.StatusCode != 200 || response.ContentLength != 4 || len(body) != 0 {
		t.Errorf("%s, length %d, body %q", response.Status, response.ContentLength, body)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	e, _ := routes(slog.LevelInfo)
	for path, want := range map[string]string{"/fine": "OPTIONS, GET, HEAD", "/echo": "OPTIONS, POST"} {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(http.MethodOptions, path, nil))
		if got := w.Header().Values("Allow"); w.Code != 204 || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %d, Allow %q, want %q", path, w.Code, got, want)
		}
	}
}

func TestServeCutsHalfAnswers(t *testing.T) {
	e, _ := routes(slog.LevelInfo)
	addr, stop := start(t, e, time.Minute)
	if response, err := http.Get(addr + "/half"); err == nil {
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err == nil {
			t.Errorf("half an answer, %q, passes for a whole one", body)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestServeStopsGracefully(t *testing.T) {
	e, _ := routes(slog.LevelInfo)
	entered, release := make(chan struct{}), make(chan struct{})
	e.GET("/slow", func(c echo.Context) error {
		close(entered)
		<-release
		return c.String(200, fmt.Sprint(c.Request().Context().Err()))
	})
	addr, stop := start(t, e, time.Minute)
	answered := make(chan string, 1)
	go func() { answered <- fetch(addr + "/slow") }()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for { // until the port is closed, which is the first thing the stop does
		connection, err := net.Dial("tcp", strings.TrimPrefix(addr, "http://"))
		if err != nil {
			break
		}
		_ = connection.Close()
	}
	close(release)
	if got := <-answered; got != "200 <nil>" {
		t.Errorf("the request in flight: %s", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

// TestServeGraceEnds: a request that heeds its context is answered, and one that does not is cut off.
func TestServeGraceEnds(t *testing.T) {
	for name, heeds := range map[string]bool{"heeding": true, "deaf": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, _ := routes(slog.LevelInfo)
			entered, ended := make(chan struct{}), make(chan struct{})
			e.GET("/endless", func(c echo.Context) error {
				close(entered)
				<-c.Request().Context().Done()
				if !heeds {
					<-ended
				}
				return NewProblem(http.StatusServiceUnavailable, "stopping", c.Request().Context().Err().Error())
			})
			addr, stop := start(t, e, time.Millisecond)
			answer := make(chan string, 1)
			go func() { answer <- fetch(addr + "/endless") }()
			<-entered
			err := stop()
			close(ended)
			if got := <-answer; heeds != (err == nil) || heeds != strings.HasPrefix(got, "503 ") || heeds != strings.Contains(got, "context canceled") {
				t.Errorf("stop: %v, answered %q", err, got)
			}
			if !heeds && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("stop: %v", err)
			}
		})
	}
}

// TestTimeouts: a request whose body took as long as it may can still be answered.
func TestTimeouts(t *testing.T) {
	if cfg := (Config{}).withDefaults(); cfg.WriteTimeout < cfg.ReadTimeout+DefaultAnswerTimeout || DefaultAnswerTimeout < time.Minute {
		t.Errorf("%+v", cfg)
	}
}

// TestLargestHeaders: the tokens of the largest batch, for ids as long as any, can be sent in one request.
func TestLargestHeaders(t *testing.T) {
	e, _ := routes(slog.LevelInfo)
	addr, stop := start(t, e, time.Second)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, addr+"/fine", nil)
	if err != nil {
		t.Fatal(err)
	}
	token := ConsistencyToken("product-"+strings.Repeat("x", 64), 1_000_000_000)
	r.Header.Set(HeaderConsistencyToken, strings.Repeat(token+", ", 1000))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _ = response.Body.Close(); response.StatusCode != 200 {
		t.Error(response.Status)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestServeListenerFails(t *testing.T) {
	e, _ := routes(slog.LevelInfo)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if err := Serve(t.Context(), e, listener, time.Second); !errors.Is(err, net.ErrClosed) {
		t.Errorf("serve on a closed listener: %v", err)
	}
}

func fetch(url string) string {
	response, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", response.StatusCode, body)
}

func TestRetryAfterRoundsUp(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2", time.Minute: "60"} {
		if got := NewProblem(503, "x", "").RetryAfter(d).Header.Get("Retry-After"); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
