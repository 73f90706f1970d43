package payment

import "slices"

// Status is where a payment stands.
type Status string

// The statuses of a payment. The zero Status is one that nobody has requested.
const (
	StatusRequested  Status = "requested"
	StatusAuthorised Status = "authorised"
	StatusDeclined   Status = "declined"
	StatusCaptured   Status = "captured"
	StatusVoided     Status = "voided"
)

// State is what a payment's events add up to.
type State struct {
	Status Status `json:"status,omitempty"`
	Requested
	Reference string     `json:"reference,omitempty"`
	Reason    string     `json:"reason,omitempty"` // why it was declined
	Captured  int64      `json:"captured,omitempty"`
	Refunds   []Refunded `json:"refunds,omitempty"`
}

// Refunded is the sum of the refunds, in minor units.
func (s State) Refunded() int64 {
	var n int64
	for _, r := range s.Refunds {
		n += r.Amount
	}
	return n
}

// RefundedFor reports whether a return of the order has been paid back.
func (s State) RefundedFor(n int) bool {
	return slices.ContainsFunc(s.Refunds, func(r Refunded) bool { return r.Return == n })
}

// Apply folds one event into the state, which it leaves alone. An event it does not know changes nothing.
func Apply(s State, e any) State {
	switch e := e.(type) {
	case Requested:
		return State{Status: StatusRequested, Requested: e}
	case Authorised:
		s.Status, s.Reference = StatusAuthorised, e.Reference
	case Declined:
		s.Status, s.Reason = StatusDeclined, e.Reason
	case Captured:
		s.Status, s.Captured = StatusCaptured, e.Amount
	case Voided:
		s.Status = StatusVoided
	case Refunded:
		s.Refunds = append(slices.Clone(s.Refunds), e)
	}
	return s
}
