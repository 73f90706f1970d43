package order

import (
	"math/big"
	"reflect"
	"testing"
	"time"

	"jangbu/domain/domaintest"
	"jangbu/domain/member"
	"jangbu/domain/money"

	"pgregory.net/rapid"
)

func anyPlace() *rapid.Generator[Command] {
	id := rapid.SampledFrom([]string{"queso", "queso", "apples", "apples", "sale", "yen", "gone", "dear", "nix", "a b"})
	item := rapid.Custom(func(t *rapid.T) Item {
		return Item{
			ProductID:       id.Draw(t, "product"),
			Quantity:        rapid.OneOf(rapid.Int64Range(0, 9), rapid.Int64()).Draw(t, "quantity"),
			DiscountPercent: rapid.OneOf(rapid.Just[int64](0), rapid.Int64Range(-1, 101)).Draw(t, "discount"),
		}
	})
	return rapid.Custom(func(t *rapid.T) Command {
		c := Place{ID: "o", MemberID: "VINET", Member: vinet, Products: shop(),
			Lines:         rapid.SliceOfN(item, 0, 4).Draw(t, "lines"),
			ShippingFee:   rapid.OneOf(rapid.Int64Range(-1, 5), rapid.Int64()).Draw(t, "fee"),
			PlacedOn:      rapid.SampledFrom([]string{"", "1996-07-04", "1996-7-4"}).Draw(t, "placed on"),
			PaymentMethod: rapid.SampledFrom([]string{"", Card, Invoice, "shells"}).Draw(t, "method"),
			Manual:        rapid.IntRange(0, 4).Draw(t, "manual") == 0,
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

// goodPlace is an order of small quantities, so that parcels and returns of parts are likely to be possible.
func goodPlace() *rapid.Generator[Command] {
	item := rapid.Custom(func(t *rapid.T) Item {
		return Item{
			ProductID:       rapid.SampledFrom([]string{"queso", "apples", "sale"}).Draw(t, "product"),
			Quantity:        rapid.Int64Range(1, 5).Draw(t, "quantity"),
			DiscountPercent: rapid.SampledFrom([]int64{0, 7, 33, 100}).Draw(t, "discount"),
		}
	})
	return rapid.Custom(func(t *rapid.T) Command {
		return Place{ID: "o", MemberID: "VINET", Member: vinet, Products: shop(), Lines: rapid.SliceOfN(item, 1, 3).Draw(t, "lines"),
			ShippingFee: rapid.Int64Range(0, 1).Draw(t, "fee"), Manual: rapid.IntRange(0, 4).Draw(t, "manual") == 0}
	})
}

func anyChange() *rapid.Generator[Command] {
	text := rapid.OneOf(rapid.SampledFrom([]string{"a", "b", " a "}), rapid.String())
	day := rapid.SampledFrom([]string{"", "", "1996-07-16", "x"})
	quantities := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) LineQuantity {
		return LineQuantity{Line: rapid.IntRange(1, 3).Draw(t, "line"), Quantity: rapid.OneOf(rapid.Int64Range(0, 3), rapid.Just[int64](1)).Draw(t, "units")}
	}), 0, 2)
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) Command {
			return Ship{ID: "o", Carrier: text.Draw(t, "carrier"), Tracking: rapid.SampledFrom([]string{"", "1Z", "\x00"}).Draw(t, "tracking"),
				ShippedOn: day.Draw(t, "shipped on"), Lines: quantities.Draw(t, "lines")}
		}),
		rapid.Custom(func(t *rapid.T) Command {
			return Deliver{ID: "o", Parcel: rapid.IntRange(-1, 3).Draw(t, "parcel"), DeliveredOn: day.Draw(t, "delivered on")}
		}),
		rapid.Custom(func(t *rapid.T) Command {
			return TakeBack{ID: "o", Lines: quantities.Draw(t, "lines"), Restock: rapid.Bool().Draw(t, "restock"),
				RefundShipping: rapid.Bool().Draw(t, "fee"), Reason: text.Draw(t, "reason"), ReturnedOn: day.Draw(t, "returned on")}
		}),
		rapid.Custom(func(t *rapid.T) Command {
			if rapid.IntRange(0, 4).Draw(t, "cancel") > 0 { // seldom, or nothing else is ever seen
				return Ship{ID: "o", Carrier: "a"}
			}
			return Cancel{ID: "o", Reason: text.Draw(t, "reason")}
		}),
		rapid.Custom(func(t *rapid.T) Command { return anyOutcome(t, anyStep().Draw(t, "step")) }), // asked for or not
	)
}

