package payment

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
