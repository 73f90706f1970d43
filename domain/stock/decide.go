package stock

import (
	"fmt"

	"jangbu/domain"
	"jangbu/domain/product"
)

// MaxOnHand is the most units that can be stocked or counted. What comes back from orders is taken in nevertheless: it
// had been on hand before.
const MaxOnHand int64 = 1_000_000_000_000

// Command is what can be asked of a product's stock. ProductID names the product in every one of them.
type Command interface{ isCommand() }

// Restock adds units that arrived. Known says that the product exists.
type Restock struct {
	ProductID string
	Quantity  int64
	Known     bool
}

// Count sets what is on hand to what somebody counted. Known says that the product exists.
type Count struct {
	ProductID string
	OnHand    int64
	Reason    string
	Known     bool
}

// SetLowWater sets the mark at which the product is low in stock. Known says that the product exists.
type SetLowWater struct {
	ProductID string
	LowWater  int64
	Known     bool
}

// Reserve sets units aside for an order, or records that there are too few: it always causes an event, so that a
// command id decides it once and for all. Forgo refuses it, however many units there are: the order is cancelled. It is the same
// command nevertheless, and no part of what it is known again by.
type Reserve struct {
	ProductID string
	OrderID   string
	Quantity  int64
	Forgo     bool `json:"-"`
}

// Release makes all that is set aside for an order available again.
type Release struct {
	ProductID string
	OrderID   string
}

// Ship takes units set aside for an order out of the stock.
type Ship struct {
	ProductID string
	OrderID   string
	Parcel    int
	Quantity  int64
}

// Return puts units of an order back in stock.
type Return struct {
	ProductID string
	OrderID   string
	Return    int
	Quantity  int64
}

func (Restock) isCommand()     {}
func (Count) isCommand()       {}
func (SetLowWater) isCommand() {}
func (Reserve) isCommand()     {}
func (Release) isCommand()     {}
func (Ship) isCommand()        {}
func (Return) isCommand()      {}

// Decide returns the events the command causes in the state, none when it changes nothing. It fails with
// *domain.Missing (of the product), *domain.Invalid or *domain.Refused:
//
//	stock-reserved      Count: more units than that are reserved for orders
//	stock-too-large     Restock: there would be more than MaxOnHand
//	stock-not-reserved  Ship: fewer units than that are reserved for the order
//
// Reserve is never refused for want of units: ReservationRefused is an event.
func Decide(s State, c Command) ([]any, error) {
	switch c := c.(type) {
	case Restock:
		return restock(s, c)
	case Count:
		return count(s, c)
	case SetLowWater:
		return setLowWater(s, c)
	case Reserve:
		return reserve(s, c)
	case Release:
		if n := s.For.Of(c.OrderID); n > 0 {
			return []any{Released{OrderID: c.OrderID, Quantity: n}}, nil
		}
	case Ship:
		return ship(s, c)
	case Return:
		if err := checkQuantity(c.Quantity); err != nil {
			return nil, err
		}
		return []any{Returned{OrderID: c.OrderID, Return: c.Return, Quantity: c.Quantity}}, nil
	}
	return nil, nil
}

func restock(s State, c Restock) ([]any, error) {
	if !c.Known {
		return nil, missing(c.ProductID)
	}
	if err := checkQuantity(c.Quantity); err != nil {
		return nil, err
	}
	if c.Quantity > MaxOnHand-s.OnHand {
		return nil, &domain.Refused{Code: "stock-too-large",
			Detail: fmt.Sprintf("%d units of product %s are on hand, and there may be at most %d.", s.OnHand, c.ProductID, MaxOnHand)}
	}
	return []any{Restocked{Quantity: c.Quantity}}, nil
}

func count(s State, c Count) ([]any, error) {
	if !c.Known {
		return nil, missing(c.ProductID)
	}
	var invalid domain.Invalid
	invalid.Within("/on_hand", c.OnHand, 0, MaxOnHand)
	reason := invalid.Required("/reason", c.Reason, domain.MaxReason)
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	switch {
	case c.OnHand == s.OnHand:
		return nil, nil
	case c.OnHand < s.Reserved:
		return nil, &domain.Refused{Code: "stock-reserved",
			Detail: fmt.Sprintf("%d units of product %s are reserved for orders; ship or cancel some of these first.", s.Reserved, c.ProductID)}
	}
	return []any{Counted{OnHand: c.OnHand, Was: s.OnHand, Reason: reason}}, nil
}

func setLowWater(s State, c SetLowWater) ([]any, error) {
	if !c.Known {
		return nil, missing(c.ProductID)
	}
	var invalid domain.Invalid
	invalid.Within("/low_water", c.LowWater, 0, MaxOnHand)
	if err := invalid.Err(); err != nil || c.LowWater == s.LowWater {
		return nil, err
	}
	return []any{LowWaterSet{LowWater: c.LowWater}}, nil
}

func reserve(s State, c Reserve) ([]any, error) {
	if err := checkQuantity(c.Quantity); err != nil {
		return nil, err
	}
	if available := s.Available(); c.Forgo || c.Quantity > available {
		return []any{ReservationRefused{OrderID: c.OrderID, Quantity: c.Quantity, Available: available}}, nil
	}
	return []any{Reserved{OrderID: c.OrderID, Quantity: c.Quantity}}, nil
}

func ship(s State, c Ship) ([]any, error) {
	if err := checkQuantity(c.Quantity); err != nil {
		return nil, err
	}
	if n := s.For.Of(c.OrderID); c.Quantity > n {
		return nil, &domain.Refused{Code: "stock-not-reserved",
			Detail: fmt.Sprintf("%d units of product %s are reserved for order %s, not %d.", n, c.ProductID, c.OrderID, c.Quantity)}
	}
	return []any{Shipped{OrderID: c.OrderID, Parcel: c.Parcel, Quantity: c.Quantity}}, nil
}

func checkQuantity(n int64) error {
	var invalid domain.Invalid
	invalid.Within("/quantity", n, 1, MaxOnHand)
	return invalid.Err()
}

func missing(productID string) error {
	return &domain.Missing{Kind: product.Category, ID: productID}
}
