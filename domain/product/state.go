package product

// State is what a product's events add up to. The zero State is a product nobody has created.
type State struct {
	Exists       bool   `json:"exists,omitempty"`
	Name         string `json:"name,omitempty"`
	Category     string `json:"category,omitempty"`
	Price        int64  `json:"price,omitempty"` // minor units of Currency
	Currency     string `json:"currency,omitempty"`
	Discontinued bool   `json:"discontinued,omitempty"`
}

// Apply folds one event into the state. An event it does not know changes nothing.
func Apply(s State, e any) State {
	switch e := e.(type) {
	case Created:
		return State{Exists: true, Name: e.Name, Category: e.Category, Price: e.Price, Currency: e.Currency}
	case Renamed:
		s.Name = e.Name
	case Repriced:
		s.Price = e.Price
	case Discontinued:
		s.Discontinued = true
	}
	return s
}
