package view

import (
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/query/row"
)

// MemberOrders serves one list a member: their orders, newest day first, then by id.
var MemberOrders = &View{
	Name:    "member-orders",
	Version: 1,
	Sources: []Source{
		// A member without orders has an empty list; without the member there is none.
		From(member.Category, member.Codec, member.Apply, func(id string, _ member.State, _ int64) []row.Row {
			return []row.Row{{Doc: id, Part: row.PartOf(struct{}{})}}
		}),
		From(order.Category, order.Codec, listed.apply, func(id string, s listed, _ int64) []row.Row {
			if s.Member == "" {
				return nil
			}
			return []row.Row{{Doc: s.Member, Key: descending(s.PlacedOn) + " " + id, Item: memberOrder{
				ID: id, Status: s.Status, PlacedOn: s.PlacedOn, Units: s.Units, Total: s.Total,
			}}}
		}),
	},
}

// listed is all that a list of orders shows of one.
type listed struct {
	Member   string       `json:"m,omitempty"`
	Status   order.Status `json:"s,omitempty"`
	PlacedOn string       `json:"d,omitempty"`
	Units    int64        `json:"u,omitempty"`
	Total    int64        `json:"t,omitempty"`
}

func (s listed) apply(e any) listed {
	switch e := e.(type) {
	case order.Placed:
		full := order.State{Placed: e}
		return listed{Member: e.MemberID, Status: order.StatusPlaced, PlacedOn: e.PlacedOn, Units: full.Units(), Total: full.Total()}
	case order.Shipped:
		s.Status = order.StatusShipped
	case order.Cancelled:
		s.Status = order.StatusCancelled
	}
	return s
}

type memberOrder struct {
	ID       string       `json:"id"`
	Status   order.Status `json:"status"`
	PlacedOn string       `json:"placed_on"`
	Units    int64        `json:"units"`
	Total    int64        `json:"total"`
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
