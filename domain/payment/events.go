// Package payment is the payment of one order: requested, authorised or declined by a gateway, captured when the order
// is shipped, voided when it is cancelled, paid back when it is returned.
//
// Each step is asked of the gateway before its event is written, under an idempotency key of its own, so a step whose
// answer was lost is asked again.
package payment

import "jangbu/domain/event"

// Category names the streams of payments: payment-<order id>.
const Category = "payment"

// Stream names the stream of one order's payment.
func Stream(orderID string) string { return event.StreamName(Category, orderID) }

// Requested: the gateway is about to be asked for the amount, in minor units of Currency.
type Requested struct {
	OrderID  string `json:"order_id"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Method   string `json:"method"` // order.Card or order.Invoice
}

// Authorised: the gateway holds the amount. Reference is the gateway's name for the payment.
type Authorised struct {
	Reference string `json:"reference,omitempty"`
}

// Declined: the gateway will not take the amount.
type Declined struct {
	Reason string `json:"reason"`
}

// Captured: the amount has been taken.
type Captured struct {
	Amount int64 `json:"amount"`
}

// Voided: the amount will never be taken.
type Voided struct{}

// Refunded: a part of the amount was paid back, for one return of the order.
type Refunded struct {
	Return    int    `json:"return"`
	Amount    int64  `json:"amount"`
	Reference string `json:"reference,omitempty"`
}

// Codec reads and writes the events of a payment.
var Codec = event.NewCodec(
	event.Of[Requested]("payment.requested.v1"),
	event.Of[Authorised]("payment.authorised.v1"),
	event.Of[Declined]("payment.declined.v1"),
	event.Of[Captured]("payment.captured.v1"),
	event.Of[Voided]("payment.voided.v1"),
	event.Of[Refunded]("payment.refunded.v1"),
)
