package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/domain/payment"
	"jangbu/domain/stock"
)

// What follows are the commands that no client sends: the steps of fulfilment. They run as the others do, under command
// ids that are made of what they are about, so that whoever takes a step, and however often, it is one command.

// FulfilmentActor stands in the metadata of what fulfilment does.
const FulfilmentActor = "fulfilment"

// stepNamespace is the UUIDv5 namespace of the command ids of steps. It never changes: the steps taken so far are known
// by it.
var stepNamespace = uuid.MustParse("0c6e2f0a-3a52-4d0e-8f1d-7b1f6a5c9e43")

var payments = aggregate[payment.State, payment.Command]{payment.Category, payment.Codec, payment.Apply, payment.Decide}

// LoadOrder returns the state of an order and its last event; both are zero if nobody has placed it.
func (s *Service) LoadOrder(ctx context.Context, id string) (order.State, event.Recorded, error) {
	// An order's stream is short, and its last event has to be read anyway.
	var last event.Recorded
	k := nothing(s.orders())
	for recorded, err := range s.store.ReadStream(ctx, order.Stream(id), 0) {
		if errors.Is(err, event.ErrStreamNotFound) {
			break
		}
		if err == nil {
			k, err = k.and(s.orders(), recorded)
		}
		if err != nil {
			return order.State{}, event.Recorded{}, fmt.Errorf("load order %s: %w", id, err)
		}
		last = recorded
	}
	return k.state.(order.State), last, nil
}

// LoadPayment returns the state of an order's payment; it is zero if nobody has requested it.
func (s *Service) LoadPayment(ctx context.Context, orderID string) (payment.State, error) {
	k, err := s.fresh(ctx, payment.Stream(orderID), payments)
	if err != nil {
		return payment.State{}, err
	}
	return k.state.(payment.State), nil
}

// RecordOutcome records what came of a step on the order's stream, if the order still asks for it. cause is the event
// that called for the step.
func (s *Service) RecordOutcome(ctx context.Context, cause event.Recorded, o order.Outcome) error {
	r := s.stepRequest(cause, fmt.Sprintf("%s/%s/%d/%d", o.Step.Kind, o.ID, o.Step.Parcel, o.Step.Return))
	_, err := s.execute(ctx, s.orders().operation(r, o.ID, o))
	return err
}

// RecordPayment runs a command of an order's payment; step names it among the payment's commands. It fails with
// *domain.Refused when the payment has gone another way.
func (s *Service) RecordPayment(ctx context.Context, cause event.Recorded, orderID, step string, c payment.Command) error {
	r := s.stepRequest(cause, "payment/"+orderID+"/"+step)
	_, err := s.execute(ctx, payments.operation(r, orderID, c))
	return err
}

// MoveStock runs a command of a product's stock once for good, however often it is asked for and however long a worker
// slept over it: its command id, made of product and step, is claimed as an Idempotency-Key is.
func (s *Service) MoveStock(ctx context.Context, cause event.Recorded, productID, step string, c stock.Command) error {
	_, err := s.moveStock(ctx, cause, productID, step, c)
	return err
}

// Reserve sets stock aside for an order, once for good. It returns the answer of that one time: nil, or why it was
// refused.
func (s *Service) Reserve(ctx context.Context, cause event.Recorded, c stock.Reserve) (*stock.ReservationRefused, error) {
	o, err := s.moveStock(ctx, cause, c.ProductID, "reserve/"+c.OrderID, c)
	if err != nil {
		return nil, err
	}
	// The event itself tells, and not the state: the order may have let go of its units since.
	for recorded, err := range s.store.ReadStream(ctx, o.stream, o.revision) {
		if err != nil {
			return nil, fmt.Errorf("read the reservation in %s: %w", o.stream, err)
		}
		if recorded.ID != o.eventID(0) {
			break
		}
		e, err := stock.Codec.Decode(recorded.Type, recorded.Data)
		if err != nil {
			return nil, fmt.Errorf("read the reservation in %s: %w", o.stream, err)
		}
		if refused, ok := e.(stock.ReservationRefused); ok {
			return &refused, nil
		}
		return nil, nil
	}
	return nil, errors.New("the reservation is not where it was recorded: " + o.stream)
}

// moved is a stock command that has been carried out, and the revision of its event.
type moved struct {
	*operation
	revision int64
}

// moveStock claims the step under a hash of the command's JSON, so that of the stock's commands for steps no field of it may come, go, or
// change its name: a claim of before would refuse the step for ever.
func (s *Service) moveStock(ctx context.Context, cause event.Recorded, productID, step string, c stock.Command) (moved, error) {
	name := "stock/" + productID + "/" + step
	r := s.stepRequest(cause, name)
	body, err := json.Marshal(c)
	if err != nil {
		return moved{}, fmt.Errorf("hash step: %w", err)
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), body...))
	r.keyed, r.hash = true, hex.EncodeToString(sum[:])
	o := stocks.operation(r, productID, c)
	revision, err := s.execute(ctx, o)
	return moved{o, revision}, err
}

// stepRequest is the request of a step: part of the conversation that its cause belongs to.
func (s *Service) stepRequest(cause event.Recorded, name string) request {
	meta := cause.Meta()
	r := request{
		commandID: uuid.NewSHA1(stepNamespace, []byte(name)), actor: FulfilmentActor,
		correlation: meta.CorrelationID, traceparent: meta.Traceparent, step: true,
	}
	if r.correlation == "" {
		r.correlation = r.commandID.String()
	}
	if cause.ID != uuid.Nil {
		r.causation = cause.ID.String()
	}
	return r
}

// hint tells fulfilment, if it listens, of an order that a client has changed.
func (s *Service) hint(o *operation) {
	if s.cfg.OrderChanged != nil && !o.step && event.Category(o.stream) == order.Category {
		s.cfg.OrderChanged(o.id)
	}
}
