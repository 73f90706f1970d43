package view_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/domain/stock"
	"jangbu/query/view"
)

// ids reads the ids of items.
func ids(t *testing.T, items [][]byte) (all []string) {
	t.Helper()
	for _, item := range items {
		var of struct{ ID string }
		if err := json.Unmarshal(item, &of); err != nil {
			t.Fatal(err)
		}
		all = append(all, of.ID)
	}
	return all
}

func TestOrderLists(t *testing.T) {
	got, err := view.Fold(view.OrderLists, record(t, []step{
		mina, on("order-1", placed()), on("order-2", placed(dated("2026-03-06"))), on("order-3", placed(), cancelled),
		on("order-4", placed(dated("2027-01-01"), inCurrency("JPY")), order.Confirmed{}),
		on("order-5", placed(), order.Shipped{Lines: some(1, 1)}), on("order-6", placed(), order.Shipped{}),
		on("order-7", placed(), order.Shipped{}, order.Delivered{Parcel: 1}), on("order-8", placed(), order.Shipped{}, order.Returned{Lines: some(1, 2)}),
	}))
	if err != nil {
		t.Fatal(err)
	}
	for status, want := range map[string][]string{
		"": {"4", "2", "1", "3", "5", "6", "7", "8"}, "placed": {"2", "1"}, "confirmed": {"4"}, "partly-shipped": {"5"}, "shipped": {"6"},
		"delivered": {"7"}, "returned": {"8"}, "cancelled": {"3"},
	} {
		doc, ok := view.OrderList(status)
		if list := ids(t, got.Lists[doc]); !ok || !slices.Equal(list, want) {
			t.Errorf("orders that are %q: %v, want %v", status, list, want)
		}
	}
	const first = `{"id":"4","status":"confirmed","placed_on":"2027-01-01","member_id":"M","units":2,"total":300,"currency":"JPY"}`
	if all := got.Lists["/all"]; string(all[0]) != first {
		t.Errorf("an item is %s, want %s", all[0], first)
	}
	for _, bad := range []string{"all", "Placed", "none", "/"} {
		if doc, ok := view.OrderList(bad); ok {
			t.Errorf("%q is taken for a status, with the list %q", bad, doc)
		}
	}
}

// sells is a product, created in the order of these steps.
func sells(id, name, category string, price int64, tags []string, more ...any) step {
	return on("product-"+id, append([]any{product.Created{Name: name, Category: category, Price: price, Currency: "USD", Tags: tags, Images: []string{"https://x/1", "https://x/2"}}}, more...)...)
}

func catalogue() []step {
	return []step{
		sells("chai", "Chai", "Beverages", 1800, []string{"new", "tea"}),
		sells("cheese", "Queso Cabrales", "Dairy Products", 2100, nil),
		sells("beer", "Sasquatch Ale", "Beverages", 1400, []string{"new"}),
		sells("gone", "Chang", "Beverages", 1, []string{"new"}, product.Discontinued{}),
		sells("moved", "Côte de Blaye", "Condiments", 26350, []string{"old"}, product.Categorised{Category: "Beverages"}, product.Tagged{Tags: []string{"new"}}),
		sells("back", "Chartreuse verte", "Beverages", 1400, nil, product.Discontinued{}, product.Relisted{}, product.Repriced{Price: 1500}),
	}
}

