package web

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// HeaderRequestID carries the request's id, the client's own if it sends a usable one.
const HeaderRequestID = "X-Request-Id"

// routeHead and unrouteHead stand before and after the router: it takes HEAD for GET, and everybody else, above all
// net/http, which then sends no body, sees HEAD.
func routeHead(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if r := c.Request(); r.Method == http.MethodHead {
			r.Method = http.MethodGet
			c.Set(isHead, true)
		}
		return next(c)
	}
}

func unrouteHead(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Get(isHead) != nil {
			c.Request().Method = http.MethodHead
		}
		return next(c)
	}
}

const isHead = "web.head"

// allowHead names HEAD beside GET in the Allow of a 405 and of OPTIONS, which the router makes without it.
func allowHead(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if allow, ok := c.Get(echo.ContextKeyHeaderAllow).(string); ok && slices.Contains(strings.Split(allow, ", "), http.MethodGet) {
			c.Response().Before(func() { c.Response().Header().Set(echo.HeaderAllow, allow+", "+http.MethodHead) })
		}
		return next(c)
	}
}

func requestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := c.Request().Header.Get(HeaderRequestID)
		if len(id) > 128 || !Printable(id) || strings.Contains(id, " ") {
			id = ""
		}
		if id == "" {
			var random [16]byte
			binary.NativeEndian.PutUint64(random[:8], rand.Uint64())
			binary.NativeEndian.PutUint64(random[8:], rand.Uint64())
			id = hex.EncodeToString(random[:])
		}
		c.Response().Header().Set(HeaderRequestID, id)
		return next(c)
	}
}

// RequestID is the id of the request that c answers.
func RequestID(c echo.Context) string { return c.Response().Header().Get(HeaderRequestID) }

func accessLog(log *slog.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			ctx := c.Request().Context()
			if !log.Enabled(ctx, slog.LevelDebug) {
				return next(c)
			}
			start := time.Now()
			err := next(c)
			if err != nil {
				c.Error(err) // answers now, so that the status below is the one sent
			}
			attrs := []slog.Attr{
				slog.String("method", c.Request().Method), slog.String("path", c.Request().URL.Path),
				slog.Int("status", c.Response().Status), slog.Int64("bytes", c.Response().Size),
				slog.Duration("took", time.Since(start)), slog.String("request", RequestID(c)),
			}
			if err != nil {
				attrs = append(attrs, slog.String("error", err.Error()))
			}
			log.LogAttrs(ctx, slog.LevelDebug, "request", attrs...)
			return nil
		}
	}
}

// panicked is the error of a handler that panicked; it has been logged already.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func recoverPanic(log *slog.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
			defer func() {
				v := recover()
				if v == nil {
					return
				}
				if v == http.ErrAbortHandler {
					panic(v)
				}
				log.Error("panic while serving a request", "method", c.Request().Method, "path", c.Request().URL.Path,
					"request", RequestID(c), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
				if c.Response().Committed {
					// Half an answer must not look like a whole one: net/http cuts the connection.
					panic(http.ErrAbortHandler)
				}
				err = panicked{v}
			}()
			return next(c)
		}
	}
}

// limitBody bounds what a handler reads. The body is refused when it is read, so that a route can set another limit.
func limitBody(limit int64) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if body := c.Request().Body; body != nil && body != http.NoBody {
				c.Set(unlimitedBody, body)
				setLimit(c, body, limit)
			}
			return next(c)
		}
	}
}

const unlimitedBody = "web.body"

// LimitBody bounds the bodies of one route in the place of Config.BodyLimit.
func LimitBody(limit int64) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if body, ok := c.Get(unlimitedBody).(io.ReadCloser); ok {
				setLimit(c, body, limit)
			}
			return next(c)
		}
	}
}

func setLimit(c echo.Context, body io.ReadCloser, limit int64) {
	r := c.Request()
	r.Body = http.MaxBytesReader(c.Response(), body, limit)
	if r.ContentLength > limit {
		r.Body = refusedBody{body, limit}
	}
}

// refusedBody is a body whose very length is too large.
type refusedBody struct {
	io.Closer
	limit int64
}

func (b refusedBody) Read([]byte) (int, error) { return 0, &http.MaxBytesError{Limit: b.limit} }

func bodyTooLarge(limit int64) *Problem {
	return NewProblem(http.StatusRequestEntityTooLarge, "body-too-large", fmt.Sprintf("A body may have at most %d bytes.", limit))
}

func errorHandler(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		p := problemOf(err)
		if p.Status == http.StatusInternalServerError {
			sent := *p
			sent.Instance = "urn:jangbu:request:" + RequestID(c)
			if !errors.As(err, new(panicked)) {
				log.Error("a request failed", "method", c.Request().Method, "path", c.Request().URL.Path,
					"request", RequestID(c), "error", err)
			}
			p = &sent
		}
		if err := p.write(c.Response(), p); err != nil {
			log.Debug("a problem could not be sent", "request", RequestID(c), "error", err)
		}
	}
}

// problemOf is the table from any error that reaches the top to what the client sees.
func problemOf(err error) *Problem {
	var problem *Problem
	var he *echo.HTTPError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &tooLarge):
		return bodyTooLarge(tooLarge.Limit)
	case errors.As(err, &he):
		return problemOfStatus(he)
	case errors.Is(err, context.Canceled):
		// The client has gone, or the server is stopping: nothing here is broken.
		return Unavailable("The request was cancelled.", err)
	default:
		return NewProblem(http.StatusInternalServerError, "internal",
			"Something went wrong on our side; the log has it under this request's id.").Because(err)
	}
}

func problemOfStatus(he *echo.HTTPError) *Problem {
	switch he.Code {
	case http.StatusNotFound:
		return NewProblem(he.Code, "route-not-found", "Nothing is served under this path.")
	case http.StatusMethodNotAllowed:
		return NewProblem(he.Code, "method-not-allowed", "This path is served, but not with this method; see Allow.")
	}
	code := strings.ReplaceAll(strings.ToLower(http.StatusText(he.Code)), " ", "-")
	return NewProblem(he.Code, code, fmt.Sprint(he.Message)).Because(he.Internal)
}
