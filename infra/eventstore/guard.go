package eventstore

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"jangbu/domain/event"
)

// guard carries the events of a call that streams from the goroutine that receives them to the caller, and watches the call: it ends
// it when its hold on the link ends, or when the server leaves a wait unanswered for longer than the limit.
type guard struct {
	call   *call
	limit  time.Duration
	cancel context.CancelCauseFunc
	uncut  func() bool
	timer  *time.Timer
	waits  atomic.Int64 // odd while waiting for the server
	seen   int64        // waits when the timer last ran; the timer's own

	events chan []event.Recorded // closed at the end of the stream; no batch is empty
	err    error                 // why it ended, if not because it was over; set when events is closed
	batch  []event.Recorded      // the caller's: what it has taken from events but not handed out
}

// guard puts the call under guard, and starts with a wait. hold is the link's cut or current.
func (c *call) guard(ctx context.Context, limit time.Duration, hold context.Context) *guard {
	g := &guard{call: c, limit: limit, events: make(chan []event.Recorded, 1)}
	c.Context, g.cancel = context.WithCancelCause(ctx)
	g.uncut = context.AfterFunc(hold, func() { g.cancel(errReplaced) })
	g.waits.Store(1)
	g.seen = 1
	g.timer = time.AfterFunc(math.MaxInt64, g.check)
	g.timer.Reset(limit) // only now, since check uses g.timer
	return g
}

// check runs once in every limit, so that the hot path of a read does not touch the timer.
func (g *guard) check() {
	waits := g.waits.Load()
	if waits == g.seen && waits%2 == 1 {
		g.cancel(errStalled)
		return
	}
	g.seen = waits
	g.timer.Reset(g.limit)
}

// pump runs receive, which makes the call, on another goroutine, and ends the call after it.
func (g *guard) pump(receive func() error) {
	g.call.link.do(func() {
		err := g.explain(receive())
		g.timer.Stop()
		g.uncut()
		g.call.end(err)
		g.err = err
		close(g.events)
	})
}

// give hands events to the caller, unless the call has ended. It is receive's, as are wait, proceed and patient.
func (g *guard) give(events ...event.Recorded) error {
	if len(events) == 0 {
		return nil
	}
	select {
	case g.events <- events:
		return nil
	case <-g.call.Done():
		return g.call.Err()
	}
}

// wait says that the call waits for the server. It may have been waiting already.
func (g *guard) wait() {
	if g.waits.Load()%2 == 0 {
		g.waits.Add(1)
	}
}

// proceed says that the server has answered.
func (g *guard) proceed() { g.waits.Add(1) }

// patient says that the call may wait for ever, for example for events to come.
func (g *guard) patient() { g.timer.Stop() }

// next is the caller's: it returns the next event, and false after the last.
func (g *guard) next() (event.Recorded, bool, error) {
	if len(g.batch) == 0 {
		more := false
		select {
		case g.batch, more = <-g.events:
			if !more {
				return event.Recorded{}, false, g.err
			}
		case <-g.call.Done():
			err := g.explain(g.call.Err())
			g.call.judge(err)
			return event.Recorded{}, false, err
		}
	}
	e := g.batch[0]
	g.batch = g.batch[1:]
	return e, true, nil
}

// explain replaces the report that the call's context has ended by the reason, if the guard ended it.
func (g *guard) explain(err error) error {
	if cause := context.Cause(g.call.Context); err != nil && (cause == errStalled || cause == errReplaced) {
		return cause
	}
	return err
}

// leave says that the caller takes no more events.
func (g *guard) leave() {
	g.cancel(context.Canceled)
	g.call.leave()
}
