package payment

import "errors"

// Charge is what a gateway is told of a payment. OrderID names it there as here; an order has one payment.
type Charge struct {
	OrderID   string `json:"order_id"`
	Amount    int64  `json:"amount"` // the whole payment's, in minor units of Currency
	Currency  string `json:"currency"`
	Refunded  int64  `json:"refunded,omitempty"`  // of a refund: what had been paid back before, for other returns
	Reference string `json:"reference,omitempty"` // the gateway's name for the payment, as soon as we know it
}

// Key is the idempotency key of a step of the payment: the same each time it is asked for.
func (c Charge) Key(step string) string { return Stream(c.OrderID) + "-" + step }

// Refusal is a gateway's final no. Reason is for the customer: words that end a sentence, without a full stop.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return "the gateway refuses: " + r.Reason }

// ErrRejected: the gateway will not take what it is asked, whoever pays: a wrong key, a payment it does not know. Asking
// again helps when somebody has put it right. A gateway that does not answer, or not now, is event.ErrUnavailable: the
// step may have happened, and is asked for again.
var ErrRejected = errors.New("the payment gateway rejects the request")
