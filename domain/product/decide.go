package product

import (
	"slices"
	"time"

	"jangbu/domain"
	"jangbu/domain/money"
)

// Command is what can be asked of a product. ID names the product in every one of them.
type Command interface{ isCommand() }

// Create makes a new product. Price is in minor units of Currency.
type Create struct {
	ID          string
	Name        string
	Category    string
	Price       int64
	Currency    string
	Description string
	Tags        []string
	Images      []string
}

// Rename gives a product another name.
type Rename struct {
	ID   string
	Name string
}

// Describe sets what a product is said to be; empty: nothing.
type Describe struct {
	ID          string
	Description string
}

// Categorise moves a product to another category.
type Categorise struct {
	ID       string
	Category string
}

// Tag sets all tags of a product. Case and order do not count, nor does naming one twice.
type Tag struct {
	ID   string
	Tags []string
}

// Picture sets all images of a product, in the order to show them.
type Picture struct {
	ID     string
	Images []string // absolute URLs of http or https
}

// Reprice sets the price of orders to come, in minor units of the product's currency, which never changes.
type Reprice struct {
	ID    string
	Price int64
}

// SetSale sets the price of orders that are placed from From until before Until, in place of any sale set before.
type SetSale struct {
	ID    string
	Price int64
	From  string // RFC 3339
	Until string // RFC 3339
}

// EndSale calls a sale off, be it on or yet to come.
type EndSale struct{ ID string }

// Discontinue takes a product out of sale.
type Discontinue struct{ ID string }

// Relist puts a discontinued product on sale again.
type Relist struct{ ID string }

func (Create) isCommand()      {}
func (Rename) isCommand()      {}
func (Describe) isCommand()    {}
func (Categorise) isCommand()  {}
func (Tag) isCommand()         {}
func (Picture) isCommand()     {}
func (Reprice) isCommand()     {}
func (SetSale) isCommand()     {}
func (EndSale) isCommand()     {}
func (Discontinue) isCommand() {}
func (Relist) isCommand()      {}

// Decide returns the events the command causes in the state at that time, none when it changes nothing. It fails with
// *domain.Missing, *domain.Invalid or *domain.Refused:
//
//	product-exists   Create: the id is taken
//
// A discontinued product may still be changed in every way: nobody can order it, and a catalogue that is imported or
// corrected need not care in which order its changes arrive.
func Decide(s State, c Command, now time.Time) ([]any, error) {
	if c, ok := c.(Create); ok {
		return create(s, c)
	}
	if !s.Exists {
		return nil, &domain.Missing{Kind: Category, ID: id(c)}
	}
	var invalid domain.Invalid
	e := change(s, c, now, &invalid)
	if err := invalid.Err(); err != nil || e == nil {
		return nil, err
	}
	return []any{e}, nil
}

func id(c Command) string {
	switch c := c.(type) {
	case Rename:
		return c.ID
	case Describe:
		return c.ID
	case Categorise:
		return c.ID
	case Tag:
		return c.ID
	case Picture:
		return c.ID
	case Reprice:
		return c.ID
	case SetSale:
		return c.ID
	case EndSale:
		return c.ID
	case Discontinue:
		return c.ID
	case Relist:
		return c.ID
	}
	return ""
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
	e.Description = invalid.Lines("/description", c.Description, MaxDescription)
	e.Tags = orNil(normalTags(&invalid, c.Tags))
	e.Images = orNil(checkImages(&invalid, c.Images))
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	if s.Exists {
		return nil, &domain.Refused{Code: "product-exists", Detail: "Product " + c.ID + " exists already."}
	}
	return []any{e}, nil
}

// change is the event that the command causes, nil for none; it counts only if no field is wrong.
func change(s State, c Command, now time.Time, invalid *domain.Invalid) any {
	switch c := c.(type) {
	case Rename:
		if name := invalid.Required("/name", c.Name, domain.MaxText); name != s.Name {
			return Renamed{Name: name}
		}
	case Describe:
		if text := invalid.Lines("/description", c.Description, MaxDescription); text != s.Description {
			return Described{Description: text}
		}
	case Categorise:
		if category := invalid.Required("/category", c.Category, domain.MaxText); category != s.Category {
			return Categorised{Category: category}
		}
	case Tag:
		if tags := normalTags(invalid, c.Tags); !slices.Equal(tags, s.Tags) {
			return Tagged{Tags: tags}
		}
	case Picture:
		if images := checkImages(invalid, c.Images); !slices.Equal(images, s.Images) {
			return Pictured{Images: images}
		}
	case Reprice:
		if invalid.Within("/price", c.Price, 0, money.Max); c.Price != s.Price {
			return Repriced{Price: c.Price}
		}
	case SetSale:
		return setSale(s, c, now, invalid)
	case EndSale:
		if s.Sale != nil && now.Before(s.Sale.Until) { // else it has ended by itself
			return SaleEnded{}
		}
	case Discontinue:
		if !s.Discontinued {
			return Discontinued{}
		}
	case Relist:
		if s.Discontinued {
			return Relisted{}
		}
	}
	return nil
}

func setSale(s State, c SetSale, now time.Time, invalid *domain.Invalid) any {
	invalid.Within("/price", c.Price, 0, money.Max)
	wrong := len(invalid.Fields)
	e := SaleSet{Price: c.Price, From: invalid.Time("/from", c.From), Until: invalid.Time("/until", c.Until)}
	if s.Sale != nil && e.Price == s.Sale.Price && e.From.Equal(s.Sale.From) && e.Until.Equal(s.Sale.Until) { // be it over: nobody is told that it cannot be set when it was
		return nil
	}
	switch {
	case len(invalid.Fields) > wrong:
	case !e.From.Before(e.Until):
		invalid.Add("/until", "must be after from")
	case !now.Before(e.Until):
		invalid.Add("/until", "must be in the future")
	}
	return e
}
