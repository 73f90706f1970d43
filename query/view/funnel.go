package view

import (
	"strings"

	"jangbu/domain/order"
	"jangbu/query/row"
)

// Funnel names the document of Orders that counts how far orders came. It has a row of each order beside the order's
// own, because both change at the same events.
const Funnel = "/funnel"

// reached is how far an order came, whatever became of it later. Who shipped an order by hand has confirmed it.
type reached struct {
	Confirmed bool `json:"c,omitempty"`
	Shipped   bool `json:"s,omitempty"` // a first parcel
	Delivered bool `json:"d,omitempty"` // the last parcel
}

func (r reached) apply(e any, now progress) reached {
	switch e.(type) {
	case order.Placed:
		return reached{}
	case order.Confirmed:
		r.Confirmed = true
	case order.Shipped:
		r.Confirmed, r.Shipped = true, true
	case order.Delivered:
		r.Delivered = r.Delivered || now.Sent >= now.Ordered && now.Underway == 0
	}
	return r
}

// onRequest stands for the empty code of a cancellation.
const onRequest = "on-request"

func (r reached) sums(s orderState) map[string]int64 {
	sums := map[string]int64{"placed": 1}
	for name, is := range map[string]bool{"confirmed": r.Confirmed, "shipped": r.Shipped, "delivered": r.Delivered,
		"returned": s.Status == order.StatusReturned} {
		if is {
			sums[name] = 1
		}
	}
	if s.Status == order.StatusCancelled {
		code := s.Code
		if code == "" {
			code = onRequest
		}
		sums["x/"+code] = 1
	}
	return sums
}

type funnelDocument struct {
	Placed    int64            `json:"placed"`
	Confirmed int64            `json:"confirmed"`
	Shipped   int64            `json:"shipped"`
	Delivered int64            `json:"delivered"`
	Returned  int64            `json:"returned"`
	Cancelled map[string]int64 `json:"cancelled"`
}

// EmptyFunnel is Funnel before the first order.
const EmptyFunnel = `{"placed":0,"confirmed":0,"shipped":0,"delivered":0,"returned":0,"cancelled":{}}`

func composeFunnel(d row.Document) ([]byte, error) {
	doc := funnelDocument{
		Placed: d.Sums["placed"], Confirmed: d.Sums["confirmed"], Shipped: d.Sums["shipped"], Delivered: d.Sums["delivered"],
		Returned: d.Sums["returned"], Cancelled: map[string]int64{},
	}
	for name, n := range d.Sums {
		if code, ok := strings.CutPrefix(name, "x/"); ok {
			doc.Cancelled[code] = n
		}
	}
	return row.Marshal(doc)
}
