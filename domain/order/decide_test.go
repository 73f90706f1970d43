package order

import (
	"os"
	"strings"
	"testing"
	"time"

	"jangbu/domain/domaintest"
	"jangbu/domain/member"
	"jangbu/domain/money"
	"jangbu/domain/product"
)

var now = time.Date(2026, 3, 1, 0, 30, 0, 0, time.FixedZone("KST", 9*3600)) // still February in UTC

const today = "2026-02-28"

var vinet = member.State{Exists: true, Name: "Vins et alcools", Country: "France"}

func shop() map[string]product.State {
	return map[string]product.State{
		"queso":  {Exists: true, Name: "Queso Cabrales", Category: "Dairy", Price: 1400, Currency: "USD"},
		"apples": {Exists: true, Name: "Dried Apples", Category: "Produce", Price: 4240, Currency: "USD"},
		"yen":    {Exists: true, Name: "Mochi", Category: "Sweets", Price: 100, Currency: "JPY"},
		"gone":   {Exists: true, Name: "Chai", Category: "Beverages", Price: 1800, Currency: "USD", Discontinued: true},
		"sale": {Exists: true, Name: "Tofu", Category: "Produce", Price: 2325, Currency: "USD",
			Sale: &product.SaleSet{Price: 700, From: now.UTC(), Until: now.Add(time.Second).UTC()}},
		"dear": {Exists: true, Name: "Ring", Category: "Jewels", Price: money.Max, Currency: "USD"},
	}
}

func placing(change func(*Place)) Place {
	p := Place{ID: "10248", MemberID: "VINET", PlacedOn: "1996-07-04", Member: vinet, Products: shop(),
		Lines: []Item{{ProductID: "queso", Quantity: 12}, {ProductID: "apples", Quantity: 35, DiscountPercent: 15}}}
	change(&p)
	return p
}

func placed(change func(*Placed)) Placed {
	p := Placed{MemberID: "VINET", MemberCountry: "France", Currency: "USD", PlacedOn: "1996-07-04", PlacedAt: now.UTC(), Lines: []Line{
		{ProductID: "queso", Name: "Queso Cabrales", Category: "Dairy", UnitPrice: 1400, Quantity: 12, Amount: 16800},
		{ProductID: "apples", Name: "Dried Apples", Category: "Produce", UnitPrice: 4240, Quantity: 35, DiscountPercent: 15, Amount: 126140},
	}}
	change(&p)
	return p
}

func manual(p *Placed) { p.Manual = true }

func lines(items ...Item) Place { return placing(func(p *Place) { p.Lines = items }) }

func TestPlace(t *testing.T) {
	as := func(*Placed) {}
	queso := Line{ProductID: "queso", Name: "Queso Cabrales", Category: "Dairy", UnitPrice: 1400, Quantity: 1, Amount: 1400}
	domaintest.Run(t, []domaintest.Case{
		{Name: "place", When: placing(func(*Place) {}), Then: []any{placed(as)}},
		{Name: "place today", When: placing(func(p *Place) { p.PlacedOn = "" }), Then: []any{placed(func(p *Placed) { p.PlacedOn = today })}},
		{Name: "with a fee and an address",
			When: placing(func(p *Place) {
				p.ShippingFee, p.ShipTo = 3238, &ShipTo{Name: " Vins ", City: "Reims", Country: "France"}
			}),
			Then: []any{placed(func(p *Placed) {
				p.ShippingFee, p.ShipTo = 3238, &ShipTo{Name: "Vins", City: "Reims", Country: "France"}
			})}},
		{Name: "two lines of one product", When: lines(Item{"queso", 1, 0}, Item{"queso", 1, 0}),
			Then: []any{placed(func(p *Placed) { p.Lines = []Line{queso, queso} })}},
		{Name: "on account", When: placing(func(p *Place) { p.PaymentMethod = Invoice }), Then: []any{placed(func(p *Placed) { p.PaymentMethod = Invoice })}},
		{Name: "by card, said in words", When: placing(func(p *Place) { p.PaymentMethod = Card }), Then: []any{placed(as)}},
		{Name: "paid with shells", When: placing(func(p *Place) { p.PaymentMethod = "shells" }), Err: domaintest.Invalid("/payment_method")},
		{Name: "fulfilled outside of jangbu", When: placing(func(p *Place) { p.Manual = true }), Then: []any{placed(manual)}},
		{Name: "at the price of a sale", When: lines(Item{"sale", 2, 0}), Then: []any{placed(func(p *Placed) {
			p.Lines = []Line{{ProductID: "sale", Name: "Tofu", Category: "Produce", UnitPrice: 700, Quantity: 2, Amount: 1400}}
		})}},
		{Name: "by a closed member", When: placing(func(p *Place) { p.Member.Closed = true }), Err: domaintest.Refused("member-closed")},
		{Name: "place twice", Given: []any{placed(as)}, When: placing(func(*Place) {}), Err: domaintest.Refused("order-exists")},
		{Name: "unknown member", When: placing(func(p *Place) { p.Member = member.State{} }), Err: domaintest.Invalid("/member_id")},
		{Name: "unknown products", When: lines(Item{"nix", 1, 0}, Item{"queso", 1, 0}, Item{"nada", 1, 0}),
			Err: domaintest.Invalid("/lines/0/product_id", "/lines/2/product_id")},
		{Name: "discontinued product", When: lines(Item{"queso", 1, 0}, Item{"gone", 1, 0}), Err: domaintest.Refused("product-discontinued")},
		{Name: "two currencies", When: lines(Item{"queso", 1, 0}, Item{"yen", 1, 0}), Err: domaintest.Refused("order-mixed-currencies")},
		{Name: "a line over the limit", When: lines(Item{"dear", 2, 0}), Err: domaintest.Refused("order-total-too-large")},
		{Name: "lines over the limit", When: lines(Item{"dear", 1, 0}, Item{"queso", 1, 0}), Err: domaintest.Refused("order-total-too-large")},
		{Name: "the fee over the limit",
			When: placing(func(p *Place) { p.Lines, p.ShippingFee = []Item{{"dear", 1, 0}}, 1 }), Err: domaintest.Refused("order-total-too-large")},
		{Name: "no lines", When: lines(), Err: domaintest.Invalid("/lines")},
		{Name: "too many lines", When: lines(make([]Item, MaxLines+1)...).withItems(Item{"queso", 1, 0}), Err: domaintest.Invalid("/lines")},
		{Name: "bad lines", When: lines(Item{"a b", 0, -1}, Item{"queso", MaxQuantity + 1, 101}), Err: domaintest.Invalid(
			"/lines/0/product_id", "/lines/0/quantity", "/lines/0/discount_percent", "/lines/1/quantity", "/lines/1/discount_percent")},
		{Name: "everything else wrong",
			When: placing(func(p *Place) {
				p.ID, p.MemberID, p.ShippingFee, p.ShipTo, p.PlacedOn = "a/b", "", -1, &ShipTo{City: "x\ny"}, "4.7.1996"
			}),
			Err: domaintest.Invalid("/id", "/member_id", "/shipping_fee", "/ship_to/name", "/ship_to/city", "/ship_to/country", "/placed_on")},
	}, decide)
}

