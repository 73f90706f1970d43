package order

import (
	"reflect"
	"slices"
	"testing"

	"jangbu/domain/domaintest"
)

// confirmed is an order of two lines, 12 and 35 units, that can be shipped.
func confirmed(more ...any) []any {
	order := placed(func(p *Placed) { p.ShippingFee = 500 })
	return append([]any{order, StockReserved{}, PaymentAuthorised{Amount: 143440}, Confirmed{}}, more...)
}

func parcel(lines ...LineQuantity) Shipped {
	return Shipped{Carrier: "Federal", ShippedOn: today, Lines: lines}
}

func TestShipInParcels(t *testing.T) {
	some := parcel(LineQuantity{1, 5}, LineQuantity{2, 1})
	tracked := Shipped{Carrier: "Federal", Tracking: "1Z", ShippedOn: today, Lines: []LineQuantity{{1, 5}}}
	order := placed(func(*Placed) {})
	domaintest.Run(t, []domaintest.Case{
		{Name: "all of it", Given: confirmed(), When: Ship{ID: "1", Carrier: "Federal"}, Then: []any{parcel()}},
		{Name: "before it is confirmed", Given: []any{order}, When: Ship{ID: "1", Carrier: "Federal"}, Err: domaintest.Refused("order-not-confirmed")},
		{Name: "before it is paid", Given: []any{order, StockReserved{}}, When: Ship{ID: "1", Carrier: "Federal"}, Err: domaintest.Refused("order-not-confirmed")},
		{Name: "a part, lines in any order", Given: confirmed(), When: Ship{ID: "1", Carrier: "Federal", Lines: []LineQuantity{{2, 1}, {1, 5}}}, Then: []any{some}},
		{Name: "another part just like it", Given: confirmed(some), When: Ship{ID: "1", Carrier: "Federal", Lines: some.Lines}, Then: []any{some}},
		{Name: "a part again under its tracking number", Given: confirmed(tracked), When: Ship{ID: "1", Carrier: "Federal", Tracking: "1Z", Lines: tracked.Lines}},
		{Name: "a part again after another went out", Given: confirmed(tracked, some), When: Ship{ID: "1", Carrier: "Federal", Tracking: "1Z", Lines: tracked.Lines}},
		{Name: "a part again on another day after another went out", Given: confirmed(Shipped{Carrier: "Federal", Tracking: "1Z", ShippedOn: "2026-01-31", Lines: tracked.Lines}, some),
			When: Ship{ID: "1", Carrier: "Federal", Tracking: "1Z", Lines: tracked.Lines}},
		{Name: "a part again when all is shipped", Given: confirmed(tracked, parcel()), When: Ship{ID: "1", Carrier: "Federal", Tracking: "1Z", Lines: tracked.Lines}},
		{Name: "another part under its tracking number", Given: confirmed(tracked), When: Ship{ID: "1", Carrier: "Federal", Tracking: "1Z", Lines: []LineQuantity{{1, 4}}},
			Then: []any{Shipped{Carrier: "Federal", Tracking: "1Z", ShippedOn: today, Lines: []LineQuantity{{1, 4}}}}},
		{Name: "the rest under the same tracking number", Given: confirmed(tracked), When: Ship{ID: "1", Carrier: "Federal", Tracking: "1Z"},
			Then: []any{Shipped{Carrier: "Federal", Tracking: "1Z", ShippedOn: today}}},
		{Name: "the rest", Given: confirmed(some), When: Ship{ID: "1", Carrier: "Federal"}, Then: []any{parcel()}},
		{Name: "the rest again", Given: confirmed(some, parcel()), When: Ship{ID: "1", Carrier: "Federal"}},
		{Name: "the rest again by its lines", Given: confirmed(some, parcel()), When: Ship{ID: "1", Carrier: "Federal", Lines: []LineQuantity{{1, 7}, {2, 34}}}},
		{Name: "the first part again", Given: confirmed(some, parcel()), When: Ship{ID: "1", Carrier: "Federal", Lines: some.Lines}, Err: domaintest.Refused("order-already-shipped")},
		{Name: "more than is left", Given: confirmed(some), When: Ship{ID: "1", Carrier: "Federal", Lines: []LineQuantity{{1, 8}}}, Err: domaintest.Refused("order-already-shipped")},
		{Name: "of a line that is gone", Given: confirmed(parcel(LineQuantity{1, 12})), When: Ship{ID: "1", Carrier: "Federal", Lines: []LineQuantity{{1, 1}}},
			Err: domaintest.Refused("order-already-shipped")},
		{Name: "lines that are none", Given: confirmed(), When: Ship{ID: "1", Carrier: "Federal", Lines: []LineQuantity{{0, 1}, {3, 1}}},
			Err: domaintest.Invalid("/lines/0/line", "/lines/1/line")},
		{Name: "a line twice, and nothing of it", Given: confirmed(), When: Ship{ID: "1", Carrier: "Federal", Lines: []LineQuantity{{1, 1}, {1, 0}}},
			Err: domaintest.Invalid("/lines/1/line", "/lines/1/quantity")},
		{Name: "no line", Given: confirmed(), When: Ship{ID: "1", Carrier: "Federal", Lines: []LineQuantity{}}, Err: domaintest.Invalid("/lines")},
		{Name: "more lines than there are", Given: confirmed(), When: Ship{ID: "1", Carrier: "Federal", Lines: []LineQuantity{{1, 1}, {2, 1}, {1, 1}}},
			Err: domaintest.Invalid("/lines")},
		{Name: "what came back", Given: confirmed(parcel(), Returned{Lines: []LineQuantity{{1, 12}, {2, 35}}, ReturnedOn: today}), When: Ship{ID: "1", Carrier: "Speedy"},
			Err: domaintest.Refused("order-already-shipped")},
		{Name: "cancel what is confirmed", Given: confirmed(), When: Cancel{ID: "1", Reason: "late"}, Then: []any{Cancelled{Reason: "late"}}},
		{Name: "cancel what is partly shipped", Given: confirmed(some), When: Cancel{ID: "1", Reason: "late"}, Err: domaintest.Refused("order-already-shipped")},
	}, decide)
}

