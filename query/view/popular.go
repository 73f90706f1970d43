package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"jangbu/domain/product"
	"jangbu/domain/stock"
	"jangbu/query/row"
)

// Popular serves one document a shelf: its products by how many units left the stock and did not come back, most first.
// That is a figure of the product's one stock stream, which the product's row refers to; docs/adr/0011-lists.md says why it
// is not summed up from orders, and what it costs.
var Popular = &View{
	Name:    "popular",
	Version: 3,
	Sources: []Source{
		From(product.Category, product.Codec, shown.follow, func(id string, s shown) []row.Row {
			if !s.Exists || s.Gone {
				return nil
			}
			item := row.PartOf(s.item(id))
			var rows []row.Row
			for _, shelf := range shelves(s.Category, s.Tags) {
				rows = append(rows, row.Row{Doc: shelf.List(MostSold), Part: item, Refs: []string{stock.Stream(id)}})
			}
			return rows
		}),
		Sharing(From(stock.Category, stock.Codec, demand.apply, nil), func(_ string, s demand) any { return s }),
	},
	Compose: composePopular,
}

// MaxPopular is how many products a document of Popular shows.
const MaxPopular = 1000

// demand is all of a stock that makes a product popular. Most of what happens to a stock leaves it as it is.
type demand struct {
	Units int64 `json:"u,omitempty"`
}

func (s demand) apply(e any) demand {
	switch e := e.(type) {
	case stock.Shipped:
		s.Units += e.Quantity
	case stock.Returned:
		s.Units -= e.Quantity
	}
	return s
}

// Ranked is a document of Popular: items, and beside each the key by which pages go on after it.
type Ranked struct {
	Keys  []string          `json:"keys"` // ascending
	Items []json.RawMessage `json:"items"`
}

func composePopular(d row.Document) ([]byte, error) {
	type ranked struct {
		id    string
		units int64
		part  row.Part
	}
	var all []ranked
	for stream, part := range d.Parts {
		id, ok := strings.CutPrefix(stream, product.Category+"-")
		if !ok {
			continue
		}
		r := ranked{id: id, part: part}
		if shared, ok := d.Parts[stock.Stream(id)]; ok {
			s, err := row.Decode[demand](shared)
			if err != nil {
				return nil, err
			}
			r.units = max(0, s.Units)
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil, nil
	}
	slices.SortFunc(all, func(a, b ranked) int { return cmp.Or(cmp.Compare(b.units, a.units), cmp.Compare(a.id, b.id)) })
	var doc Ranked
	for _, r := range all[:min(len(all), MaxPopular)] {
		doc.Keys = append(doc.Keys, descending(fmt.Sprintf("%015d", r.units))+" "+r.id)
		doc.Items = append(doc.Items, r.part.Bytes())
	}
	return row.Marshal(doc)
}
