package command

import (
	"github.com/labstack/echo/v4"
	"golang.org/x/text/unicode/norm"

	"jangbu/domain/product"
	"jangbu/infra/web"
)

func (s *Service) products() aggregate[product.State, product.Command] {
	return aggregate[product.State, product.Command]{product.Category, product.Codec, product.Apply,
		func(state product.State, c product.Command) ([]any, error) {
			return product.Decide(state, c, s.cfg.Now())
		}}
}

func (s *Service) registerProducts(e *echo.Echo) {
	products := s.products()
	e.POST("/products", creating(s, products, createProduct))
	e.POST("/products/:id/rename", changing(s, products, web.Decode, renameProduct))
	e.POST("/products/:id/describe", changing(s, products, decodeComplete, describeProduct))
	e.POST("/products/:id/categorise", changing(s, products, web.Decode, categoriseProduct))
	e.POST("/products/:id/tag", changing(s, products, decodeComplete, tagProduct))
	e.POST("/products/:id/picture", changing(s, products, decodeComplete, pictureProduct))
	e.POST("/products/:id/reprice", changing(s, products, web.Decode, repriceProduct))
	e.POST("/products/:id/sale", s.setSale)
	e.POST("/products/:id/sale/end", changing(s, products, web.DecodeOptional, endSale))
	e.POST("/products/:id/discontinue", changing(s, products, web.DecodeOptional, discontinueProduct))
	e.POST("/products/:id/relist", changing(s, products, web.DecodeOptional, relistProduct))
}

type createProductBody struct {
	ID          string   `json:"id,omitempty"`
	Name        string   `json:"name"`
	Category    string   `json:"category"`
	Price       *int64   `json:"price"`
	Currency    string   `json:"currency"`
	Description string   `json:"description,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	Images      []string `json:"images,omitempty"`
}

func (b createProductBody) clientID() string { return b.ID }

func createProduct(id string, b createProductBody) product.Command {
	return product.Create{ID: id, Name: composed(b.Name), Category: composed(b.Category), Price: given(b.Price), Currency: b.Currency,
		Description: b.Description, Tags: allComposed(b.Tags), Images: b.Images}
}

func renameProduct(id string, b renameBody) product.Command {
	return product.Rename{ID: id, Name: composed(b.Name)}
}

type describeBody struct {
	Description *string `json:"description"`
}

func (b describeBody) complete() error {
	return wanted("/description", b.Description != nil, `"" removes it`)
}

func describeProduct(id string, b describeBody) product.Command {
	return product.Describe{ID: id, Description: *b.Description}
}

type categoriseBody struct {
	Category string `json:"category"`
}

func categoriseProduct(id string, b categoriseBody) product.Command {
	return product.Categorise{ID: id, Category: composed(b.Category)}
}

type tagBody struct {
	Tags []string `json:"tags"`
}

func (b tagBody) complete() error { return wanted("/tags", b.Tags != nil, "[] removes all") }

func tagProduct(id string, b tagBody) product.Command {
	return product.Tag{ID: id, Tags: allComposed(b.Tags)}
}

type pictureBody struct {
	Images []string `json:"images"`
}

func (b pictureBody) complete() error { return wanted("/images", b.Images != nil, "[] removes all") }

func pictureProduct(id string, b pictureBody) product.Command {
	return product.Picture{ID: id, Images: b.Images}
}

type repriceBody struct {
	Price *int64 `json:"price"`
}

func repriceProduct(id string, b repriceBody) product.Command {
	return product.Reprice{ID: id, Price: given(b.Price)}
}

type saleBody struct {
	Price *int64 `json:"price"`
	From  string `json:"from"`
	Until string `json:"until"`
}

// setSale handles POST /products/:id/sale, which the clock refuses when the sale would be over.
func (s *Service) setSale(c echo.Context) error {
	id, body, r, err := readChange[saleBody](c, product.Category, web.Decode)
	if err != nil {
		return err
	}
	o := s.products().operation(r, id, product.SetSale{ID: id, Price: given(body.Price), From: body.From, Until: body.Until})
	o.elsewhere = true
	return s.run(c, o)
}

func endSale(id string, _ struct{}) product.Command { return product.EndSale{ID: id} }

func discontinueProduct(id string, _ struct{}) product.Command { return product.Discontinue{ID: id} }

func relistProduct(id string, _ struct{}) product.Command { return product.Relist{ID: id} }

// composed is a text by which things are counted or found, with its accents composed (NFC): what looks the same is one category,
// tag or country. E-mail addresses stay as they are typed, since those of before are reserved so. It is no part of what tells one
// request from another, so that one of before is known again.
func composed(text string) string { return norm.NFC.String(text) }

func allComposed(texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = composed(text)
	}
	return all
}

// given is the number, or one that no rule accepts: a price left out must not make a product free.
func given(n *int64) int64 {
	if n == nil {
		return -1
	}
	return *n
}
