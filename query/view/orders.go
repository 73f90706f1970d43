package view

import (
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/query/row"
)

// Orders serves one document an order, with its member's present name and country, and Funnel.
var Orders = &View{
	Name:    "orders",
	Version: 3,
	Sources: []Source{
		Resting(FromRecorded(order.Category, order.Codec, orderState.apply, orderRows), orderState.rests),
		Sharing(From(member.Category, member.Codec, orderMember.apply, nil), func(id string, m orderMember) any {
			m.ID = id
			return m
		}),
	},
	Compose: func(d row.Document) ([]byte, error) {
		if d.Doc == Funnel {
			return composeFunnel(d)
		}
		return composeOrder(d)
	},
}

// orderState is an order as this view keeps it, twice an order: as the state of the stream and as the part of the
// document. The names are short because there is one of these for every order the shop ever had.
type orderState struct {
	progress
	Member   string        `json:"m,omitempty"`
	PlacedOn string        `json:"d,omitempty"`
	Currency string        `json:"c,omitempty"`
	Lines    []keptLine    `json:"l,omitempty"`
	Fee      int64         `json:"f,omitempty"`
	ShipTo   *order.ShipTo `json:"t,omitempty"`
	Manual   bool          `json:"mn,omitempty"`
	Reached  reached       `json:"rc"`
	Payment  keptPayment   `json:"pm"`
	Parcels  []keptParcel  `json:"pc,omitempty"`
	Returns  []keptReturn  `json:"rt,omitempty"`
	Reason   string        `json:"x,omitempty"`
	Code     string        `json:"xc,omitempty"`
	Timeline []moment      `json:"tl,omitempty"`
}

type keptLine struct {
	ProductID       string `json:"p"`
	Name            string `json:"n"`
	Category        string `json:"c"`
	UnitPrice       int64  `json:"u"`
	Quantity        int64  `json:"q"`
	DiscountPercent int64  `json:"d,omitempty"`
	Amount          int64  `json:"a"`
}

type keptPayment struct {
	Method     string `json:"m,omitempty"` // "" is order.Card
	Declined   bool   `json:"d,omitempty"`
	Voided     bool   `json:"v,omitempty"`
	Authorised int64  `json:"a,omitempty"`
	Captured   int64  `json:"c,omitempty"`
	Refunded   int64  `json:"r,omitempty"`
	Authorises bool   `json:"ia,omitempty"` // an amount of zero is authorised and captured, too
	Captures   bool   `json:"ic,omitempty"`
}

type keptParcel struct {
	Carrier     string         `json:"c,omitempty"`
	Tracking    string         `json:"t,omitempty"`
	ShippedOn   string         `json:"s,omitempty"`
	DeliveredOn string         `json:"d,omitempty"`
	Lines       []lineQuantity `json:"l,omitempty"`
}

type keptReturn struct {
	Lines      []lineQuantity `json:"l,omitempty"`
	Amount     int64          `json:"a,omitempty"`
	Restock    bool           `json:"s,omitempty"`
	Restocked  bool           `json:"sd,omitempty"`
	Refunded   bool           `json:"r,omitempty"`
	Reason     string         `json:"x,omitempty"`
	ReturnedOn string         `json:"d,omitempty"`
}

type lineQuantity struct {
	Line     int   `json:"l"`
	Quantity int64 `json:"q"`
}

// moment is an entry of the timeline.
type moment struct {
	At    int64  `json:"t"` // milliseconds since 1970
	Actor string `json:"a,omitempty"`
	What  string `json:"w"`
	Of    int    `json:"n,omitempty"` // number of the parcel or return
}

func (s orderState) apply(e any, at Recording) orderState {
	if e, ok := e.(order.Placed); ok {
		s = orderState{Member: e.MemberID, PlacedOn: e.PlacedOn, Currency: e.Currency, Fee: e.ShippingFee, ShipTo: e.ShipTo,
			Manual: e.Manual, Payment: keptPayment{Method: e.PaymentMethod}}
		s.Lines = make([]keptLine, len(e.Lines))
		for i, l := range e.Lines {
			s.Lines[i] = keptLine(l)
		}
	}
	s = s.applyPayment(e)
	s = s.applyParcels(e)
	s.progress = s.progress.apply(e)
	s.Reached = s.Reached.apply(e, s.progress)
	if e, ok := e.(order.Cancelled); ok {
		s.Reason, s.Code = e.Reason, e.Code
	}
	if what, of := s.momentOf(e); what != "" {
		s.Timeline = with(s.Timeline, moment{At: at.Time.UnixMilli(), Actor: at.Actor, What: what, Of: of})
	}
	return s
}

