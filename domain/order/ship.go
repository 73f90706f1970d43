package order

import (
	"fmt"
	"reflect"

	"jangbu/domain"
)

func ship(s State, c Ship, today string) ([]any, error) {
	var invalid domain.Invalid
	e := Shipped{
		Carrier:   invalid.Required("/carrier", c.Carrier, domain.MaxText),
		Tracking:  invalid.Optional("/tracking", c.Tracking, domain.MaxText),
		ShippedOn: day(&invalid, "/shipped_on", c.ShippedOn, today),
		Lines:     s.checkLines(&invalid, c.Lines),
	}
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	unshipped := s.Unshipped()
	switch {
	case s.Status == StatusCancelled:
		return nil, alreadyCancelled(c.ID)
	case s.Status == StatusPlaced && !s.Manual:
		return nil, &domain.Refused{Code: "order-not-confirmed",
			Detail: "Order " + c.ID + " is not confirmed yet: its stock is not reserved, or its payment not authorised. Try again."}
	case len(unshipped) == 0 && s.saidAgain(e, c):
		return nil, nil
	case len(unshipped) == 0:
		return nil, alreadyShipped(c.ID)
	}
	for _, l := range e.Lines {
		if left := quantity(unshipped, l.Line); l.Quantity > left {
			return nil, &domain.Refused{Code: "order-already-shipped",
				Detail: fmt.Sprintf("Of line %d of order %s, %d units are left to ship.", l.Line, c.ID, left)}
		}
	}
	return []any{e}, nil
}

// saidAgain reports whether the last parcel is what the command asks for.
func (s State) saidAgain(e Shipped, c Ship) bool {
	last := s.Parcels[len(s.Parcels)-1].Shipped
	if c.ShippedOn == "" { // "today", said again on another day
		e.ShippedOn = last.ShippedOn
	}
	if e.Lines == nil {
		e.Lines = last.Lines
	}
	return reflect.DeepEqual(e, last)
}

// checkLines checks what a client says of lines; nil stays nil.
func (s State) checkLines(invalid *domain.Invalid, lines []LineQuantity) []LineQuantity {
	seen := map[int]bool{}
	for i, l := range lines {
		at := fmt.Sprintf("/lines/%d", i)
		switch {
		case l.Line < 1 || l.Line > len(s.Lines):
			invalid.Add(at+"/line", fmt.Sprintf("must be from 1 to %d, the lines of the order", len(s.Lines)))
		case seen[l.Line]:
			invalid.Add(at+"/line", "must be named once")
		}
		seen[l.Line] = true
		invalid.Within(at+"/quantity", l.Quantity, 1, MaxQuantity)
	}
	if len(lines) == 0 {
		return nil
	}
	return lines
}

func day(invalid *domain.Invalid, pointer, s, today string) string {
	if s == "" {
		return today
	}
	invalid.Date(pointer, s)
	return s
}

func deliver(s State, c Deliver, today string) ([]any, error) {
	var invalid domain.Invalid
	on := day(&invalid, "/delivered_on", c.DeliveredOn, today)
	invalid.Within("/parcel", int64(c.Parcel), 0, int64(max(len(s.Parcels), 1)))
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	if s.Status == StatusCancelled {
		return nil, alreadyCancelled(c.ID)
	}
	if len(s.Parcels) == 0 {
		return nil, &domain.Refused{Code: "order-not-shipped", Detail: "Nothing of order " + c.ID + " has been shipped."}
	}
	var events []any
	for i, p := range s.Parcels {
		if (c.Parcel == 0 || c.Parcel == i+1) && p.DeliveredOn == "" {
			events = append(events, Delivered{Parcel: i + 1, DeliveredOn: on})
		}
	}
	return events, nil
}

func takeBack(s State, c TakeBack, today string) ([]any, error) {
	var invalid domain.Invalid
	e := Returned{
		Lines:      s.checkLines(&invalid, c.Lines),
		Restock:    c.Restock,
		Reason:     invalid.Optional("/reason", c.Reason, domain.MaxReason),
		ReturnedOn: day(&invalid, "/returned_on", c.ReturnedOn, today),
	}
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	if s.Status == StatusCancelled {
		return nil, alreadyCancelled(c.ID)
	}
	returnable := s.Returnable()
	if e.Lines == nil {
		e.Lines = returnable
	}
	if len(e.Lines) == 0 {
		return nil, &domain.Refused{Code: "order-not-shipped", Detail: "Nothing of order " + c.ID + " is out there to come back."}
	}
	for _, l := range e.Lines {
		if left := quantity(returnable, l.Line); l.Quantity > left {
			return nil, &domain.Refused{Code: "order-not-shipped",
				Detail: fmt.Sprintf("Of line %d of order %s, %d units are out there to come back.", l.Line, c.ID, left)}
		}
	}
	e.Amount = s.RefundOf(e.Lines)
	if c.RefundShipping {
		if after := Apply(s, e); after.Status != StatusReturned {
			invalid.Add("/refund_shipping", "must come with the last units of the order")
			return nil, invalid.Err()
		}
		e.Amount += s.ShippingFee
	}
	return []any{e}, nil
}

func cancel(s State, c Cancel) ([]any, error) {
	var invalid domain.Invalid
	reason := invalid.Required("/reason", c.Reason, domain.MaxReason)
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	switch {
	case s.Status == StatusCancelled && reason == s.CancelReason:
		return nil, nil
	case s.Status == StatusCancelled:
		return nil, alreadyCancelled(c.ID)
	case len(s.Parcels) > 0:
		return nil, alreadyShipped(c.ID)
	}
	return []any{Cancelled{Reason: reason}}, nil
}

func alreadyShipped(id string) error {
	return &domain.Refused{Code: "order-already-shipped", Detail: "Order " + id + " has been shipped."}
}

func alreadyCancelled(id string) error {
	return &domain.Refused{Code: "order-already-cancelled", Detail: "Order " + id + " has been cancelled."}
}
