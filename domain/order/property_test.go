package order

import (
	"math/big"
	"reflect"
	"testing"

	"jangbu/domain/domaintest"
	"jangbu/domain/member"
	"jangbu/domain/money"

	"pgregory.net/rapid"
)

func anyPlace() *rapid.Generator[Command] {
	id := rapid.SampledFrom([]string{"queso", "queso", "apples", "apples", "yen", "gone", "dear", "nix", "a b"})
	item := rapid.Custom(func(t *rapid.T) Item {
		return Item{
			ProductID:       id.Draw(t, "product"),
			Quantity:        rapid.OneOf(rapid.Int64Range(0, 9), rapid.Int64()).Draw(t, "quantity"),
			DiscountPercent: rapid.OneOf(rapid.Just[int64](0), rapid.Int64Range(-1, 101)).Draw(t, "discount"),
		}
	})
	return rapid.Custom(func(t *rapid.T) Command {
		c := Place{ID: "o", MemberID: "VINET", Member: vinet, Products: shop(),
			Lines:       rapid.SliceOfN(item, 0, 4).Draw(t, "lines"),
			ShippingFee: rapid.OneOf(rapid.Int64Range(-1, 5), rapid.Int64()).Draw(t, "fee"),
			PlacedOn:    rapid.SampledFrom([]string{"", "1996-07-04", "1996-7-4"}).Draw(t, "placed on"),
		}
		if rapid.Bool().Draw(t, "ship to") {
			c.ShipTo = &ShipTo{Name: "Vins", City: rapid.SampledFrom([]string{"Reims", ""}).Draw(t, "city"), Country: "France"}
		}
		if rapid.IntRange(0, 9).Draw(t, "member") == 0 {
			c.Member = member.State{}
		}
		return c
	})
}

func anyCommand() *rapid.Generator[Command] {
	text := rapid.OneOf(rapid.SampledFrom([]string{"a", "b", " a "}), rapid.String())
	good := rapid.Just[Command](placing(func(*Place) {}))
	return rapid.OneOf(anyPlace(), anyPlace(), good,
		rapid.Custom(func(t *rapid.T) Command {
			return Ship{ID: "o", Carrier: text.Draw(t, "carrier"), Tracking: text.Draw(t, "tracking"),
				ShippedOn: rapid.SampledFrom([]string{"", "1996-07-16", "x"}).Draw(t, "shipped on")}
		}),
		rapid.Custom(func(t *rapid.T) Command { return Cancel{ID: "o", Reason: text.Draw(t, "reason")} }),
	)
}

func TestAnyCommands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log []any
		var s State
		for _, c := range rapid.SliceOfN(anyCommand(), 1, 30).Draw(t, "commands") {
			before := s
			events, err := Decide(s, c, now)
			if err != nil && len(events) > 0 {
				t.Fatalf("%#v is refused (%v) and causes %v", c, err, events)
			}
			for _, e := range events {
				log = append(log, domaintest.Recode(t, Codec, e))
				s = Apply(s, e)
			}
			if again, err := Decide(s, c, now.AddDate(0, 0, 1)); len(again) > 0 {
				t.Fatalf("%#v a day later causes %v, %v", c, again, err)
			}
			checkInvariants(t, before, s)
			domaintest.RoundTrip(t, s)
		}
		if again := fold(log); !reflect.DeepEqual(s, again) {
			t.Fatalf("the log folds to %#v, was %#v", again, s)
		}
		if len(log) > 2 {
			t.Fatalf("an order is placed and then shipped or cancelled, once: %v", log)
		}
	})
}

// checkInvariants: what was placed never changes, sums are right and within their limit, a final status is final.
func checkInvariants(t *rapid.T, before, s State) {
	if before.Status != "" && !reflect.DeepEqual(before.Placed, s.Placed) {
		t.Fatalf("%#v became %#v", before.Placed, s.Placed)
	}
	if (before.Status == StatusShipped || before.Status == StatusCancelled) && !reflect.DeepEqual(before, s) {
		t.Fatalf("%#v became %#v", before, s)
	}
	if (s.Status == StatusShipped) != (s.Shipped != nil) || (s.Status == StatusCancelled) != (s.CancelReason != "") {
		t.Fatalf("state %#v", s)
	}
	if s.Status == "" {
		return
	}
	subtotal := new(big.Int)
	for _, l := range s.Lines {
		exact := new(big.Int).Mul(big.NewInt(l.UnitPrice), big.NewInt(l.Quantity))
		exact.Mul(exact, big.NewInt(100-l.DiscountPercent)).Add(exact, big.NewInt(50)).Div(exact, big.NewInt(100))
		if exact.Cmp(big.NewInt(l.Amount)) != 0 || l.Quantity < 1 || l.Quantity > MaxQuantity {
			t.Fatalf("line %#v, exactly %s", l, exact)
		}
		if p := shop()[l.ProductID]; l.Name != p.Name || l.Category != p.Category || l.UnitPrice != p.Price || s.Currency != p.Currency || p.Discontinued {
			t.Fatalf("line %#v of product %#v", l, p)
		}
		subtotal.Add(subtotal, exact)
	}
	if subtotal.Cmp(big.NewInt(s.Subtotal())) != 0 || s.ShippingFee < 0 || s.Total() > money.Max || s.Total() < s.Subtotal() || s.Units() < 1 {
		t.Fatalf("sums of %#v", s)
	}
}
