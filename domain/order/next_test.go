package order

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"jangbu/domain/domaintest"
)

const payWithin = 15 * time.Minute

func TestNext(t *testing.T) {
	order := placed(func(*Placed) {})
	onAccount := placed(func(p *Placed) { p.PaymentMethod = Invoice })
	deadline := now.UTC().Add(payWithin)
	some := parcel(LineQuantity{1, 5})
	off := Cancelled{Reason: "late"}
	back := Returned{Lines: []LineQuantity{{1, 1}}, Amount: 1400, Restock: true, ReturnedOn: today}
	free := Returned{Lines: []LineQuantity{{1, 1}}, ReturnedOn: today}
	for _, c := range []struct {
		name string
		log  []any
		at   time.Time
		want Step
	}{
		{"nothing", nil, now, Step{}},
		{"an order of another's", []any{placed(manual)}, now, Step{}},
		{"an order of another's, shipped and back", []any{placed(manual), parcel(), back}, now, Step{}},
		{"an order of another's, cancelled", []any{placed(manual), off}, now, Step{}},
		{"placed", []any{order}, now, Step{Kind: StepReserve, Until: deadline}},
		{"reserved", []any{order, StockReserved{}}, now, Step{Kind: StepAuthorise, Until: deadline}},
		{"the last moment", []any{order}, deadline.Add(-1), Step{Kind: StepReserve, Until: deadline}},
		{"too late for stock", []any{order}, deadline, Step{Kind: StepExpire}},
		{"too late for payment", []any{order, StockReserved{}}, deadline, Step{Kind: StepExpire}},
		{"on account", []any{onAccount}, deadline, Step{Kind: StepReserve}},
		{"on account, reserved", []any{onAccount, StockReserved{}}, deadline, Step{Kind: StepAuthorise}},
		{"confirmed", confirmed(), deadline, Step{}},
		{"cancelled at once", []any{order, off}, now, Step{Kind: StepRelease}},
		{"cancelled at once, released", []any{order, off, StockReleased{}}, now, Step{}},
		{"cancelled when reserved", []any{order, StockReserved{}, off}, now, Step{Kind: StepRelease}},
		{"cancelled when reserved, released", []any{order, StockReserved{}, off, StockReleased{}}, now, Step{Kind: StepVoid}},
		{"cancelled when confirmed, undone", confirmed(off, StockReleased{}, PaymentVoided{}), now, Step{}},
		{"the first product is sold out", []any{order, StockRefused{ProductID: "queso"}, off}, now, Step{}},
		{"the second product is sold out", []any{order, StockRefused{ProductID: "apples"}, off}, now, Step{Kind: StepRelease}},
		{"declined", []any{order, StockReserved{}, PaymentRefused{Reason: "x"}, off, StockReleased{}}, now, Step{Kind: StepVoid}},
		{"a parcel", confirmed(some), now, Step{Kind: StepDispatch, Parcel: 1}},
		{"a second parcel", confirmed(some, StockShipped{1}, parcel()), now, Step{Kind: StepDispatch, Parcel: 2}},
		{"a parcel out of stock", confirmed(some, StockShipped{1}), now, Step{Kind: StepCapture}},
		{"paid", confirmed(some, StockShipped{1}, PaymentCaptured{143440}), now, Step{}},
		{"back", confirmed(some, StockShipped{1}, PaymentCaptured{143440}, back), now, Step{Kind: StepRestock, Return: 1}},
		{"back before it is paid", confirmed(some, StockShipped{1}, back), now, Step{Kind: StepRestock, Return: 1}},
		{"back in stock before it is paid", confirmed(some, StockShipped{1}, back, StockReturned{1}), now, Step{Kind: StepCapture}},
		{"back before it is paid, and another parcel", confirmed(some, StockShipped{1}, back, parcel()), now, Step{Kind: StepDispatch, Parcel: 2}},
		{"two are back before it is paid", confirmed(some, StockShipped{1}, back, StockReturned{1}, back), now, Step{Kind: StepRestock, Return: 2}},
		{"back in stock", confirmed(some, StockShipped{1}, PaymentCaptured{143440}, back, StockReturned{1}), now, Step{Kind: StepRefund, Return: 1}},
		{"paid back", confirmed(some, StockShipped{1}, PaymentCaptured{143440}, back, StockReturned{1}, PaymentRefunded{1, 1400}), now, Step{}},
		{"back broken and for nothing", confirmed(some, StockShipped{1}, PaymentCaptured{143440}, free), now, Step{}},
		{"two are back", confirmed(some, StockShipped{1}, PaymentCaptured{143440}, back, StockReturned{1}, back), now, Step{Kind: StepRestock, Return: 2}},
		{"the second return", confirmed(some, StockShipped{1}, PaymentCaptured{143440}, free, back), now, Step{Kind: StepRestock, Return: 2}},
	} {
		if got := Next(fold(c.log), c.at, payWithin); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestToRelease(t *testing.T) {
	order := placed(func(p *Placed) { p.Lines = append(p.Lines, p.Lines[0]) }) // 12 and 12 of queso, 35 of apples
	queso, apples := ProductQuantity{"queso", 24}, ProductQuantity{"apples", 35}
	for _, c := range []struct {
		name string
		log  []any
		want []ProductQuantity
	}{
		{"all", []any{order}, []ProductQuantity{queso, apples}},
		{"what comes before the refused product", []any{order, StockRefused{ProductID: "apples"}}, []ProductQuantity{queso}},
		{"nothing", []any{order, StockRefused{ProductID: "queso"}}, []ProductQuantity{}},
	} {
		if got := fold(c.log).ToRelease(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestOutcome(t *testing.T) {
	order := placed(func(p *Placed) { p.ShippingFee = 500 })
	off := Cancelled{Reason: "late"}
	back := Returned{Lines: []LineQuantity{{1, 1}}, Amount: 1400, Restock: true, ReturnedOn: today}
	broken := Returned{Lines: []LineQuantity{{1, 1}}, ReturnedOn: today}
	did := func(kind StepKind) Outcome { return Outcome{ID: "1", Step: Step{Kind: kind, Parcel: 1, Return: 1}} }
	refused := Outcome{ID: "1", Step: Step{Kind: StepReserve}, Refused: &StockRefused{ProductID: "apples", Wanted: 35, Available: 2}}
	declined := Outcome{ID: "1", Step: Step{Kind: StepAuthorise}, Declined: "no money"}
	paid := slices.Clip(confirmed(parcel(), StockShipped{1}, PaymentCaptured{143440}))
	domaintest.Run(t, []domaintest.Case{
		{Name: "reserved", Given: []any{order}, When: did(StepReserve), Then: []any{StockReserved{}}},
		{Name: "reserved twice", Given: []any{order, StockReserved{}}, When: did(StepReserve)},
		{Name: "reserved too late", Given: []any{order, off}, When: did(StepReserve)},
		{Name: "sold out", Given: []any{order}, When: refused, Then: []any{*refused.Refused, Cancelled{Reason: "Dried Apples is sold out.", Code: SoldOut}}},
		{Name: "sold out of something else", Given: []any{order}, When: Outcome{ID: "1", Step: Step{Kind: StepReserve}, Refused: &StockRefused{ProductID: "x"}},
			Then: []any{StockRefused{ProductID: "x"}, Cancelled{Reason: "Sold out.", Code: SoldOut}}},
		{Name: "sold out too late", Given: []any{order, StockReserved{}}, When: refused},
		{Name: "authorised", Given: []any{order, StockReserved{}}, When: did(StepAuthorise), Then: []any{PaymentAuthorised{Amount: 143440}, Confirmed{}}},
		{Name: "authorised twice", Given: confirmed(), When: did(StepAuthorise)},
		{Name: "authorised too early", Given: []any{order}, When: did(StepAuthorise)},
		{Name: "authorised too late", Given: []any{order, StockReserved{}, off}, When: did(StepAuthorise)},
		{Name: "declined", Given: []any{order, StockReserved{}}, When: declined,
			Then: []any{PaymentRefused{Reason: "no money"}, Cancelled{Reason: "The payment was declined: no money.", Code: PaymentDeclined}}},
		{Name: "declined too late", Given: confirmed(), When: declined},
		{Name: "expired", Given: []any{order, StockReserved{}}, When: did(StepExpire), Then: []any{Cancelled{Reason: "The payment did not arrive in time.", Code: PaymentTimeout}}},
		{Name: "expired when it is confirmed", Given: confirmed(), When: did(StepExpire)},
		{Name: "expired when it is cancelled", Given: []any{order, off}, When: did(StepExpire)},
		{Name: "released", Given: []any{order, off}, When: did(StepRelease), Then: []any{StockReleased{}}},
		{Name: "released twice", Given: []any{order, off, StockReleased{}}, When: did(StepRelease)},
		{Name: "released what was refused", Given: []any{order, StockRefused{ProductID: "queso"}, off}, When: did(StepRelease)},
		{Name: "released what is not cancelled", Given: confirmed(), When: did(StepRelease)},
		{Name: "voided", Given: confirmed(off), When: did(StepVoid), Then: []any{PaymentVoided{}}},
		{Name: "voided twice", Given: confirmed(off, PaymentVoided{}), When: did(StepVoid)},
		{Name: "voided what nobody asked for", Given: []any{order, off}, When: did(StepVoid)},
		{Name: "voided what is not cancelled", Given: confirmed(), When: did(StepVoid)},
		{Name: "dispatched", Given: confirmed(parcel()), When: did(StepDispatch), Then: []any{StockShipped{1}}},
		{Name: "dispatched twice", Given: confirmed(parcel(), StockShipped{1}), When: did(StepDispatch)},
		{Name: "dispatched a parcel there is not", Given: confirmed(), When: did(StepDispatch)},
		{Name: "captured", Given: confirmed(parcel()), When: did(StepCapture), Then: []any{PaymentCaptured{143440}}},
		{Name: "captured twice", Given: paid, When: did(StepCapture)},
		{Name: "captured before it is shipped", Given: confirmed(), When: did(StepCapture)},
		{Name: "captured what is cancelled", Given: confirmed(off), When: did(StepCapture)},
		{Name: "back in stock", Given: append(paid, back), When: did(StepRestock), Then: []any{StockReturned{1}}},
		{Name: "back in stock twice", Given: append(paid, back, StockReturned{1}), When: did(StepRestock)},
		{Name: "back in stock though broken", Given: append(paid, broken), When: did(StepRestock)},
		{Name: "back in stock what did not come back", Given: paid, When: did(StepRestock)},
		{Name: "paid back", Given: append(paid, back), When: did(StepRefund), Then: []any{PaymentRefunded{1, 1400}}},
		{Name: "paid back twice", Given: append(paid, back, PaymentRefunded{1, 1400}), When: did(StepRefund)},
		{Name: "paid back before it is paid", Given: confirmed(parcel(), back), When: did(StepRefund)},
		{Name: "paid back nothing", Given: append(paid, broken), When: did(StepRefund)},
		{Name: "a step that is none", Given: confirmed(), When: did(StepNone)},
		{Name: "an order of another's", Given: []any{placed(manual)}, When: did(StepReserve)},
		{Name: "no order", When: did(StepReserve), Err: domaintest.Missing("order", "1")},
	}, decide)
}
