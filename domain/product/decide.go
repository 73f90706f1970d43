package product

import (
	"jangbu/domain"
	"jangbu/domain/money"
)

// Command is what can be asked of a product.
type Command interface{ isCommand() }

// Create makes a new product. Price is in minor units of Currency.
type Create struct {
	ID       string
	Name     string
	Category string
	Price    int64
	Currency string
}

// Rename gives a product another name.
type Rename struct {
	ID   string
	Name string
}

// Reprice sets the price of orders to come, in minor units of the product's currency, which never changes.
type Reprice struct {
	ID    string
	Price int64
}

// Discontinue takes a product out of sale.
type Discontinue struct{ ID string }

func (Create) isCommand()      {}
func (Rename) isCommand()      {}
func (Reprice) isCommand()     {}
func (Discontinue) isCommand() {}

// Decide returns the events the command causes in the state, none when it changes nothing. It fails with
// *domain.Missing, *domain.Invalid or *domain.Refused:
//
//	product-exists   Create: the id is taken
//
// A discontinued product may still be renamed and repriced: nobody can order it, and a catalogue that is imported or
// corrected need not care in which order its changes arrive.
func Decide(s State, c Command) ([]any, error) {
	switch c := c.(type) {
	case Create:
		return create(s, c)
	case Rename:
		return rename(s, c)
	case Reprice:
		return reprice(s, c)
	case Discontinue:
		return discontinue(s, c)
	}
	return nil, nil
}

func create(s State, c Create) ([]any, error) {
	var invalid domain.Invalid
	invalid.ID("/id", c.ID)
	e := Created{
		Name:     invalid.Required("/name", c.Name, domain.MaxText),
		Category: invalid.Required("/category", c.Category, domain.MaxText),
		Price:    c.Price,
		Currency: c.Currency,
	}
	invalid.Within("/price", c.Price, 0, money.Max)
	if !money.Valid(c.Currency) {
		invalid.Add("/currency", "must be an active ISO 4217 code such as EUR")
	}
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	if s.Exists {
		return nil, &domain.Refused{Code: "product-exists", Detail: "Product " + c.ID + " exists already."}
	}
	return []any{e}, nil
}

func rename(s State, c Rename) ([]any, error) {
	if !s.Exists {
		return nil, missing(c.ID)
	}
	var invalid domain.Invalid
	name := invalid.Required("/name", c.Name, domain.MaxText)
	if err := invalid.Err(); err != nil || name == s.Name {
		return nil, err
	}
	return []any{Renamed{Name: name}}, nil
}

func reprice(s State, c Reprice) ([]any, error) {
	if !s.Exists {
		return nil, missing(c.ID)
	}
	var invalid domain.Invalid
	invalid.Within("/price", c.Price, 0, money.Max)
	if err := invalid.Err(); err != nil || c.Price == s.Price {
		return nil, err
	}
	return []any{Repriced{Price: c.Price}}, nil
}

func discontinue(s State, c Discontinue) ([]any, error) {
	if !s.Exists {
		return nil, missing(c.ID)
	}
	if s.Discontinued {
		return nil, nil
	}
	return []any{Discontinued{}}, nil
}

func missing(id string) error { return &domain.Missing{Kind: Category, ID: id} }