func TestCatalogue(t *testing.T) {
	got, err := view.Fold(view.Catalogue, record(t, catalogue()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		shelf view.Shelf
		sort  string
		want  string
	}{
		{view.Shelf{}, view.Newest, "back moved beer cheese chai"},
		{view.Shelf{}, view.ByPrice, "beer back chai cheese moved"},
		{view.Shelf{Category: "Beverages"}, view.Newest, "back moved beer chai"},
		{view.Shelf{Category: "Beverages"}, view.ByPrice, "beer back chai moved"},
		{view.Shelf{Tag: "new"}, view.Newest, "moved beer chai"},
		{view.Shelf{Category: "Beverages", Tag: "tea"}, view.ByPrice, "chai"},
		{view.Shelf{Category: "Dairy Products", Tag: "tea"}, view.ByPrice, ""},
		{view.Shelf{Category: "Condiments"}, view.Newest, ""},
		{view.Shelf{Tag: "old"}, view.Newest, ""},
	} {
		if list := ids(t, got.Lists[c.shelf.List(c.sort)]); strings.Join(list, " ") != c.want {
			t.Errorf("%+v by %s: %v, want %s", c.shelf, c.sort, list, c.want)
		}
	}
	const chai = `{"id":"chai","name":"Chai","category":"Beverages","tags":["new","tea"],"image":"https://x/1","price":1800,"currency":"USD","sale":null}`
	if item := got.Lists[view.Shelf{Tag: "tea"}.List(view.Newest)][0]; string(item) != chai {
		t.Errorf("an item is %s, want %s", item, chai)
	}
}

func TestItemsFollowTheProduct(t *testing.T) {
	got, err := view.Fold(view.Catalogue, record(t, []step{sells("P", "Pen", "Desk", 100, []string{"new"}, product.Renamed{Name: "Quill"}, product.Tagged{}, product.Pictured{},
		product.Repriced{Price: 5}, product.SaleSet{Price: 3, From: day(1), Until: day(2)}, product.Described{Description: "It writes."})}))
	const want = `{"id":"P","name":"Quill","category":"Desk","tags":[],"image":"","price":5,"currency":"USD","sale":{"price":3,"from":"2026-03-01T00:00:00Z","until":"2026-03-02T00:00:00Z"}}`
	for _, list := range []string{"newest", "price", "newest?category=Desk", "search?q=qu"} {
		if items := got.Lists[list]; err != nil || len(items) != 1 || string(items[0]) != want {
			t.Errorf("%s holds %s (%v)\nwant %s", list, items, err, want)
		}
	}
}

// TestPricesOfOneCurrencyStandTogether: amounts in different currencies have no order.
func TestPricesOfOneCurrencyStandTogether(t *testing.T) {
	priced := func(id, currency string, price int64) step {
		return on("product-"+id, product.Created{Name: id, Currency: currency, Price: price})
	}
	got, err := view.Fold(view.Catalogue, record(t, []step{priced("a", "USD", 999), priced("b", "JPY", 5000), priced("c", "USD", 1000), priced("d", "JPY", 10_000_000_000)}))
	if list := ids(t, got.Lists["price"]); err != nil || !slices.Equal(list, []string{"b", "d", "a", "c"}) {
		t.Errorf("by price: %v (%v)", list, err)
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"Chai": "chai", "Queso Cabrales": "cabrales queso", "Côte-de  Blaye, 1.5 l": "blaye côte de 1 5 l", "a A": "a", "한빛 서점": "서점 한빛", " …": "", "NuNuCa Nuß-Nougat-Creme": "nougat nunuca creme nuß",
		"Cafe\u0301 Café": "café", "Ο ΟΔΟΣ, οδός": "οδοσ οδόσ ο", "\u1112\u1161\u11ab빛": "한빛",
	} {
		if got := strings.Join(view.Words(text), " "); got != want {
			t.Errorf("the words of %q are %q, want %q", text, got, want)
		}
	}
	for _, c := range []struct {
		name, q string
		want    bool
	}{
		{"Queso Cabrales", "que", true}, {"Queso Cabrales", "cab que", true}, {"Queso Cabrales", "QUESO cabrales", true}, {"Queso Cabrales", "ueso", false},
		{"Queso Cabrales", "que x", false}, {"Queso Cabrales", "quesos", false}, {"Pen pens", "pen pens", true},
	} {
		if got := view.Matches(c.name, view.Words(c.q)); got != c.want {
			t.Errorf("%q matches %q: %v", c.name, c.q, got)
		}
	}
}

// TestUnicodeForms: what looks the same is the same, whether its accents are characters of their own or not. Products of old may
// hold either.
func TestUnicodeForms(t *testing.T) {
	const composed, decomposed = "Caf\u00e9", "Cafe\u0301"
	steps := []step{sells("a", composed, composed, 1, []string{"th\u00e9"}), sells("b", decomposed, decomposed, 1, []string{"the\u0301", "th\u00e9"})}
	for _, form := range []string{composed, decomposed} {
		lists := map[*view.View][]string{view.Catalogue: {view.SearchList(view.Words(form)[0])}}
		for _, shelf := range []view.Shelf{view.ShelfOf(form, ""), view.ShelfOf("", "THE\u0301"), view.ShelfOf(" "+form+" ", "th\u00e9 ")} {
			lists[view.Catalogue] = append(lists[view.Catalogue], shelf.List(view.Newest), shelf.List(view.ByPrice))
			lists[view.Popular] = append(lists[view.Popular], shelf.List(view.MostSold))
		}
		for v, names := range lists {
			got, err := view.Fold(v, record(t, steps))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				items := got.Lists[name]
				if v == view.Popular {
					var doc view.Ranked
					if err := json.Unmarshal(got.Documents[name], &doc); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					items = nil
					for _, item := range doc.Items {
						items = append(items, item)
					}
				}
				found := ids(t, items)
				slices.Sort(found)
				if !slices.Equal(found, []string{"a", "b"}) {
					t.Errorf("%s of %s holds %v", name, v.Name, found)
				}
			}
		}
	}
}

