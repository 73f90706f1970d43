package view

import "jangbu/domain/order"

// progress is how far an order has come: all that is needed to tell its order.Status, without its parcels and lines.
type progress struct {
	Status   order.Status `json:"s,omitempty"`
	Ordered  int64        `json:"q,omitempty"` // units
	Sent     int64        `json:"h,omitempty"` // units in parcels
	Back     int64        `json:"b,omitempty"` // units that were returned
	Underway int          `json:"w,omitempty"` // parcels that have not arrived
	Settled  bool         `json:"z,omitempty"` // as settles says
}

func (p progress) apply(e any) progress {
	switch e := e.(type) {
	case order.Placed:
		return progress{Status: order.StatusPlaced, Ordered: order.State{Placed: e}.Units(), Settled: settles(e)}
	case order.Confirmed:
		p.Status = order.StatusConfirmed
	case order.Shipped:
		if p.Underway++; e.Lines == nil {
			p.Sent = p.Ordered
		}
		p.Sent += units(e.Lines)
		p.Status = p.ofShipped()
	case order.Delivered:
		p.Underway = max(0, p.Underway-1)
		p.Status = p.ofShipped()
	case order.Returned:
		p.Back += units(e.Lines)
		p.Status = p.ofShipped()
	case order.Cancelled:
		p.Status = order.StatusCancelled
	default:
		p.Settled = p.Settled || settles(e)
	}
	return p
}

// ofShipped is the status of an order that has parcels.
func (p progress) ofShipped() order.Status {
	switch {
	case p.Sent < p.Ordered:
		return order.StatusPartlyShipped
	case p.Back >= p.Sent:
		return order.StatusReturned
	case p.Underway > 0:
		return order.StatusShipped
	}
	return order.StatusDelivered
}

// open reports whether the order still has something to come.
func (p progress) open() bool {
	switch p.Status {
	case order.StatusPlaced, order.StatusConfirmed, order.StatusPartlyShipped, order.StatusShipped:
		return true
	}
	return false
}

// rests reports whether all has arrived and is paid: hardly anything ever happens to an order after that.
func (p progress) rests() bool { return p.Status == order.StatusDelivered && p.Settled }

// settles reports whether after an event nothing is to come of an order's payment, which follows the first parcel.
func settles(e any) bool {
	if placed, ok := e.(order.Placed); ok {
		return placed.Manual
	}
	_, captured := e.(order.PaymentCaptured)
	return captured
}

// ending is what tells a view that an order rests, which needs nothing else of its progress.
type ending struct {
	Delivered bool `json:"v,omitempty"` // some of it, as a rule all
	Settled   bool `json:"z,omitempty"`
}

func (s ending) apply(e any) ending {
	_, delivered := e.(order.Delivered)
	return ending{s.Delivered || delivered, s.Settled || settles(e)}
}

func (s ending) rests() bool { return s.Delivered && s.Settled }

func units(lines []order.LineQuantity) (n int64) {
	for _, l := range lines {
		n += l.Quantity
	}
	return n
}
