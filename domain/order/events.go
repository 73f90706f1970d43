// Package order is an order: placed by a member for products at the names and prices of that moment, then shipped
// or cancelled.
package order

import "jangbu/domain/event"

// Category names the streams of orders: order-<id>.
const Category = "order"

// Stream names the stream of one order.
func Stream(id string) string { return event.StreamName(Category, id) }

// Placed: a member ordered. All amounts are minor units of Currency (ISO 4217); dates are YYYY-MM-DD.
type Placed struct {
	MemberID      string  `json:"member_id"`
	MemberCountry string  `json:"member_country,omitempty"` // as it was when the order was placed
	Currency      string  `json:"currency"`
	Lines         []Line  `json:"lines"`
	ShippingFee   int64   `json:"shipping_fee,omitempty"`
	ShipTo        *ShipTo `json:"ship_to,omitempty"`
	PlacedOn      string  `json:"placed_on"`
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

// Shipped: the order left the shop.
type Shipped struct {
	Carrier   string `json:"carrier"`
	Tracking  string `json:"tracking,omitempty"`
	ShippedOn string `json:"shipped_on"`
}

// Cancelled: the order will not be shipped and counts in no sum.
type Cancelled struct {
	Reason string `json:"reason"`
}

// Codec reads and writes the events of an order.
var Codec = event.NewCodec(
	event.Of[Placed]("order.placed.v1"),
	event.Of[Shipped]("order.shipped.v1"),
	event.Of[Cancelled]("order.cancelled.v1"),
)
