package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"jangbu/domain/event"
)

const (
	// watched is the stream each link subscribes to, to learn at once that its connection has died. Nothing is written to it.
	watched = "jangbu.watch"

	// impatience is how long a call must have waited before running out of time counts against the connection. Shorter
	// deadlines say more of the caller than of the store.
	impatience = 250 * time.Millisecond

	// mostIdle bounds the goroutines that a link keeps for calls to come.
	mostIdle = 64

	// settling bounds the wait of settle, for safety's sake: what it waits for is a matter of microseconds.
	settling = time.Second
)

// link is one esdb client used for one connection, and closed when that connection is of no more use.
//
// Left to itself, an esdb client whose call ends as Unavailable dials again during the next call. That call is then deaf to its
// context; the old connection is never closed; if the dialling fails, the client is closed for good and any later call on it
// blocks for ever; and closing it releases that call by a panic. A link never lets it come to that:
//
//   - A call asks the client for the connection as its first step. A call is "entering" until this is done.
//   - A failing call tells the log before it tells the client to reconnect. There the link retires, so that nobody enters
//     any more, and holds the failing call until everybody who was entering is in. Nobody is left to make the client dial.
//   - The client is closed when the last call on it has ended, so that none races Close.
//
// One thing a link cannot prevent: when a node answers that it is not the leader, the client closes the connection and dials
// the leader before it says a word, and whoever then wants something of the client waits until it has, or for ever if it
// fails. So each call has two halves: the caller, who leaves when its context ends or the link is diverted, and a goroutine that
// makes the call, and ends it when the client lets go of it.
type link struct {
	client *esdb.Client
	log    *slog.Logger

	work chan func()  // to idle goroutines
	idle atomic.Int64 // how many they are, or are about to be

	mu       sync.Mutex
	users    int  // calls and streams on the client, the watch, and, until it retires, the link itself
	callers  int  // calls and streams whose callers have not left
	entering int  // calls that have not got the client's connection yet
	retired  bool // no more calls are admitted

	alive     context.Context // ends on retirement
	bury      context.CancelFunc
	settled   chan struct{}   // closed when retired and nobody is entering
	diverted  chan struct{}   // closed when retired because the client dials another node
	closed    chan struct{}   // closed when retired and the client is closed
	done      chan struct{}   // closed when retired, the callers have left, and the client is closed or, diverted, may never be
	cut       context.Context // ends when the streams on this link are to end as well
	cutAll    context.CancelFunc
	current   context.Context // ends with cut, or when another link has taken this one's place: what would wait for ever is to move
	supersede context.CancelFunc
}

// connect makes the client of conf connect, once, and returns when the server has answered. It is bounded by the gossip
// timeout of the connection string for each candidate node, not by ctx, which only ends the wait for the first answer of the
// watch. Streams on the link end with life.
func connect(ctx, life context.Context, conf esdb.Configuration, log *slog.Logger) (*link, error) {
	l := &link{
		log: log, users: 2, work: make(chan func()),
		settled: make(chan struct{}), diverted: make(chan struct{}), closed: make(chan struct{}), done: make(chan struct{}),
	}
	l.alive, l.bury = context.WithCancel(context.Background())
	l.cut, l.cutAll = context.WithCancel(life)
	l.current, l.supersede = context.WithCancel(l.cut)
	conf.MaxDiscoverAttempts, conf.DiscoveryInterval = 1, 0
	conf.Logger = l.overhear
	client, err := esdb.NewClient(&conf)
	if err != nil {
		l.cutAll()
		return nil, err
	}
	l.client = client
	defer l.release() // the client must outlast this function's calls, whatever they overhear
	version, err := client.GetServerVersion()
	if err != nil {
		l.retire()
		return nil, fmt.Errorf("connect: %w", err)
	}
	if err := l.watch(ctx, time.Duration(conf.GossipTimeout)*time.Second); err != nil {
		l.retire()
		return nil, fmt.Errorf("first request: %w", err)
	}
	log.Debug("event store answers", "version", fmt.Sprintf("%d.%d.%d", version.Major, version.Minor, version.Patch))
	return l, nil
}

