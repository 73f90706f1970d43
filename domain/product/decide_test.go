package product

import (
	"slices"
	"strings"
	"testing"
	"time"

	"jangbu/domain/domaintest"
	"jangbu/domain/money"

	"pgregory.net/rapid"
)

var now = time.Date(2026, 3, 1, 0, 30, 0, 0, time.FixedZone("KST", 9*3600)) // 15:30 of the day before in UTC

func letters(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = string(rune('a' + i))
	}
	return all
}

func TestPriceAt(t *testing.T) {
	from, until := now.Add(time.Hour), now.Add(2*time.Hour)
	s := fold([]any{Created{Name: "Chai", Category: "Beverages", Price: 1800, Currency: "USD"}, SaleSet{Price: 0, From: from, Until: until}})
	for _, c := range []struct {
		name string
		at   time.Time
		want int64
	}{
		{"before the sale", from.Add(-1), 1800},
		{"from its first moment", from, 0},
		{"to its last", until.Add(-1), 0},
		{"after it", until, 1800},
	} {
		if got := s.PriceAt(c.at); got != c.want {
			t.Errorf("%s: %d", c.name, got)
		}
	}
	if got := Apply(s, SaleEnded{}).PriceAt(from); got != 1800 {
		t.Errorf("ended: %d", got)
	}
}

