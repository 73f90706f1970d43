package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"jangbu/domain/order"
	"jangbu/query/row"
)

// The documents of Sales, each a tally over all orders.
const (
	SalesMonths     = "months"
	SalesCategories = "categories"
	SalesCountries  = "countries"
)

// Sales serves the shop's tallies: by month of placing, by product category, and by the member's country when the
// order was placed. Cancelled orders leave them.
var Sales = &View{
	Name:    "sales",
	Version: 1,
	Sources: []Source{
		From(order.Category, order.Codec, sale.apply, func(_ string, s sale, _ int64) []row.Row {
			if s.Month == "" || s.Cancelled {
				return nil
			}
			var all sold
			categories := map[string]int64{}
			for _, c := range s.Categories {
				all.Units, all.Sales = all.Units+c.Units, all.Sales+c.Sales
				c.add(categories, s.Currency)
			}
			months, countries := map[string]int64{}, map[string]int64{}
			sold{Name: s.Month, Units: all.Units, Sales: all.Sales}.add(months, s.Currency)
			sold{Name: s.Country, Units: all.Units, Sales: all.Sales}.add(countries, s.Currency)
			return []row.Row{
				{Doc: SalesMonths, Sums: months}, {Doc: SalesCategories, Sums: categories}, {Doc: SalesCountries, Sums: countries},
			}
		}),
	},
	Compose: composeSales,
}

// sale is all that the tallies need of an order.
type sale struct {
	Month      string `json:"m,omitempty"`
	Country    string `json:"l,omitempty"`
	Currency   string `json:"c,omitempty"`
	Categories []sold `json:"p,omitempty"`
	Cancelled  bool   `json:"x,omitempty"`
}

func (s sale) apply(e any) sale {
	switch e := e.(type) {
	case order.Placed:
		return sale{Month: e.PlacedOn[:min(len(e.PlacedOn), len("2006-01"))], Country: e.MemberCountry, Currency: e.Currency,
			Categories: soldBy(e.Lines, func(l order.Line) string { return l.Category })}
	case order.Cancelled:
		s.Cancelled = true
	}
	return s
}

// A sum of a tally is named figure/currency/key: o for orders, u for units, s for sales. Millions of rows repeat these
// names, so they are short; a key may hold anything, so it comes last.
func (s sold) add(sums map[string]int64, currency string) {
	key := "/" + currency + "/" + s.Name
	sums["o"+key]++
	sums["u"+key] += s.Units
	sums["s"+key] += s.Sales
}

type tallyItem struct {
	Month    *string `json:"month,omitempty"`
	Category *string `json:"category,omitempty"`
	Country  *string `json:"country,omitempty"`
	Currency string  `json:"currency,omitempty"` // only where the tally has more than one
	Orders   int64   `json:"orders"`
	Units    *int64  `json:"units,omitempty"`
	Sales    int64   `json:"sales"`
}

type tallyKey struct{ key, currency string }

func composeSales(d row.Document) ([]byte, error) {
	items, currencies := map[tallyKey]*tallyItem{}, map[string]bool{}
	for name, n := range d.Sums {
		parts := strings.SplitN(name, "/", 3)
		if len(parts) != 3 {
			return nil, fmt.Errorf("sum %q is not figure/currency/key", name)
		}
		k := tallyKey{key: parts[2], currency: parts[1]}
		if items[k] == nil {
			items[k] = newTallyItem(d.Doc, k.key)
			currencies[k.currency] = true
		}
		switch parts[0] {
		case "o":
			items[k].Orders = n
		case "u":
			if items[k].Units != nil {
				*items[k].Units = n
			}
		case "s":
			items[k].Sales = n
		}
	}
	keys := slices.SortedFunc(maps.Keys(items), func(a, b tallyKey) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return strings.Compare(a.currency, b.currency)
	})
	list := make([]*tallyItem, 0, len(keys))
	for _, k := range keys {
		if len(currencies) > 1 {
			items[k].Currency = k.currency
		}
		list = append(list, items[k])
	}
	if len(list) == 0 {
		return nil, nil // as before the first order, and so the same whether there has ever been one
	}
	return row.Marshal(map[string]any{"items": list})
}

func newTallyItem(doc, key string) *tallyItem {
	switch doc {
	case SalesMonths:
		return &tallyItem{Month: &key, Units: new(int64)}
	case SalesCategories:
		return &tallyItem{Category: &key, Units: new(int64)}
	default:
		return &tallyItem{Country: &key}
	}
}