func anyStep() *rapid.Generator[Step] {
	return rapid.Custom(func(t *rapid.T) Step {
		return Step{Kind: rapid.SampledFrom([]StepKind{StepNone, StepReserve, StepAuthorise, StepExpire, StepRelease, StepVoid, StepDispatch, StepCapture,
			StepRestock, StepRefund}).Draw(t, "kind"), Parcel: rapid.IntRange(0, 3).Draw(t, "parcel"), Return: rapid.IntRange(0, 3).Draw(t, "return")}
	})
}

// anyOutcome is a way in which a step can end; in most cases it is done.
func anyOutcome(t *rapid.T, step Step) Outcome {
	o := Outcome{ID: "o", Step: step}
	switch bad := rapid.IntRange(0, 9).Draw(t, "bad end") == 0; {
	case bad && step.Kind == StepReserve:
		o.Refused = &StockRefused{ProductID: rapid.SampledFrom([]string{"queso", "apples", "sale"}).Draw(t, "refused"), Wanted: 2, Available: 1}
	case bad && step.Kind == StepAuthorise:
		o.Declined = "no money"
	}
	return o
}

func TestAnyCommands(t *testing.T) {
	seen := map[Status]int{}
	run := func(t *rapid.T) {
		var log []any
		var s State
		do := func(c Command) []any {
			before := s
			events, err := Decide(s, c, now)
			if err != nil && len(events) > 0 {
				t.Fatalf("%#v is refused (%v) and causes %v", c, err, events)
			}
			for _, e := range events {
				log = append(log, domaintest.Recode(t, Codec, e))
				s = Apply(s, e)
			}
			if again, err := Decide(s, c, now.AddDate(0, 0, 1)); len(again) > 0 && !repeatable(c) {
				t.Fatalf("%#v a day later causes %v, %v", c, again, err)
			}
			seen[s.Status]++
			checkInvariants(t, before, s)
			domaintest.RoundTrip(t, s)
			return events
		}
		do(rapid.OneOf(anyPlace(), goodPlace(), goodPlace(), goodPlace()).Draw(t, "place"))
		for range rapid.IntRange(0, 30).Draw(t, "commands") {
			switch rapid.IntRange(0, 3).Draw(t, "turn") {
			case 0, 1:
				do(anyOutcome(t, Next(s, now, time.Minute)))
			case 2:
				do(likely(t, s))
			case 3:
				do(rapid.OneOf(anyChange(), anyChange(), anyChange(), anyChange(), anyChange(), anyPlace()).Draw(t, "command"))
			}
		}
		if again := fold(log); !reflect.DeepEqual(s, again) {
			t.Fatalf("the log folds to %#v, was %#v", again, s)
		}
		finish(t, &s, do)
	}
	rapid.Check(t, run)
	for _, status := range []Status{StatusPlaced, StatusConfirmed, StatusPartlyShipped, StatusShipped, StatusDelivered, StatusCancelled, StatusReturned} {
		for more := 0; seen[status] == 0 && more < 10; more++ { // one in twenty runs is partly shipped
			rapid.Check(t, run)
		}
		if seen[status] == 0 {
			t.Errorf("no run is ever %s: %v", status, seen)
		}
	}
}

// likely is a change that the order allows, if it allows any but to be cancelled.
func likely(t *rapid.T, s State) Command {
	unshipped, returnable := s.Unshipped(), s.Returnable()
	switch rapid.IntRange(0, 2).Draw(t, "change") {
	case 0:
		if len(unshipped) > 0 {
			unshipped[0].Quantity = rapid.Int64Range(1, unshipped[0].Quantity).Draw(t, "units")
			if rapid.Bool().Draw(t, "all") {
				return Ship{ID: "o", Carrier: "a"}
			}
			return Ship{ID: "o", Carrier: "a", Lines: unshipped[:1]}
		}
	case 1:
		if len(returnable) > 0 {
			returnable[0].Quantity = rapid.Int64Range(1, returnable[0].Quantity).Draw(t, "units")
			if rapid.Bool().Draw(t, "all") {
				return TakeBack{ID: "o"}
			}
			return TakeBack{ID: "o", Lines: returnable[:1], Restock: rapid.Bool().Draw(t, "restock")}
		}
	}
	return Deliver{ID: "o"}
}

