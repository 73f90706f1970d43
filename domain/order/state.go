package order

import "slices"

// Status is where an order stands.
type Status string

// The statuses of an order. The zero Status is an order nobody has placed.
const (
	StatusPlaced        Status = "placed"
	StatusConfirmed     Status = "confirmed"
	StatusPartlyShipped Status = "partly-shipped"
	StatusShipped       Status = "shipped"
	StatusDelivered     Status = "delivered"
	StatusCancelled     Status = "cancelled"
	StatusReturned      Status = "returned" // every unit of it
)

// State is what an order's events add up to.
type State struct {
	Status Status `json:"status,omitempty"`
	Placed
	Refused      *StockRefused `json:"refused,omitempty"`
	Reserved     bool          `json:"reserved,omitempty"`
	Authorised   bool          `json:"authorised,omitempty"`
	Parcels      []Parcel      `json:"parcels,omitempty"`
	Captured     bool          `json:"captured,omitempty"`
	Returns      []Return      `json:"returns,omitempty"`
	CancelReason string        `json:"cancel_reason,omitempty"`
	CancelCode   string        `json:"cancel_code,omitempty"`
	Released     bool          `json:"released,omitempty"` // of a cancelled order
	Voided       bool          `json:"voided,omitempty"`   // likewise
}

// Parcel is a part of the order on its way. Its Lines are always all there.
type Parcel struct {
	Shipped
	OutOfStock  bool   `json:"out_of_stock,omitempty"` // its units have left the stock
	DeliveredOn string `json:"delivered_on,omitempty"`
}

// Return is what came back at one time.
type Return struct {
	Returned
	Restocked bool `json:"restocked,omitempty"`
	Refunded  bool `json:"refunded,omitempty"`
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

// Unshipped is what no parcel holds yet, without the lines of which that is nothing.
func (s State) Unshipped() []LineQuantity {
	shipped := s.shipped()
	return s.remaining(func(i int) int64 { return s.Lines[i].Quantity - shipped[i] })
}

// Returnable is what was shipped and did not come back, without the lines of which that is nothing.
func (s State) Returnable() []LineQuantity {
	shipped, returned := s.shipped(), s.returned()
	return s.remaining(func(i int) int64 { return shipped[i] - returned[i] })
}

func (s State) remaining(of func(i int) int64) []LineQuantity {
	var all []LineQuantity
	for i := range s.Lines {
		if n := of(i); n > 0 {
			all = append(all, LineQuantity{Line: i + 1, Quantity: n})
		}
	}
	return all
}

// shipped is how many units of each line parcels hold.
func (s State) shipped() []int64 {
	n := make([]int64, len(s.Lines))
	for _, p := range s.Parcels {
		addUp(n, p.Lines)
	}
	return n
}

// returned is how many units of each line have come back.
func (s State) returned() []int64 {
	n := make([]int64, len(s.Lines))
	for _, r := range s.Returns {
		addUp(n, r.Lines)
	}
	return n
}

func addUp(n []int64, lines []LineQuantity) {
	for _, l := range lines {
		if l.Line >= 1 && l.Line <= len(n) {
			n[l.Line-1] += l.Quantity
		}
	}
}

// ProductQuantity is a number of units of one product.
type ProductQuantity struct {
	ProductID string
	Quantity  int64
}

// ByProduct adds up lines by product, in the order in which the order first names them.
func (s State) ByProduct(lines []LineQuantity) []ProductQuantity {
	units := make([]int64, len(s.Lines))
	addUp(units, lines)
	var all []ProductQuantity
	at := map[string]int{}
	for i, l := range s.Lines {
		if units[i] == 0 {
			continue
		}
		k, found := at[l.ProductID]
		if !found {
			k = len(all)
			at[l.ProductID] = k
			all = append(all, ProductQuantity{ProductID: l.ProductID})
		}
		all[k].Quantity += units[i]
	}
	return all
}

// Products adds up the whole order by product.
func (s State) Products() []ProductQuantity {
	all := make([]LineQuantity, len(s.Lines))
	for i, l := range s.Lines {
		all[i] = LineQuantity{Line: i + 1, Quantity: l.Quantity}
	}
	return s.ByProduct(all)
}

// RefundOf is what lines are worth when they come back after all that came back before: of a line of which everything
// has come back in the end, exactly its amount has been paid back.
func (s State) RefundOf(lines []LineQuantity) int64 {
	before, now := s.returned(), make([]int64, len(s.Lines))
	addUp(now, lines)
	var sum int64
	for i, l := range s.Lines {
		if now[i] != 0 {
			sum += share(l, before[i]+now[i]) - share(l, before[i])
		}
	}
	return sum
}

// share is the amount of the first n units of a line, rounded down. Nothing overflows: n and the quantity are at most
// MaxQuantity, so the product of the rest and n is at most its square.
func share(l Line, n int64) int64 {
	whole, rest := l.Amount/l.Quantity, l.Amount%l.Quantity
	return whole*n + rest*n/l.Quantity
}

// Apply folds one event into the state, which it leaves alone. An event it does not know changes nothing.
func Apply(s State, e any) State {
	switch e := e.(type) {
	case Placed:
		return State{Status: StatusPlaced, Placed: e}
	case StockReserved:
		s.Reserved = true
	case StockRefused:
		s.Refused = &e
	case PaymentAuthorised:
		s.Authorised = true
	case Confirmed:
		s.Status = StatusConfirmed
	case Shipped:
		if e.Lines == nil {
			e.Lines = s.Unshipped()
		}
		s.Parcels = append(slices.Clone(s.Parcels), Parcel{Shipped: e})
		s.Status = s.progress()
	case StockShipped:
		s.Parcels = changed(s.Parcels, e.Parcel, func(p *Parcel) { p.OutOfStock = true })
	case PaymentCaptured:
		s.Captured = true
	case Delivered:
		s.Parcels = changed(s.Parcels, e.Parcel, func(p *Parcel) { p.DeliveredOn = e.DeliveredOn })
		s.Status = s.progress()
	case Returned:
		s.Returns = append(slices.Clone(s.Returns), Return{Returned: e})
		s.Status = s.progress()
	case StockReturned:
		s.Returns = changed(s.Returns, e.Return, func(r *Return) { r.Restocked = true })
	case PaymentRefunded:
		s.Returns = changed(s.Returns, e.Return, func(r *Return) { r.Refunded = true })
	case Cancelled:
		s.Status, s.CancelReason, s.CancelCode = StatusCancelled, e.Reason, e.Code
	case StockReleased:
		s.Released = true
	case PaymentVoided:
		s.Voided = true
	}
	return s
}

// progress is the status of an order that has parcels.
func (s State) progress() Status {
	unshipped := len(s.Unshipped()) > 0
	switch {
	case !unshipped && len(s.Returnable()) == 0:
		return StatusReturned
	case unshipped:
		return StatusPartlyShipped
	case slices.ContainsFunc(s.Parcels, func(p Parcel) bool { return p.DeliveredOn == "" }):
		return StatusShipped
	}
	return StatusDelivered
}

// changed is a copy of a list of which the n-th entry, counted from 1, is changed.
func changed[T any](list []T, n int, change func(*T)) []T {
	if n < 1 || n > len(list) {
		return list
	}
	list = slices.Clone(list)
	change(&list[n-1])
	return list
}
