package stock

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"jangbu/domain"
	"jangbu/domain/domaintest"

	"pgregory.net/rapid"
)

func decide(given []any, command any) ([]any, error) { return Decide(fold(given), command.(Command)) }

func fold(events []any) State { return domaintest.Fold(Apply, events) }

func TestDecide(t *testing.T) {
	ten := Restocked{Quantity: 10}
	held := []any{ten, Reserved{OrderID: "a", Quantity: 4}, Reserved{OrderID: "b", Quantity: 3}}
	domaintest.Run(t, []domaintest.Case{
		{Name: "restock", When: Restock{ProductID: "p", Quantity: 10, Known: true}, Then: []any{ten}},
		{Name: "restock again is another delivery", Given: []any{ten}, When: Restock{ProductID: "p", Quantity: 10, Known: true}, Then: []any{ten}},
		{Name: "restock an unknown product", When: Restock{ProductID: "p", Quantity: 10}, Err: domaintest.Missing("product", "p")},
		{Name: "restock nothing", When: Restock{ProductID: "p", Known: true}, Err: domaintest.Invalid("/quantity")},
		{Name: "restock beyond all bounds", When: Restock{ProductID: "p", Quantity: MaxOnHand + 1, Known: true}, Err: domaintest.Invalid("/quantity")},
		{Name: "restock up to the limit", Given: []any{ten}, When: Restock{ProductID: "p", Quantity: MaxOnHand - 10, Known: true},
			Then: []any{Restocked{Quantity: MaxOnHand - 10}}},
		{Name: "restock over the limit", Given: []any{ten}, When: Restock{ProductID: "p", Quantity: MaxOnHand - 9, Known: true},
			Err: domaintest.Refused("stock-too-large")},

		{Name: "count more", Given: held, When: Count{ProductID: "p", OnHand: 12, Reason: " found two ", Known: true},
			Then: []any{Counted{OnHand: 12, Was: 10, Reason: "found two"}}},
		{Name: "count what is reserved", Given: held, When: Count{ProductID: "p", OnHand: 7, Reason: "theft", Known: true},
			Then: []any{Counted{OnHand: 7, Was: 10, Reason: "theft"}}},
		{Name: "count less than what is reserved", Given: held, When: Count{ProductID: "p", OnHand: 6, Reason: "theft", Known: true},
			Err: domaintest.Refused("stock-reserved")},
		{Name: "count what there is", Given: held, When: Count{ProductID: "p", OnHand: 10, Reason: "inventory", Known: true}},
		{Name: "count nothing of nothing", When: Count{ProductID: "p", Reason: "inventory", Known: true}},
		{Name: "count an unknown product", When: Count{ProductID: "p", OnHand: 1, Reason: "x"}, Err: domaintest.Missing("product", "p")},
		{Name: "count below zero for no reason", When: Count{ProductID: "p", OnHand: -1, Known: true}, Err: domaintest.Invalid("/on_hand", "/reason")},
		{Name: "count beyond the limit", When: Count{ProductID: "p", OnHand: MaxOnHand + 1, Reason: "x", Known: true}, Err: domaintest.Invalid("/on_hand")},

		{Name: "set the low-water mark", When: SetLowWater{ProductID: "p", LowWater: 3, Known: true}, Then: []any{LowWaterSet{LowWater: 3}}},
		{Name: "set it again", Given: []any{LowWaterSet{LowWater: 3}}, When: SetLowWater{ProductID: "p", LowWater: 3, Known: true}},
		{Name: "take it away", Given: []any{LowWaterSet{LowWater: 3}}, When: SetLowWater{ProductID: "p", Known: true}, Then: []any{LowWaterSet{}}},
		{Name: "set it below zero", When: SetLowWater{ProductID: "p", LowWater: -1, Known: true}, Err: domaintest.Invalid("/low_water")},
		{Name: "set it for an unknown product", When: SetLowWater{ProductID: "p", LowWater: 1}, Err: domaintest.Missing("product", "p")},

		{Name: "reserve the last units", Given: held, When: Reserve{ProductID: "p", OrderID: "c", Quantity: 3}, Then: []any{Reserved{OrderID: "c", Quantity: 3}}},
		{Name: "reserve too many", Given: held, When: Reserve{ProductID: "p", OrderID: "c", Quantity: 4},
			Then: []any{ReservationRefused{OrderID: "c", Quantity: 4, Available: 3}}},
		{Name: "reserve what was never in stock", When: Reserve{ProductID: "p", OrderID: "c", Quantity: 1},
			Then: []any{ReservationRefused{OrderID: "c", Quantity: 1}}},
		{Name: "forgo a reservation", Given: held, When: Reserve{ProductID: "p", OrderID: "c", Quantity: 3, Forgo: true},
			Then: []any{ReservationRefused{OrderID: "c", Quantity: 3, Available: 3}}},
		{Name: "reserve none", Given: held, When: Reserve{ProductID: "p", OrderID: "c"}, Err: domaintest.Invalid("/quantity")},

		{Name: "release", Given: held, When: Release{ProductID: "p", OrderID: "a"}, Then: []any{Released{OrderID: "a", Quantity: 4}}},
		{Name: "release what is left of a shipped order", Given: append(held, Shipped{OrderID: "a", Parcel: 1, Quantity: 1}),
			When: Release{ProductID: "p", OrderID: "a"}, Then: []any{Released{OrderID: "a", Quantity: 3}}},
		{Name: "release again", Given: append(held, Released{OrderID: "a", Quantity: 4}), When: Release{ProductID: "p", OrderID: "a"}},
		{Name: "release what was never reserved", Given: held, When: Release{ProductID: "p", OrderID: "c"}},

		{Name: "ship", Given: held, When: Ship{ProductID: "p", OrderID: "a", Parcel: 1, Quantity: 4}, Then: []any{Shipped{OrderID: "a", Parcel: 1, Quantity: 4}}},
		{Name: "ship more than is reserved for the order", Given: held, When: Ship{ProductID: "p", OrderID: "a", Parcel: 1, Quantity: 5},
			Err: domaintest.Refused("stock-not-reserved")},
		{Name: "ship what is reserved for nobody", Given: held, When: Ship{ProductID: "p", OrderID: "c", Parcel: 1, Quantity: 1},
			Err: domaintest.Refused("stock-not-reserved")},
		{Name: "ship nothing", Given: held, When: Ship{ProductID: "p", OrderID: "a", Parcel: 1}, Err: domaintest.Invalid("/quantity")},

		{Name: "return", Given: []any{ten}, When: Return{ProductID: "p", OrderID: "a", Return: 1, Quantity: 2}, Then: []any{Returned{OrderID: "a", Return: 1, Quantity: 2}}},
		{Name: "return to a full stock", Given: []any{Restocked{Quantity: MaxOnHand}}, When: Return{ProductID: "p", OrderID: "a", Return: 1, Quantity: 2},
			Then: []any{Returned{OrderID: "a", Return: 1, Quantity: 2}}},
		{Name: "return nothing", Given: []any{ten}, When: Return{ProductID: "p", OrderID: "a", Return: 1}, Err: domaintest.Invalid("/quantity")},
	}, decide)
}