func TestDecide(t *testing.T) {
	chai := Created{Name: "Chai", Category: "Beverages", Price: 1800, Currency: "USD"}
	gone := []any{chai, Discontinued{}}
	tagged := []any{chai, Tagged{Tags: []string{"hot", "tea"}}}
	sale := SaleSet{Price: 900, From: now.Add(-time.Hour).UTC(), Until: now.Add(time.Hour).UTC()}
	onSale := []any{chai, sale}
	setSale := SetSale{ID: "1", Price: 900, From: "2026-02-28T23:30:00+09:00", Until: "2026-02-28T16:30:00Z"}
	over := []any{chai, SaleSet{Price: 900, From: now.Add(-2 * time.Hour).UTC(), Until: now.UTC()}}
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
		{Name: "create with all there is", When: Create{ID: "1", Name: "Chai", Category: "Beverages", Price: 1800, Currency: "USD",
			Description: " Black tea\r\n\tfrom Assam. ", Tags: []string{"Tea", "hot", "tea "}, Images: []string{" https://img.example.com/1.png "}},
			Then: []any{Created{Name: "Chai", Category: "Beverages", Price: 1800, Currency: "USD", Description: "Black tea\n\tfrom Assam.",
				Tags: []string{"hot", "tea"}, Images: []string{"https://img.example.com/1.png"}}}},
		{Name: "create with empty lists", When: Create{ID: "1", Name: "Chai", Category: "Beverages", Price: 1800, Currency: "USD", Tags: []string{}, Images: []string{}},
			Then: []any{chai}},
		{Name: "create with everything described wrong", When: Create{ID: "1", Name: "Chai", Category: "Beverages", Currency: "USD",
			Description: "\x00", Tags: []string{"tea", " "}, Images: []string{"/1.png"}}, Err: domaintest.Invalid("/description", "/tags/1", "/images/0")},

		{Name: "describe", Given: []any{chai}, When: Describe{ID: "1", Description: " Black\ntea "}, Then: []any{Described{Description: "Black\ntea"}}},
		{Name: "describe in the same words", Given: []any{chai, Described{Description: "Black"}}, When: Describe{ID: "1", Description: "Black"}},
		{Name: "describe no more", Given: []any{chai, Described{Description: "Black"}}, When: Describe{ID: "1"}, Then: []any{Described{}}},
		{Name: "describe at the longest", Given: []any{chai}, When: Describe{ID: "1", Description: strings.Repeat("차", 5000)},
			Then: []any{Described{Description: strings.Repeat("차", 5000)}}},
		{Name: "describe at length", Given: []any{chai}, When: Describe{ID: "1", Description: strings.Repeat("x", 5001)}, Err: domaintest.Invalid("/description")},
		{Name: "describe nothing", When: Describe{ID: "1"}, Err: domaintest.Missing("product", "1")},
		{Name: "describe a discontinued product", Given: gone, When: Describe{ID: "1", Description: "Black"}, Then: []any{Described{Description: "Black"}}},

		{Name: "categorise", Given: []any{chai}, When: Categorise{ID: "1", Category: " Tea "}, Then: []any{Categorised{Category: "Tea"}}},
		{Name: "categorise as before", Given: []any{chai}, When: Categorise{ID: "1", Category: "Beverages"}},
		{Name: "categorise as nothing", Given: []any{chai}, When: Categorise{ID: "1"}, Err: domaintest.Invalid("/category")},
		{Name: "categorise nothing", When: Categorise{ID: "1", Category: "Tea"}, Err: domaintest.Missing("product", "1")},

		{Name: "tag", Given: []any{chai}, When: Tag{ID: "1", Tags: []string{"Tea", " HOT ", "tea"}}, Then: []any{Tagged{Tags: []string{"hot", "tea"}}}},
		{Name: "tag in another order", Given: tagged, When: Tag{ID: "1", Tags: []string{"tea", "hot"}}},
		{Name: "tag with nothing", Given: tagged, When: Tag{ID: "1"}, Then: []any{Tagged{Tags: []string{}}}},
		{Name: "tag with nothing again", Given: []any{chai}, When: Tag{ID: "1"}},
		{Name: "tag with twenty, some twice", Given: []any{chai}, When: Tag{ID: "1", Tags: append(letters(20), letters(20)...)}, Then: []any{Tagged{Tags: letters(20)}}},
		{Name: "tag with twenty-one", Given: []any{chai}, When: Tag{ID: "1", Tags: letters(21)}, Err: domaintest.Invalid("/tags")},
		{Name: "tag with nonsense", Given: []any{chai}, When: Tag{ID: "1", Tags: []string{"", "a\nb", strings.Repeat("x", 51)}},
			Err: domaintest.Invalid("/tags/0", "/tags/1", "/tags/2")},
		{Name: "tag nothing", When: Tag{ID: "1"}, Err: domaintest.Missing("product", "1")},

		{Name: "picture", Given: []any{chai}, When: Picture{ID: "1", Images: []string{"https://a.example/2.png", "http://a.example/1.png?w=1#x"}},
			Then: []any{Pictured{Images: []string{"https://a.example/2.png", "http://a.example/1.png?w=1#x"}}}},
		{Name: "picture as before", Given: []any{chai, Pictured{Images: []string{"https://a.example/2.png"}}}, When: Picture{ID: "1", Images: []string{"https://a.example/2.png"}}},
		{Name: "picture no more", Given: []any{chai, Pictured{Images: []string{"https://a.example/2.png"}}}, When: Picture{ID: "1"}, Then: []any{Pictured{Images: []string{}}}},
		{Name: "picture by what is no URL", Given: []any{chai}, When: Picture{ID: "1", Images: []string{"", "1.png", "//a.example/1.png", "ftp://a.example/1.png",
			"https://", "https:///1.png", "javascript:alert(1)", "https://a.example/a b", "https://a.example/%zz", "https://:80/1.png"}},
			Err: domaintest.Invalid("/images/0", "/images/1", "/images/2", "/images/3", "/images/4", "/images/5", "/images/6", "/images/7", "/images/8", "/images/9")},
		{Name: "picture by twenty-one", Given: []any{chai}, When: Picture{ID: "1", Images: slices.Repeat([]string{"https://a.example/1.png"}, 21)}, Err: domaintest.Invalid("/images")},
		{Name: "picture nothing", When: Picture{ID: "1"}, Err: domaintest.Missing("product", "1")},

		{Name: "set a sale", Given: []any{chai}, When: setSale, Then: []any{sale}},
		{Name: "set it again", Given: onSale, When: setSale},
		{Name: "set it again when it is over", Given: over, When: SetSale{ID: "1", Price: 900, From: "2026-02-28T13:30:00Z", Until: "2026-02-28T15:30:00Z"}},
		{Name: "set another sale", Given: onSale, When: SetSale{ID: "1", Price: 800, From: "2026-02-28T14:30:00Z", Until: "2026-02-28T16:30:00Z"},
			Then: []any{SaleSet{Price: 800, From: sale.From, Until: sale.Until}}},
		{Name: "set a sale dearer than the price", Given: []any{chai}, When: SetSale{ID: "1", Price: 2000, From: "2026-02-28T14:30:00Z", Until: "2026-02-28T16:30:00Z"},
			Then: []any{SaleSet{Price: 2000, From: sale.From, Until: sale.Until}}},
		{Name: "set a sale of no time", Given: []any{chai}, When: SetSale{ID: "1", From: "2026-03-01T00:00:00Z", Until: "2026-03-01T00:00:00Z"}, Err: domaintest.Invalid("/until")},
		{Name: "set a sale of the past", Given: []any{chai}, When: SetSale{ID: "1", From: "2026-02-28T14:30:00Z", Until: "2026-02-28T15:30:00Z"}, Err: domaintest.Invalid("/until")},
		{Name: "set a sale of nonsense", Given: []any{chai}, When: SetSale{ID: "1", Price: -1, From: "2026-03-01", Until: "9999-12-31T23:59:59-01:00"},
			Err: domaintest.Invalid("/price", "/from", "/until")},
		{Name: "set a sale too dear", Given: []any{chai}, When: SetSale{ID: "1", Price: money.Max + 1, From: "2026-03-01T00:00:00Z", Until: "2026-03-02T00:00:00Z"}, Err: domaintest.Invalid("/price")},
		{Name: "set a sale of nothing", When: setSale, Err: domaintest.Missing("product", "1")},
		{Name: "end a sale", Given: onSale, When: EndSale{ID: "1"}, Then: []any{SaleEnded{}}},
		{Name: "end a sale to come", Given: []any{chai, SaleSet{From: now.Add(time.Hour), Until: now.Add(2 * time.Hour)}}, When: EndSale{ID: "1"}, Then: []any{SaleEnded{}}},
		{Name: "end a sale that is over", Given: over, When: EndSale{ID: "1"}},
		{Name: "end a sale again", Given: append(onSale, SaleEnded{}), When: EndSale{ID: "1"}},
		{Name: "end a sale of nothing", When: EndSale{ID: "1"}, Err: domaintest.Missing("product", "1")},

		{Name: "relist", Given: gone, When: Relist{ID: "1"}, Then: []any{Relisted{}}},
		{Name: "relist again", Given: append(gone, Relisted{}), When: Relist{ID: "1"}},
		{Name: "relist what is on sale", Given: []any{chai}, When: Relist{ID: "1"}},
		{Name: "relist nothing", When: Relist{ID: "1"}, Err: domaintest.Missing("product", "1")},
		{Name: "discontinue what was relisted", Given: append(gone, Relisted{}), When: Discontinue{ID: "1"}, Then: []any{Discontinued{}}},
		{Name: "discontinue", Given: []any{chai}, When: Discontinue{ID: "1"}, Then: []any{Discontinued{}}},
		{Name: "discontinue twice", Given: gone, When: Discontinue{ID: "1"}},
		{Name: "discontinue nothing", When: Discontinue{ID: "1"}, Err: domaintest.Missing("product", "1")},
	}, func(given []any, command any) ([]any, error) {
		return Decide(fold(given), command.(Command), now)
	})
}

