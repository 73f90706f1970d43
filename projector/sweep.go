package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"jangbu/domain/event"
	"jangbu/query/row"
	"jangbu/query/view"
)

// sweep is the slow reader behind the queues. Some seconds after an event was recorded it checks, for each view, that the
// event has landed; what has not, it lands from the log, and counts. How far it has come is the view's verified position:
// everything up to there has landed, whatever SNS, SQS or an operator lost. In a Redis that was restored from an old
// backup the verified position is as old as the rest, so the sweep mends that, too.
type sweep struct {
	log    Log
	model  Model
	views  []*view.View
	report Report
	logger *slog.Logger

	sightings []sighting
	started   bool            // a round has gone well
	losses    map[string]loss // by view: the first since its last message
}

// loss is a round in which all that there was of a view had to be landed.
type loss struct {
	heard, at time.Time
	verified  event.Position // when the view had to be landed last
}

// sighting is where the log ended at some moment. Waiting a while after it, rather than comparing clocks with the store,
// gives the queues their time.
type sighting struct {
	end event.Position
	at  time.Time
}

const (
	sweepInterval = time.Second
	sweepMargin   = 5 * time.Second
	sweepRetry    = 5 * time.Second
	sweepChunk    = 1000

	// silentAfter is how long no message must have come after a sweep first had to land everything, when it has to again, for the view to
	// count as silent. A queue with a backlog is late, and one that lost what it held has lost it once. When the last message came is only
	// compared with itself: its clock may be another, or have been put back since.
	silentAfter = 2 * sweepMargin
)

// Run sweeps until ctx ends, and returns nil.
func (s *sweep) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		err := s.round(ctx, time.Now())
		if ctx.Err() != nil {
			return nil
		}
		s.report("sweep", err)
		if err != nil {
			timer.Reset(sweepRetry) // a view that cannot go on is read from where it stands each time
		} else {
			timer.Reset(sweepInterval)
		}
	}
}

// sweeping is one view in a round.
type sweeping struct {
	view     *view.View
	registry row.Registry
	gen      row.Generation
	at       event.Position // verified
	due      int64          // events that feed the view
	healed   int64          // that had to be landed
	err      error
}

// round brings every view's verified position to where the log ended a while ago.
func (s *sweep) round(ctx context.Context, now time.Time) error {
	target, due, err := s.target(ctx, now)
	if err != nil || !due {
		return err
	}
	var behind []*sweeping
	from := target
	for _, v := range s.views {
		registry, err := s.model.Registry(ctx, v.Name)
		if err != nil {
			return err
		}
		if registry.Live.Number > 0 && registry.Version == v.Version && registry.At.Compare(target) < 0 {
			behind = append(behind, &sweeping{view: v, registry: registry, gen: registry.Live, at: registry.At})
			if registry.At.Compare(from) < 0 {
				from = registry.At
			}
		}
	}
	if len(behind) == 0 {
		s.started = true
		return nil
	}
	var chunk []event.Recorded
	for e, err := range s.log.ReadAll(ctx, from) {
		if err != nil {
			return err
		}
		if e.Position.Compare(target) > 0 {
			break
		}
		if chunk = append(chunk, e); len(chunk) == sweepChunk {
			s.check(ctx, behind, chunk)
			chunk = nil
		}
	}
	s.check(ctx, behind, chunk)
	var errs []error
	for _, b := range behind {
		errs = append(errs, b.err, s.note(ctx, b, now))
	}
	err = errors.Join(errs...)
	s.started = s.started || err == nil
	return err
}

// note keeps count of what had to be healed, and of silence: when all there was had to be, more than once, and no message came for some
// time. The first round does not wait for messages, so it proves no silence.
func (s *sweep) note(ctx context.Context, b *sweeping, now time.Time) error {
	silent := b.due > 0 && b.healed >= b.due && s.started && s.lostAgain(b, now)
	if b.healed > 0 {
		s.logger.Info("landed events from the log that no message had brought yet", "view", b.view.Name, "events", b.healed)
	}
	if b.healed == 0 && (b.due == 0 || b.registry.Silent.IsZero()) {
		return nil
	}
	if b.due == 0 || !s.started {
		silent = !b.registry.Silent.IsZero()
	}
	return s.model.Swept(ctx, b.gen, b.healed, silent, b.registry.Heard)
}

