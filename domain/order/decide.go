package order

import (
	"fmt"
	"time"

	"jangbu/domain"
	"jangbu/domain/member"
	"jangbu/domain/money"
	"jangbu/domain/product"
)

// The limits of an order.
const (
	MaxLines    = 1000
	MaxQuantity = 1_000_000
)

// Command is what can be asked of an order.
type Command interface{ isCommand() }

// Place makes a new order. Its prices, names, categories and country are those of Member and Products.
type Place struct {
	ID            string
	MemberID      string
	Lines         []Item
	ShippingFee   int64 // minor units of the products' currency
	ShipTo        *ShipTo
	PlacedOn      string // YYYY-MM-DD; empty: today
	PaymentMethod string // empty: Card
	Manual        bool   // neither stock nor payment is jangbu's business

	// What the shop knows at this moment: the zero State of a member or product, or no entry, is one that does not
	// exist.
	Member   member.State
	Products map[string]product.State
}

// Item asks for a product. Two items of one product are two lines.
type Item struct {
	ProductID       string
	Quantity        int64
	DiscountPercent int64
}

// Ship sends a parcel of a confirmed order on its way.
type Ship struct {
	ID        string
	Carrier   string
	Tracking  string
	ShippedOn string         // YYYY-MM-DD; empty: today
	Lines     []LineQuantity // nil: all that has not been shipped
}

// Deliver says that a parcel has arrived.
type Deliver struct {
	ID          string
	Parcel      int    // from 1; 0: every parcel that has been shipped
	DeliveredOn string // YYYY-MM-DD; empty: today
}

// TakeBack takes units of an order back. What was paid for them is paid back.
type TakeBack struct {
	ID             string
	Lines          []LineQuantity // nil: all that was shipped and has not come back
	Restock        bool           // they can be sold again
	RefundShipping bool           // pay back the shipping fee, too; only with the last units of the order
	Reason         string
	ReturnedOn     string // YYYY-MM-DD; empty: today
}

// Cancel calls off an order of which nothing has been shipped.
type Cancel struct {
	ID     string
	Reason string
}

// Outcome records what came of a step of fulfilment. It changes nothing when the order does not need that step (any
// more).
type Outcome struct {
	ID       string
	Step     Step
	Refused  *StockRefused // of StepReserve: there was too little
	Declined string        // of StepAuthorise: why the payment was not authorised
}

func (Place) isCommand()    {}
func (Ship) isCommand()     {}
func (Deliver) isCommand()  {}
func (TakeBack) isCommand() {}
func (Cancel) isCommand()   {}
func (Outcome) isCommand()  {}

// Decide returns the events the command causes in the state at that time, none when it changes nothing: shipping what
// is shipped or cancelling again in the same words. It fails with *domain.Missing, *domain.Invalid or *domain.Refused:
//
//	order-exists            Place: the id is taken
//	member-closed           Place: the member is none any more
//	product-discontinued    Place: a product is out of sale
//	order-mixed-currencies  Place: the products have not all one currency
//	order-total-too-large   Place: the total is over money.Max
//	order-not-confirmed     Ship: stock and payment are not settled yet; it passes
//	order-already-shipped   Ship: there is less left than that; Cancel
//	order-already-cancelled Cancel: for another reason; Ship, Deliver, TakeBack
//	order-not-shipped       Deliver, TakeBack: there is no such parcel, or less is out there than that
//
// A parcel that was sent is not sent again in the same words if nothing is left to ship, or if they name its tracking
// number and lines; a parcel that has arrived does not arrive again.
func Decide(s State, c Command, now time.Time) ([]any, error) {
	now = now.UTC().Round(0) // as it reads back from the log: without the monotonic clock
	today := now.Format(domain.DateLayout)
	if c, ok := c.(Place); ok {
		return place(s, c, now)
	}
	if s.Status == "" {
		return nil, &domain.Missing{Kind: Category, ID: id(c)}
	}
	switch c := c.(type) {
	case Ship:
		return ship(s, c, today)
	case Deliver:
		return deliver(s, c, today)
	case TakeBack:
		return takeBack(s, c, today)
	case Cancel:
		return cancel(s, c)
	case Outcome:
		return outcome(s, c), nil
	}
	return nil, nil
}

func id(c Command) string {
	switch c := c.(type) {
	case Ship:
		return c.ID
	case Deliver:
		return c.ID
	case TakeBack:
		return c.ID
	case Cancel:
		return c.ID
	case Outcome:
		return c.ID
	}
	return ""
}