func TestCountSaysHowManyAreReserved(t *testing.T) {
	_, err := decide([]any{Restocked{Quantity: 10}, Reserved{OrderID: "a", Quantity: 7}}, Count{ProductID: "p", OnHand: 3, Reason: "x", Known: true})
	var refused *domain.Refused
	if !errors.As(err, &refused) || !strings.HasPrefix(refused.Detail, "7 units of product p are reserved") {
		t.Errorf("%v", err)
	}
}

func TestState(t *testing.T) {
	for _, c := range []struct {
		name      string
		given     []any
		want      State
		available int64
		low       bool
	}{
		{"never in stock", nil, State{}, 0, false},
		{"never in stock, with a mark", []any{LowWaterSet{LowWater: 1}}, State{LowWater: 1}, 0, true},
		{"above the mark", []any{LowWaterSet{LowWater: 1}, Restocked{Quantity: 2}}, State{OnHand: 2, LowWater: 1}, 2, false},
		{"reserved down to the mark", []any{LowWaterSet{LowWater: 1}, Restocked{Quantity: 2}, Reserved{OrderID: "a", Quantity: 1}},
			State{OnHand: 2, Reserved: 1, LowWater: 1, For: HeldOf(map[string]int64{"a": 1})}, 1, true},
		{"empty, without a mark", []any{Restocked{Quantity: 1}, Reserved{OrderID: "a", Quantity: 1}, Shipped{OrderID: "a", Parcel: 1, Quantity: 1}},
			State{}, 0, false},
		{"a refusal changes nothing", []any{Restocked{Quantity: 1}, ReservationRefused{OrderID: "a", Quantity: 2, Available: 1}}, State{OnHand: 1}, 1, false},
		{"settled orders are forgotten", []any{Restocked{Quantity: 5}, Reserved{OrderID: "a", Quantity: 1}, Reserved{OrderID: "b", Quantity: 1},
			Released{OrderID: "a", Quantity: 1}}, State{OnHand: 5, Reserved: 1, For: HeldOf(map[string]int64{"b": 1})}, 4, false},
		{"returned", []any{Returned{OrderID: "a", Return: 1, Quantity: 2}}, State{OnHand: 2}, 2, false},
		{"counted", []any{Restocked{Quantity: 5}, Counted{OnHand: 3, Was: 5, Reason: "x"}}, State{OnHand: 3}, 3, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fold(c.given)
			if !reflect.DeepEqual(s, c.want) || s.Available() != c.available || s.Low() != c.low {
				t.Errorf("%+v, available %d, low %v", s, s.Available(), s.Low())
			}
		})
	}
}

