package view

import (
	"cmp"
	"slices"
	"strings"

	"jangbu/domain/order"
)

// sold is what an order sold under one name: a product or a category.
type sold struct {
	Name  string `json:"n"`
	Units int64  `json:"u,omitempty"`
	Sales int64  `json:"a,omitempty"` // minor units
}

// soldBy adds up lines by a name, sorted by it.
func soldBy(lines []order.Line, name func(order.Line) string) []sold {
	var all []sold
	for _, l := range lines {
		n := name(l)
		at, found := slices.BinarySearchFunc(all, n, func(s sold, n string) int { return cmp.Compare(s.Name, n) })
		if !found {
			all = slices.Insert(all, at, sold{Name: n})
		}
		all[at].Units += l.Quantity
		all[at].Sales += l.Amount
	}
	return all
}

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
