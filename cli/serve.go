package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"jangbu/infra/web"
)

// grace is how long requests in flight may take when a service stops.
const grace = 10 * time.Second

// listen opens the address that --http names. The error of a taken port says so, and that the flag chooses another one.
func listen(addr listenAddr) (net.Listener, error) {
	l, err := net.Listen("tcp", string(addr))
	if err != nil {
		return nil, cannotListen(string(addr), "--http", err)
	}
	return l, nil
}

// ignoreClosed passes over the error of closing a listener whose server has closed it.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func cannotListen(addr, flag string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is taken: stop what listens there, or choose another address with %s (port 0 picks a free one)", addr, flag)
	}
	return fmt.Errorf("listen on %s (%s): %w", addr, flag, err)
}

// service is a mode that serves HTTP beside loops that run for ever.
type service struct {
	health   *web.Health
	routes   func(*echo.Echo)
	loops    []func(context.Context) error
	ready    func(context.Context) error // returns when what is served is whole; nil: at once
	listener net.Listener
}

// serve prints "ready http://HOST:PORT" and runs the service until ctx ends, which is success, or a part of it fails,
// which stops the others. It owns the listener.
func (a *app) serve(ctx context.Context, s service) error {
	e := web.New(web.Config{Log: a.log, Health: s.health})
	if s.routes != nil {
		s.routes(e)
	}
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return web.Serve(running, e, s.listener, grace) })
	g.Go(func() error { return s.health.Watch(running) })
	for _, loop := range s.loops {
		g.Go(func() error { return loop(running) })
	}
	g.Go(func() error {
		if s.ready != nil {
			if err := s.ready(running); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(a.stdout, "ready http://%s\n", reachable(s.listener.Addr().String()))
		return err
	})
	err := g.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // a loop's way to say that it was told to stop
	}
	return err
}