func TestGolden(t *testing.T) {
	domaintest.Golden(t, Codec, map[string]any{
		"stock.restocked.v1":           Restocked{Quantity: 39},
		"stock.counted.v1":             Counted{OnHand: 38, Was: 39, Reason: "one bottle broke"},
		"stock.low_water_set.v1":       LowWaterSet{LowWater: 10},
		"stock.reserved.v1":            Reserved{OrderID: "10248", Quantity: 12},
		"stock.reservation_refused.v1": ReservationRefused{OrderID: "10249", Quantity: 40, Available: 26},
		"stock.released.v1":            Released{OrderID: "10248", Quantity: 12},
		"stock.shipped.v1":             Shipped{OrderID: "10248", Parcel: 1, Quantity: 12},
		"stock.returned.v1":            Returned{OrderID: "10248", Return: 1, Quantity: 2},
	})
}

func anyCommand() *rapid.Generator[Command] {
	order := rapid.SampledFrom([]string{"a", "b", "c"})
	n := rapid.OneOf(rapid.Int64Range(-1, 20), rapid.Int64Range(0, 20), rapid.SampledFrom([]int64{MaxOnHand - 1, MaxOnHand, MaxOnHand + 1}), rapid.Int64())
	known := rapid.SampledFrom([]bool{true, true, true, false})
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) Command { return Restock{"p", n.Draw(t, "quantity"), known.Draw(t, "known")} }),
		rapid.Custom(func(t *rapid.T) Command { return Count{"p", n.Draw(t, "on hand"), "counted", known.Draw(t, "known")} }),
		rapid.Custom(func(t *rapid.T) Command { return SetLowWater{"p", n.Draw(t, "mark"), known.Draw(t, "known")} }),
		rapid.Custom(func(t *rapid.T) Command {
			return Reserve{"p", order.Draw(t, "order"), n.Draw(t, "quantity"), rapid.Bool().Draw(t, "forgo")}
		}),
		rapid.Custom(func(t *rapid.T) Command { return Release{"p", order.Draw(t, "order")} }),
		rapid.Custom(func(t *rapid.T) Command { return Ship{"p", order.Draw(t, "order"), 1, n.Draw(t, "quantity")} }),
	)
}

// TestAnyCommands: whatever is asked, there is never less than is reserved, what is reserved is what is reserved for
// orders, and nothing is lost: on hand is what came minus what went.
func TestAnyCommands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log []any
		var s State
		var came int64 // restocked, corrected by counts, minus shipped
		for _, c := range rapid.SliceOfN(anyCommand(), 1, 60).Draw(t, "commands") {
			before := s
			events, err := Decide(s, c)
			if err != nil && len(events) > 0 {
				t.Fatalf("%#v is refused (%v) and causes %v", c, err, events)
			}
			if _, reserve := c.(Reserve); reserve && err == nil && len(events) != 1 {
				t.Fatalf("%#v causes %v", c, events)
			}
			for _, e := range events {
				log = append(log, domaintest.Recode(t, Codec, e))
				s = Apply(s, e)
				switch e := e.(type) {
				case Restocked:
					came += e.Quantity
				case Counted:
					came += e.OnHand - e.Was
				case Shipped:
					came -= e.Quantity
				}
			}
			checkInvariants(t, before, s, came)
			domaintest.RoundTrip(t, s)
		}
		if again := fold(log); !reflect.DeepEqual(s, again) {
			t.Fatalf("the log folds to %#v, was %#v", again, s)
		}
	})
}

func checkInvariants(t *rapid.T, before, s State, came int64) {
	var held int64
	for id, n := range s.For.All() {
		if held += n; n < 1 {
			t.Fatalf("%d units are set aside for %s", n, id)
		}
	}
	if held != s.Reserved || s.Reserved < 0 || s.Reserved > s.OnHand || s.Available() < 0 || s.OnHand > MaxOnHand || s.OnHand != came || s.LowWater < 0 {
		t.Fatalf("%#v became %#v; %d came", before, s, came)
	}
}