func TestDeliver(t *testing.T) {
	first, second := Delivered{Parcel: 1, DeliveredOn: today}, Delivered{Parcel: 2, DeliveredOn: today}
	two := slices.Clip(confirmed(parcel(LineQuantity{1, 5}), parcel()))
	domaintest.Run(t, []domaintest.Case{
		{Name: "a parcel", Given: two, When: Deliver{ID: "1", Parcel: 2}, Then: []any{second}},
		{Name: "on a day", Given: two, When: Deliver{ID: "1", Parcel: 1, DeliveredOn: "2026-02-01"}, Then: []any{Delivered{Parcel: 1, DeliveredOn: "2026-02-01"}}},
		{Name: "all parcels", Given: two, When: Deliver{ID: "1"}, Then: []any{first, second}},
		{Name: "the other parcels", Given: append(two, first), When: Deliver{ID: "1"}, Then: []any{second}},
		{Name: "a parcel again", Given: append(two, first), When: Deliver{ID: "1", Parcel: 1}},
		{Name: "all again", Given: append(two, first, second), When: Deliver{ID: "1"}},
		{Name: "what came back", Given: confirmed(parcel(), Returned{Lines: []LineQuantity{{1, 12}, {2, 35}}, ReturnedOn: today}), When: Deliver{ID: "1"}, Then: []any{first}},
		{Name: "a parcel there is not", Given: two, When: Deliver{ID: "1", Parcel: 3}, Err: domaintest.Refused("order-not-shipped")},
		{Name: "what is not shipped", Given: confirmed(), When: Deliver{ID: "1"}, Err: domaintest.Refused("order-not-shipped")},
		{Name: "what is cancelled", Given: confirmed(Cancelled{Reason: "late"}), When: Deliver{ID: "1"}, Err: domaintest.Refused("order-already-cancelled")},
		{Name: "nonsense", Given: two, When: Deliver{ID: "1", Parcel: -1, DeliveredOn: "soon"}, Err: domaintest.Invalid("/delivered_on", "/parcel")},
		{Name: "nothing", When: Deliver{ID: "1"}, Err: domaintest.Missing("order", "1")},
	}, decide)
}

