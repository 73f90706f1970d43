package view

import (
	"slices"
	"strings"

	"jangbu/domain/email"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/query/row"
)

// Members serves one document a member, with what they ordered, and one for each e-mail address, as MemberEmail names
// it: who has it. Cancelled orders count in none of a member's figures, nor does what was returned.
var Members = &View{
	Name:    "members",
	Version: 3,
	Sources: []Source{
		From(member.Category, member.Codec, member.Apply, memberRows),
		Resting(From(order.Category, order.Codec, spend.apply, spendRows), spend.rests),
	},
	Compose: composeMember,
}

const emailDocuments = "/email/"

// MemberEmail names the document of an e-mail address in any spelling, or is false for what is no address.
func MemberEmail(address string) (doc string, ok bool) {
	normal, ok := email.Normal(address)
	return emailDocuments + normal, ok
}

func memberRows(id string, s member.State) []row.Row {
	if !s.Exists {
		return nil
	}
	doc := memberDocument{ID: id, Name: s.Name, Email: s.Email, Contact: s.Contact, City: s.City, Country: s.Country,
		Phone: s.Phone, Addresses: s.Addresses, Closed: s.Closed}
	if doc.Addresses == nil {
		doc.Addresses = []member.Address{}
	}
	rows := []row.Row{{Doc: id, Part: row.PartOf(doc)}}
	if s.Email != "" {
		rows = append(rows, row.Row{Doc: emailDocuments + s.Email, Part: row.PartOf(emailOwner{id, s.Name, s.Email})})
	}
	return rows
}

// spend is all that a member's document needs of an order.
type spend struct {
	progress
	Member   string `json:"m,omitempty"`
	PlacedOn string `json:"d,omitempty"`
	Currency string `json:"c,omitempty"`
	Goods    goods  `json:"g,omitempty"`
}

func (s spend) apply(e any) spend {
	switch e := e.(type) {
	case order.Placed:
		s = spend{Member: e.MemberID, PlacedOn: e.PlacedOn, Currency: e.Currency,
			Goods: goodsOf(e.Lines, func(g good) good { g.Product = ""; return g })}
	case order.Returned:
		s.Goods = s.Goods.takeBack(e.Lines)
	}
	s.progress = s.progress.apply(e)
	return s
}

// A sum is named o/currency for orders, s/currency for what was spent, and u/category for units.
func spendRows(_ string, s spend) []row.Row {
	if s.Member == "" || s.Status == order.StatusCancelled || s.Status == order.StatusReturned {
		return nil
	}
	sums := map[string]int64{"orders": 1, "o/" + s.Currency: 1}
	if s.open() {
		sums["open"] = 1
	}
	for _, c := range s.Goods.by(categoryOf) {
		sums["s/"+s.Currency] += c.Sales
		sums["u/"+c.Name] = c.Units
	}
	return []row.Row{{Doc: s.Member, Key: s.PlacedOn, Sums: sums}}
}

type emailOwner struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

type memberDocument struct {
	ID                string           `json:"id"`
	Name              string           `json:"name"`
	Email             string           `json:"email"`
	Contact           string           `json:"contact"`
	City              string           `json:"city"`
	Country           string           `json:"country"`
	Phone             string           `json:"phone"`
	Addresses         []member.Address `json:"addresses"`
	Closed            bool             `json:"closed"`
	Orders            int64            `json:"orders"`
	OpenOrders        int64            `json:"open_orders"` // that are neither delivered, nor cancelled, nor returned
	Spent             *int64           `json:"spent"`       // null when there is no single currency to say it in
	SpentByCurrency   map[string]int64 `json:"spent_by_currency,omitempty"`
	FavouriteCategory *string          `json:"favourite_category"` // of which most units were bought
	FirstOrderOn      *string          `json:"first_order_on"`
	LastOrderOn       *string          `json:"last_order_on"`
}

func composeMember(d row.Document) ([]byte, error) {
	if strings.HasPrefix(d.Doc, emailDocuments) {
		return composeEmail(d)
	}
	part, ok := d.Parts[member.Stream(d.Doc)]
	if !ok {
		return nil, nil
	}
	doc, err := row.Decode[memberDocument](part)
	if err != nil {
		return nil, err
	}
	doc.Orders, doc.OpenOrders = d.Sums["orders"], d.Sums["open"]
	doc.Spent, doc.SpentByCurrency = inOneCurrency(d.Sums, "o/", "s/")
	doc.FavouriteCategory = favourite(d.Sums)
	if d.First != "" {
		doc.FirstOrderOn, doc.LastOrderOn = &d.First, &d.Last
	}
	return row.Marshal(doc)
}

// favourite is the category with most units; of several the first by name.
func favourite(sums map[string]int64) *string {
	var best *string
	var most int64
	for name, n := range sums {
		if category, ok := strings.CutPrefix(name, "u/"); ok && (best == nil || n > most || n == most && category < *best) {
			best, most = &category, n
		}
	}
	return best
}

// composeEmail lists who has an address: one member at most, once every event has landed.
func composeEmail(d row.Document) ([]byte, error) {
	var owners []emailOwner
	for _, part := range d.Parts {
		owner, err := row.Decode[emailOwner](part)
		if err != nil {
			return nil, err
		}
		owners = append(owners, owner)
	}
	slices.SortFunc(owners, func(a, b emailOwner) int { return strings.Compare(a.ID, b.ID) })
	return items(owners)
}