func (c Place) withItems(item Item) Place {
	for i := range c.Lines {
		c.Lines[i] = item
	}
	return c
}

func TestShipAndCancel(t *testing.T) {
	order := placed(manual)
	sent := Shipped{Carrier: "Federal", Tracking: "1Z", ShippedOn: "1996-07-16"}
	off := Cancelled{Reason: "changed their mind"}
	shipped, cancelled := []any{order, sent}, []any{order, off}
	domaintest.Run(t, []domaintest.Case{
		{Name: "ship", Given: []any{order}, When: Ship{ID: "1", Carrier: " Federal ", Tracking: "1Z", ShippedOn: "1996-07-16"}, Then: []any{sent}},
		{Name: "ship today", Given: []any{order}, When: Ship{ID: "1", Carrier: "Federal"}, Then: []any{Shipped{Carrier: "Federal", ShippedOn: today}}},
		{Name: "ship again", Given: shipped, When: Ship{ID: "1", Carrier: "Federal", Tracking: "1Z", ShippedOn: "1996-07-16"}},
		{Name: "ship again without a date", Given: shipped, When: Ship{ID: "1", Carrier: "Federal", Tracking: "1Z"}},
		{Name: "ship otherwise", Given: shipped, When: Ship{ID: "1", Carrier: "Speedy", Tracking: "1Z", ShippedOn: "1996-07-16"},
			Err: domaintest.Refused("order-already-shipped")},
		{Name: "ship on another day", Given: shipped, When: Ship{ID: "1", Carrier: "Federal", Tracking: "1Z", ShippedOn: "1996-07-17"},
			Err: domaintest.Refused("order-already-shipped")},
		{Name: "ship after cancel", Given: cancelled, When: Ship{ID: "1", Carrier: "Federal"}, Err: domaintest.Refused("order-already-cancelled")},
		{Name: "ship with wrong fields", Given: []any{order}, When: Ship{ID: "1", Tracking: "\x7f", ShippedOn: "1996-13-01"},
			Err: domaintest.Invalid("/carrier", "/tracking", "/shipped_on")},
		{Name: "ship nothing", When: Ship{ID: "1", Carrier: "Federal"}, Err: domaintest.Missing("order", "1")},
		{Name: "cancel", Given: []any{order}, When: Cancel{ID: "1", Reason: "changed their mind "}, Then: []any{off}},
		{Name: "cancel again", Given: cancelled, When: Cancel{ID: "1", Reason: "changed their mind"}},
		{Name: "cancel otherwise", Given: cancelled, When: Cancel{ID: "1", Reason: "fraud"}, Err: domaintest.Refused("order-already-cancelled")},
		{Name: "cancel after ship", Given: shipped, When: Cancel{ID: "1", Reason: "late"}, Err: domaintest.Refused("order-already-shipped")},
		{Name: "cancel without a reason", Given: []any{order}, When: Cancel{ID: "1", Reason: "\n"}, Err: domaintest.Invalid("/reason")},
		{Name: "cancel with an essay", Given: []any{order}, When: Cancel{ID: "1", Reason: strings.Repeat("x", 1001)}, Err: domaintest.Invalid("/reason")},
		{Name: "cancel nothing", When: Cancel{ID: "1", Reason: "late"}, Err: domaintest.Missing("order", "1")},
	}, decide)
}

