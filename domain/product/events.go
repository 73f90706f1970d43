// Package product is a thing the shop sells: created, described, priced, on sale for a while, discontinued one day, and
// relisted perhaps.
package product

import (
	"time"

	"jangbu/domain/event"
)

// Category names the streams of products: product-<id>.
const Category = "product"

// Stream names the stream of one product.
func Stream(id string) string { return event.StreamName(Category, id) }

// Created: the shop sells a new product. Price is in minor units of Currency (ISO 4217).
type Created struct {
	Name        string   `json:"name"`
	Category    string   `json:"category"`
	Price       int64    `json:"price"`
	Currency    string   `json:"currency"`
	Description string   `json:"description,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	Images      []string `json:"images,omitempty"`
}

// Renamed: the product goes by another name; orders placed before keep the old one.
type Renamed struct {
	Name string `json:"name"`
}

// Described: the product has another description, or none.
type Described struct {
	Description string `json:"description"`
}

// Categorised: the product belongs to another category; orders placed before keep the old one.
type Categorised struct {
	Category string `json:"category"`
}

// Tagged: these are all tags of the product, sorted.
type Tagged struct {
	Tags []string `json:"tags"`
}

// Pictured: these are all images of the product, in the order to show them.
type Pictured struct {
	Images []string `json:"images"` // https URLs
}

// Repriced: orders placed from now on pay Price, in minor units of the product's currency.
type Repriced struct {
	Price int64 `json:"price"`
}

// SaleSet: from From until before Until orders pay Price instead. It takes the place of any other sale.
type SaleSet struct {
	Price int64     `json:"price"`
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
}

// SaleEnded: there is no sale any more, nor will there be the one that was set.
type SaleEnded struct{}

// Discontinued: the product can no longer be ordered.
type Discontinued struct{}

// Relisted: the discontinued product can be ordered again.
type Relisted struct{}

// Codec reads and writes the events of a product.
var Codec = event.NewCodec(
	event.Of[Created]("product.created.v1"),
	event.Of[Renamed]("product.renamed.v1"),
	event.Of[Described]("product.described.v1"),
	event.Of[Categorised]("product.categorised.v1"),
	event.Of[Tagged]("product.tagged.v1"),
	event.Of[Pictured]("product.pictured.v1"),
	event.Of[Repriced]("product.repriced.v1"),
	event.Of[SaleSet]("product.sale_set.v1"),
	event.Of[SaleEnded]("product.sale_ended.v1"),
	event.Of[Discontinued]("product.discontinued.v1"),
	event.Of[Relisted]("product.relisted.v1"),
)
