package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// The defaults of a Config.
const (
	DefaultBodyLimit     = 1 << 20
	DefaultReadTimeout   = 2 * time.Minute
	DefaultAnswerTimeout = 90 * time.Second // what is left for the answer to a request whose body took all of DefaultReadTimeout
	DefaultWriteTimeout  = DefaultReadTimeout + DefaultAnswerTimeout
)

// Config says how the server behaves. The zero Config is ready for use.
type Config struct {
	Log    *slog.Logger // where internal errors and, at debug level, requests go; nil: slog.Default()
	Health *Health      // what /readyz reports; nil: a registry without checks, always ready

	BodyLimit    int64         // bytes of a request's body; 0: DefaultBodyLimit
	ReadTimeout  time.Duration // of the whole request with its body; 0: DefaultReadTimeout
	WriteTimeout time.Duration // from the end of the headers, so of the body too, to the end of the answer; 0: DefaultWriteTimeout
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Health == nil {
		c.Health = NewHealth(time.Now, c.Log)
	}
	c.BodyLimit = cmp.Or(c.BodyLimit, DefaultBodyLimit)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, DefaultReadTimeout)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, DefaultWriteTimeout)
	return c
}

// New returns an echo instance that serves GET /healthz and GET /readyz and answers every failure as a Problem.
// Register routes on it before Serve; it is then safe for concurrent use.
func New(cfg Config) *echo.Echo {
	cfg = cfg.withDefaults()
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	// echo's own logger would write past slog; every error it could report reaches the error handler as well.
	e.Logger.SetOutput(io.Discard)
	e.HTTPErrorHandler = errorHandler(cfg.Log)
	e.Server.ReadHeaderTimeout = 5 * time.Second
	e.Server.ReadTimeout = cfg.ReadTimeout
	e.Server.WriteTimeout = cfg.WriteTimeout
	e.Server.IdleTimeout = 2 * time.Minute // of a kept-alive connection
	e.Server.MaxHeaderBytes = 128 << 10    // the tokens of the largest batch are 85 KB
	e.Server.ErrorLog = slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug)
	e.Pre(routeHead)
	e.Use(unrouteHead, allowHead, requestID, accessLog(cfg.Log), recoverPanic(cfg.Log), limitBody(cfg.BodyLimit))
	e.GET("/healthz", func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
	})
	e.GET("/readyz", cfg.Health.serve)
	return e
}

// lastGrace is how long a request may take whose context has been cancelled.
const lastGrace = 2 * time.Second

// Serve answers on the listener until ctx is done, then takes no new connections, waits up to grace for the requests
// in flight, cancels the contexts of those that are left, which may then still say so, and closes. It owns the listener. It
// returns nil after a stop by ctx in which every request was answered.
func Serve(ctx context.Context, e *echo.Echo, listener net.Listener, grace time.Duration) error {
	requests, cancelRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelRequests()
	e.Server.BaseContext = func(net.Listener) context.Context { return requests }

	served := make(chan error, 1)
	go func() { served <- e.Server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	shutdown := func(within time.Duration) error {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
		defer cancel()
		return e.Server.Shutdown(stopping)
	}
	err := shutdown(grace)
	if err != nil {
		cancelRequests()
		err = shutdown(lastGrace)
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("stop serving %s: %w", listener.Addr(), err), e.Server.Close())
	}
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
