package view_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"jangbu/domain/order"
	"jangbu/query/view"
	"jangbu/test/history"
)

// tallies are the answers that show all of a tally, by its name, and of the months' documents by name and month.
func tallies(t *testing.T, steps []step) map[string]string {
	t.Helper()
	got, err := view.Fold(view.Sales, record(t, steps))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for doc, body := range got.Documents {
		for _, tally := range []string{view.Days, view.Months, view.ByCategory, view.ByCountry, view.ByProduct} {
			entries, err := view.TalliedIn(body, tally)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) == 0 {
				continue
			}
			answer, err := view.TallyBody(tally, entries, 1000)
			if err != nil {
				t.Fatal(err)
			}
			name := tally
			if doc != view.SalesTotal {
				name += " " + doc[:7]
			}
			all[name] = string(answer)
		}
	}
	return all
}

func TestSales(t *testing.T) {
	odd := []string{`Grains/Cereals`, `"quoted"`, `🌶 hot`, `a//b`, ``, `<b>`}
	var oddLines []order.Line
	for i, c := range odd {
		oddLines = append(oddLines, line(c, c, 1, int64(i)))
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  map[string]string
	}{
		{"members and products sell nothing", []step{mina, pen}, nil},
		{"one order", []step{on("order-1", placed())}, map[string]string{
			"months":     `{"items":[{"month":"2026-03","orders":1,"units":2,"sales":300}]}`,
			"categories": `{"items":[{"category":"Desk","orders":1,"units":2,"sales":300}]}`,
			"countries":  `{"items":[{"country":"Korea","orders":1,"sales":300}]}`,
		}},
		{"a category twice in one order counts one order", []step{on("order-1", placed(of(line("a", "Desk", 1, 10), line("b", "Desk", 2, 20), line("c", "Kitchen", 3, 30))))}, map[string]string{
			"months":     `{"items":[{"month":"2026-03","orders":1,"units":6,"sales":60}]}`,
			"categories": `{"items":[{"category":"Desk","orders":1,"units":3,"sales":30},{"category":"Kitchen","orders":1,"units":3,"sales":30}]}`,
			"countries":  `{"items":[{"country":"Korea","orders":1,"sales":60}]}`,
		}},
		{"sorted by their keys", []step{
			on("order-1", placed(dated("2026-10-01"))), on("order-2", placed(dated("1999-12-31"), func(e *order.Placed) { e.MemberCountry = "Austria" })), on("order-3", placed(dated("2026-09-30"))),
		}, map[string]string{
			"months":     `{"items":[{"month":"1999-12","orders":1,"units":2,"sales":300},{"month":"2026-09","orders":1,"units":2,"sales":300},{"month":"2026-10","orders":1,"units":2,"sales":300}]}`,
			"categories": `{"items":[{"category":"Desk","orders":3,"units":6,"sales":900}]}`,
			"countries":  `{"items":[{"country":"Austria","orders":1,"sales":300},{"country":"Korea","orders":2,"sales":600}]}`,
		}},
		{"cancelled orders leave", []step{on("order-1", placed(), cancelled), on("order-2", placed(dated("2026-04-01")), order.Shipped{})}, map[string]string{
			"months":     `{"items":[{"month":"2026-04","orders":1,"units":2,"sales":300}]}`,
			"categories": `{"items":[{"category":"Desk","orders":1,"units":2,"sales":300}]}`,
			"countries":  `{"items":[{"country":"Korea","orders":1,"sales":300}]}`,
		}},
		{"two currencies", []step{on("order-1", placed()), on("order-2", placed(inCurrency("JPY")))}, map[string]string{
			"months":     `{"items":[{"month":"2026-03","currency":"JPY","orders":1,"units":2,"sales":300},{"month":"2026-03","currency":"USD","orders":1,"units":2,"sales":300}]}`,
			"categories": `{"items":[{"category":"Desk","currency":"JPY","orders":1,"units":2,"sales":300},{"category":"Desk","currency":"USD","orders":1,"units":2,"sales":300}]}`,
			"countries":  `{"items":[{"country":"Korea","currency":"JPY","orders":1,"sales":300},{"country":"Korea","currency":"USD","orders":1,"sales":300}]}`,
		}},
		{"odd names", []step{on("order-1", placed(of(oddLines...)))}, map[string]string{
			"months": `{"items":[{"month":"2026-03","orders":1,"units":6,"sales":15}]}`,
			"categories": `{"items":[{"category":"","orders":1,"units":1,"sales":4},{"category":"\"quoted\"","orders":1,"units":1,"sales":1},{"category":"\u003cb\u003e","orders":1,"units":1,"sales":5},` +
				`{"category":"Grains/Cereals","orders":1,"units":1,"sales":0},{"category":"a//b","orders":1,"units":1,"sales":3},{"category":"🌶 hot","orders":1,"units":1,"sales":2}]}`,
			"countries": `{"items":[{"country":"Korea","orders":1,"sales":15}]}`,
		}},
		{"the member's country is that of the moment", []step{mina, on("order-1", placed(func(e *order.Placed) { e.MemberCountry = "" }))}, map[string]string{
			"months":     `{"items":[{"month":"2026-03","orders":1,"units":2,"sales":300}]}`,
			"categories": `{"items":[{"category":"Desk","orders":1,"units":2,"sales":300}]}`,
			"countries":  `{"items":[{"country":"","orders":1,"sales":300}]}`,
		}},
		{"what came back leaves, and with it an order of which all did", []step{
			on("order-1", placed(of(line("a", "Desk", 3, 100), line("b", "Kitchen", 1, 7))), order.Shipped{}, order.Returned{Lines: some(1, 1), Amount: 33}, order.Returned{Lines: some(2, 1), Amount: 7 + 49}),
			on("order-2", placed(), order.Shipped{}, order.Returned{Lines: some(1, 2), Amount: 300}),
		}, map[string]string{
			"months":             `{"items":[{"month":"2026-03","orders":1,"units":2,"sales":67}]}`,
			"categories":         `{"items":[{"category":"Desk","orders":1,"units":2,"sales":67}]}`,
			"countries":          `{"items":[{"country":"Korea","orders":1,"sales":67}]}`,
			"days 2026-03":       `{"items":[{"day":"2026-03-05","orders":1,"units":2,"sales":67}]}`,
			"categories 2026-03": `{"items":[{"category":"Desk","orders":1,"units":2,"sales":67}]}`,
			"countries 2026-03":  `{"items":[{"country":"Korea","orders":1,"sales":67}]}`,
			"products 2026-03":   `{"items":[{"product_id":"a","orders":1,"units":2,"sales":67}]}`,
		}},
		{"months by themselves; products by what they sold", []step{
			on("order-1", placed(of(line("a", "Desk", 1, 10), line("b", "Desk", 1, 20)))), on("order-2", placed(dated("2026-03-31"), of(line("c", "Desk", 1, 15)))),
			on("order-3", placed(dated("2026-04-01"), of(line("a", "Desk", 9, 90)))),
		}, map[string]string{
			"months":             `{"items":[{"month":"2026-03","orders":2,"units":3,"sales":45},{"month":"2026-04","orders":1,"units":9,"sales":90}]}`,
			"categories":         `{"items":[{"category":"Desk","orders":3,"units":12,"sales":135}]}`,
			"days 2026-03":       `{"items":[{"day":"2026-03-05","orders":1,"units":2,"sales":30},{"day":"2026-03-31","orders":1,"units":1,"sales":15}]}`,
			"days 2026-04":       `{"items":[{"day":"2026-04-01","orders":1,"units":9,"sales":90}]}`,
			"categories 2026-04": `{"items":[{"category":"Desk","orders":1,"units":9,"sales":90}]}`,
			"products 2026-03":   `{"items":[{"product_id":"b","orders":1,"units":1,"sales":20},{"product_id":"c","orders":1,"units":1,"sales":15},{"product_id":"a","orders":1,"units":1,"sales":10}]}`,
			"products 2026-04":   `{"items":[{"product_id":"a","orders":1,"units":9,"sales":90}]}`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := tallies(t, c.steps)
			for name, want := range c.want {
				if got[name] != want {
					t.Errorf("%s\n got %s\nwant %s", name, got[name], want)
				}
			}
			if len(got) > 0 != (len(c.want) > 0) {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestTalliesAreExact: over any history, every tally is the sum, over the orders that are not cancelled, of what the
// domain says was kept of them.
func TestTalliesAreExact(t *testing.T) {
	history.Seeds(t, 20, func(t *testing.T, r *rand.Rand) {
		log := history.Random(t, r, 600).Events()
		got, err := view.Fold(view.Sales, log)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]view.Tallied{} // by document, tally, key and currency
		add := func(doc, tally, key, currency string, units, sales int64, first bool) {
			name := fmt.Sprintf("%s %s %s %s", doc, tally, key, currency)
			t := want[name]
			t.Key, t.Currency, t.Units, t.Sales = key, currency, t.Units+units, t.Sales+sales
			if first {
				t.Orders++
			}
			want[name] = t
		}
		for _, s := range domainOrders(t, log) {
			if s.Status == order.StatusCancelled {
				continue
			}
			seen := map[string]bool{}
			for i, l := range s.Lines {
				var back int64
				for _, ret := range s.Returns {
					for _, of := range ret.Lines {
						if of.Line == i+1 {
							back += of.Quantity
						}
					}
				}
				units, sales := l.Quantity-back, l.Amount-order.State{Placed: s.Placed}.RefundOf(some(i+1, back))
				if units == 0 {
					continue
				}
				month := s.PlacedOn[:7]
				for _, of := range [][3]string{
					{"total", view.Months, month}, {"total", view.ByCategory, l.Category}, {"total", view.ByCountry, s.MemberCountry}, {month, view.Days, s.PlacedOn},
					{month, view.ByCategory, l.Category}, {month, view.ByCountry, s.MemberCountry}, {month + "/products", view.ByProduct, l.ProductID},
				} {
					name := fmt.Sprint(of)
					add(of[0], of[1], of[2], s.Currency, units, sales, !seen[name])
					seen[name] = true
				}
			}
		}
		held := map[string]view.Tallied{}
		for doc, body := range got.Documents {
			for _, tally := range []string{view.Days, view.Months, view.ByCategory, view.ByCountry, view.ByProduct} {
				entries, err := view.TalliedIn(body, tally)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					held[fmt.Sprintf("%s %s %s %s", doc, tally, e.Key, e.Currency)] = e
				}
			}
		}
		if !reflect.DeepEqual(held, want) {
			for _, name := range slices.Sorted(maps.Keys(want)) {
				if held[name] != want[name] {
					t.Errorf("%s is %+v, want %+v", name, held[name], want[name])
				}
			}
			t.Errorf("%d entries, want %d", len(held), len(want))
		}
	})
}

func TestAddUp(t *testing.T) {
	desk := func(currency string, n int64) view.Tallied {
		return view.Tallied{Key: "Desk", Currency: currency, Orders: n, Units: 2 * n, Sales: 3 * n}
	}
	got := view.AddUp([]view.Tallied{desk("USD", 1), desk("EUR", 5), {Key: "Art", Currency: "USD", Orders: 1}, desk("USD", 2)})
	if want := []view.Tallied{{Key: "Art", Currency: "USD", Orders: 1}, desk("EUR", 5), desk("USD", 3)}; !slices.Equal(got, want) {
		t.Errorf("added up: %+v, want %+v", got, want)
	}
	body, err := view.TallyBody(view.ByCategory, got, 2)
	const want = `{"items":[{"category":"Art","currency":"USD","orders":1,"units":0,"sales":0},{"category":"Desk","currency":"EUR","orders":5,"units":10,"sales":15}]}`
	if err != nil || string(body) != want {
		t.Errorf("the first two are %s (%v)", body, err)
	}
	if body, err := view.TallyBody(view.Days, nil, 10); err != nil || string(body) != `{"items":[]}` {
		t.Errorf("nothing is %s (%v)", body, err)
	}
}
