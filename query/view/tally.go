package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"jangbu/query/row"
)

// TalliedIn reads a tally in a document of Sales, sorted by key, then currency; a document that does not exist has none.
func TalliedIn(doc []byte, tally string) ([]Tallied, error) {
	if doc == nil {
		return nil, nil
	}
	var all map[string][]Tallied
	if err := json.Unmarshal(doc, &all); err != nil {
		return nil, fmt.Errorf("a document of sales: %w", err)
	}
	return all[tally], nil
}

// AddUp merges tallies of months that have no order in common, so that every count is exact.
func AddUp(list []Tallied) []Tallied {
	type place struct{ key, currency string }
	sums := map[place]Tallied{}
	for _, t := range list {
		p := place{t.Key, t.Currency}
		sum := sums[p]
		sums[p] = Tallied{t.Key, t.Currency, sum.Orders + t.Orders, sum.Units + t.Units, sum.Sales + t.Sales}
	}
	all := make([]Tallied, 0, len(sums))
	for _, t := range sums {
		all = append(all, t)
	}
	slices.SortFunc(all, Tallied.compare)
	return all
}

type tallyItem struct {
	Day       *string `json:"day,omitempty"`
	Month     *string `json:"month,omitempty"`
	Category  *string `json:"category,omitempty"`
	Country   *string `json:"country,omitempty"`
	ProductID *string `json:"product_id,omitempty"`
	Currency  string  `json:"currency,omitempty"` // only where the tally has more than one
	Orders    int64   `json:"orders"`
	Units     *int64  `json:"units,omitempty"`
	Sales     int64   `json:"sales"`
}

// TallyBody is the answer that shows the first entries of a tally, at most limit: sorted by key, but the products of each currency
// by what they sold, most first, and at most limit of each.
func TallyBody(tally string, all []Tallied, limit int) ([]byte, error) {
	if tally == ByProduct {
		all = slices.Clone(all)
		slices.SortFunc(all, func(a, b Tallied) int {
			return cmp.Or(cmp.Compare(a.Currency, b.Currency), cmp.Compare(b.Sales, a.Sales), cmp.Compare(a.Key, b.Key))
		})
	}
	several := slices.ContainsFunc(all, func(t Tallied) bool { return t.Currency != all[0].Currency })
	list := []tallyItem{}
	shown := map[string]int{} // entries, of products by currency
	for _, t := range all {
		of := ""
		if tally == ByProduct {
			of = t.Currency
		}
		if shown[of]++; shown[of] > limit {
			continue
		}
		i := tallyItem{Orders: t.Orders, Units: &t.Units, Sales: t.Sales}
		switch tally {
		case Days:
			i.Day = &t.Key
		case Months:
			i.Month = &t.Key
		case ByCategory:
			i.Category = &t.Key
		case ByCountry:
			i.Country, i.Units = &t.Key, nil
		case ByProduct:
			i.ProductID = &t.Key
		}
		if several {
			i.Currency = t.Currency
		}
		list = append(list, i)
	}
	return row.Marshal(map[string][]tallyItem{"items": list})
}
