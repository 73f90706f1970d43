package stock

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
// command id decides it once and for all.
type Reserve struct {
	ProductID string
	OrderID   string
	Quantity  int64
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
