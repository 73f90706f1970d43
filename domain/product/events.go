// Package product is a thing the shop sells: created, renamed, repriced, and one day discontinued.
package product

import "jangbu/domain/event"

// Category names the streams of products: product-<id>.
const Category = "product"

// Stream names the stream of one product.
func Stream(id string) string { return event.StreamName(Category, id) }

// Created: the shop sells a new product. Price is in minor units of Currency (ISO 4217).
type Created struct {
	Name     string `json:"name"`
	Category string `json:"category"`
	Price    int64  `json:"price"`
	Currency string `json:"currency"`
}

// Renamed: the product goes by another name; orders placed before keep the old one.
type Renamed struct {
	Name string `json:"name"`
}

// Repriced: orders placed from now on pay Price, in minor units of the product's currency.
type Repriced struct {
	Price int64 `json:"price"`
}

// Discontinued: the product can no longer be ordered.
type Discontinued struct{}

// Codec reads and writes the events of a product.
var Codec = event.NewCodec(
	event.Of[Created]("product.created.v1"),
	event.Of[Renamed]("product.renamed.v1"),
	event.Of[Repriced]("product.repriced.v1"),
	event.Of[Discontinued]("product.discontinued.v1"),
)