// watch subscribes to a stream on which nothing happens, which proves that the server serves, and leaves a goroutine
// waiting for its end, which retires the link the moment the connection breaks. Where the subscription is not allowed, the
// link goes unwatched.
func (l *link) watch(ctx context.Context, patience time.Duration) error {
	inner, cancel := context.WithCancel(l.alive)
	stop := context.AfterFunc(ctx, cancel)
	timer := time.AfterFunc(patience, cancel)
	sub, err := l.client.SubscribeToStream(inner, watched, esdb.SubscribeToStreamOptions{From: esdb.End{}})
	stop()
	timer.Stop()
	if err != nil {
		cancel()
		if classify(err) == event.ErrUnavailable {
			return err
		}
		l.log.Debug("event store connection is not watched", "reason", err)
		return nil
	}
	l.mu.Lock()
	l.users++
	l.mu.Unlock()
	go func() {
		defer l.release()
		for sub.Recv().SubscriptionDropped == nil {
			continue
		}
		_ = sub.Close() // it has no error to give
		cancel()
		l.retire()
	}()
	return nil
}

// retire ends the admission of calls. Those in flight go on: a node that refuses one call may well end another. Only what would
// wait for ever leaves as soon as there is another link, since no failure of its own need ever tell it that its node was given up.
func (l *link) retire() {
	l.mu.Lock()
	first := !l.retired
	l.retired = true
	l.update()
	l.mu.Unlock()
	if first {
		l.bury()
		l.release()
	}
}

// divert retires the link because its client has closed the connection to dial another node. No answer can come any more.
func (l *link) divert() {
	l.retire()
	l.cutAll()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ended(l.diverted) {
		close(l.diverted)
	}
	l.update()
}

// update says what the link has come to. The lock is held.
func (l *link) update() {
	if !l.retired {
		return
	}
	if l.entering == 0 && !ended(l.settled) {
		close(l.settled)
	}
	if l.users == 0 && !ended(l.closed) {
		_ = l.client.Close() // it has no error to give
		l.cutAll()
		close(l.closed)
	}
	if l.callers == 0 && (ended(l.closed) || ended(l.diverted)) && !ended(l.done) {
		close(l.done)
	}
}

func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// settle waits until nobody can ask the client for its connection any more. The link is retired.
func (l *link) settle() {
	timer := time.NewTimer(settling)
	defer timer.Stop()
	select {
	case <-l.settled:
	case <-l.diverted: // it is the client that those who are entering wait for
	case <-timer.C:
	}
}

// overhear receives what the client logs. The client logs a failed call, on the caller's goroutine, before it
// gives up the connection because of it; only that it dials the leader, an address, it logs when it does so already.
func (l *link) overhear(level esdb.LogLevel, format string, args ...any) {
	if level == esdb.LogError {
		for _, arg := range args {
			switch arg := arg.(type) {
			case esdb.EndPoint:
				l.divert()
			case error:
				if breaks(arg) {
					l.retire()
					l.settle()
				}
			}
		}
	}
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("esdb: "+fmt.Sprintf(format, args...), "level", level)
	}
}

// begin admits a call, unless the link is retired. The call must be ended, and be left.
func (l *link) begin(ctx context.Context) (*call, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired {
		return nil, false
	}
	l.users++
	l.callers++
	l.entering++
	return &call{Context: ctx, link: l, started: time.Now()}, true
}

// do runs f on another goroutine: an idle one if there is one, whose stack has grown already to what the client needs.
func (l *link) do(f func()) {
	select {
	case l.work <- f:
		return
	default:
	}
	go func() {
		for {
			f()
			if l.idle.Add(1) > mostIdle {
				l.idle.Add(-1)
				return
			}
			select {
			case f = <-l.work:
				l.idle.Add(-1)
			case <-l.alive.Done():
				return
			}
		}
	}()
}

func (l *link) enter() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entering--
	l.update()
}

func (l *link) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users--
	l.update()
}

// call is one use of a link's client, and the context to give to it.
type call struct {
	context.Context
	link    *link
	started time.Time
	entered atomic.Bool
}

// Deadline is what the client asks of the context first, right after it has got its connection.
func (c *call) Deadline() (time.Time, bool) {
	c.enter()
	return c.Context.Deadline()
}

func (c *call) enter() {
	if !c.entered.Swap(true) {
		c.link.enter()
	}
}

// end says that the client has let go of the call. err, if any, is how it answered.
func (c *call) end(err error) {
	c.enter()
	c.judge(err)
	c.link.release()
}

// leave says that the caller waits for the call no more.
func (c *call) leave() {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.link.callers--
	c.link.update()
}

// judge decides by the failure of the call, if any, what becomes of the link.
func (c *call) judge(err error) {
	switch {
	case err == nil || errors.Is(err, context.Canceled):
	case breaks(err):
		c.link.retire()
	case timedOut(err) && time.Since(c.started) >= impatience:
		// The connection may be dead without a sign, and streams on it would wait for nothing.
		c.link.retire()
		c.link.cutAll()
	}
}