func (s orderState) applyPayment(e any) orderState {
	switch e := e.(type) {
	case order.PaymentAuthorised:
		s.Payment.Authorised, s.Payment.Authorises = e.Amount, true
	case order.PaymentRefused:
		s.Payment.Declined = true
	case order.PaymentCaptured:
		s.Payment.Captured, s.Payment.Captures = e.Amount, true
	case order.PaymentVoided:
		s.Payment.Voided = true
	case order.PaymentRefunded:
		s.Payment.Refunded += e.Amount
		s.Returns = changed(s.Returns, e.Return, func(r *keptReturn) { r.Refunded = true })
	}
	return s
}

func (s orderState) applyParcels(e any) orderState {
	switch e := e.(type) {
	case order.Shipped:
		lines := e.Lines
		if lines == nil {
			lines = s.unshipped()
		}
		s.Parcels = with(s.Parcels, keptParcel{Carrier: e.Carrier, Tracking: e.Tracking, ShippedOn: e.ShippedOn, Lines: keptLines(lines)})
	case order.Delivered:
		s.Parcels = changed(s.Parcels, e.Parcel, func(p *keptParcel) { p.DeliveredOn = e.DeliveredOn })
	case order.Returned:
		s.Returns = with(s.Returns, keptReturn{Lines: keptLines(e.Lines), Amount: e.Amount, Restock: e.Restock, Reason: e.Reason, ReturnedOn: e.ReturnedOn})
	case order.StockReturned:
		s.Returns = changed(s.Returns, e.Return, func(r *keptReturn) { r.Restocked = true })
	}
	return s
}

// unshipped is what a parcel holds that names no lines.
func (s orderState) unshipped() (all []order.LineQuantity) {
	for i, l := range s.Lines {
		left := l.Quantity
		for _, p := range s.Parcels {
			for _, sent := range p.Lines {
				if sent.Line == i+1 {
					left -= sent.Quantity
				}
			}
		}
		if left > 0 {
			all = append(all, order.LineQuantity{Line: i + 1, Quantity: left})
		}
	}
	return all
}

func keptLines(lines []order.LineQuantity) []lineQuantity {
	var kept []lineQuantity
	for _, l := range lines {
		kept = append(kept, lineQuantity(l))
	}
	return kept
}

// with returns a copy of the list that ends with one more.
func with[T any](list []T, one T) []T {
	all := make([]T, len(list)+1)
	copy(all, list)
	all[len(list)] = one
	return all
}

// changed returns a copy of the list in which the n-th, counted from 1, is changed, if there is one.
func changed[T any](list []T, n int, change func(*T)) []T {
	if n < 1 || n > len(list) {
		return list
	}
	list = append([]T(nil), list...)
	change(&list[n-1])
	return list
}

// momentOf is what the timeline says of an event.
func (s orderState) momentOf(e any) (what string, of int) {
	switch e := e.(type) {
	case order.Placed:
		return "placed", 0
	case order.StockReserved:
		return "stock-reserved", 0
	case order.StockRefused:
		return "stock-refused", 0
	case order.PaymentAuthorised:
		return "payment-authorised", 0
	case order.PaymentRefused:
		return "payment-declined", 0
	case order.Confirmed:
		return "confirmed", 0
	case order.Shipped:
		return "shipped", len(s.Parcels)
	case order.StockShipped:
		return "stock-shipped", e.Parcel
	case order.PaymentCaptured:
		return "payment-captured", 0
	case order.Delivered:
		return "delivered", e.Parcel
	case order.Returned:
		return "returned", len(s.Returns)
	case order.StockReturned:
		return "stock-returned", e.Return
	case order.PaymentRefunded:
		return "payment-refunded", e.Return
	case order.Cancelled:
		return "cancelled", 0
	case order.StockReleased:
		return "stock-released", 0
	case order.PaymentVoided:
		return "payment-voided", 0
	}
	return "", 0
}

type orderPart struct {
	orderState
	Revision int64 `json:"r"`
}

func orderRows(id string, s orderState, revision int64) []row.Row {
	if s.Status == "" {
		return nil
	}
	return []row.Row{
		{Doc: id, Part: row.PartOf(orderPart{s, revision}), Refs: []string{member.Stream(s.Member)}},
		{Doc: Funnel, Sums: s.Reached.sums(s)},
	}
}

// orderMember is all that an order's document shows of its member, so that no other change of theirs touches it.
type orderMember struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Country string `json:"country"`
}

func (m orderMember) apply(e any) orderMember {
	switch e := e.(type) {
	case member.Registered:
		m.Name, m.Country = e.Name, e.Country
	case member.Renamed:
		m.Name = e.Name
	case member.ContactChanged:
		m.Country = e.Country
	}
	return m
}

func composeOrder(d row.Document) ([]byte, error) {
	part, ok := d.Parts[order.Stream(d.Doc)]
	if !ok {
		return nil, nil
	}
	s, err := row.Decode[orderPart](part)
	if err != nil {
		return nil, err
	}
	doc := s.document(d.Doc)
	if shared, ok := d.Parts[member.Stream(s.Member)]; ok {
		if doc.Member, err = row.Decode[orderMember](shared); err != nil {
			return nil, err
		}
	}
	return row.Marshal(doc)
}
