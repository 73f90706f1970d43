package order

import "time"

// StepKind is a kind of work that an order's fulfilment has to do outside of the order's own stream.
type StepKind string

// The steps of fulfilment, and the events that record their outcome on the order's stream.
const (
	StepNone      StepKind = ""          // nothing to do until somebody does something with the order
	StepReserve   StepKind = "reserve"   // StockReserved; or StockRefused and Cancelled
	StepAuthorise StepKind = "authorise" // PaymentAuthorised and Confirmed; or PaymentRefused and Cancelled
	StepExpire    StepKind = "expire"    // Cancelled with PaymentTimeout
	StepRelease   StepKind = "release"   // StockReleased
	StepVoid      StepKind = "void"      // PaymentVoided
	StepDispatch  StepKind = "dispatch"  // StockShipped for Step.Parcel
	StepCapture   StepKind = "capture"   // PaymentCaptured
	StepRestock   StepKind = "restock"   // StockReturned for Step.Return
	StepRefund    StepKind = "refund"    // PaymentRefunded for Step.Return
)

// Step is what is to be done next for an order.
type Step struct {
	Kind   StepKind
	Parcel int
	Return int
	Until  time.Time // of a step that may go on failing: from then on the next step is another one; zero: for ever
}

// Next is the process manager's rule: what an order in this state needs at that moment. payWithin is how long after it
// was placed an order may wait to be confirmed; one on account, for which no payment is awaited, may for ever.
func Next(s State, now time.Time, payWithin time.Duration) Step {
	if s.Manual {
		return Step{}
	}
	switch s.Status {
	case "":
		return Step{}
	case StatusPlaced:
		return s.nextOfPlaced(now, payWithin)
	case StatusCancelled:
		return s.nextOfCancelled()
	}
	for i, p := range s.Parcels {
		if !p.OutOfStock {
			return Step{Kind: StepDispatch, Parcel: i + 1}
		}
	}
	return s.nextOfShipped()
}

// nextOfShipped puts goods before money: a payment may fail for good, and what came back is there all the same.
func (s State) nextOfShipped() Step {
	for i, r := range s.Returns {
		if r.Restock && !r.Restocked {
			return Step{Kind: StepRestock, Return: i + 1}
		}
	}
	if len(s.Parcels) > 0 && !s.Captured {
		return Step{Kind: StepCapture}
	}
	for i, r := range s.Returns {
		if r.Amount > 0 && !r.Refunded {
			return Step{Kind: StepRefund, Return: i + 1}
		}
	}
	return Step{}
}

func (s State) nextOfPlaced(now time.Time, payWithin time.Duration) Step {
	var deadline time.Time
	if s.PaymentMethod != Invoice {
		deadline = s.PlacedAt.Add(payWithin)
	}
	switch {
	case !deadline.IsZero() && !now.Before(deadline):
		return Step{Kind: StepExpire}
	case !s.Reserved:
		return Step{Kind: StepReserve, Until: deadline}
	}
	return Step{Kind: StepAuthorise, Until: deadline}
}

// nextOfCancelled undoes what may have been done. Nobody asks for a payment before the stock is known to be reserved; and
// stock is reserved product by product, so what comes after a refused product has not been touched.
func (s State) nextOfCancelled() Step {
	switch {
	case !s.Released && len(s.ToRelease()) > 0:
		return Step{Kind: StepRelease}
	case s.Reserved && !s.Voided:
		return Step{Kind: StepVoid}
	}
	return Step{}
}

// ToRelease lists the products of which units may be set aside for the order: all, or those before the refused one.
func (s State) ToRelease() []ProductQuantity {
	all := s.Products()
	if s.Refused == nil {
		return all
	}
	for i, p := range all {
		if p.ProductID == s.Refused.ProductID {
			return all[:i]
		}
	}
	return all
}

// outcome is the events that record what came of a step, if it is still asked for: two workers may have done it.
func outcome(s State, o Outcome) []any {
	if s.Manual {
		return nil
	}
	switch o.Step.Kind {
	case StepReserve:
		return s.reserved(o)
	case StepAuthorise:
		return s.authorised(o)
	case StepExpire:
		if s.Status == StatusPlaced {
			return []any{Cancelled{Reason: "The payment did not arrive in time.", Code: PaymentTimeout}}
		}
	case StepRelease:
		if s.Status == StatusCancelled && !s.Released && len(s.ToRelease()) > 0 {
			return []any{StockReleased{}}
		}
	case StepVoid:
		if s.Status == StatusCancelled && s.Reserved && !s.Voided {
			return []any{PaymentVoided{}}
		}
	case StepDispatch:
		if n := o.Step.Parcel; n >= 1 && n <= len(s.Parcels) && !s.Parcels[n-1].OutOfStock {
			return []any{StockShipped{Parcel: n}}
		}
	case StepCapture:
		if len(s.Parcels) > 0 && !s.Captured {
			return []any{PaymentCaptured{Amount: s.Total()}}
		}
	case StepRestock, StepRefund:
		return s.tookBack(o.Step)
	}
	return nil
}

func (s State) tookBack(step Step) []any {
	if step.Return < 1 || step.Return > len(s.Returns) {
		return nil
	}
	switch r := s.Returns[step.Return-1]; {
	case step.Kind == StepRestock && r.Restock && !r.Restocked:
		return []any{StockReturned{Return: step.Return}}
	case step.Kind == StepRefund && r.Amount > 0 && s.Captured && !r.Refunded:
		return []any{PaymentRefunded{Return: step.Return, Amount: r.Amount}}
	}
	return nil
}

func (s State) reserved(o Outcome) []any {
	switch {
	case s.Status != StatusPlaced || s.Reserved:
		return nil
	case o.Refused == nil:
		return []any{StockReserved{}}
	}
	reason := "Sold out."
	for _, l := range s.Lines {
		if l.ProductID == o.Refused.ProductID {
			reason = l.Name + " is sold out."
			break
		}
	}
	return []any{*o.Refused, Cancelled{Reason: reason, Code: SoldOut}}
}

func (s State) authorised(o Outcome) []any {
	switch {
	case s.Status != StatusPlaced || !s.Reserved:
		return nil
	case o.Declined != "":
		return []any{PaymentRefused{Reason: o.Declined}, Cancelled{Reason: "The payment was declined: " + o.Declined + ".", Code: PaymentDeclined}}
	}
	return []any{PaymentAuthorised{Amount: s.Total()}, Confirmed{}}
}