// repeatable: a part of an order can be sent, or come back, once more.
func repeatable(c Command) bool {
	switch c := c.(type) {
	case Ship:
		return len(c.Lines) > 0
	case TakeBack:
		return len(c.Lines) > 0
	}
	return false
}

// finish does what Next asks for until it asks for nothing: each step is recorded and not asked for again.
func finish(t *rapid.T, s *State, do func(Command) []any) {
	at := now.UTC().Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "minutes")) * time.Minute)
	done := map[Step]bool{}
	for {
		step := Next(*s, at, time.Minute)
		step.Until = time.Time{}
		if step.Kind == StepNone {
			break
		}
		if events := do(anyOutcome(t, step)); done[step] || len(events) == 0 {
			t.Fatalf("%+v is asked for and causes %v; done before: %v", step, events, done)
		}
		done[step] = true
	}
	switch {
	case s.Manual || s.Status == "":
		if len(done) > 0 {
			t.Fatalf("%v of %#v", done, s)
		}
	case s.Status == StatusPlaced:
		t.Fatalf("an order is placed for ever: %#v", s)
	case s.Status == StatusCancelled:
		if s.Reserved != s.Voided || s.Released != (len(s.ToRelease()) > 0) || s.Captured {
			t.Fatalf("cancelled and not undone: %#v", s)
		}
	case s.Captured != (len(s.Parcels) > 0):
		t.Fatalf("not paid, or paid for nothing: %#v", s)
	}
}

// checkInvariants: what was placed never changes, sums are right and within their limit, nothing is sent or taken back that
// is not there, and what is paid back is what the lines cost.
func checkInvariants(t *rapid.T, before, s State) {
	if before.Status != "" && !reflect.DeepEqual(before.Placed, s.Placed) {
		t.Fatalf("%#v became %#v", before.Placed, s.Placed)
	}
	if before.Status == StatusCancelled && s.Status != StatusCancelled || (s.Status == StatusCancelled) != (s.CancelReason != "") ||
		before.Status == StatusReturned && s.Status != StatusReturned || s.Status == StatusCancelled && len(s.Parcels) > 0 {
		t.Fatalf("%#v became %#v", before, s)
	}
	if s.Status == "" {
		return
	}
	checkSums(t, s)
	shipped, returned := s.shipped(), s.returned()
	refunds, everything := int64(0), true
	for i, l := range s.Lines {
		if shipped[i] < returned[i] || returned[i] < 0 || shipped[i] > l.Quantity {
			t.Fatalf("line %d: %d shipped and %d returned of %d", i+1, shipped[i], returned[i], l.Quantity)
		}
		everything = everything && returned[i] == l.Quantity
	}
	for i, r := range s.Returns {
		refunds += r.Amount
		if r.Refunded && !s.Captured || r.Restocked && !r.Restock || len(r.Lines) == 0 {
			t.Fatalf("return %d of %#v", i+1, s)
		}
	}
	if everything != (s.Status == StatusReturned) || refunds > s.Total() || everything && refunds != s.Subtotal() && refunds != s.Total() {
		t.Fatalf("%d of %d is paid back, everything returned: %v; %#v", refunds, s.Total(), everything, s)
	}
	if s.Manual && (s.Reserved || s.Authorised || s.Captured || s.Released || s.Voided) || len(s.Parcels) > 0 && !s.Manual && !s.Authorised {
		t.Fatalf("fulfilment of %#v", s)
	}
}

func checkSums(t *rapid.T, s State) {
	subtotal := new(big.Int)
	for _, l := range s.Lines {
		exact := new(big.Int).Mul(big.NewInt(l.UnitPrice), big.NewInt(l.Quantity))
		exact.Mul(exact, big.NewInt(100-l.DiscountPercent)).Add(exact, big.NewInt(50)).Div(exact, big.NewInt(100))
		if exact.Cmp(big.NewInt(l.Amount)) != 0 || l.Quantity < 1 || l.Quantity > MaxQuantity {
			t.Fatalf("line %#v, exactly %s", l, exact)
		}
		if p := shop()[l.ProductID]; l.Name != p.Name || l.Category != p.Category || l.UnitPrice != p.PriceAt(now) || s.Currency != p.Currency || p.Discontinued {
			t.Fatalf("line %#v of product %#v", l, p)
		}
		subtotal.Add(subtotal, exact)
	}
	if subtotal.Cmp(big.NewInt(s.Subtotal())) != 0 || s.ShippingFee < 0 || s.Total() > money.Max || s.Total() < s.Subtotal() || s.Units() < 1 {
		t.Fatalf("sums of %#v", s)
	}
}
