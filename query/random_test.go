package query_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/test/history"
)

// line is what a customer kept of a line of an order.
type line struct {
	order, day, category, country, product, currency string
	units, sales                                     int64
}

// lines are what was kept of all orders, by the states of the domain.
func (s *shop) lines() (all []line) {
	states := map[string]order.State{}
	for _, e := range s.log.Events() {
		if event.Category(e.Stream) != order.Category {
			continue
		}
		domainEvent, err := order.Codec.Decode(e.Type, e.Data)
		if err != nil {
			s.Fatal(err)
		}
		states[e.Stream] = order.Apply(states[e.Stream], domainEvent)
	}
	for id, o := range states {
		if o.Status == order.StatusCancelled {
			continue
		}
		whole := order.State{Placed: o.Placed} // of which nothing has come back yet
		for i, l := range o.Lines {
			back := order.LineQuantity{Line: i + 1}
			for _, r := range o.Returns {
				for _, q := range r.Lines {
					if q.Line == back.Line {
						back.Quantity += q.Quantity
					}
				}
			}
			if units := l.Quantity - back.Quantity; units > 0 {
				all = append(all, line{id, o.PlacedOn, l.Category, o.MemberCountry, l.ProductID, o.Currency, units, l.Amount - whole.RefundOf([]order.LineQuantity{back})})
			}
		}
	}
	return all
}

// entry is one of a tally.
type entry struct {
	key, currency        string
	orders, units, sales int64
}

var tallies = map[string]struct {
	field string
	key   func(line) string
}{
	"days":       {"day", func(l line) string { return l.day }},
	"months":     {"month", func(l line) string { return l.day[:len("2026-01")] }},
	"categories": {"category", func(l line) string { return l.category }},
	"countries":  {"country", func(l line) string { return l.country }},
	"products":   {"product_id", func(l line) string { return l.product }},
}

// addUp makes a tally of lines.
func addUp(lines []line, tally string, limit int) (shown []entry) {
	type place struct{ key, currency string }
	sums, orders, currencies := map[place]entry{}, map[place]map[string]bool{}, map[string]int{}
	for _, l := range lines {
		at := place{tallies[tally].key(l), l.currency}
		if orders[at] == nil {
			orders[at] = map[string]bool{}
		}
		orders[at][l.order] = true
		sums[at] = entry{at.key, at.currency, int64(len(orders[at])), sums[at].units + l.units, sums[at].sales + l.sales}
		currencies[l.currency] = 0
	}
	var all []entry
	for _, e := range sums {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b entry) int {
		if tally == "products" {
			return cmp.Or(cmp.Compare(a.currency, b.currency), cmp.Compare(b.sales, a.sales), cmp.Compare(a.key, b.key))
		}
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.currency, b.currency))
	})
	for _, e := range all {
		currencies[e.currency]++
		if cut := tally == "products" && currencies[e.currency] > limit || tally != "products" && len(shown) == limit; cut {
			continue
		}
		if len(currencies) == 1 {
			e.currency = ""
		}
		if tally == "countries" {
			e.units = 0 // which it does not tell
		}
		shown = append(shown, e)
	}
	return shown
}

// sales asks for a tally.
func (s *shop) sales(path, field string) (shown []entry) {
	s.Helper()
	var body struct{ Items []map[string]any }
	a := s.get(path)
	if err := json.Unmarshal(a.Body.Bytes(), &body); err != nil || a.Code != 200 {
		s.Fatalf("%s: %d %s", path, a.Code, a.Body)
	}
	for _, item := range body.Items {
		number := func(name string) int64 { n, _ := item[name].(float64); return int64(n) }
		text := func(name string) string { t, _ := item[name].(string); return t }
		shown = append(shown, entry{text(field), text("currency"), number("orders"), number("units"), number("sales")})
	}
	return shown
}

// TestSalesAreSums: every tally, of any period and cut off anywhere, is what adding up by hand makes of the orders.
func TestSalesAreSums(t *testing.T) {
	history.Seeds(t, 5, func(t *testing.T, r *rand.Rand) {
		s := newShop(t)
		s.log = history.Random(t, r, 600)
		s.replay()
		all := s.lines()
		if len(all) == 0 {
			t.Fatal("nothing was sold, so nothing is shown")
		}
		edge := func() string { // of a period
			if r.IntN(3) == 0 {
				return ""
			}
			return all[r.IntN(len(all))].day
		}
		for range 50 {
			from, to, limit := edge(), edge(), 1+r.IntN(5)
			if from > to && to != "" {
				from, to = to, from
			}
			for tally, of := range tallies {
				form := func(day string) string { return day }
				if tally != "days" {
					form = func(day string) string { return day[:min(len(day), len("2026-01"))] }
				}
				in := slices.DeleteFunc(slices.Clone(all), func(l line) bool {
					return form(l.day) < form(from) || to != "" && form(l.day) > form(to)
				})
				path := fmt.Sprintf("/sales/%s?from=%s&to=%s&limit=%d", tally, form(from), form(to), limit)
				if got, want := s.sales(path, of.field), addUp(in, tally, limit); !slices.Equal(got, want) {
					t.Fatalf("%s\n got %v\nwant %v", path, got, want)
				}
			}
		}
	})
}
