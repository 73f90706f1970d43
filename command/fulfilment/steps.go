package fulfilment

import (
	"context"
	"errors"
	"fmt"

	"jangbu/domain"
	"jangbu/domain/order"
	"jangbu/domain/payment"
	"jangbu/domain/stock"
)

// carryOut takes one step and returns what came of it. It may run at the same time elsewhere, and again.
func (m *Manager) carryOut(ctx context.Context, j job, step order.Step) (order.Outcome, error) {
	o := order.Outcome{ID: j.id, Step: step}
	var err error
	switch step.Kind {
	case order.StepReserve:
		o.Refused, err = m.reserve(ctx, j)
	case order.StepAuthorise:
		o.Declined, err = m.authorise(ctx, j)
	case order.StepExpire: // the outcome is all there is to it
	case order.StepRelease:
		err = m.release(ctx, j)
	case order.StepVoid:
		err = m.void(ctx, j)
	case order.StepDispatch:
		err = m.dispatch(ctx, j, step.Parcel)
	case order.StepCapture:
		err = m.capture(ctx, j)
	case order.StepRestock:
		err = m.restock(ctx, j, step.Return)
	case order.StepRefund:
		err = m.refund(ctx, j, step.Return)
	default:
		err = fmt.Errorf("nobody knows how to take the step %q", step.Kind)
	}
	return o, err
}

// reserve sets the products of the order aside, one after the other, up to the first of which there is too little.
//
// A crash between two products leaves the first ones set aside. Who goes on reserves all of them again, in the same order, and
// each answers as it did.
func (m *Manager) reserve(ctx context.Context, j job) (*order.StockRefused, error) {
	for _, p := range j.state.Products() {
		refused, err := m.reserveOne(ctx, j, p, false)
		if err != nil {
			return nil, err
		}
		if refused != nil {
			return &order.StockRefused{ProductID: p.ProductID, Wanted: p.Quantity, Available: refused.Available}, nil
		}
	}
	return nil, nil
}

func (m *Manager) reserveOne(ctx context.Context, j job, p order.ProductQuantity, forgo bool) (*stock.ReservationRefused, error) {
	return m.shop.Reserve(ctx, j.cause, stock.Reserve{ProductID: p.ProductID, OrderID: j.id, Quantity: p.Quantity, Forgo: forgo})
}

// release lets go of what is set aside for a cancelled order. A worker that sleeps in the middle of reserve must not set
// more aside later, so the reservation of each product is first finished, whatever it answers, and then undone. One that
// has not been decided is forgone: to set the units aside even for a moment might refuse them to an order that would have had them.
//
// A crash in between leaves some products released. Who goes on finds those done.
func (m *Manager) release(ctx context.Context, j job) error {
	for _, p := range j.state.ToRelease() {
		if _, err := m.reserveOne(ctx, j, p, true); err != nil {
			return err
		}
		err := m.shop.MoveStock(ctx, j.cause, p.ProductID, "release/"+j.id, stock.Release{ProductID: p.ProductID, OrderID: j.id})
		if err != nil {
			return err
		}
	}
	return nil
}

// dispatch takes a parcel out of the stock. A crash leaves some of its products taken out, each at once and once.
func (m *Manager) dispatch(ctx context.Context, j job, parcel int) error {
	for _, p := range j.state.ByProduct(j.state.Parcels[parcel-1].Lines) {
		c := stock.Ship{ProductID: p.ProductID, OrderID: j.id, Parcel: parcel, Quantity: p.Quantity}
		if err := m.shop.MoveStock(ctx, j.cause, p.ProductID, fmt.Sprintf("ship/%s/%d", j.id, parcel), c); err != nil {
			return err
		}
	}
	return nil
}

// restock puts what came back into the stock. A crash leaves it as dispatch does.
func (m *Manager) restock(ctx context.Context, j job, n int) error {
	for _, p := range j.state.ByProduct(j.state.Returns[n-1].Lines) {
		c := stock.Return{ProductID: p.ProductID, OrderID: j.id, Return: n, Quantity: p.Quantity}
		if err := m.shop.MoveStock(ctx, j.cause, p.ProductID, fmt.Sprintf("return/%s/%d", j.id, n), c); err != nil {
			return err
		}
	}
	return nil
}

