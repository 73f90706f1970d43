package view

import (
	"time"

	"jangbu/domain/order"
)

// orderDocument is what readers get of an order.
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
	Manual       bool          `json:"manual,omitempty"`
	Payment      orderPayment  `json:"payment"`
	Parcels      []orderParcel `json:"parcels"`
	Returns      []orderReturn `json:"returns"`
	CancelReason string        `json:"cancel_reason,omitempty"`
	CancelCode   string        `json:"cancel_code,omitempty"`
	Timeline     []orderMoment `json:"timeline"`
	Revision     int64         `json:"revision"`
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

// orderPayment: all amounts are in minor units of the order's currency.
type orderPayment struct {
	Method     string `json:"method"`
	Status     string `json:"status"` // none, authorised, declined, captured or voided
	Authorised int64  `json:"authorised"`
	Captured   int64  `json:"captured"`
	Refunded   int64  `json:"refunded"`
}

type orderParcel struct {
	Number      int                  `json:"number"`
	Carrier     string               `json:"carrier"`
	Tracking    string               `json:"tracking"`
	ShippedOn   string               `json:"shipped_on"`
	DeliveredOn *string              `json:"delivered_on"`
	Lines       []order.LineQuantity `json:"lines"`
}

type orderReturn struct {
	Number     int                  `json:"number"`
	Lines      []order.LineQuantity `json:"lines"`
	Amount     int64                `json:"amount"`
	Refunded   bool                 `json:"refunded"`
	Restock    bool                 `json:"restock"`
	Restocked  bool                 `json:"restocked"`
	Reason     string               `json:"reason"`
	ReturnedOn string               `json:"returned_on"`
}

type orderMoment struct {
	At     string `json:"at"` // RFC 3339, UTC
	Actor  string `json:"actor"`
	What   string `json:"what"`
	Number int    `json:"number,omitempty"` // of the parcel or the return
}

const momentLayout = "2006-01-02T15:04:05.000Z"

func (s orderPart) document(id string) orderDocument {
	doc := orderDocument{
		ID: id, Status: s.Status, PlacedOn: s.PlacedOn, Member: orderMember{ID: s.Member}, Lines: make([]orderLine, len(s.Lines)),
		ShippingFee: s.Fee, Total: s.Fee, Currency: s.Currency, ShipTo: s.ShipTo, Manual: s.Manual, Payment: s.Payment.document(),
		Parcels: make([]orderParcel, len(s.Parcels)), Returns: make([]orderReturn, len(s.Returns)),
		CancelReason: s.Reason, CancelCode: s.Code, Timeline: make([]orderMoment, len(s.Timeline)), Revision: s.Revision,
	}
	for i, l := range s.Lines {
		doc.Lines[i] = orderLine(l)
		doc.Units += l.Quantity
		doc.Subtotal += l.Amount
		doc.Total += l.Amount
	}
	for i, p := range s.Parcels {
		doc.Parcels[i] = orderParcel{Number: i + 1, Carrier: p.Carrier, Tracking: p.Tracking, ShippedOn: p.ShippedOn, Lines: shownLines(p.Lines)}
		if p.DeliveredOn != "" {
			doc.Parcels[i].DeliveredOn = &p.DeliveredOn
		}
	}
	for i, r := range s.Returns {
		doc.Returns[i] = orderReturn{Number: i + 1, Lines: shownLines(r.Lines), Amount: r.Amount, Refunded: r.Refunded,
			Restock: r.Restock, Restocked: r.Restocked, Reason: r.Reason, ReturnedOn: r.ReturnedOn}
	}
	for i, m := range s.Timeline {
		doc.Timeline[i] = orderMoment{At: time.UnixMilli(m.At).UTC().Format(momentLayout), Actor: m.Actor, What: m.What, Number: m.Of}
	}
	return doc
}

func shownLines(kept []lineQuantity) []order.LineQuantity {
	lines := make([]order.LineQuantity, len(kept))
	for i, l := range kept {
		lines[i] = order.LineQuantity(l)
	}
	return lines
}

func (p keptPayment) document() orderPayment {
	doc := orderPayment{Method: p.Method, Status: "none", Authorised: p.Authorised, Captured: p.Captured, Refunded: p.Refunded}
	if doc.Method == "" {
		doc.Method = order.Card
	}
	switch {
	case p.Declined:
		doc.Status = "declined"
	case p.Captures:
		doc.Status = "captured"
	case p.Voided:
		doc.Status = "voided"
	case p.Authorises:
		doc.Status = "authorised"
	}
	return doc
}
