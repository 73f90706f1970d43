package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/eventstore"
)

// The connection dies when the server has written the append and the answer is on its way.
func TestAnswerLost(t *testing.T) {
	leakFree(t)
	server, p, s := behindProxy(t, eventstore.Config{Timeout: 20 * time.Second})
	direct := open(t, server.URL(), eventstore.Config{})
	const stream = "order-1"
	for revision := range int64(20) {
		p.hold(false, true)
		events := proposed(1)
		type answer struct {
			pos event.Position
			err error
		}
		answered := make(chan answer, 1)
		go func() {
			pos, err := s.Append(t.Context(), stream, revision-1, events)
			answered <- answer{pos, err}
		}()
		var written event.Recorded
		eventually(t, func() (err error) {
			written, err = direct.Last(t.Context(), stream)
			if err == nil && written.ID != events[0].ID {
				err = errors.New("not written yet")
			}
			return err
		})
		p.cut()
		p.hold(false, false)
		if a := <-answered; a.err != nil || a.pos != written.Position {
			t.Fatalf("revision %d was written at %s; append said %s, %v", revision, written.Position, a.pos, a.err)
		}
		if written.Revision != revision {
			t.Fatalf("revision %d was written as %d", revision, written.Revision)
		}
	}
}

// The connection dies when the server has refused the append and the answer is on its way.
func TestRefusalLost(t *testing.T) {
	leakFree(t)
	_, p, s := behindProxy(t, eventstore.Config{Timeout: 20 * time.Second})
	if _, err := s.Append(t.Context(), "order-1", event.NoStream, proposed(1)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		p.hold(false, true)
		answered := make(chan error, 1)
		go func() {
			_, err := s.Append(t.Context(), "order-1", event.NoStream, proposed(1))
			answered <- err
		}()
		p.cut()
		p.hold(false, false)
		if err := <-answered; !errors.Is(err, event.ErrConflict) {
			t.Fatalf("got %v", err)
		}
	}
}

// When the store does not come back in time, the caller learns that the outcome is unknown, and can repeat the append later.
func TestAnswerLostForLong(t *testing.T) {
	leakFree(t)
	server, p, s := behindProxy(t, eventstore.Config{Timeout: 2 * time.Second})
	direct := open(t, server.URL(), eventstore.Config{})
	p.hold(false, true)
	events := proposed(3)
	answered := make(chan error, 1)
	go func() {
		_, err := s.Append(t.Context(), "order-1", event.NoStream, events)
		answered <- err
	}()
	eventually(t, func() error {
		_, err := direct.Last(t.Context(), "order-1")
		return err
	})
	p.refuse()
	p.hold(false, false)
	if err := <-answered; !errors.Is(err, event.ErrUnavailable) || !strings.Contains(err.Error(), "the outcome is unknown") {
		t.Fatalf("got %v", err)
	}
	p.restore()
	awaitBack(t, s)
	if _, err := s.Append(t.Context(), "order-1", event.NoStream, events); err != nil {
		t.Error(err)
	}
	if last, err := s.Last(t.Context(), "order-1"); err != nil || last.Revision != 2 {
		t.Errorf("the stream ends with %+v, %v", last, err)
	}
}

// Many appends while the connection is cut again and again: each says the truth, and each is there once.
func TestAppendsUnderCuts(t *testing.T) {
	leakFree(t)
	_, p, s := behindProxy(t, eventstore.Config{Timeout: 20 * time.Second})
	const callers, each = 16, 60
	var appenders sync.WaitGroup
	for caller := range callers {
		appenders.Go(func() {
			stream := fmt.Sprintf("order-%d", caller)
			for n := range int64(each) {
				events := proposed(1)
				eventually(t, func() error { // the store may have been known to be away
					_, err := s.Append(t.Context(), stream, n-1, events)
					if err != nil && !errors.Is(err, event.ErrUnavailable) {
						t.Errorf("append %d to %s: %v", n, stream, err)
					}
					return err
				})
			}
		})
	}
	cuts := harass(t, p, &appenders)
	for caller := range callers {
		eventually(t, func() error { // the last cut may still be news
			last, err := s.Last(t.Context(), fmt.Sprintf("order-%d", caller))
			if err == nil && last.Revision != each-1 {
				t.Errorf("stream %d ends with %+v", caller, last)
			}
			return err
		})
	}
	t.Logf("%d appends, %d cuts", callers*each, cuts)
}

// harass cuts the connections at random moments until the work is done, and returns how often.
func harass(t *testing.T, p *proxy, work *sync.WaitGroup) (cuts int) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		work.Wait()
		close(done)
	}()
	for {
		select {
		case <-done:
			return cuts
		case <-time.After(rand.N(30 * time.Millisecond)):
		}
		cuts++
		if cuts%5 == 0 {
			p.refuse()
			p.restore()
		} else {
			p.cut()
		}
	}
}

func TestAppendToADeletedStream(t *testing.T) {
	server := startServer(t, eventstoredb.Config{})
	s := open(t, server.URL(), eventstore.Config{})
	if _, err := s.Append(t.Context(), "order-1", event.NoStream, proposed(1)); err != nil {
		t.Fatal(err)
	}
	tombstone(t, server.URL(), "order-1")
	_, err := s.Append(t.Context(), "order-1", event.Any, proposed(1))
	_, last := s.Last(t.Context(), "order-1")
	for _, err := range []error{err, last} {
		if !errors.Is(err, event.ErrStreamNotFound) {
			t.Errorf("got %v", err)
		}
	}
	// The failure says nothing against the connection.
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestReadCutAndStalled(t *testing.T) {
	tests := []struct {
		name string
		do   func(*proxy)
	}{
		{"cut", func(p *proxy) { p.cut() }},
		{"stalled", func(p *proxy) { p.hold(true, true) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			leakFree(t)
			_, p, s := behindProxy(t, eventstore.Config{Timeout: time.Second})
			big := make([]event.Proposed, 30)
			for i := range big {
				big[i] = event.Proposed{ID: uuid.New(), Type: "big.v1", Data: fmt.Appendf(nil, "%q", strings.Repeat("x", 900<<10))}
				if _, err := s.Append(t.Context(), "big-1", int64(i)-1, big[i:i+1]); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			read := 0
			for e, err := range s.ReadStream(ctx, "big-1", 0) {
				if err == nil {
					if e.ID != big[read].ID {
						t.Fatalf("event %d is %+v", read, e.ID)
					}
					if read++; read == 1 {
						test.do(p)
					}
					continue
				}
				if !errors.Is(err, event.ErrUnavailable) || ctx.Err() != nil {
					t.Fatal(err)
				}
				t.Logf("after %d events: %v", read, err)
			}
			if read == len(big) {
				t.Error("the read was not disturbed")
			}
			p.hold(false, false)
			awaitBack(t, s)
		})
	}
}
