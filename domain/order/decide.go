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
	ID          string
	MemberID    string
	Lines       []Item
	ShippingFee int64 // minor units of the products' currency
	ShipTo      *ShipTo
	PlacedOn    string // YYYY-MM-DD; empty: today

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

// Ship sends a placed order on its way.
type Ship struct {
	ID        string
	Carrier   string
	Tracking  string
	ShippedOn string // YYYY-MM-DD; empty: today
}

// Cancel calls a placed order off.
type Cancel struct {
	ID     string
	Reason string
}

func (Place) isCommand()  {}
func (Ship) isCommand()   {}
func (Cancel) isCommand() {}

// Decide returns the events the command causes in the state at that time, none when it changes nothing: shipping or
// cancelling again in the same words. It fails with *domain.Missing, *domain.Invalid or *domain.Refused:
//
//	order-exists            Place: the id is taken
//	product-discontinued    Place: a product is out of sale
//	order-mixed-currencies  Place: the products have not all one currency
//	order-total-too-large   Place: the total is over money.Max
//	order-already-shipped   Ship: with other data; Cancel
//	order-already-cancelled Cancel: with another reason; Ship
func Decide(s State, c Command, now time.Time) ([]any, error) {
	today := now.UTC().Format(domain.DateLayout)
	switch c := c.(type) {
	case Place:
		return place(s, c, today)
	case Ship:
		return ship(s, c, today)
	case Cancel:
		return cancel(s, c)
	}
	return nil, nil
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
	return invalid.Err()
}

func checkShipTo(invalid *domain.Invalid, to ShipTo) *ShipTo {
	return &ShipTo{
		Name:    invalid.Required("/ship_to/name", to.Name, domain.MaxText),
		City:    invalid.Required("/ship_to/city", to.City, domain.MaxText),
		Country: invalid.Required("/ship_to/country", to.Country, domain.MaxText),
	}
}

func place(s State, c Place, today string) ([]any, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if s.Status != "" {
		return nil, &domain.Refused{Code: "order-exists", Detail: "Order " + c.ID + " has been placed already."}
	}
	if err := c.checkReferences(); err != nil {
		return nil, err
	}
	e := Placed{
		MemberID: c.MemberID, MemberCountry: c.Member.Country, Currency: c.Products[c.Lines[0].ProductID].Currency,
		ShippingFee: c.ShippingFee, PlacedOn: c.PlacedOn,
	}
	if e.PlacedOn == "" {
		e.PlacedOn = today
	}
	if c.ShipTo != nil {
		e.ShipTo = checkShipTo(new(domain.Invalid), *c.ShipTo)
	}
	total := c.ShippingFee
	for _, item := range c.Lines {
		line, err := price(item, c.Products[item.ProductID], e.Currency)
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

func price(item Item, p product.State, currency string) (Line, error) {
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
	amount, err := money.LineAmount(p.Price, item.Quantity, item.DiscountPercent)
	if err != nil {
		return Line{}, errTotal
	}
	return Line{
		ProductID: item.ProductID, Name: p.Name, Category: p.Category, UnitPrice: p.Price,
		Quantity: item.Quantity, DiscountPercent: item.DiscountPercent, Amount: amount,
	}, nil
}

func ship(s State, c Ship, today string) ([]any, error) {
	if s.Status == "" {
		return nil, &domain.Missing{Kind: Category, ID: c.ID}
	}
	var invalid domain.Invalid
	e := Shipped{
		Carrier:   invalid.Required("/carrier", c.Carrier, domain.MaxText),
		Tracking:  invalid.Optional("/tracking", c.Tracking, domain.MaxText),
		ShippedOn: c.ShippedOn,
	}
	if c.ShippedOn != "" {
		invalid.Date("/shipped_on", c.ShippedOn)
	}
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	switch s.Status {
	case StatusCancelled:
		return nil, alreadyCancelled(c.ID)
	case StatusShipped:
		if e.ShippedOn == "" { // "today", said again on another day
			e.ShippedOn = s.Shipped.ShippedOn
		}
		if e != *s.Shipped {
			return nil, alreadyShipped(c.ID)
		}
		return nil, nil
	}
	if e.ShippedOn == "" {
		e.ShippedOn = today
	}
	return []any{e}, nil
}

func cancel(s State, c Cancel) ([]any, error) {
	if s.Status == "" {
		return nil, &domain.Missing{Kind: Category, ID: c.ID}
	}
	var invalid domain.Invalid
	reason := invalid.Required("/reason", c.Reason, domain.MaxReason)
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	switch s.Status {
	case StatusShipped:
		return nil, alreadyShipped(c.ID)
	case StatusCancelled:
		if reason != s.CancelReason {
			return nil, alreadyCancelled(c.ID)
		}
		return nil, nil
	}
	return []any{Cancelled{Reason: reason}}, nil
}

func alreadyShipped(id string) error {
	return &domain.Refused{Code: "order-already-shipped", Detail: "Order " + id + " has been shipped."}
}

func alreadyCancelled(id string) error {
	return &domain.Refused{Code: "order-already-cancelled", Detail: "Order " + id + " has been cancelled."}
}
