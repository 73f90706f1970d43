package order

// Status is where an order stands.
type Status string

// The statuses of an order. The zero Status is an order nobody has placed.
const (
	StatusPlaced    Status = "placed"
	StatusShipped   Status = "shipped"
	StatusCancelled Status = "cancelled"
)

// State is what an order's events add up to.
type State struct {
	Status Status `json:"status,omitempty"`
	Placed
	Shipped      *Shipped `json:"shipped,omitempty"`
	CancelReason string   `json:"cancel_reason,omitempty"`
}

// Units is the number of things ordered.
func (s State) Units() int64 {
	var n int64
	for _, l := range s.Lines {
		n += l.Quantity
	}
	return n
}

// Subtotal is the sum of the line amounts, in minor units.
func (s State) Subtotal() int64 {
	var n int64
	for _, l := range s.Lines {
		n += l.Amount
	}
	return n
}

// Total is the subtotal and the shipping fee, in minor units.
func (s State) Total() int64 { return s.Subtotal() + s.ShippingFee }

// Apply folds one event into the state. An event it does not know changes nothing.
func Apply(s State, e any) State {
	switch e := e.(type) {
	case Placed:
		return State{Status: StatusPlaced, Placed: e}
	case Shipped:
		s.Status, s.Shipped = StatusShipped, &e
	case Cancelled:
		s.Status, s.CancelReason = StatusCancelled, e.Reason
	}
	return s
}
