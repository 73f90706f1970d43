// Package stock is how much the shop has of one product: on hand, and of that reserved for orders. What is available is
// the difference, and is never below zero.
//
// The stream of a product that sells well is long, so a state forgets the orders it has settled. That an order's steps
// are done once is therefore not decided here: whoever takes them does so under a command id of its own for each step.
package stock

import "jangbu/domain/event"

// Category names the streams of stock: stock-<product id>.
const Category = "stock"

// Stream names the stream of one product's stock.
func Stream(productID string) string { return event.StreamName(Category, productID) }

// Restocked: units arrived.
type Restocked struct {
	Quantity int64 `json:"quantity"`
}

// Counted: somebody counted what is on hand.
type Counted struct {
	OnHand int64  `json:"on_hand"`
	Was    int64  `json:"was"`
	Reason string `json:"reason"`
}

// LowWaterSet: as soon as no more than LowWater units are available, the product is low in stock. Zero: never.
type LowWaterSet struct {
	LowWater int64 `json:"low_water"`
}

// Reserved: units are set aside for an order.
type Reserved struct {
	OrderID  string `json:"order_id"`
	Quantity int64  `json:"quantity"`
}

// ReservationRefused: an order wanted more than there was, or, where that was enough, was cancelled before anything was set aside for it. It
// changes nothing, and tells what was asked for in vain.
type ReservationRefused struct {
	OrderID   string `json:"order_id"`
	Quantity  int64  `json:"quantity"`
	Available int64  `json:"available"`
}

// Released: the units set aside for an order are available again.
type Released struct {
	OrderID  string `json:"order_id"`
	Quantity int64  `json:"quantity"`
}

// Shipped: units set aside for an order left the shop with one of its parcels.
type Shipped struct {
	OrderID  string `json:"order_id"`
	Parcel   int    `json:"parcel"`
	Quantity int64  `json:"quantity"`
}

// Returned: units of an order came back and can be sold again.
type Returned struct {
	OrderID  string `json:"order_id"`
	Return   int    `json:"return"`
	Quantity int64  `json:"quantity"`
}

// Codec reads and writes the events of a product's stock.
var Codec = event.NewCodec(
	event.Of[Restocked]("stock.restocked.v1"),
	event.Of[Counted]("stock.counted.v1"),
	event.Of[LowWaterSet]("stock.low_water_set.v1"),
	event.Of[Reserved]("stock.reserved.v1"),
	event.Of[ReservationRefused]("stock.reservation_refused.v1"),
	event.Of[Released]("stock.released.v1"),
	event.Of[Shipped]("stock.shipped.v1"),
	event.Of[Returned]("stock.returned.v1"),
)