// TestSearchLists: whatever a name matches, the name's product stands in the list that is looked for.
func TestSearchLists(t *testing.T) {
	steps := append(catalogue(), sells("long", "Unterwasserphotographie für Anfänger", "Books", 1, nil), sells("short", "Un é", "Books", 1, nil))
	got, err := view.Fold(view.Catalogue, record(t, steps))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{"chai": "Chai", "cheese": "Queso Cabrales", "beer": "Sasquatch Ale", "moved": "Côte de Blaye", "back": "Chartreuse verte",
		"long": "Unterwasserphotographie für Anfänger", "short": "Un é"}
	for id, name := range names {
		for _, word := range view.Words(name) {
			for n := range []rune(word) {
				beginning := string([]rune(word)[:n+1])
				if list := ids(t, got.Lists[view.SearchList(beginning)]); !slices.Contains(list, id) {
					t.Errorf("%q is not found by %q: %v", name, beginning, list)
				}
			}
		}
	}
	if list := ids(t, got.Lists[view.SearchList("cha")]); !slices.Equal(list, []string{"chai", "back"}) {
		t.Errorf("cha is the beginning of %v", list)
	}
}

func TestPopular(t *testing.T) {
	ships := func(id string, units ...int64) step {
		events := []any{stock.Restocked{Quantity: 100}}
		for i, n := range units {
			if n > 0 {
				events = append(events, stock.Reserved{OrderID: fmt.Sprint(i), Quantity: n}, stock.Shipped{OrderID: fmt.Sprint(i), Quantity: n})
			} else {
				events = append(events, stock.Returned{OrderID: fmt.Sprint(i), Quantity: -n})
			}
		}
		return on("stock-"+id, events...)
	}
	read := func(steps []step, shelf view.Shelf) string {
		t.Helper()
		got, err := view.Fold(view.Popular, record(t, steps))
		if err != nil {
			t.Fatal(err)
		}
		body := got.Documents[shelf.List(view.MostSold)]
		if body == nil {
			return ""
		}
		var doc view.Ranked
		if err := json.Unmarshal(body, &doc); err != nil || !slices.IsSorted(doc.Keys) || len(doc.Keys) != len(doc.Items) {
			t.Fatalf("%s (%v)", body, err)
		}
		var items [][]byte
		for _, item := range doc.Items {
			items = append(items, item)
		}
		return strings.Join(ids(t, items), " ")
	}
	sold := append(catalogue(), ships("cheese", 9, 3), ships("chai", 10, -4), ships("gone", 50), ships("back", 7), ships("ghost", 80))
	for _, c := range []struct {
		name  string
		steps []step
		shelf view.Shelf
		want  string
	}{
		{"nothing sold, by id", catalogue(), view.Shelf{}, "back beer chai cheese moved"},
		{"most first, without what came back", sold, view.Shelf{}, "cheese back chai beer moved"},
		{"of a category", sold, view.Shelf{Category: "Beverages"}, "back chai beer moved"},
		{"with a tag", sold, view.Shelf{Tag: "new"}, "chai beer moved"},
		{"of a category with a tag", append(sold, ships("beer", 100)), view.Shelf{Category: "Beverages", Tag: "new"}, "beer chai moved"},
		{"of no category", sold, view.Shelf{Category: "Condiments"}, ""},
		{"the stock is known before the product", append([]step{ships("moved", 99)}, sold...), view.Shelf{}, "moved cheese back chai beer"},
		{"what is only reserved is not sold", append(catalogue(), on("stock-moved", stock.Restocked{Quantity: 9}, stock.Reserved{OrderID: "1", Quantity: 9})), view.Shelf{}, "back beer chai cheese moved"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := read(c.steps, c.shelf); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestPopularIsBounded(t *testing.T) {
	var steps []step
	for i := range view.MaxPopular + 5 {
		steps = append(steps, sells(fmt.Sprintf("p%05d", i), "Pen", "Desk", 1, nil))
	}
	steps = append(steps, on(fmt.Sprintf("stock-p%05d", view.MaxPopular+4), stock.Shipped{Quantity: 1}))
	got, err := view.Fold(view.Popular, record(t, steps))
	if err != nil {
		t.Fatal(err)
	}
	var doc view.Ranked
	if err := json.Unmarshal(got.Documents["popular"], &doc); err != nil || len(doc.Items) != view.MaxPopular || !strings.Contains(string(doc.Items[0]), `"p01004"`) {
		t.Errorf("%d items, the first %s (%v)", len(doc.Items), doc.Items[0], err)
	}
}

func TestOrdersOfMembers(t *testing.T) {
	const one = `{"id":"1","status":"placed","placed_on":"2026-03-05","units":2,"total":300,"currency":"USD"}`
	play(t, view.OrderLists, []scene{
		{"without orders", []step{mina}, nil, map[string][]string{"M": {}}},
		{"one", []step{mina, on("order-1", placed())}, nil, map[string][]string{"M": {one}}},
		{"total holds the fee", []step{mina, on("order-1", placed(func(e *order.Placed) { e.ShippingFee = 50 }))}, nil,
			map[string][]string{"M": {`{"id":"1","status":"placed","placed_on":"2026-03-05","units":2,"total":350,"currency":"USD"}`}}},
		{"newest day first, then by id", []step{
			mina, on("order-b", placed(dated("2026-01-02"))), on("order-9", placed(dated("2025-12-31"))), on("order-a", placed(dated("2026-01-02"))),
			on("order-c", placed(dated("2026-01-10"))), on("order-10", placed(dated("2026-01-02"))),
		}, nil, map[string][]string{"M": {
			`{"id":"c","status":"placed","placed_on":"2026-01-10","units":2,"total":300,"currency":"USD"}`,
			`{"id":"10","status":"placed","placed_on":"2026-01-02","units":2,"total":300,"currency":"USD"}`,
			`{"id":"a","status":"placed","placed_on":"2026-01-02","units":2,"total":300,"currency":"USD"}`,
			`{"id":"b","status":"placed","placed_on":"2026-01-02","units":2,"total":300,"currency":"USD"}`,
			`{"id":"9","status":"placed","placed_on":"2025-12-31","units":2,"total":300,"currency":"USD"}`,
		}}},
		{"shipped and cancelled stay", []step{mina, on("order-1", placed(), order.Shipped{Carrier: "Post"}), on("order-2", placed(), cancelled)}, nil, map[string][]string{"M": {
			`{"id":"1","status":"shipped","placed_on":"2026-03-05","units":2,"total":300,"currency":"USD"}`, `{"id":"2","status":"cancelled","placed_on":"2026-03-05","units":2,"total":300,"currency":"USD"}`,
		}}},
		{"each member their own", []step{mina, on("member-N", member.Registered{Name: "Nils"}), on("order-1", placed())}, nil, map[string][]string{"M": {one}, "N": {}}},
	})
}
