package view

import (
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/query/row"
)

// Members serves one document a member, with what they ordered. Cancelled orders count in none of its figures.
var Members = &View{
	Name:    "members",
	Version: 1,
	Sources: []Source{
		From(member.Category, member.Codec, member.Apply, func(id string, s member.State, _ int64) []row.Row {
			return []row.Row{{Doc: id, Part: row.PartOf(memberDocument{
				ID: id, Name: s.Name, Contact: s.Contact, City: s.City, Country: s.Country, Phone: s.Phone,
			})}}
		}),
		From(order.Category, order.Codec, spend.apply, func(_ string, s spend, _ int64) []row.Row {
			if s.Member == "" || s.Cancelled {
				return nil
			}
			return []row.Row{{Doc: s.Member, Key: s.PlacedOn, Sums: map[string]int64{
				"orders": 1, "o/" + s.Currency: 1, "s/" + s.Currency: s.Amount,
			}}}
		}),
	},
	Compose: composeMember,
}

// spend is all that a member's document needs of an order.
type spend struct {
	Member    string `json:"m,omitempty"`
	PlacedOn  string `json:"d,omitempty"`
	Currency  string `json:"c,omitempty"`
	Amount    int64  `json:"a,omitempty"` // sum of the lines
	Cancelled bool   `json:"x,omitempty"`
}

func (s spend) apply(e any) spend {
	switch e := e.(type) {
	case order.Placed:
		return spend{Member: e.MemberID, PlacedOn: e.PlacedOn, Currency: e.Currency, Amount: order.State{Placed: e}.Subtotal()}
	case order.Cancelled:
		s.Cancelled = true
	}
	return s
}

type memberDocument struct {
	ID              string           `json:"id"`
	Name            string           `json:"name"`
	Contact         string           `json:"contact"`
	City            string           `json:"city"`
	Country         string           `json:"country"`
	Phone           string           `json:"phone"`
	Orders          int64            `json:"orders"`
	Spent           *int64           `json:"spent"` // null when there is no single currency to say it in
	SpentByCurrency map[string]int64 `json:"spent_by_currency,omitempty"`
	FirstOrderOn    *string          `json:"first_order_on"`
	LastOrderOn     *string          `json:"last_order_on"`
}

func composeMember(d row.Document) ([]byte, error) {
	part, ok := d.Parts[member.Stream(d.Doc)]
	if !ok {
		return nil, nil
	}
	doc, err := row.Decode[memberDocument](part)
	if err != nil {
		return nil, err
	}
	doc.Orders = d.Sums["orders"]
	doc.Spent, doc.SpentByCurrency = inOneCurrency(d.Sums, "o/", "s/")
	if d.First != "" {
		doc.FirstOrderOn, doc.LastOrderOn = &d.First, &d.Last
	}
	return row.Marshal(doc)
}
