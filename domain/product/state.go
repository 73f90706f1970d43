package product

import "time"

// State is what a product's events add up to. The zero State is a product nobody has created.
type State struct {
	Exists       bool     `json:"exists,omitempty"`
	Name         string   `json:"name,omitempty"`
	Category     string   `json:"category,omitempty"`
	Price        int64    `json:"price,omitempty"` // minor units of Currency
	Currency     string   `json:"currency,omitempty"`
	Description  string   `json:"description,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	Images       []string `json:"images,omitempty"`
	Sale         *SaleSet `json:"sale,omitempty"`
	Discontinued bool     `json:"discontinued,omitempty"`
}

// PriceAt is what an order placed at that moment pays.
func (s State) PriceAt(now time.Time) int64 {
	if s.Sale != nil && !now.Before(s.Sale.From) && now.Before(s.Sale.Until) {
		return s.Sale.Price
	}
	return s.Price
}

// Apply folds one event into the state, which it leaves alone. An event it does not know changes nothing.
func Apply(s State, e any) State {
	switch e := e.(type) {
	case Created:
		return State{Exists: true, Name: e.Name, Category: e.Category, Price: e.Price, Currency: e.Currency,
			Description: e.Description, Tags: e.Tags, Images: e.Images}
	case Renamed:
		s.Name = e.Name
	case Described:
		s.Description = e.Description
	case Categorised:
		s.Category = e.Category
	case Tagged:
		s.Tags = orNil(e.Tags)
	case Pictured:
		s.Images = orNil(e.Images)
	case Repriced:
		s.Price = e.Price
	case SaleSet:
		s.Sale = &e
	case SaleEnded:
		s.Sale = nil
	case Discontinued:
		s.Discontinued = true
	case Relisted:
		s.Discontinued = false
	}
	return s
}
