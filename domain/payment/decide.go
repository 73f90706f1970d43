package payment

import (
	"fmt"
	"math"

	"jangbu/domain"
	"jangbu/domain/money"
)

// Command is what can be asked of a payment: each tells what was agreed with the gateway, but for Request, which tells
// what is about to be asked. OrderID names the order in every one of them.
type Command interface{ isCommand() }

// Request begins a payment.
type Request struct {
	OrderID  string
	Amount   int64
	Currency string
	Method   string
}

// Authorise records that the gateway holds the amount.
type Authorise struct {
	OrderID   string
	Reference string
}

// Decline records that the gateway refuses.
type Decline struct {
	OrderID string
	Reason  string
}

// Capture records that the amount was taken.
type Capture struct{ OrderID string }

// Void records that it never will be.
type Void struct{ OrderID string }

// Refund records what was paid back for a return.
type Refund struct {
	OrderID   string
	Return    int
	Amount    int64
	Reference string
}

func (Request) isCommand()   {}
func (Authorise) isCommand() {}
func (Decline) isCommand()   {}
func (Capture) isCommand()   {}
func (Void) isCommand()      {}
func (Refund) isCommand()    {}

// Decide returns the events the command causes in the state, none when it has been recorded already. It fails with
// *domain.Invalid or *domain.Refused:
//
//	payment-not-requested   every command but Request and Void: nobody has requested the payment
//	payment-exists          Request: another amount, currency or method was requested
//	payment-voided          Request, Authorise, Decline, Capture: the payment was voided
//	payment-declined        Authorise, Capture: the payment was declined
//	payment-authorised      Decline: the payment was authorised
//	payment-not-authorised  Capture: the gateway has not answered yet
//	payment-captured        Void: the payment was taken
//	payment-not-captured    Refund: the payment was not taken
//	refund-too-large        Refund: more would be paid back than was taken
//
// Void is recorded of a payment nobody has requested, too: a request that comes late then finds it void.
func Decide(s State, c Command) ([]any, error) {
	switch c := c.(type) {
	case Request:
		return request(s, c)
	case Authorise:
		return authorise(s, c)
	case Decline:
		return decline(s, c)
	case Capture:
		return capture(s)
	case Void:
		switch s.Status {
		case StatusVoided:
			return nil, nil
		case StatusCaptured:
			return nil, &domain.Refused{Code: "payment-captured", Detail: "The payment of order " + c.OrderID + " was taken; it can be refunded only."}
		}
		return []any{Voided{}}, nil
	case Refund:
		return refund(s, c)
	}
	return nil, nil
}

func request(s State, c Request) ([]any, error) {
	var invalid domain.Invalid
	invalid.ID("/order_id", c.OrderID)
	invalid.Within("/amount", c.Amount, 0, money.Max)
	if !money.Valid(c.Currency) {
		invalid.Add("/currency", "must be an active ISO 4217 code such as EUR")
	}
	invalid.Required("/method", c.Method, domain.MaxText)
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	e := Requested(c)
	switch {
	case s.Status == StatusVoided:
		return nil, errVoided
	case s.Status == "":
		return []any{e}, nil
	case s.Requested != e:
		return nil, &domain.Refused{Code: "payment-exists", Detail: "Another payment of order " + c.OrderID + " has been requested."}
	}
	return nil, nil
}

func authorise(s State, c Authorise) ([]any, error) {
	var invalid domain.Invalid
	e := Authorised{Reference: invalid.Optional("/reference", c.Reference, domain.MaxText)}
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	switch s.Status {
	case StatusRequested:
		return []any{e}, nil
	case StatusAuthorised, StatusCaptured:
		return nil, nil
	}
	return nil, s.over()
}

func decline(s State, c Decline) ([]any, error) {
	var invalid domain.Invalid
	e := Declined{Reason: invalid.Required("/reason", c.Reason, domain.MaxReason)}
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	switch s.Status {
	case StatusRequested:
		return []any{e}, nil
	case StatusDeclined:
		return nil, nil
	case StatusAuthorised, StatusCaptured:
		return nil, &domain.Refused{Code: "payment-authorised", Detail: "The payment of order " + c.OrderID + " was authorised."}
	}
	return nil, s.over()
}

func capture(s State) ([]any, error) {
	switch s.Status {
	case StatusAuthorised:
		return []any{Captured{Amount: s.Amount}}, nil
	case StatusCaptured:
		return nil, nil
	case StatusRequested:
		return nil, &domain.Refused{Code: "payment-not-authorised", Detail: "The payment is not authorised yet."}
	}
	return nil, s.over()
}

func refund(s State, c Refund) ([]any, error) {
	var invalid domain.Invalid
	invalid.Within("/return", int64(c.Return), 1, math.MaxInt32)
	invalid.Within("/amount", c.Amount, 1, money.Max)
	e := Refunded{Return: c.Return, Amount: c.Amount, Reference: invalid.Optional("/reference", c.Reference, domain.MaxText)}
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	switch left := s.Captured - s.Refunded(); {
	case s.Status == "":
		return nil, errNotRequested
	case s.Status != StatusCaptured:
		return nil, &domain.Refused{Code: "payment-not-captured", Detail: "The payment of order " + c.OrderID + " was not taken."}
	case s.RefundedFor(c.Return):
		return nil, nil
	case c.Amount > left:
		return nil, &domain.Refused{Code: "refund-too-large",
			Detail: fmt.Sprintf("Of the payment of order %s, %d minor units are left to refund.", c.OrderID, left)}
	}
	return []any{e}, nil
}

var (
	errNotRequested = &domain.Refused{Code: "payment-not-requested", Detail: "Nobody has requested this payment."}
	errVoided       = &domain.Refused{Code: "payment-voided", Detail: "The payment was voided."}
	errDeclined     = &domain.Refused{Code: "payment-declined", Detail: "The payment was declined."}
)

// over says why the gateway's answer comes too late, or for nothing.
func (s State) over() error {
	switch s.Status {
	case StatusVoided:
		return errVoided
	case StatusDeclined:
		return errDeclined
	}
	return errNotRequested
}
