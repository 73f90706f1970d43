package eventstore

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"jangbu/domain/event"
	"jangbu/infra/backoff"
)

const (
	// grace is how long calls wait for a connection that has just been lost, or not been tried yet, before the store counts
	// as away.
	grace = 500 * time.Millisecond

	// hopeless is how many attempts must fail before the store counts as away. One may have died of what killed the connection before it.
	hopeless = 2

	// redialMin and redialMax bound the pause between attempts to connect. The longest, with its jitter, keeps recovery
	// within a second of the store's return. An attempt without an answer does not hold up the next.
	redialMin = 20 * time.Millisecond
	redialMax = 400 * time.Millisecond

	// A link that did not last for proven is replaced after a pause, so that a server which accepts connections only to drop
	// them is not flooded with more.
	proven   = 200 * time.Millisecond
	churnMin = 5 * time.Millisecond
	churnMax = 200 * time.Millisecond

	// dialsAtOnce bounds the attempts that are waiting for an answer.
	dialsAtOnce = 24
)

// supervisor keeps a link to the store, and makes a new one whenever it is lost.
type supervisor struct {
	conf esdb.Configuration
	log  *slog.Logger
	life context.Context // ends when the store is closed, and every stream with it
	stop context.CancelFunc
	done chan struct{} // closed when run has ended

	mu      sync.Mutex
	link    *link         // the latest; nil until the first
	former  []*link       // retired, but perhaps not done: calls may still be on them
	away    error         // why the store is known to be away; nil while there is hope
	closed  bool          // no more links
	changed chan struct{} // closed, and replaced, at every change of these
}

func supervise(conf *esdb.Configuration, log *slog.Logger) *supervisor {
	ctx, cancel := context.WithCancel(context.Background())
	s := &supervisor{conf: *conf, log: log, life: ctx, stop: cancel, done: make(chan struct{}), changed: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.run(ctx)
	}()
	return s
}

// begin admits a call on the present link. While the store is away it refuses at once, or, if patient, waits for its
// return until ctx ends. The call must be ended, and be left.
func (s *supervisor) begin(ctx context.Context, patient bool) (*call, error) {
	for {
		s.mu.Lock()
		link, away, closed, changed := s.link, s.away, s.closed, s.changed
		s.mu.Unlock()
		switch {
		case closed:
			return nil, errClosed
		case ctx.Err() != nil:
			return nil, interrupted(ctx, away)
		case link != nil:
			if c, ok := link.begin(ctx); ok {
				return c, nil
			}
		}
		if away != nil && !patient {
			return nil, fmt.Errorf("%w: %w", event.ErrUnavailable, away)
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// interrupted says why a call that waited for a link did not get one.
func interrupted(ctx context.Context, away error) error {
	switch {
	case ctx.Err() == context.Canceled:
		return ctx.Err()
	case away != nil:
		return fmt.Errorf("%w: %w: %w", event.ErrUnavailable, ctx.Err(), away)
	}
	return fmt.Errorf("%w: %w", event.ErrUnavailable, ctx.Err())
}

// close refuses further calls, cuts the streams and waits until the links are done, or ctx.
func (s *supervisor) close(ctx context.Context) error {
	s.stop()
	<-s.done
	s.mu.Lock()
	links := s.former
	if s.link != nil {
		links = append(links, s.link)
	}
	if !s.closed {
		s.closed = true
		s.announce()
	}
	s.mu.Unlock()
	for _, l := range links {
		l.retire()
		select {
		case <-l.done:
		case <-ctx.Done():
			return fmt.Errorf("calls are still in flight: %w", ctx.Err())
		}
	}
	return nil
}

// announce wakes the calls that wait for a change. The lock is held.
func (s *supervisor) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// publish makes l the link that calls use, and to which subscriptions move.
func (s *supervisor) publish(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != nil {
		s.former = append(s.former, s.link)
		s.link.supersede()
	}
	s.former = slices.DeleteFunc(s.former, func(l *link) bool { return ended(l.done) })
	s.link, s.away = l, nil
	s.announce()
}

// run connects, waits until the link is lost, and connects again, until ctx ends.
func (s *supervisor) run(ctx context.Context) {
	pause := backoff.Backoff{First: churnMin, Most: churnMax}
	for {
		l := s.dial(ctx)
		if l == nil {
			return
		}
		s.publish(l)
		s.log.Info("event store connected")
		since := time.Now()
		select {
		case <-l.alive.Done():
			s.log.Info("event store connection lost")
		case <-ctx.Done():
			return
		}
		if time.Since(since) >= proven {
			pause.Reset()
		} else if !pause.Wait(ctx) {
			return
		}
	}
}

// dial makes attempts until one succeeds, and returns nil only when ctx ends. When hopeless attempts have failed, or the grace has
// passed, it says that the store is away. An attempt cannot be stopped, only left behind: it ends by the gossip timeout.
func (s *supervisor) dial(ctx context.Context) *link {
	type outcome struct {
		link *link
		err  error
	}
	attempts, abandon := context.WithCancel(ctx)
	defer abandon()
	outcomes := make(chan outcome)
	pause := backoff.Backoff{First: redialMin, Most: redialMax}
	waiting, failed := 0, 0
	next := time.NewTimer(0)
	defer next.Stop()
	hope := time.AfterFunc(grace, func() { s.despair(attempts, errStalled) })
	defer hope.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
			next.Reset(pause.Next())
			if waiting == dialsAtOnce {
				continue
			}
			waiting++
			go func() {
				l, err := connect(attempts, s.life, s.conf, s.log)
				select {
				case outcomes <- outcome{l, err}:
				case <-attempts.Done():
					if l != nil {
						l.retire()
					}
				}
			}()
		case o := <-outcomes:
			waiting--
			if o.err == nil {
				return o.link
			}
			s.log.Debug("event store does not answer", "error", o.err)
			if failed++; failed >= hopeless {
				s.despair(attempts, o.err)
			}
		}
	}
}

// despair says that the store is away, unless attempts has ended.
func (s *supervisor) despair(attempts context.Context, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if attempts.Err() != nil {
		return
	}
	if s.away == nil {
		s.log.Info("event store is away", "reason", reason)
	}
	s.away = reason
	s.announce()
}