func TestTakeBack(t *testing.T) {
	all := []LineQuantity{{1, 12}, {2, 35}}
	sent := slices.Clip(confirmed(parcel()))
	back := func(amount int64, lines ...LineQuantity) Returned {
		return Returned{Lines: lines, Amount: amount, ReturnedOn: today}
	}
	domaintest.Run(t, []domaintest.Case{
		{Name: "everything", Given: sent, When: TakeBack{ID: "1"}, Then: []any{back(16800+126140, all...)}},
		{Name: "everything, the fee too", Given: sent, When: TakeBack{ID: "1", RefundShipping: true}, Then: []any{back(16800+126140+500, all...)}},
		{Name: "some of a line", Given: sent, When: TakeBack{ID: "1", Lines: []LineQuantity{{2, 1}}, Restock: true, Reason: " dry ", ReturnedOn: "2026-02-01"},
			Then: []any{Returned{Lines: []LineQuantity{{2, 1}}, Amount: 3604, Restock: true, Reason: "dry", ReturnedOn: "2026-02-01"}}},
		{Name: "the rest", Given: append(sent, back(3604, LineQuantity{2, 1})), When: TakeBack{ID: "1"}, Then: []any{back(16800+126140-3604, LineQuantity{1, 12}, LineQuantity{2, 34})}},
		{Name: "the rest, the fee too", Given: append(sent, back(3604, LineQuantity{2, 1})), When: TakeBack{ID: "1", RefundShipping: true},
			Then: []any{back(16800+126140-3604+500, LineQuantity{1, 12}, LineQuantity{2, 34})}},
		{Name: "a part, with the fee", Given: sent, When: TakeBack{ID: "1", Lines: []LineQuantity{{2, 1}}, RefundShipping: true}, Err: domaintest.Invalid("/refund_shipping")},
		{Name: "all that was shipped so far, with the fee", Given: confirmed(parcel(LineQuantity{1, 12})), When: TakeBack{ID: "1", RefundShipping: true},
			Err: domaintest.Invalid("/refund_shipping")},
		{Name: "all that was shipped so far", Given: confirmed(parcel(LineQuantity{1, 12})), When: TakeBack{ID: "1"}, Then: []any{back(16800, LineQuantity{1, 12})}},
		{Name: "what was not shipped", Given: confirmed(parcel(LineQuantity{1, 12})), When: TakeBack{ID: "1", Lines: []LineQuantity{{2, 1}}}, Err: domaintest.Refused("order-not-shipped")},
		{Name: "more than was shipped", Given: sent, When: TakeBack{ID: "1", Lines: []LineQuantity{{1, 13}}}, Err: domaintest.Refused("order-not-shipped")},
		{Name: "again", Given: append(sent, back(142940, all...)), When: TakeBack{ID: "1"}, Err: domaintest.Refused("order-not-shipped")},
		{Name: "of an order that is not shipped", Given: confirmed(), When: TakeBack{ID: "1"}, Err: domaintest.Refused("order-not-shipped")},
		{Name: "of a cancelled order", Given: confirmed(Cancelled{Reason: "late"}), When: TakeBack{ID: "1"}, Err: domaintest.Refused("order-already-cancelled")},
		{Name: "nonsense", Given: sent, When: TakeBack{ID: "1", Lines: []LineQuantity{{1, -1}}, Reason: "\x00", ReturnedOn: "soon"},
			Err: domaintest.Invalid("/lines/0/quantity", "/reason", "/returned_on")},
		{Name: "nothing", When: TakeBack{ID: "1"}, Err: domaintest.Missing("order", "1")},
	}, decide)
}

// TestRefundsAddUp: an amount that its units do not divide is paid back to the unit in the end, whatever the order.
func TestRefundsAddUp(t *testing.T) {
	s := fold([]any{Placed{Lines: []Line{{ProductID: "p", Quantity: 3, Amount: 100}}, Manual: true}, Shipped{}})
	var got []int64
	for range 3 {
		one := []LineQuantity{{1, 1}}
		got = append(got, s.RefundOf(one))
		s = Apply(s, Returned{Lines: one, Amount: got[len(got)-1]})
	}
	if want := []int64{33, 33, 34}; !reflect.DeepEqual(got, want) || s.Status != StatusReturned {
		t.Errorf("%v, %s", got, s.Status)
	}
}

func TestStatus(t *testing.T) {
	some, rest := parcel(LineQuantity{1, 5}), parcel()
	first, second := Delivered{Parcel: 1, DeliveredOn: today}, Delivered{Parcel: 2, DeliveredOn: today}
	all := Returned{Lines: []LineQuantity{{1, 12}, {2, 35}}, ReturnedOn: today}
	for _, c := range []struct {
		name string
		log  []any
		want Status
	}{
		{"nothing", nil, ""},
		{"placed", confirmed()[:1], StatusPlaced},
		{"reserved", confirmed()[:2], StatusPlaced},
		{"confirmed", confirmed(), StatusConfirmed},
		{"a parcel", confirmed(some), StatusPartlyShipped},
		{"a parcel that arrived", confirmed(some, first), StatusPartlyShipped},
		{"a parcel that came back", confirmed(some, Returned{Lines: some.Lines}), StatusPartlyShipped},
		{"all parcels", confirmed(some, rest), StatusShipped},
		{"all parcels, one arrived", confirmed(some, rest, first), StatusShipped},
		{"all arrived", confirmed(some, rest, second, first), StatusDelivered},
		{"some came back", confirmed(some, rest, second, first, Returned{Lines: some.Lines}), StatusDelivered},
		{"all came back", confirmed(some, rest, second, first, all), StatusReturned},
		{"all came back before it was said to have arrived", confirmed(some, rest, all, first), StatusReturned},
		{"all came back in the end", confirmed(some, Returned{Lines: some.Lines}, rest, Returned{Lines: []LineQuantity{{1, 7}, {2, 35}}}), StatusReturned},
		{"cancelled", confirmed(Cancelled{Reason: "late"}), StatusCancelled},
		{"cancelled and undone", confirmed(Cancelled{Reason: "late"}, StockReleased{}, PaymentVoided{}), StatusCancelled},
	} {
		if s := fold(c.log); s.Status != c.want {
			t.Errorf("%s: %s, want %s", c.name, s.Status, c.want)
		}
	}
}
