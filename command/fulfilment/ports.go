package fulfilment

import (
	"context"
	"iter"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/domain/payment"
	"jangbu/domain/stock"
)

// Shop is the write side: *command.Service. All of it is safe for concurrent use by any number of processes, and every call
// may be repeated. Errors that a retry may cure wrap event.ErrUnavailable or event.ErrConflict; after any error a call
// may have happened. cause is the event that calls for what is done.
type Shop interface {
	Orders
	Payments
	Stock
}

// Orders reads an order and records what came of its steps; an outcome that the order no longer asks for changes nothing. An
// order that does not exist is a zero state.
type Orders interface {
	LoadOrder(ctx context.Context, id string) (state order.State, last event.Recorded, err error)
	RecordOutcome(ctx context.Context, cause event.Recorded, o order.Outcome) error
}

// Payments reads and records payments. RecordPayment is *domain.Refused when the payment has gone another way.
type Payments interface {
	LoadPayment(ctx context.Context, orderID string) (payment.State, error)
	RecordPayment(ctx context.Context, cause event.Recorded, orderID, step string, c payment.Command) error
}

// Stock moves a product's stock, each step once for good: Reserve answers what it answered the first time.
type Stock interface {
	Reserve(ctx context.Context, cause event.Recorded, c stock.Reserve) (*stock.ReservationRefused, error)
	MoveStock(ctx context.Context, cause event.Recorded, productID, step string, c stock.Command) error
}

// Gateway holds and moves the money of card payments. Each call is idempotent, also at once and from several processes:
// made again it has no further effect and answers alike. Errors are *payment.Refusal, payment.ErrRejected and
// event.ErrUnavailable.
type Gateway interface {
	Holder
	Taker
}

// Holder holds an amount, and lets go of it. After Void, whether or not it found anything, no authorisation of that
// payment holds anything: one that comes later is declined.
type Holder interface {
	Authorise(ctx context.Context, c payment.Charge) (reference string, err error)
	Void(ctx context.Context, c payment.Charge) error
}

// Taker takes the whole amount that is held, and pays back parts of it; n names the return of the order that a part is for.
type Taker interface {
	Capture(ctx context.Context, c payment.Charge) error
	Refund(ctx context.Context, c payment.Charge, n int, amount int64) (reference string, err error)
}

// Schedule keeps orders until they are due, durably, but may be emptied: the sweep then fills it again. Note puts an order in or
// moves it. Take returns orders that are due and moves them to until, so that one whose taker dies is due again. Done takes an
// order out if it is due at that time still.
type Schedule interface {
	Note(ctx context.Context, orderID string, due time.Time) error
	Take(ctx context.Context, now, until time.Time, limit int) (orderIDs []string, err error)
	Done(ctx context.Context, orderID string, due time.Time) error
}

// Checkpoint keeps how far the sweeps have come, where the schedule is kept, so that both are lost together. Advance moves
// it forwards, never back, and returns where it stands; unless what was noted may be lost, as where that is before known: then it
// stays there. The zero Position is an empty one's. Forget takes it away, if it stands there: it is then to be kept anew, for another log.
type Checkpoint interface {
	Checkpoint(ctx context.Context) (event.Position, error)
	Advance(ctx context.Context, known, to event.Position) (at event.Position, lost bool, err error)
	Forget(ctx context.Context, at event.Position) error
}

// Queue brings the events of orders, at least once, in any order, and again after a while unless they are deleted. Errors
// wrap event.ErrUnavailable, event.ErrNotProvisioned among them while there is no such queue.
type Queue interface {
	Receive(ctx context.Context, limit int, wait time.Duration) ([]event.Delivery, error)
	Delete(ctx context.Context, deliveries []event.Delivery) error
}

// Log follows the log for ever, from the first event after a position. It yields an error for each interruption and goes
// on by itself; an event with an empty Type is a checkpoint. Head is the log's last event, or event.ErrStreamNotFound.
type Log interface {
	Head(ctx context.Context) (event.Recorded, error)
	Subscribe(ctx context.Context, after event.Position, prefixes []string) iter.Seq2[event.Recorded, error]
}
