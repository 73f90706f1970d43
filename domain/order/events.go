// Package order is an order: placed by a member for products at the names and prices of that moment, confirmed once its
// stock is reserved and its payment authorised, shipped in parcels and delivered; or cancelled before it is shipped; or
// returned afterwards, whole or in part.
//
// The order's stream is the log of its fulfilment, too: the outcome of each step that Next asks for is an event here.
package order

import (
	"time"

	"jangbu/domain/event"
)

// Category names the streams of orders: order-<id>.
const Category = "order"

// Stream names the stream of one order.
func Stream(id string) string { return event.StreamName(Category, id) }

// The ways to pay.
const (
	Card    = "card"    // through the payment gateway
	Invoice = "invoice" // on account: the shop gives credit, no gateway is asked
)

// Placed: a member ordered. All amounts are minor units of Currency (ISO 4217); dates are YYYY-MM-DD.
type Placed struct {
	MemberID      string    `json:"member_id"`
	MemberCountry string    `json:"member_country,omitempty"` // as it was when the order was placed
	Currency      string    `json:"currency"`
	Lines         []Line    `json:"lines"`
	ShippingFee   int64     `json:"shipping_fee,omitempty"`
	ShipTo        *ShipTo   `json:"ship_to,omitempty"`
	PlacedOn      string    `json:"placed_on"`
	PlacedAt      time.Time `json:"placed_at,omitzero"`       // UTC: when it was decided, or taken up again by a retry
	PaymentMethod string    `json:"payment_method,omitempty"` // "" is Card
	Manual        bool      `json:"manual,omitempty"`         // fulfilled outside of jangbu: neither stock nor payment is its business
}

// placedV1 is Placed before there were stock and payments: whoever shipped such an order did so by hand, and goes on so.
type placedV1 struct {
	MemberID      string  `json:"member_id"`
	MemberCountry string  `json:"member_country,omitempty"`
	Currency      string  `json:"currency"`
	Lines         []Line  `json:"lines"`
	ShippingFee   int64   `json:"shipping_fee,omitempty"`
	ShipTo        *ShipTo `json:"ship_to,omitempty"`
	PlacedOn      string  `json:"placed_on"`
}

func (old placedV1) up() Placed {
	return Placed{MemberID: old.MemberID, MemberCountry: old.MemberCountry, Currency: old.Currency, Lines: old.Lines,
		ShippingFee: old.ShippingFee, ShipTo: old.ShipTo, PlacedOn: old.PlacedOn, Manual: true}
}

// Line is one product in an order, with the product's name, category and price of that moment.
type Line struct {
	ProductID       string `json:"product_id"`
	Name            string `json:"name"`
	Category        string `json:"category"`
	UnitPrice       int64  `json:"unit_price"`
	Quantity        int64  `json:"quantity"`
	DiscountPercent int64  `json:"discount_percent"`
	Amount          int64  `json:"amount"` // UnitPrice x Quantity x (100 - DiscountPercent) / 100, half up
}

// ShipTo is where an order goes.
type ShipTo struct {
	Name    string `json:"name"`
	City    string `json:"city"`
	Country string `json:"country"`
}

// LineQuantity is a number of units of one line. Lines are counted from 1.
type LineQuantity struct {
	Line     int   `json:"line"`
	Quantity int64 `json:"quantity"`
}

// StockReserved: every product of the order is set aside for it.
type StockReserved struct{}

// StockRefused: there is too little of a product. The order is cancelled in the same append.
type StockRefused struct {
	ProductID string `json:"product_id"`
	Wanted    int64  `json:"wanted"`
	Available int64  `json:"available"`
}

// PaymentAuthorised: the total will be paid.
type PaymentAuthorised struct {
	Amount int64 `json:"amount"`
}

// PaymentRefused: the payment was declined. The order is cancelled in the same append.
type PaymentRefused struct {
	Reason string `json:"reason"`
}

// Confirmed: the order can be shipped.
type Confirmed struct{}

// Shipped: a parcel left the shop. Parcels are counted from 1, in the order of these events.
type Shipped struct {
	Carrier   string         `json:"carrier"`
	Tracking  string         `json:"tracking,omitempty"`
	ShippedOn string         `json:"shipped_on"`
	Lines     []LineQuantity `json:"lines,omitempty"` // absent: all that had not been shipped
}

// StockShipped: the units of a parcel have left the stock.
type StockShipped struct {
	Parcel int `json:"parcel"`
}

// PaymentCaptured: the order is paid, with its first parcel.
type PaymentCaptured struct {
	Amount int64 `json:"amount"`
}

// Delivered: a parcel has arrived.
type Delivered struct {
	Parcel      int    `json:"parcel"`
	DeliveredOn string `json:"delivered_on"`
}

// Returned: units came back. Returns are counted from 1, in the order of these events.
type Returned struct {
	Lines      []LineQuantity `json:"lines"`
	Amount     int64          `json:"amount"` // to be paid back, the shipping fee included where it is
	Restock    bool           `json:"restock,omitempty"`
	Reason     string         `json:"reason,omitempty"`
	ReturnedOn string         `json:"returned_on"`
}

// StockReturned: the units of a return are in stock again.
type StockReturned struct {
	Return int `json:"return"`
}

// PaymentRefunded: the amount of a return has been paid back.
type PaymentRefunded struct {
	Return int   `json:"return"`
	Amount int64 `json:"amount"`
}

// The codes of a cancellation. The empty one is somebody's wish.
const (
	SoldOut         = "sold-out"
	PaymentDeclined = "payment-declined"
	PaymentTimeout  = "payment-timeout"
)

// Cancelled: the order will not be shipped and counts in no sum.
type Cancelled struct {
	Reason string `json:"reason"`         // for the customer
	Code   string `json:"code,omitempty"` // SoldOut, PaymentDeclined, PaymentTimeout or ""
}

// StockReleased: nothing is set aside for the cancelled order any more, nor ever will be.
type StockReleased struct{}

// PaymentVoided: the payment of the cancelled order will never be taken.
type PaymentVoided struct{}

// Codec reads and writes the events of an order.
var Codec = event.NewCodec(
	event.Upcast("order.placed.v1", placedV1.up),
	event.Of[Placed]("order.placed.v2"),
	event.Of[StockReserved]("order.stock_reserved.v1"),
	event.Of[StockRefused]("order.stock_refused.v1"),
	event.Of[PaymentAuthorised]("order.payment_authorised.v1"),
	event.Of[PaymentRefused]("order.payment_refused.v1"),
	event.Of[Confirmed]("order.confirmed.v1"),
	event.Of[Shipped]("order.shipped.v1"),
	event.Of[StockShipped]("order.stock_shipped.v1"),
	event.Of[PaymentCaptured]("order.payment_captured.v1"),
	event.Of[Delivered]("order.delivered.v1"),
	event.Of[Returned]("order.returned.v1"),
	event.Of[StockReturned]("order.stock_returned.v1"),
	event.Of[PaymentRefunded]("order.payment_refunded.v1"),
	event.Of[Cancelled]("order.cancelled.v1"),
	event.Of[StockReleased]("order.stock_released.v1"),
	event.Of[PaymentVoided]("order.payment_voided.v1"),
)
