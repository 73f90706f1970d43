package view

import (
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/query/row"
)

// OrderLists serves lists of orders, newest day first, then by id: one of each member's, named by the member's id, one of
// all, and one of each status, named as OrderList says.
var OrderLists = &View{
	Name:    "order-lists",
	Version: 3,
	Sources: []Source{
		// A member without orders has an empty list; without the member there is none.
		From(member.Category, member.Codec, known.apply, func(id string, s known) []row.Row {
			if !s.Exists {
				return nil
			}
			return []row.Row{{Doc: id, Part: row.PartOf(struct{}{})}}
		}),
		Resting(From(order.Category, order.Codec, listed.apply, listedRows), listed.rests),
	},
}

// OrderList names the list of all orders of a status, "" for any. It is false for what is no status.
func OrderList(status string) (doc string, ok bool) {
	switch order.Status(status) {
	case "":
		return "/all", true
	case order.StatusPlaced, order.StatusConfirmed, order.StatusPartlyShipped, order.StatusShipped, order.StatusDelivered,
		order.StatusCancelled, order.StatusReturned:
		return "/" + status, true
	}
	return "", false
}

// known is all that a list needs of its member, so that no other event of theirs touches it.
type known struct {
	Exists bool `json:"k,omitempty"`
}

func (k known) apply(e any) known {
	if _, ok := e.(member.Registered); ok {
		k.Exists = true
	}
	return k
}

// listed is all that a list of orders shows of one.
type listed struct {
	progress
	Member   string `json:"m,omitempty"`
	PlacedOn string `json:"d,omitempty"`
	Total    int64  `json:"t,omitempty"`
	Currency string `json:"c,omitempty"`
}

func (s listed) apply(e any) listed {
	if e, ok := e.(order.Placed); ok {
		s = listed{Member: e.MemberID, PlacedOn: e.PlacedOn, Total: order.State{Placed: e}.Total(), Currency: e.Currency}
	}
	s.progress = s.progress.apply(e)
	return s
}

func listedRows(id string, s listed) []row.Row {
	if s.Member == "" {
		return nil
	}
	key := descending(s.PlacedOn) + " " + id
	item := memberOrder{ID: id, Status: s.Status, PlacedOn: s.PlacedOn, Units: s.Ordered, Total: s.Total, Currency: s.Currency}
	full := listedOrder{ID: id, Status: s.Status, PlacedOn: s.PlacedOn, MemberID: s.Member, Units: s.Ordered, Total: s.Total, Currency: s.Currency}
	return []row.Row{
		{Doc: s.Member, Key: key, Item: item}, {Doc: "/all", Key: key, Item: full}, {Doc: "/" + string(s.Status), Key: key, Item: full},
	}
}

type memberOrder struct {
	ID       string       `json:"id"`
	Status   order.Status `json:"status"`
	PlacedOn string       `json:"placed_on"`
	Units    int64        `json:"units"`
	Total    int64        `json:"total"`
	Currency string       `json:"currency"`
}

type listedOrder struct {
	ID       string       `json:"id"`
	Status   order.Status `json:"status"`
	PlacedOn string       `json:"placed_on"`
	MemberID string       `json:"member_id"`
	Units    int64        `json:"units"`
	Total    int64        `json:"total"`
	Currency string       `json:"currency"`
}

// descending turns digits over, so that later dates sort first.
func descending(date string) string {
	b := []byte(date)
	for i, c := range b {
		if c >= '0' && c <= '9' {
			b[i] = '9' - (c - '0')
		}
	}
	return string(b)
}
