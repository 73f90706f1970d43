package cli

import (
	"context"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/projector"
)

// fulfilmentStatus is how fulfilment is doing, beside the views. Its position is the checkpoint of its sweep: every order
// that needed something up to there has been dealt with, or is in its schedule.
type fulfilmentStatus struct{ reading }

// lookAtFulfilment looks at it without its queue.
func (o *observer) lookAtFulfilment(ctx context.Context) (fulfilmentStatus, error) {
	at, err := o.due.Checkpoint(ctx)
	if err != nil {
		return fulfilmentStatus{}, err
	}
	_, ahead, err := projector.Ahead(ctx, o.store, at)
	if err != nil {
		return fulfilmentStatus{}, err
	}
	s := fulfilmentStatus{reading{View: fulfilmentQueue, Position: at.String()}}
	var lag projector.Lag
	var first time.Time // of all that was read
	read := 0
	for e, err := range o.store.ReadAll(ctx, at) {
		if err != nil {
			return fulfilmentStatus{}, err
		}
		if read == 0 {
			first = e.Time
		}
		if event.Category(e.Stream) == order.Category {
			if lag.Events++; lag.Events == 1 {
				lag.Since = e.Time
			}
		}
		// The checkpoint moves with any event, so what lies behind it is little, unless fulfilment is behind or has never run.
		if read++; read == o.limit {
			break
		}
	}
	if lag.Events == 0 && read == o.limit {
		lag.Since = first // it is behind, whether or not an order is among what lies further on
	}
	now := time.Now()
	s.lag(lag, read == o.limit, now)
	s.Status = statusOfFulfilment(at, lag, ahead, now)
	return s, nil
}

// statusOfFulfilment says what is wrong with it, but for its queue.
func statusOfFulfilment(at event.Position, lag projector.Lag, ahead bool, now time.Time) string {
	switch {
	case ahead:
		return "ahead of the log"
	case lag.Since.IsZero():
	case at == event.Position{}:
		return "not run yet"
	case now.Sub(lag.Since) > stallTime:
		return "stalled since " + clock(lag.Since, now)
	}
	return statusOK
}

// wrong adds to what is wrong.
func (s *fulfilmentStatus) wrong(what string) {
	if s.well() {
		s.Status = what
		return
	}
	s.Status += ", " + what
}

func (s fulfilmentStatus) cells() []string {
	lag, oldest, queue, dead := s.figures()
	return []string{s.View, "-", "-", "-", s.Position, lag, oldest, queue, dead, "-", "-", s.Status}
}
