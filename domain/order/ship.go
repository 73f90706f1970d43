package order

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"

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
	case s.saidAgain(e, c, len(unshipped) == 0):
		return nil, nil
	case len(unshipped) == 0:
		return nil, alreadyShipped(c.ID)
	}
	if line, left, ok := within(e.Lines, unshipped); !ok {
		return nil, &domain.Refused{Code: "order-already-shipped",
			Detail: fmt.Sprintf("Of line %d of order %s, %d units are left to ship.", line, c.ID, left)}
	}
	return []any{e}, nil
}

// within looks for a line of which more is wanted than there is.
func within(wanted, there []LineQuantity) (line int, left int64, ok bool) {
	of := map[int]int64{}
	for _, l := range there {
		of[l.Line] = l.Quantity
	}
	for _, l := range wanted {
		if l.Quantity > of[l.Line] {
			return l.Line, of[l.Line], false
		}
	}
	return 0, 0, true
}

// saidAgain reports whether a parcel is what the command asks for: any of those so far if the command names a tracking number and lines,
// which tell a parcel from another one just like it. Otherwise the last, when there is nothing left to ship.
func (s State) saidAgain(e Shipped, c Ship, allShipped bool) bool {
	parcels := s.Parcels
	if e.Tracking == "" || e.Lines == nil {
		if !allShipped {
			return false
		}
		parcels = parcels[max(0, len(parcels)-1):]
	}
	return slices.ContainsFunc(parcels, func(p Parcel) bool {
		said := e
		if c.ShippedOn == "" { // "today", said again on another day
			said.ShippedOn = p.ShippedOn
		}
		if said.Lines == nil {
			said.Lines = p.Shipped.Lines
		}
		return reflect.DeepEqual(said, p.Shipped)
	})
}

// checkLines checks what a client says of lines and sorts it by line; none is nil.
func (s State) checkLines(invalid *domain.Invalid, lines []LineQuantity) []LineQuantity {
	if lines != nil && len(lines) == 0 {
		invalid.Add("/lines", "must name a line; all of them if it is left out")
	}
	if len(lines) > len(s.Lines) {
		invalid.Add("/lines", fmt.Sprintf("must be at most %d, the lines of the order", len(s.Lines)))
		return nil
	}
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
	return slices.SortedFunc(slices.Values(lines), func(a, b LineQuantity) int { return cmp.Compare(a.Line, b.Line) })
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
	invalid.Within("/parcel", int64(c.Parcel), 0, math.MaxInt32)
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	if s.Status == StatusCancelled {
		return nil, alreadyCancelled(c.ID)
	}
	switch n := len(s.Parcels); {
	case n == 0:
		return nil, &domain.Refused{Code: "order-not-shipped", Detail: "Nothing of order " + c.ID + " has been shipped."}
	case c.Parcel > n:
		return nil, &domain.Refused{Code: "order-not-shipped",
			Detail: fmt.Sprintf("Order %s has no parcel %d; the last one is %d.", c.ID, c.Parcel, n)}
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
	if line, left, ok := within(e.Lines, returnable); !ok {
		return nil, &domain.Refused{Code: "order-not-shipped",
			Detail: fmt.Sprintf("Of line %d of order %s, %d units are out there to come back.", line, c.ID, left)}
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
