package stock

// State is what the events of a product's stock add up to. The zero State is a product that has never been in stock.
type State struct {
	OnHand   int64 `json:"on_hand,omitempty"`
	Reserved int64 `json:"reserved,omitempty"` // the sum of For
	LowWater int64 `json:"low_water,omitempty"`
	For      Held  `json:"for,omitzero"`
}

// Available is what can still be reserved.
func (s State) Available() int64 { return s.OnHand - s.Reserved }

// Low reports whether the product is low in stock.
func (s State) Low() bool { return s.LowWater > 0 && s.Available() <= s.LowWater }

// Apply folds one event into the state, which it leaves alone. An event it does not know changes nothing.
func Apply(s State, e any) State {
	switch e := e.(type) {
	case Restocked:
		s.OnHand += e.Quantity
	case Counted:
		s.OnHand = e.OnHand
	case LowWaterSet:
		s.LowWater = e.LowWater
	case Reserved:
		s = s.setAside(e.OrderID, e.Quantity)
	case Released:
		s = s.setAside(e.OrderID, -e.Quantity)
	case Shipped:
		s = s.setAside(e.OrderID, -e.Quantity)
		s.OnHand -= e.Quantity
	case Returned:
		s.OnHand += e.Quantity
	}
	return s
}

func (s State) setAside(orderID string, quantity int64) State {
	s.Reserved += quantity
	s.For = s.For.with(orderID, s.For.Of(orderID)+quantity)
	return s
}