func decide(given []any, command any) ([]any, error) {
	return Decide(fold(given), command.(Command), now)
}

func fold(events []any) State { return domaintest.Fold(Apply, events) }

func TestGolden(t *testing.T) {
	lines := []Line{
		{ProductID: "11", Name: "Queso Cabrales", Category: "Dairy Products", UnitPrice: 1400, Quantity: 12, Amount: 16800},
		{ProductID: "51", Name: "Manjimup Dried Apples", Category: "Produce", UnitPrice: 4240, Quantity: 35, DiscountPercent: 15, Amount: 126140},
	}
	to := &ShipTo{Name: "Vins et alcools Chevalier", City: "Reims", Country: "France"}
	domaintest.Golden(t, Codec, map[string]any{
		"order.placed.v1": Placed{MemberID: "VINET", MemberCountry: "France", Currency: "USD", Lines: lines,
			ShippingFee: 3238, ShipTo: to, PlacedOn: "1996-07-04", Manual: true},
		"order.placed.v2": Placed{MemberID: "VINET", MemberCountry: "France", Currency: "USD", Lines: lines,
			ShippingFee: 3238, ShipTo: to, PlacedOn: "1996-07-04", PlacedAt: now.UTC(), PaymentMethod: Invoice},
		"order.stock_reserved.v1":     StockReserved{},
		"order.stock_refused.v1":      StockRefused{ProductID: "11", Wanted: 12, Available: 3},
		"order.payment_authorised.v1": PaymentAuthorised{Amount: 146178},
		"order.payment_refused.v1":    PaymentRefused{Reason: "insufficient funds"},
		"order.confirmed.v1":          Confirmed{},
		"order.shipped.v1":            Shipped{Carrier: "Federal Shipping", Tracking: "1Z-999", ShippedOn: "1996-07-16"},
		"order.stock_shipped.v1":      StockShipped{Parcel: 1},
		"order.payment_captured.v1":   PaymentCaptured{Amount: 146178},
		"order.delivered.v1":          Delivered{Parcel: 1, DeliveredOn: "1996-07-18"},
		"order.returned.v1": Returned{Lines: []LineQuantity{{Line: 1, Quantity: 2}}, Amount: 2800, Restock: true, Reason: "too salty",
			ReturnedOn: "1996-07-20"},
		"order.stock_returned.v1":   StockReturned{Return: 1},
		"order.payment_refunded.v1": PaymentRefunded{Return: 1, Amount: 2800},
		"order.cancelled.v1":        Cancelled{Reason: "changed their mind"},
		"order.stock_released.v1":   StockReleased{},
		"order.payment_voided.v1":   PaymentVoided{},
	})
}

// TestLaterFields: the code came later, as did the lines of a parcel; events without are read as ever.
func TestLaterFields(t *testing.T) {
	for want, e := range map[string]any{
		`{"reason":"Queso is sold out.","code":"sold-out"}`:                           Cancelled{Reason: "Queso is sold out.", Code: SoldOut},
		`{"carrier":"A","shipped_on":"1996-07-16","lines":[{"line":2,"quantity":3}]}`: Shipped{Carrier: "A", ShippedOn: "1996-07-16", Lines: []LineQuantity{{2, 3}}},
		`{"lines":[{"line":1,"quantity":1}],"amount":0,"returned_on":"1996-07-20"}`:   Returned{Lines: []LineQuantity{{1, 1}}, ReturnedOn: "1996-07-20"},
	} {
		if _, data, err := Codec.Encode(e); err != nil || string(data) != want {
			t.Errorf("%s, want %s (%v)", data, want, err)
		}
		domaintest.Recode(t, Codec, e)
	}
}

// TestManualSinceV1: what was placed before there were stock and payments is never fulfilled, and ships as it did.
func TestManualSinceV1(t *testing.T) {
	data, err := os.ReadFile("testdata/order.placed.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	e, err := Codec.Decode("order.placed.v1", data)
	if err != nil {
		t.Fatal(err)
	}
	s := fold([]any{e})
	if step := Next(s, now, 0); !s.Manual || step != (Step{}) {
		t.Errorf("next is %+v", step)
	}
	if events, err := Decide(s, Ship{ID: "1", Carrier: "Federal"}, now); len(events) != 1 || err != nil {
		t.Errorf("%v, %v", events, err)
	}
}
