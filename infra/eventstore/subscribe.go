package eventstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"jangbu/domain/event"
	"jangbu/infra/backoff"
)

const (
	// searchWindow is how many events the server looks through between two checkpoints of a filtered subscription.
	searchWindow = 512

	// resumeMin and resumeMax bound the pause between two attempts to resume while the server refuses.
	resumeMin = 20 * time.Millisecond
	resumeMax = time.Second
)

// Subscribe follows the log for ever, from the first event after a position: it yields the events of the streams whose names begin
// with one of the prefixes (of every stream if there are none), in the order of the log, each once. System events are left out.
//
// Between events it yields checkpoints, which are Recorded with an empty Type: everything up to their Position has been yielded.
// Each interruption is yielded once, as an error; ranging on resumes from the last event or checkpoint as soon as the store
// allows, and says so with a checkpoint where it was. The sequence ends when the consumer breaks, ctx ends or the store is closed.
func (s *Store) Subscribe(ctx context.Context, after event.Position, prefixes []string) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		f := follower{store: s, at: after, prefixes: prefixes, pause: backoff.Backoff{First: resumeMin, Most: resumeMax}, yield: yield}
		for patient := false; ; patient = true {
			err := f.follow(ctx, patient)
			if errors.Is(err, errDeclined) || ctx.Err() != nil {
				return
			}
			if !yield(event.Recorded{}, fmt.Errorf("subscription interrupted after %s: %w", f.at, err)) || errors.Is(err, errClosed) {
				return
			}
			if !f.pause.Wait(ctx) {
				return
			}
		}
	}
}

var errDeclined = errors.New("the consumer wants no more")

// follower is one subscription through all its interruptions.
type follower struct {
	store    *Store
	at       event.Position // of the last event or checkpoint
	prefixes []string
	pause    backoff.Backoff
	yield    func(event.Recorded, error) bool
}

// follow subscribes from where the follower is and yields what comes, until it is interrupted. It never returns nil.
func (f *follower) follow(ctx context.Context, patient bool) error {
	c, err := f.store.links.begin(ctx, patient)
	if err != nil {
		return err
	}
	g := c.guard(ctx, f.store.timeout, c.link.current)
	defer g.leave()
	options := f.options()
	g.pump(func() error { return g.subscribe(options) })
	for confirmed := false; ; confirmed = true {
		r, _, err := g.next()
		switch {
		case err != nil:
			return translate(ctx, err)
		case confirmed:
			err = f.pass(r)
		case patient && !f.yield(event.Recorded{Position: f.at}, nil):
			err = errDeclined
		}
		if err != nil {
			return err
		}
	}
}

// subscribe gives an empty event when the server has confirmed the subscription, and then what comes. It never returns nil.
func (g *guard) subscribe(options esdb.SubscribeToAllOptions) error {
	sub, err := g.call.link.client.SubscribeToAll(g.call, options)
	if err != nil {
		return err
	}
	defer sub.Close() // it has no error to give
	g.patient()
	err = g.give(event.Recorded{})
	for err == nil {
		message := sub.Recv()
		switch {
		case message.SubscriptionDropped != nil:
			return message.SubscriptionDropped.Error
		case message.CheckPointReached != nil:
			err = g.give(event.Recorded{Position: event.Position(*message.CheckPointReached)})
		case message.EventAppeared != nil:
			err = g.give(recorded(message.EventAppeared.OriginalEvent()))
		}
	}
	return err
}

// pass yields an event or checkpoint, unless it lies behind. Only what lies ahead makes the next attempt to resume a quick one
// again: a server may take subscriptions, and checkpoint them, while each append that it refuses costs a link.
func (f *follower) pass(r event.Recorded) error {
	if r.Position.Compare(f.at) <= 0 {
		return nil
	}
	f.pause.Reset()
	f.at = r.Position
	if system(&r) {
		r = event.Recorded{Position: r.Position}
	}
	if !f.yield(r, nil) {
		return errDeclined
	}
	return nil
}

func (f *follower) options() esdb.SubscribeToAllOptions {
	options := esdb.SubscribeToAllOptions{
		From:               esdb.Start{},
		MaxSearchWindow:    searchWindow,
		CheckpointInterval: 1,
		Filter:             esdb.ExcludeSystemEventsFilter(),
	}
	if f.at != (event.Position{}) {
		options.From = esdb.Position{Commit: f.at.Commit, Prepare: f.at.Prepare}
	}
	if len(f.prefixes) > 0 {
		options.Filter = &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: f.prefixes}
	}
	return options
}
