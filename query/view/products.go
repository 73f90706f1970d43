package view

import (
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/query/row"
)

// Products serves one document a product, with what was sold of it. Cancelled orders count in none of its figures.
var Products = &View{
	Name:    "products",
	Version: 1,
	Sources: []Source{
		From(product.Category, product.Codec, product.Apply, func(id string, s product.State, _ int64) []row.Row {
			return []row.Row{{Doc: id, Part: row.PartOf(productDocument{
				ID: id, Name: s.Name, Category: s.Category, Price: s.Price, Currency: s.Currency, Discontinued: s.Discontinued,
			})}}
		}),
		From(order.Category, order.Codec, basket.apply, func(_ string, s basket, _ int64) []row.Row {
			if s.Cancelled {
				return nil
			}
			var rows []row.Row
			for _, p := range s.Products {
				rows = append(rows, row.Row{Doc: p.Name, Sums: map[string]int64{"orders": 1, "units": p.Units, "sales": p.Sales}})
			}
			return rows
		}),
	},
	Compose: composeProduct,
}

// basket is all that the products' documents need of an order.
type basket struct {
	Products  []sold `json:"p,omitempty"`
	Cancelled bool   `json:"x,omitempty"`
}

func (s basket) apply(e any) basket {
	switch e := e.(type) {
	case order.Placed:
		return basket{Products: soldBy(e.Lines, func(l order.Line) string { return l.ProductID })}
	case order.Cancelled:
		s.Cancelled = true
	}
	return s
}

type productDocument struct {
	ID           string      `json:"id"`
	Name         string      `json:"name"`
	Category     string      `json:"category"`
	Price        int64       `json:"price"`
	Currency     string      `json:"currency"`
	Discontinued bool        `json:"discontinued"`
	Sold         productSold `json:"sold"`
}

type productSold struct {
	Orders int64 `json:"orders"`
	Units  int64 `json:"units"`
	Sales  int64 `json:"sales"` // minor units of the product's currency
}

func composeProduct(d row.Document) ([]byte, error) {
	part, ok := d.Parts[product.Stream(d.Doc)]
	if !ok {
		return nil, nil
	}
	doc, err := row.Decode[productDocument](part)
	if err != nil {
		return nil, err
	}
	doc.Sold = productSold{Orders: d.Sums["orders"], Units: d.Sums["units"], Sales: d.Sums["sales"]}
	return row.Marshal(doc)
}
