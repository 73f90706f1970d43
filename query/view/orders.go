package view

import (
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/query/row"
)

// Orders serves one document an order, with its member's present name and country.
var Orders = &View{
	Name:    "orders",
	Version: 1,
	Sources: []Source{
		From(order.Category, order.Codec, orderState.apply, orderRows),
		Sharing(From(member.Category, member.Codec, member.Apply, nil), func(id string, s member.State) any {
			return orderMember{ID: id, Name: s.Name, Country: s.Country}
		}),
	},
	Compose: composeOrder,
}

// orderState is an order as this view keeps it, twice an order: as the state of the stream and as the part of the
// document. The names are short because there is one of these for every order the shop ever had.
type orderState struct {
	Status    order.Status  `json:"s,omitempty"`
	Member    string        `json:"m,omitempty"`
	PlacedOn  string        `json:"d,omitempty"`
	Currency  string        `json:"c,omitempty"`
	Lines     []keptLine    `json:"l,omitempty"`
	Fee       int64         `json:"f,omitempty"`
	ShipTo    *order.ShipTo `json:"t,omitempty"`
	Carrier   string        `json:"sc,omitempty"`
	Tracking  string        `json:"st,omitempty"`
	ShippedOn string        `json:"sd,omitempty"`
	Reason    string        `json:"x,omitempty"`
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

func (s orderState) apply(e any) orderState {
	switch e := e.(type) {
	case order.Placed:
		lines := make([]keptLine, len(e.Lines))
		for i, l := range e.Lines {
			lines[i] = keptLine(l)
		}
		return orderState{Status: order.StatusPlaced, Member: e.MemberID, PlacedOn: e.PlacedOn, Currency: e.Currency,
			Lines: lines, Fee: e.ShippingFee, ShipTo: e.ShipTo}
	case order.Shipped:
		s.Status, s.Carrier, s.Tracking, s.ShippedOn = order.StatusShipped, e.Carrier, e.Tracking, e.ShippedOn
	case order.Cancelled:
		s.Status, s.Reason = order.StatusCancelled, e.Reason
	}
	return s
}

type orderPart struct {
	orderState
	Revision int64 `json:"r"`
}

func orderRows(id string, s orderState, revision int64) []row.Row {
	if s.Status == "" {
		return nil
	}
	return []row.Row{{Doc: id, Part: row.PartOf(orderPart{s, revision}), Refs: []string{member.Stream(s.Member)}}}
}

type orderMember struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Country string `json:"country"`
}

type orderLine struct {
	ProductID       string `json:"product_id"`
	Name            string `json:"name"`
	Category        string `json:"category"`
	UnitPrice       int64  `json:"unit_price"`
	Quantity        int64  `json:"quantity"`
	DiscountPercent int64  `json:"discount_percent"`
	Amount          int64  `json:"amount"`
}

type orderDocument struct {
	ID           string        `json:"id"`
	Status       order.Status  `json:"status"`
	PlacedOn     string        `json:"placed_on"`
	Member       orderMember   `json:"member"`
	Lines        []orderLine   `json:"lines"`
	Units        int64         `json:"units"`
	Subtotal     int64         `json:"subtotal"`
	ShippingFee  int64         `json:"shipping_fee"`
	Total        int64         `json:"total"`
	Currency     string        `json:"currency"`
	ShipTo       *order.ShipTo `json:"ship_to"`
	Carrier      string        `json:"carrier,omitempty"`
	Tracking     string        `json:"tracking,omitempty"`
	ShippedOn    string        `json:"shipped_on,omitempty"`
	CancelReason string        `json:"cancel_reason,omitempty"`
	Revision     int64         `json:"revision"`
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
	doc := orderDocument{
		ID: d.Doc, Status: s.Status, PlacedOn: s.PlacedOn, Member: orderMember{ID: s.Member}, Lines: make([]orderLine, len(s.Lines)),
		ShippingFee: s.Fee, Total: s.Fee, Currency: s.Currency, ShipTo: s.ShipTo, Carrier: s.Carrier, Tracking: s.Tracking,
		ShippedOn: s.ShippedOn, CancelReason: s.Reason, Revision: s.Revision,
	}
	for i, l := range s.Lines {
		doc.Lines[i] = orderLine(l)
		doc.Units += l.Quantity
		doc.Subtotal += l.Amount
		doc.Total += l.Amount
	}
	if shared, ok := d.Parts[member.Stream(s.Member)]; ok {
		if doc.Member, err = row.Decode[orderMember](shared); err != nil {
			return nil, err
		}
	}
	return row.Marshal(doc)
}
