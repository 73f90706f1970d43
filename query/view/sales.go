package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"jangbu/domain/order"
	"jangbu/query/row"
)

// Sales serves the shop's tallies: SalesTotal by month of placing, by product category, and by the member's country when
// the order was placed; SalesMonth by day, category and country within one month; and SalesProducts by product within
// one month. Cancelled orders leave them, and so does what was returned. AddUp and TallyBody make answers of them.
var Sales = &View{
	Name:    "sales",
	Version: 3,
	Sources: []Source{Resting(From(order.Category, order.Codec, sale.apply, saleRows), sale.rests)},
	Compose: composeSales,
}

// SalesTotal names the document of the whole shop.
const SalesTotal = "total"

// SalesMonth names the document of a month, YYYY-MM.
func SalesMonth(month string) string { return month }

// SalesProducts names the document of a month's products.
func SalesProducts(month string) string { return month + "/products" }

// The tallies, each a section of some documents.
const (
	Days       = "days"
	Months     = "months"
	ByCategory = "categories"
	ByCountry  = "countries"
	ByProduct  = "products"
)

// sale is all that the tallies need of an order.
type sale struct {
	PlacedOn string `json:"d,omitempty"`
	Country  string `json:"l,omitempty"`
	Currency string `json:"c,omitempty"`
	purchase
}

func (s sale) apply(e any) sale {
	if e, ok := e.(order.Placed); ok {
		s = sale{PlacedOn: e.PlacedOn, Country: e.MemberCountry, Currency: e.Currency}
	}
	s.purchase = s.purchase.apply(e, func(g good) good { return g })
	return s
}

func saleRows(_ string, s sale) []row.Row {
	if len(s.PlacedOn) < len("2006-01") || s.Cancelled {
		return nil
	}
	categories := s.Goods.by(categoryOf)
	if len(categories) == 0 {
		return nil // all of it came back
	}
	var all sold
	sorts := s.Goods.by(productOf)
	const figures = 3 // of each entry
	total, inMonth := make(map[string]int64, figures*(len(categories)+2)), make(map[string]int64, figures*(len(categories)+2))
	products := make(map[string]int64, figures*len(sorts))
	for _, c := range categories {
		all.Units, all.Sales = all.Units+c.Units, all.Sales+c.Sales
		c.add(total, "c", s.Currency)
		c.add(inMonth, "c", s.Currency)
	}
	for _, p := range sorts {
		p.add(products, "p", s.Currency)
	}
	month := s.PlacedOn[:len("2006-01")]
	named := func(name string) sold { return sold{Name: name, Units: all.Units, Sales: all.Sales} }
	named(month).add(total, "m", s.Currency)
	named(s.Country).add(total, "l", s.Currency)
	named(s.PlacedOn).add(inMonth, "d", s.Currency)
	named(s.Country).add(inMonth, "l", s.Currency)
	return []row.Row{
		{Doc: SalesTotal, Sums: total}, {Doc: SalesMonth(month), Sums: inMonth}, {Doc: SalesProducts(month), Sums: products},
	}
}

var letters = [...]struct{ letter, tally string }{{"d", Days}, {"m", Months}, {"c", ByCategory}, {"l", ByCountry}, {"p", ByProduct}}

// tallyOf is the tally of a letter, "" for none.
func tallyOf(letter string) string {
	for _, l := range letters {
		if l.letter == letter {
			return l.tally
		}
	}
	return ""
}

// A sum is named by the letters of its figure (o for orders, u for units, s for sales) and of its tally, then
// /currency/key. Millions of rows repeat these names, so they are short; a key may hold anything, so it comes last.
func (s sold) add(sums map[string]int64, letter, currency string) {
	key := letter + "/" + currency + "/" + s.Name
	names := "o" + key + "u" + key + "s" + key // share memory
	each := len(names) / 3
	sums[names[:each]]++
	sums[names[each:2*each]] += s.Units
	sums[names[2*each:]] += s.Sales
}

// Tallied is an entry of a tally as its document holds it.
type Tallied struct {
	Key      string `json:"k"`
	Currency string `json:"c"`
	Orders   int64  `json:"o"`
	Units    int64  `json:"u"`
	Sales    int64  `json:"s"`
}

func (t Tallied) compare(o Tallied) int {
	return cmp.Or(cmp.Compare(t.Key, o.Key), cmp.Compare(t.Currency, o.Currency))
}

func composeSales(d row.Document) ([]byte, error) {
	type place struct{ tally, key, currency string }
	at := map[place]*Tallied{}
	for name, n := range d.Sums {
		parts := strings.SplitN(name, "/", 3)
		if len(parts) != 3 || len(parts[0]) != 2 || tallyOf(parts[0][1:]) == "" {
			return nil, fmt.Errorf("sum %q is not figure, tally/currency/key", name)
		}
		p := place{tallyOf(parts[0][1:]), parts[2], parts[1]}
		if at[p] == nil {
			at[p] = &Tallied{Key: p.key, Currency: p.currency}
		}
		switch parts[0][0] {
		case 'o':
			at[p].Orders = n
		case 'u':
			at[p].Units = n
		case 's':
			at[p].Sales = n
		}
	}
	doc := map[string][]Tallied{}
	for p, t := range at {
		doc[p.tally] = append(doc[p.tally], *t)
	}
	if len(doc) == 0 {
		return nil, nil // as before the first order, and so the same whether there has ever been one
	}
	for _, list := range doc {
		slices.SortFunc(list, Tallied.compare)
	}
	return row.Marshal(doc)
}
