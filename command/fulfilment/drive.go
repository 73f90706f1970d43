package fulfilment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/order"
)

// job is an order at work: its state, and the event that brought it there.
type job struct {
	id    string
	state order.State
	cause event.Recorded
}

// stepError says which step of an order failed, and until when it may be tried again; zero: for ever.
type stepError struct {
	step  order.Step
	until time.Time
	err   error
}

func (e *stepError) Error() string { return fmt.Sprintf("%s: %v", e.step.Kind, e.err) }
func (e *stepError) Unwrap() error { return e.err }

// errStuck: a step was taken, and the order asks for it again. It is a fault of the rules.
var errStuck = errors.New("the outcome of the step does not settle it")

// drive takes steps until the order needs none. It returns the order as it was last loaded. A crash anywhere leaves the
// order asking for the step that was being taken, or for the next one: whoever drives it next goes on there.
func (m *Manager) drive(ctx context.Context, id string) (job, error) {
	taken, at := order.Step{}, event.NoStream
	for {
		state, last, err := m.shop.LoadOrder(ctx, id)
		if err != nil {
			return job{id: id}, err
		}
		j := job{id, state, last}
		step := m.next(state)
		if step.Kind == order.StepNone {
			return j, nil
		}
		if step == taken && last.Revision == at {
			return j, &stepError{step, step.Until, errStuck}
		}
		outcome, err := m.carryOut(ctx, j, step)
		if err == nil {
			// A crash before this leaves a step that was taken and not recorded. It is taken again, and finds that it was.
			err = m.shop.RecordOutcome(ctx, last, outcome)
		}
		if err != nil && !errors.Is(err, errOvertaken) {
			return j, &stepError{step, step.Until, err}
		}
		taken, at = step, last.Revision
	}
}

func (m *Manager) next(s order.State) order.Step {
	return order.Next(s, m.cfg.Now(), m.cfg.PayWithin)
}

// errOvertaken: another worker has taken the order's payment elsewhere meanwhile. The order says where to go on.
var errOvertaken = errors.New("another worker was faster")
