package product

import (
	"reflect"
	"testing"

	"jangbu/domain/domaintest"
	"jangbu/domain/money"

	"pgregory.net/rapid"
)

func TestDecide(t *testing.T) {
	chai := Created{Name: "Chai", Category: "Beverages", Price: 1800, Currency: "USD"}
	gone := []any{chai, Discontinued{}}
	domaintest.Run(t, []domaintest.Case{
		{Name: "create", When: Create{ID: "1", Name: " Chai", Category: "Beverages ", Price: 1800, Currency: "USD"}, Then: []any{chai}},
		{Name: "create for nothing", When: Create{ID: "1", Name: "Chai", Category: "Beverages", Currency: "JPY"},
			Then: []any{Created{Name: "Chai", Category: "Beverages", Currency: "JPY"}}},
		{Name: "create twice", Given: []any{chai}, When: Create{ID: "1", Name: "Chai", Category: "Beverages", Price: 1800, Currency: "USD"},
			Err: domaintest.Refused("product-exists")},
		{Name: "create with every field wrong", When: Create{ID: "", Price: -1, Currency: "usd"},
			Err: domaintest.Invalid("/id", "/name", "/category", "/price", "/currency")},
		{Name: "create too dear", When: Create{ID: "1", Name: "Chai", Category: "Beverages", Price: money.Max + 1, Currency: "USD"},
			Err: domaintest.Invalid("/price")},
		{Name: "rename", Given: []any{chai}, When: Rename{ID: "1", Name: "Tea"}, Then: []any{Renamed{Name: "Tea"}}},
		{Name: "rename to the same name", Given: []any{chai}, When: Rename{ID: "1", Name: "Chai"}},
		{Name: "rename to nothing", Given: []any{chai}, When: Rename{ID: "1"}, Err: domaintest.Invalid("/name")},
		{Name: "rename nothing", When: Rename{ID: "1", Name: "Tea"}, Err: domaintest.Missing("product", "1")},
		{Name: "rename a discontinued product", Given: gone, When: Rename{ID: "1", Name: "Tea"}, Then: []any{Renamed{Name: "Tea"}}},
		{Name: "reprice", Given: []any{chai}, When: Reprice{ID: "1", Price: 0}, Then: []any{Repriced{Price: 0}}},
		{Name: "reprice to the same price", Given: []any{chai, Repriced{Price: 7}}, When: Reprice{ID: "1", Price: 7}},
		{Name: "reprice below zero", Given: []any{chai}, When: Reprice{ID: "1", Price: -1}, Err: domaintest.Invalid("/price")},
		{Name: "reprice nothing", When: Reprice{ID: "1", Price: 7}, Err: domaintest.Missing("product", "1")},
		{Name: "reprice a discontinued product", Given: gone, When: Reprice{ID: "1", Price: 7}, Then: []any{Repriced{Price: 7}}},
		{Name: "discontinue", Given: []any{chai}, When: Discontinue{ID: "1"}, Then: []any{Discontinued{}}},
		{Name: "discontinue twice", Given: gone, When: Discontinue{ID: "1"}},
		{Name: "discontinue nothing", When: Discontinue{ID: "1"}, Err: domaintest.Missing("product", "1")},
	}, func(given []any, command any) ([]any, error) {
		return Decide(fold(given), command.(Command))
	})
}

func fold(events []any) State {
	var s State
	for _, e := range events {
		s = Apply(s, e)
	}
	return s
}

func TestGolden(t *testing.T) {
	domaintest.Golden(t, Codec, map[string]any{
		"product.created.v1":      Created{Name: "Chef Anton's Gumbo Mix", Category: "Condiments", Price: 2135, Currency: "USD"},
		"product.renamed.v1":      Renamed{Name: "Chai"},
		"product.repriced.v1":     Repriced{Price: 0},
		"product.discontinued.v1": Discontinued{},
	})
}

func TestAnyCommands(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"Chai", "Tea", ""}))
	price := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1, 3), rapid.Just(money.Max))
	command := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) Command {
			return Create{ID: "p", Name: text.Draw(t, "name"), Category: text.Draw(t, "category"), Price: price.Draw(t, "price"),
				Currency: rapid.SampledFrom([]string{"USD", "JPY", "usd"}).Draw(t, "currency")}
		}),
		rapid.Custom(func(t *rapid.T) Command { return Rename{ID: "p", Name: text.Draw(t, "name")} }),
		rapid.Custom(func(t *rapid.T) Command { return Reprice{ID: "p", Price: price.Draw(t, "price")} }),
		rapid.Just[Command](Discontinue{ID: "p"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		var log []any
		var s State
		for _, c := range rapid.SliceOfN(command, 1, 30).Draw(t, "commands") {
			before := s
			events, err := Decide(s, c)
			if err != nil && len(events) > 0 {
				t.Fatalf("%#v is refused (%v) and causes %v", c, err, events)
			}
			for _, e := range events {
				log = append(log, domaintest.Recode(t, Codec, e))
				s = Apply(s, e)
			}
			if again, err := Decide(s, c); len(again) > 0 {
				t.Fatalf("%#v once more causes %v, %v", c, again, err)
			}
			if len(events) > 0 && reflect.DeepEqual(before, s) {
				t.Fatalf("%#v changes nothing and causes %v", c, events)
			}
			checkInvariants(t, before, s)
			domaintest.RoundTrip(t, s)
		}
		if again := fold(log); !reflect.DeepEqual(s, again) {
			t.Fatalf("the log folds to %#v, was %#v", again, s)
		}
	})
}

func checkInvariants(t *rapid.T, before, s State) {
	if before.Exists && (!s.Exists || s.Currency != before.Currency || (before.Discontinued && !s.Discontinued)) {
		t.Fatalf("%#v became %#v", before, s)
	}
	if s.Exists && (s.Name == "" || s.Category == "" || s.Price < 0 || s.Price > money.Max || !money.Valid(s.Currency)) {
		t.Fatalf("state %#v", s)
	}
}