// Check returns what is wrong with the fields of the command by themselves, before anything is looked up.
func (c Place) Check() error {
	var invalid domain.Invalid
	invalid.ID("/id", c.ID)
	invalid.ID("/member_id", c.MemberID)
	if len(c.Lines) < 1 || len(c.Lines) > MaxLines {
		invalid.Add("/lines", fmt.Sprintf("must have 1 to %d lines", MaxLines))
	}
	for i, line := range c.Lines[:min(len(c.Lines), MaxLines)] {
		at := fmt.Sprintf("/lines/%d", i)
		invalid.ID(at+"/product_id", line.ProductID)
		invalid.Within(at+"/quantity", line.Quantity, 1, MaxQuantity)
		invalid.Within(at+"/discount_percent", line.DiscountPercent, 0, 100)
	}
	invalid.Within("/shipping_fee", c.ShippingFee, 0, money.Max)
	if c.ShipTo != nil {
		checkShipTo(&invalid, *c.ShipTo)
	}
	if c.PlacedOn != "" {
		invalid.Date("/placed_on", c.PlacedOn)
	}
	switch c.PaymentMethod {
	case "", Card, Invoice:
	default:
		invalid.Add("/payment_method", "must be card or invoice")
	}
	return invalid.Err()
}

func checkShipTo(invalid *domain.Invalid, to ShipTo) *ShipTo {
	return &ShipTo{
		Name:    invalid.Required("/ship_to/name", to.Name, domain.MaxText),
		City:    invalid.Required("/ship_to/city", to.City, domain.MaxText),
		Country: invalid.Required("/ship_to/country", to.Country, domain.MaxText),
	}
}

func place(s State, c Place, now time.Time) ([]any, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if s.Status != "" {
		return nil, &domain.Refused{Code: "order-exists", Detail: "Order " + c.ID + " has been placed already."}
	}
	if err := c.checkReferences(); err != nil {
		return nil, err
	}
	if c.Member.Closed {
		return nil, &domain.Refused{Code: "member-closed", Detail: "Member " + c.MemberID + " is closed and cannot order."}
	}
	e := Placed{
		MemberID: c.MemberID, MemberCountry: c.Member.Country, Currency: c.Products[c.Lines[0].ProductID].Currency,
		ShippingFee: c.ShippingFee, PlacedOn: c.PlacedOn, PlacedAt: now, PaymentMethod: c.PaymentMethod, Manual: c.Manual,
	}
	if e.PlacedOn == "" {
		e.PlacedOn = now.Format(domain.DateLayout)
	}
	if e.PaymentMethod == Card {
		e.PaymentMethod = ""
	}
	if c.ShipTo != nil {
		e.ShipTo = checkShipTo(new(domain.Invalid), *c.ShipTo)
	}
	total := c.ShippingFee
	for _, item := range c.Lines {
		line, err := price(item, c.Products[item.ProductID], e.Currency, now)
		if err != nil {
			return nil, err
		}
		if total, err = money.Sum(total, line.Amount); err != nil {
			return nil, errTotal
		}
		e.Lines = append(e.Lines, line)
	}
	return []any{e}, nil
}

var errTotal = &domain.Refused{
	Code: "order-total-too-large", Detail: fmt.Sprintf("The total of an order may be at most %d minor units.", money.Max),
}

// checkReferences says which of the things the order names do not exist.
func (c Place) checkReferences() error {
	var invalid domain.Invalid
	if !c.Member.Exists {
		invalid.Add("/member_id", "names no member")
	}
	for i, line := range c.Lines {
		if !c.Products[line.ProductID].Exists {
			invalid.Add(fmt.Sprintf("/lines/%d/product_id", i), "names no product")
		}
	}
	return invalid.Err()
}

func price(item Item, p product.State, currency string, now time.Time) (Line, error) {
	unit := p.PriceAt(now)
	if p.Discontinued {
		return Line{}, &domain.Refused{
			Code: "product-discontinued", Detail: "Product " + item.ProductID + " is no longer sold.",
		}
	}
	if p.Currency != currency {
		return Line{}, &domain.Refused{
			Code:   "order-mixed-currencies",
			Detail: fmt.Sprintf("Product %s is sold in %s, the first line's in %s; an order has one currency.", item.ProductID, p.Currency, currency),
		}
	}
	amount, err := money.LineAmount(unit, item.Quantity, item.DiscountPercent)
	if err != nil {
		return Line{}, errTotal
	}
	return Line{
		ProductID: item.ProductID, Name: p.Name, Category: p.Category, UnitPrice: unit,
		Quantity: item.Quantity, DiscountPercent: item.DiscountPercent, Amount: amount,
	}, nil
}