// lostAgain reports whether all that there was of a view had to be landed some time ago, too, and no message has come since. A Redis that
// was put back to a backup meanwhile, and so the verified position, says nothing of messages.
func (s *sweep) lostAgain(b *sweeping, now time.Time) bool {
	first, known := s.losses[b.view.Name]
	if !known || !first.heard.Equal(b.registry.Heard) || b.registry.At.Compare(first.verified) <= 0 {
		first = loss{heard: b.registry.Heard, at: now}
	}
	first.verified = b.registry.At
	s.losses[b.view.Name] = first
	return !b.registry.Silent.IsZero() || now.Sub(first.at) >= silentAfter
}

// target is where the log ended sweepMargin ago, as far as that was seen; false if nothing was. At first it is where the
// log ends now: what the queues held before this sweep began may be lost.
func (s *sweep) target(ctx context.Context, now time.Time) (event.Position, bool, error) {
	head, err := s.log.Head(ctx)
	if errors.Is(err, event.ErrStreamNotFound) {
		return event.Position{}, false, nil
	}
	if err != nil {
		return event.Position{}, false, err
	}
	first := len(s.sightings) == 0
	s.sightings = append(s.sightings, sighting{head.Position, now})
	if first {
		return head.Position, true, nil
	}
	for len(s.sightings) > 1 && now.Sub(s.sightings[1].at) >= sweepMargin {
		s.sightings = s.sightings[1:]
	}
	oldest := s.sightings[0]
	return oldest.end, now.Sub(oldest.at) >= sweepMargin, nil
}

// check lands what has not landed of a chunk in each view, and moves its verified position to the chunk's end. A view that
// fails stays where it is; the others go on.
func (s *sweep) check(ctx context.Context, behind []*sweeping, chunk []event.Recorded) {
	if len(chunk) == 0 {
		return
	}
	end := chunk[len(chunk)-1]
	for _, b := range behind {
		if b.err != nil || end.Position.Compare(b.at) <= 0 {
			continue
		}
		var arrivals []arrival
		for _, e := range chunk {
			if e.Position.Compare(b.at) > 0 {
				arrivals = append(arrivals, arrival{Recorded: e})
			}
		}
		if err := s.checkView(ctx, b, arrivals); err != nil {
			b.err = fmt.Errorf("view %s is verified up to %s: %w", b.view.Name, b.at, err)
			continue
		}
		if err := s.model.Advance(ctx, b.gen, end); err != nil {
			b.err = err
			continue
		}
		b.at = end.Position
	}
}

func (s *sweep) checkView(ctx context.Context, b *sweeping, arrivals []arrival) error {
	healed, err := NewApplier(b.view, b.gen, s.model, s.log).apply(ctx, arrivals)
	b.healed += healed
	if err != nil {
		return err
	}
	streams := map[string]bool{}
	for _, a := range arrivals {
		if _, feeds := b.view.Source(a.Stream); feeds {
			b.due++
			streams[a.Stream] = true
		}
	}
	return unparkLanded(ctx, s.model, b.gen, streams) // other code than ours may have parked them
}

// Lag is how far a view is behind the log.
type Lag struct {
	Events int64     // recorded after the verified position and not landed yet
	Since  time.Time // when the first of them was recorded; zero if there is none
}

// Ahead reports whether the log ends before a position that has been verified, and where: the event store was put back to a backup, or is
// another one.
func Ahead(ctx context.Context, store HeadReader, at event.Position) (end event.Position, ahead bool, err error) {
	last, err := store.Head(ctx)
	if err != nil && !errors.Is(err, event.ErrStreamNotFound) {
		return event.Position{}, false, err
	}
	return last.Position, at.Compare(last.Position) > 0, nil
}

// LagOf counts the events after a view's verified position that have not landed, among the first limit it reads.
func LagOf(ctx context.Context, log Log, rows Rows, v *view.View, registry row.Registry, limit int) (Lag, error) {
	var events []event.Recorded
	for e, err := range log.ReadAll(ctx, registry.At) {
		if err != nil {
			return Lag{}, err
		}
		if _, ok := v.Source(e.Stream); ok {
			events = append(events, e)
		}
		if len(events) == limit {
			break
		}
	}
	landed := map[string]int64{}
	if registry.Live.Number > 0 && len(events) > 0 {
		var streams []string
		for _, e := range events {
			if _, ok := landed[e.Stream]; !ok {
				landed[e.Stream] = event.NoStream
				streams = append(streams, e.Stream)
			}
		}
		states, err := rows.States(ctx, registry.Live, streams)
		if err != nil {
			return Lag{}, err
		}
		for _, st := range states {
			landed[st.Stream] = st.Revision
		}
	}
	var lag Lag
	for _, e := range events {
		if revision, ok := landed[e.Stream]; ok && revision >= e.Revision {
			continue
		}
		if lag.Events++; lag.Events == 1 {
			lag.Since = e.Time
		}
	}
	return lag, nil
}
