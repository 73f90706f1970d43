package view

import (
	"cmp"
	"slices"
	"strings"

	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/domain/stock"
	"jangbu/query/row"
)

// Products serves one document a product, with its stock and with what was sold of it; LowStock; and CategoryCounts.
// Cancelled orders count in no figure, nor does what was returned.
var Products = &View{
	Name:    "products",
	Version: 3,
	Sources: []Source{
		Sharing(From(product.Category, product.Codec, product.Apply, productRows), func(_ string, s product.State) any {
			return lowName{Name: s.Name, Gone: s.Discontinued}
		}),
		From(stock.Category, stock.Codec, onShelf.apply, onShelfRows),
		Resting(From(order.Category, order.Codec, basket.apply, basketRows), basket.rests),
	},
	Compose: func(d row.Document) ([]byte, error) {
		switch d.Doc {
		case LowStock:
			return composeLow(d)
		case CategoryCounts:
			return composeCategories(d)
		}
		return composeProduct(d)
	},
}

// The documents of Products that are about more than one product.
const (
	LowStock       = "/low"        // the products at or below their low-water mark, the scarcest first
	CategoryCounts = "/categories" // how many products are sold in each category
)

func productRows(id string, s product.State) []row.Row {
	if !s.Exists {
		return nil
	}
	doc := productDocument{
		ID: id, Name: s.Name, Category: s.Category, Description: s.Description, Tags: s.Tags, Images: s.Images,
		Price: s.Price, Currency: s.Currency, Sale: s.Sale, Discontinued: s.Discontinued,
	}
	if doc.Tags == nil {
		doc.Tags = []string{}
	}
	if doc.Images == nil {
		doc.Images = []string{}
	}
	rows := []row.Row{{Doc: id, Part: row.PartOf(doc)}}
	if !s.Discontinued {
		rows = append(rows, row.Row{Doc: CategoryCounts, Sums: map[string]int64{s.Category: 1}})
	}
	return rows
}

// onShelf is the stock of a product without the orders that it is set aside for, of which there may be very many.
type onShelf struct {
	OnHand   int64 `json:"o,omitempty"`
	Reserved int64 `json:"r,omitempty"`
	LowWater int64 `json:"l,omitempty"`
}

func (s onShelf) apply(e any) onShelf {
	switch e := e.(type) {
	case stock.Restocked:
		s.OnHand += e.Quantity
	case stock.Counted:
		s.OnHand = e.OnHand
	case stock.LowWaterSet:
		s.LowWater = e.LowWater
	case stock.Reserved:
		s.Reserved += e.Quantity
	case stock.Released:
		s.Reserved -= e.Quantity
	case stock.Shipped:
		s.Reserved -= e.Quantity
		s.OnHand -= e.Quantity
	case stock.Returned:
		s.OnHand += e.Quantity
	}
	return s
}

func onShelfRows(id string, s onShelf) []row.Row {
	if s == (onShelf{}) {
		return nil
	}
	rows := []row.Row{{Doc: id, Part: row.PartOf(s)}}
	if (stock.State{OnHand: s.OnHand, Reserved: s.Reserved, LowWater: s.LowWater}).Low() {
		rows = append(rows, row.Row{Doc: LowStock, Part: row.PartOf(s), Refs: []string{product.Stream(id)}})
	}
	return rows
}

// basket is all that the products' documents need of an order.
type basket struct{ purchase }

func (s basket) apply(e any) basket {
	return basket{s.purchase.apply(e, func(g good) good { g.Category = ""; return g })}
}

func basketRows(_ string, s basket) []row.Row {
	if s.Cancelled {
		return nil
	}
	products := s.Goods.by(productOf)
	rows := make([]row.Row, 0, len(products))
	for _, p := range products {
		rows = append(rows, row.Row{Doc: p.Name, Sums: map[string]int64{"orders": 1, "units": p.Units, "sales": p.Sales}})
	}
	return rows
}

type productDocument struct {
	ID           string           `json:"id"`
	Name         string           `json:"name"`
	Category     string           `json:"category"`
	Description  string           `json:"description"`
	Tags         []string         `json:"tags"`
	Images       []string         `json:"images"`
	Price        int64            `json:"price"`
	Currency     string           `json:"currency"`
	Sale         *product.SaleSet `json:"sale"` // the price of a while, which may be to come or over
	Discontinued bool             `json:"discontinued"`
	Stock        productStock     `json:"stock"`
	Sold         productSold      `json:"sold"`
}

type productStock struct {
	OnHand    int64 `json:"on_hand"`
	Reserved  int64 `json:"reserved"`
	Available int64 `json:"available"`
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
	if part, ok := d.Parts[stock.Stream(d.Doc)]; ok {
		s, err := row.Decode[onShelf](part)
		if err != nil {
			return nil, err
		}
		doc.Stock = productStock{OnHand: s.OnHand, Reserved: s.Reserved, Available: s.OnHand - s.Reserved}
	}
	doc.Sold = productSold{Orders: d.Sums["orders"], Units: d.Sums["units"], Sales: d.Sums["sales"]}
	return row.Marshal(doc)
}

// lowName is what a product shares with LowStock, which discontinued ones leave.
type lowName struct {
	Name string `json:"n"`
	Gone bool   `json:"x,omitempty"`
}

type lowProduct struct {
	ProductID string `json:"product_id"`
	Name      string `json:"name"`
	Available int64  `json:"available"`
	LowWater  int64  `json:"low_water"`
}

func composeLow(d row.Document) ([]byte, error) {
	var low []lowProduct
	for stream, part := range d.Parts {
		id, ok := strings.CutPrefix(stream, stock.Category+"-")
		if !ok {
			continue
		}
		s, err := row.Decode[onShelf](part)
		if err != nil {
			return nil, err
		}
		var p lowName
		if shared, ok := d.Parts[product.Stream(id)]; ok {
			if p, err = row.Decode[lowName](shared); err != nil {
				return nil, err
			}
		}
		if !p.Gone {
			low = append(low, lowProduct{ProductID: id, Name: p.Name, Available: s.OnHand - s.Reserved, LowWater: s.LowWater})
		}
	}
	slices.SortFunc(low, func(a, b lowProduct) int {
		return cmp.Or(cmp.Compare(a.Available, b.Available), cmp.Compare(a.ProductID, b.ProductID))
	})
	return items(low)
}

type categoryCount struct {
	Category string `json:"category"`
	Products int64  `json:"products"`
}

func composeCategories(d row.Document) ([]byte, error) {
	var all []categoryCount
	for name, n := range d.Sums {
		all = append(all, categoryCount{name, n})
	}
	slices.SortFunc(all, func(a, b categoryCount) int { return cmp.Compare(a.Category, b.Category) })
	return items(all)
}

// items is a document that lists something, or none where there is nothing: as before the first, and so the same whether
// there has ever been one.
func items[T any](list []T) ([]byte, error) {
	if len(list) == 0 {
		return nil, nil
	}
	return row.Marshal(map[string][]T{"items": list})
}