func fold(events []any) State { return domaintest.Fold(Apply, events) }

func TestGolden(t *testing.T) {
	domaintest.Golden(t, Codec, map[string]any{
		"product.created.v1":      Created{Name: "Chef Anton's Gumbo Mix", Category: "Condiments", Price: 2135, Currency: "USD"},
		"product.renamed.v1":      Renamed{Name: "Chai"},
		"product.repriced.v1":     Repriced{Price: 0},
		"product.discontinued.v1": Discontinued{},
		"product.described.v1":    Described{Description: "Black tea\nfrom Assam."},
		"product.categorised.v1":  Categorised{Category: "Beverages"},
		"product.tagged.v1":       Tagged{Tags: []string{"hot", "tea"}},
		"product.pictured.v1":     Pictured{Images: []string{"https://img.example.com/chai.png"}},
		"product.sale_set.v1":     SaleSet{Price: 900, From: now.UTC(), Until: now.Add(time.Hour).UTC()},
		"product.sale_ended.v1":   SaleEnded{},
		"product.relisted.v1":     Relisted{},
	})
}

// TestCreatedInFull: what a product is described by came later; an event without it is read as ever.
func TestCreatedInFull(t *testing.T) {
	e := Created{Name: "Chai", Category: "Beverages", Price: 1800, Currency: "USD", Description: "Black", Tags: []string{"tea"}, Images: []string{"https://a.example/1.png"}}
	name, data, err := Codec.Encode(e)
	want := `{"name":"Chai","category":"Beverages","price":1800,"currency":"USD","description":"Black","tags":["tea"],"images":["https://a.example/1.png"]}`
	if err != nil || name != "product.created.v1" || string(data) != want {
		t.Errorf("%s %s, %v", name, data, err)
	}
	domaintest.Recode(t, Codec, e)
}

