package command

import (
	"jangbu/domain/member"
	"jangbu/domain/product"
)

var members = aggregate[member.State, member.Command]{member.Category, member.Codec, member.Apply, member.Decide}

func (s *Service) products() aggregate[product.State, product.Command] {
	return aggregate[product.State, product.Command]{product.Category, product.Codec, product.Apply,
		func(state product.State, c product.Command) ([]any, error) { return product.Decide(state, c, s.cfg.Now()) }}
}

type registerBody struct {
	ID      string `json:"id,omitempty"`
	Name    string `json:"name"`
	Contact string `json:"contact,omitempty"`
	City    string `json:"city,omitempty"`
	Country string `json:"country,omitempty"`
	Phone   string `json:"phone,omitempty"`
}

func (b registerBody) clientID() string { return b.ID }

func registerMember(id string, b registerBody) member.Command {
	return member.Register{ID: id, Name: b.Name, Contact: b.Contact, City: b.City, Country: b.Country, Phone: b.Phone}
}

type renameBody struct {
	Name string `json:"name"`
}

func renameMember(id string, b renameBody) member.Command { return member.Rename{ID: id, Name: b.Name} }

type createProductBody struct {
	ID       string `json:"id,omitempty"`
	Name     string `json:"name"`
	Category string `json:"category"`
	Price    *int64 `json:"price"`
	Currency string `json:"currency"`
}

func (b createProductBody) clientID() string { return b.ID }

func createProduct(id string, b createProductBody) product.Command {
	return product.Create{ID: id, Name: b.Name, Category: b.Category, Price: given(b.Price), Currency: b.Currency}
}

func renameProduct(id string, b renameBody) product.Command {
	return product.Rename{ID: id, Name: b.Name}
}

type repriceBody struct {
	Price *int64 `json:"price"`
}

func repriceProduct(id string, b repriceBody) product.Command {
	return product.Reprice{ID: id, Price: given(b.Price)}
}

// given is the price, or one that no rule accepts: a price left out must not make a product free.
func given(price *int64) int64 {
	if price == nil {
		return -1
	}
	return *price
}

func discontinueProduct(id string, _ struct{}) product.Command { return product.Discontinue{ID: id} }
