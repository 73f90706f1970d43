package view

import (
	"cmp"
	"slices"
	"strings"

	"jangbu/domain/order"
)

// goods are the lines of an order as sums need them, with what has come back.
type goods []good

type good struct {
	Product  string `json:"p,omitempty"`
	Category string `json:"c,omitempty"`
	Units    int64  `json:"u"`
	Amount   int64  `json:"a,omitempty"` // of all units, in minor units
	Back     int64  `json:"b,omitempty"` // units that were returned
}

// goodsOf keeps of each line what keep leaves.
func goodsOf(lines []order.Line, keep func(good) good) goods {
	all := make(goods, len(lines))
	for i, l := range lines {
		all[i] = keep(good{Product: l.ProductID, Category: l.Category, Units: l.Quantity, Amount: l.Amount})
	}
	return all
}

// takeBack notes a return.
func (g goods) takeBack(lines []order.LineQuantity) goods {
	g = slices.Clone(g)
	for _, l := range lines {
		if l.Line >= 1 && l.Line <= len(g) {
			g[l.Line-1].Back += l.Quantity
		}
	}
	return g
}

// kept is what the customer kept of a line: its units, and its amount without what order.State.RefundOf pays back.
func (g good) kept() (units, amount int64) {
	if g.Back == 0 {
		return g.Units, g.Amount
	}
	whole := order.State{Placed: order.Placed{Lines: []order.Line{{Quantity: g.Units, Amount: g.Amount}}}}
	return g.Units - g.Back, g.Amount - whole.RefundOf([]order.LineQuantity{{Line: 1, Quantity: g.Back}})
}

// sold is what an order sold under one name: a product or a category.
type sold struct {
	Name  string
	Units int64
	Sales int64 // minor units
}

// by adds up what was kept, sorted by a name. A name of which everything came back is left out.
func (g goods) by(name func(good) string) []sold {
	all := make([]sold, 0, len(g))
	for _, one := range g {
		units, amount := one.kept()
		if units == 0 {
			continue
		}
		n := name(one)
		at, found := slices.BinarySearchFunc(all, n, func(s sold, n string) int { return cmp.Compare(s.Name, n) })
		if !found {
			all = slices.Insert(all, at, sold{Name: n})
		}
		all[at].Units += units
		all[at].Sales += amount
	}
	return all
}

func productOf(g good) string  { return g.Product }
func categoryOf(g good) string { return g.Category }

// inOneCurrency returns the sum named sum+currency when the counts named count+currency know at most one currency;
// otherwise nil and the sums of all, since adding up currencies would mean nothing.
func inOneCurrency(sums map[string]int64, count, sum string) (*int64, map[string]int64) {
	by := map[string]int64{}
	for name := range sums {
		if currency, ok := strings.CutPrefix(name, count); ok {
			by[currency] = sums[sum+currency]
		}
	}
	if len(by) > 1 {
		return nil, by
	}
	var only int64
	for _, n := range by {
		only = n
	}
	return &only, nil
}

// purchase is what an order bought, and whether that stands: all that a view needs of an order whose lines it counts.
type purchase struct {
	Goods     goods `json:"g,omitempty"`
	Cancelled bool  `json:"x,omitempty"`
	ending
}

// apply keeps of each line what keep leaves.
func (p purchase) apply(e any, keep func(good) good) purchase {
	switch e := e.(type) {
	case order.Placed:
		p = purchase{Goods: goodsOf(e.Lines, keep)}
	case order.Returned:
		p.Goods = p.Goods.takeBack(e.Lines)
	case order.Cancelled:
		p.Cancelled = true
	}
	p.ending = p.ending.apply(e)
	return p
}