func anyCommand() *rapid.Generator[Command] {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"Chai", "Tea", ""}))
	price := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1, 3), rapid.Just(money.Max))
	tags := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom([]string{"tea", "Tea", " hot", "İ"}), rapid.String()), 0, 4)
	images := rapid.SliceOfN(rapid.SampledFrom([]string{"https://a.example/1", " http://a.example/2", "x"}), 0, 2)
	at := rapid.SampledFrom([]string{"2026-02-01T00:00:00Z", "2026-03-01T00:00:00+09:00", "2026-04-01T00:00:00.5Z", "2027-01-01T00:00:00Z", "now"})
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) Command {
			return Create{ID: "p", Name: text.Draw(t, "name"), Category: text.Draw(t, "category"), Price: price.Draw(t, "price"),
				Currency: rapid.SampledFrom([]string{"USD", "JPY", "usd"}).Draw(t, "currency"), Tags: tags.Draw(t, "tags"), Images: images.Draw(t, "images")}
		}),
		rapid.Just[Command](Create{ID: "p", Name: "Chai", Category: "Beverages", Price: 1800, Currency: "USD"}),
		rapid.Custom(func(t *rapid.T) Command { return Rename{ID: "p", Name: text.Draw(t, "name")} }),
		rapid.Custom(func(t *rapid.T) Command { return Describe{ID: "p", Description: text.Draw(t, "description")} }),
		rapid.Custom(func(t *rapid.T) Command { return Categorise{ID: "p", Category: text.Draw(t, "category")} }),
		rapid.Custom(func(t *rapid.T) Command { return Tag{ID: "p", Tags: tags.Draw(t, "tags")} }),
		rapid.Custom(func(t *rapid.T) Command { return Picture{ID: "p", Images: images.Draw(t, "images")} }),
		rapid.Custom(func(t *rapid.T) Command { return Reprice{ID: "p", Price: price.Draw(t, "price")} }),
		rapid.Custom(func(t *rapid.T) Command {
			return SetSale{ID: "p", Price: price.Draw(t, "price"), From: at.Draw(t, "from"), Until: at.Draw(t, "until")}
		}),
		rapid.Just[Command](EndSale{ID: "p"}),
		rapid.Just[Command](Discontinue{ID: "p"}),
		rapid.Just[Command](Relist{ID: "p"}),
	)
}

func TestAnyCommands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		commands := rapid.SliceOfN(anyCommand(), 1, 40).Draw(t, "commands")
		decide := func(s State, c Command) ([]any, error) { return Decide(s, c, now) }
		domaintest.Commands(t, Codec, Apply, decide, commands, func(before, s State, _ int) { checkInvariants(t, before, s) })
	})
}

func checkInvariants(t *rapid.T, before, s State) {
	if before.Exists && (!s.Exists || s.Currency != before.Currency) {
		t.Fatalf("%#v became %#v", before, s)
	}
	if s.Exists && (s.Name == "" || s.Category == "" || s.Price < 0 || s.Price > money.Max || !money.Valid(s.Currency)) {
		t.Fatalf("state %#v", s)
	}
	if !slices.IsSorted(s.Tags) || len(slices.Compact(slices.Clone(s.Tags))) != len(s.Tags) || len(s.Tags) > MaxTags || len(s.Images) > MaxImages {
		t.Fatalf("tags %q, images %q", s.Tags, s.Images)
	}
	if s.Sale != nil && (!s.Sale.From.Before(s.Sale.Until) || s.Sale.Price < 0 || s.Sale.Price > money.Max) {
		t.Fatalf("sale %#v", s.Sale)
	}
}
