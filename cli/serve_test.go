package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jangbu/infra/web"
)

// deaf is a listener to which nobody comes.
type deaf struct{ closed chan struct{} }

func (d deaf) Accept() (net.Conn, error) { <-d.closed; return nil, net.ErrClosed }
func (d deaf) Close() error              { close(d.closed); return nil }
func (d deaf) Addr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8081} }

// TestRedIsLogged: a service logs what stays red though nobody asks for its health, once, and when it is green again.
func TestRedIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said output
		a := &app{stdout: io.Discard, log: newLogger(&said, "info", "text")}
		health := web.NewHealth(time.Now, a.log)
		var down atomic.Bool
		health.Probe("redis", func(context.Context) error {
			if down.Load() {
				return errors.New("away")
			}
			return nil
		})
		health.Expect("loop", "slow loop")
		down.Store(true) // as is a client that has yet to connect
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() {
			served <- a.serve(ctx, service{health: health, listener: deaf{make(chan struct{})}})
		}()
		expect := func(after time.Duration, lines ...string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			got := strings.Split(strings.TrimSpace(said.String()), "\n")
			if said.String() == "" {
				got = nil
			}
			if len(got) != len(lines) {
				t.Fatalf("logged:\n%s\nwant %q", said.String(), lines)
			}
			for i, line := range lines {
				if !strings.Contains(got[i], line) {
					t.Errorf("line %d is %q, want %q", i, got[i], line)
				}
			}
		}
		expect(3 * time.Second)
		down.Store(false)
		health.Set("slow loop", nil)
		loop := `msg="check is red" check=loop since=2000-01-01T00:00:00.000Z err="has not reported yet"`
		expect(5*time.Second, loop)
		down.Store(true)
		expect(4*time.Second, loop)
		redis := `msg="check is red" check=redis`
		expect(5*time.Second, loop, redis)
		expect(time.Minute, loop, redis)
		down.Store(false)
		expect(5*time.Second, loop, redis, `msg="check is green again" check=redis`)
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