// authorise asks for the order's total. A declined payment is told by why.
func (m *Manager) authorise(ctx context.Context, j job) (declined string, err error) {
	p, err := m.shop.LoadPayment(ctx, j.id)
	if err != nil {
		return "", err
	}
	request := payment.Request{OrderID: j.id, Amount: j.state.Total(), Currency: j.state.Currency, Method: j.state.PaymentMethod}
	if request.Method == "" {
		request.Method = order.Card
	}
	switch p.Status {
	case payment.StatusDeclined:
		return p.Reason, nil
	case payment.StatusAuthorised, payment.StatusCaptured:
		return "", nil
	case payment.StatusVoided:
		return "", errOvertaken // the order is cancelled
	case "":
		// A crash after this leaves a payment that was requested, and nothing at the gateway yet: who goes on asks it. Who voids
		// the payment asks it, too.
		if err := m.pay(ctx, j, "request", request); err != nil {
			return "", err
		}
	}
	reference := ""
	if throughGateway(payment.Requested(request)) {
		reference, err = m.gateway.Authorise(ctx, charge(payment.Requested(request), ""))
	}
	// A crash here leaves the gateway holding an amount that no event tells of. Its key finds it again, for who goes on and for
	// who voids it.
	var refusal *payment.Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason, m.pay(ctx, j, "decline", payment.Decline{OrderID: j.id, Reason: refusal.Reason})
	}
	if err != nil {
		return "", err
	}
	return "", m.pay(ctx, j, "authorise", payment.Authorise{OrderID: j.id, Reference: reference})
}

// void sees to it that the payment of a cancelled order is never taken. The door is shut before it is known whether
// anybody is behind it: of a payment that nobody has requested, a request after the event is refused; of one that was
// requested, the gateway declines an authorisation after its void.
//
// A crash leaves a payment that is voided here and not there, or there and not here: who goes on does both again.
func (m *Manager) void(ctx context.Context, j job) error {
	p, err := m.shop.LoadPayment(ctx, j.id)
	if err != nil {
		return err
	}
	if p.Status == "" {
		if err := m.pay(ctx, j, "void", payment.Void{OrderID: j.id}); err != nil {
			return err
		}
		if p, err = m.shop.LoadPayment(ctx, j.id); err != nil { // it may have been requested meanwhile
			return err
		}
	}
	if throughGateway(p.Requested) && p.Status != payment.StatusDeclined {
		if err := sure(m.gateway.Void(ctx, charge(p.Requested, p.Reference))); err != nil {
			return err
		}
	}
	return m.pay(ctx, j, "void", payment.Void{OrderID: j.id})
}

// capture takes the whole total. A crash between the gateway and the event leaves money taken that no event tells of; it
// is asked for again under the same key, and then told.
func (m *Manager) capture(ctx context.Context, j job) error {
	p, err := m.shop.LoadPayment(ctx, j.id)
	if err != nil || p.Status == payment.StatusCaptured {
		return err
	}
	if throughGateway(p.Requested) {
		if err := sure(m.gateway.Capture(ctx, charge(p.Requested, p.Reference))); err != nil {
			return err
		}
	}
	return m.pay(ctx, j, "capture", payment.Capture{OrderID: j.id})
}

// refund pays back what a return is worth. A crash leaves it as capture does; each return has a key of its own.
func (m *Manager) refund(ctx context.Context, j job, n int) error {
	p, err := m.shop.LoadPayment(ctx, j.id)
	if err != nil || p.RefundedFor(n) {
		return err
	}
	amount, reference := j.state.Returns[n-1].Amount, ""
	if throughGateway(p.Requested) {
		c := charge(p.Requested, p.Reference)
		c.Refunded = p.Refunded()
		if reference, err = m.gateway.Refund(ctx, c, n, amount); sure(err) != nil {
			return sure(err)
		}
	}
	return m.pay(ctx, j, fmt.Sprintf("refund/%d", n), payment.Refund{OrderID: j.id, Return: n, Amount: amount, Reference: reference})
}

// pay records a step of the payment. A refusal says that the payment has gone another way.
func (m *Manager) pay(ctx context.Context, j job, step string, c payment.Command) error {
	err := m.shop.RecordPayment(ctx, j.cause, j.id, step, c)
	var refused *domain.Refused
	if errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", errOvertaken, err)
	}
	return err
}

// sure is the error of a call that a gateway must not refuse: it holds what it is asked to take or to let go of. If it
// refuses all the same, somebody has to look.
func sure(err error) error {
	var refusal *payment.Refusal
	if errors.As(err, &refusal) {
		return fmt.Errorf("%w: %w", payment.ErrRejected, err)
	}
	return err
}

// throughGateway reports whether a payment is the gateway's business: neither credit nor nothing at all is.
func throughGateway(r payment.Requested) bool { return r.Method == order.Card && r.Amount > 0 }

func charge(r payment.Requested, reference string) payment.Charge {
	return payment.Charge{OrderID: r.OrderID, Amount: r.Amount, Currency: r.Currency, Reference: reference}
}
