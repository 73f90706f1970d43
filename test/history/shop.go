package history

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/domain/stock"
)

// shop is what Grow remembers: events that are due, since they follow from one decision, and states, which are but the
// fold of the log.
type shop struct {
	due    []due
	states map[string]any
	folded map[string]int // how many events of a stream the state has
	orders []string
}

type due struct {
	stream, actor string
	event         any
}

// state folds what a stream has had since it was last asked for.
func state[S any](t testing.TB, h *History, stream string, apply func(S, any) S) S {
	t.Helper()
	if h.shop.states == nil {
		h.shop.states, h.shop.folded = map[string]any{}, map[string]int{}
	}
	s, _ := h.shop.states[stream].(S)
	events := h.Stream(stream)
	for _, e := range events[h.shop.folded[stream]:] {
		decoded, err := codecs[event.Category(stream)].Decode(e.Type, e.Data)
		if err != nil {
			t.Fatalf("%s@%d: %v", stream, e.Revision, err)
		}
		s = apply(s, decoded)
	}
	h.shop.states[stream], h.shop.folded[stream] = s, len(events)
	return s
}

// decided makes events due. A command that the rules refuse is none.
func (h *History) decided(stream, actor string, events []any, err error) {
	if err != nil {
		return
	}
	for _, e := range events {
		h.shop.due = append(h.shop.due, due{stream, actor, e})
	}
}

func (h *History) now() time.Time { return time.UnixMilli(int64(10 * (h.Len() + 1))).UTC() }

func oneOf[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

func memberID(r *rand.Rand) string  { return fmt.Sprintf("M%d", r.IntN(4)) }
func productID(r *rand.Rand) string { return fmt.Sprintf("P%d", r.IntN(5)) }

// happen decides one command, which may be refused.
func (h *History) happen(t testing.TB, r *rand.Rand) {
	t.Helper()
	m, p := memberID(r), productID(r)
	switch n := r.IntN(20); {
	case !state(t, h, member.Stream(m), member.Apply).Exists || n < 2:
		h.memberCommand(t, r, m)
	case !state(t, h, product.Stream(p), product.Apply).Exists || n < 4:
		h.productCommand(t, r, p)
	case n < 6:
		h.stockCommand(t, r, p)
	case n < 9 || len(h.shop.orders) == 0:
		h.place(t, r, m)
	default:
		h.orderCommand(t, r, h.shop.orders[r.IntN(len(h.shop.orders))])
	}
}

func (h *History) memberCommand(t testing.TB, r *rand.Rand, m string) {
	t.Helper()
	s := state(t, h, member.Stream(m), member.Apply)
	country, label := oneOf(r, "Korea", "Peru"), oneOf(r, "home", "work")
	var c member.Command
	switch n := r.IntN(40); {
	case n == 39 || !s.Exists && n > 30: // of an address that is never the member's
		c = member.GiveUpEmail{ID: m, Email: "z@shop.example"}
	case !s.Exists:
		c = member.Register{ID: m, Name: "Name of " + m, Email: h.freeEmail(t, r, m), Country: country}
	case n == 0 && m != "M0": // who stays to order
		c = member.Close{ID: m, Reason: "moved away"}
	case n < 8:
		c = member.ChangeEmail{ID: m, Email: h.freeEmail(t, r, m)}
	case n < 14:
		c = member.ChangeContact{ID: m, Contact: oneOf(r, "", "Mr. Kim"), Country: country}
	case n < 22:
		c = member.SetAddress{ID: m, Address: member.Address{Label: label, Name: m, City: oneOf(r, "Lima", "Busan"), Country: country}}
	case n < 26:
		c = member.RemoveAddress{ID: m, Label: label}
	default:
		c = member.Rename{ID: m, Name: fmt.Sprintf("%s, once more <%d>", m, r.IntN(100))}
	}
	events, err := member.Decide(s, c)
	h.decided(member.Stream(m), m, events, err)
}

// freeEmail is an address that no other member has, or none.
func (h *History) freeEmail(t testing.TB, r *rand.Rand, m string) string {
	t.Helper()
	address := oneOf(r, "", "a@shop.example", "b@shop.example", "c@shop.example")
	for i := range 4 {
		if other := fmt.Sprintf("M%d", i); other != m && state(t, h, member.Stream(other), member.Apply).Email == address {
			return ""
		}
	}
	return address
}

func (h *History) productCommand(t testing.TB, r *rand.Rand, p string) {
	t.Helper()
	s := state(t, h, product.Stream(p), product.Apply)
	name, category := fmt.Sprintf("%s of %s, %d", oneOf(r, "Name", "Pen", "Tea: Earl Grey"), p, r.IntN(20)), oneOf(r, "C0", "C1", "C/2 & more")
	tags, images := oneOf(r, nil, []string{"new"}, []string{"new", "red/blue"}), oneOf(r, nil, []string{"https://shop.example/1.png", "https://shop.example/2.png"})
	if !s.Exists {
		events, err := product.Decide(s, product.Create{ID: p, Name: name, Category: category, Price: r.Int64N(1000), Currency: currencyOf(p), Tags: tags, Images: images}, h.now())
		h.decided(product.Stream(p), "", events, err)
		return
	}
	c := oneOf[product.Command](r,
		product.Rename{ID: p, Name: name}, product.Describe{ID: p, Description: name}, product.Categorise{ID: p, Category: category},
		product.Tag{ID: p, Tags: tags}, product.Picture{ID: p, Images: images}, product.Reprice{ID: p, Price: r.Int64N(1000)},
		product.Reprice{ID: p, Price: r.Int64N(1000)}, product.EndSale{ID: p}, product.Discontinue{ID: p}, product.Relist{ID: p}, product.Relist{ID: p},
		product.SetSale{ID: p, Price: r.Int64N(50), From: "2026-01-01T00:00:00Z", Until: "2026-02-01T00:00:00+09:00"})
	events, err := product.Decide(s, c, h.now())
	h.decided(product.Stream(p), "clerk", events, err)
}

func currencyOf(p string) string {
	if p == "P4" {
		return "EUR"
	}
	return "USD"
}

func (h *History) stockCommand(t testing.TB, r *rand.Rand, p string) {
	t.Helper()
	c := oneOf[stock.Command](r, stock.Restock{ProductID: p, Quantity: 1 + r.Int64N(40), Known: true}, stock.Restock{ProductID: p, Quantity: 5, Known: true},
		stock.Count{ProductID: p, OnHand: r.Int64N(30), Reason: "counted", Known: true}, stock.SetLowWater{ProductID: p, LowWater: r.Int64N(20), Known: true})
	h.stock(t, p, c)
}

// stock decides a command of a product's stock, and returns what came of it.
func (h *History) stock(t testing.TB, p string, c stock.Command) []any {
	t.Helper()
	stream := stock.Stream(p)
	events, err := stock.Decide(state(t, h, stream, stock.Apply), c)
	h.decided(stream, "", events, err)
	return events
}

func (h *History) place(t testing.TB, r *rand.Rand, m string) {
	t.Helper()
	c := order.Place{
		ID: fmt.Sprintf("O%d", len(h.shop.orders)), MemberID: m, ShippingFee: r.Int64N(50), Manual: r.IntN(4) == 0,
		PlacedOn:      fmt.Sprintf("2026-%02d-%02d", 1+r.IntN(12), 1+r.IntN(28)),
		PaymentMethod: oneOf(r, order.Card, order.Invoice),
		Member:        state(t, h, member.Stream(m), member.Apply), Products: map[string]product.State{},
	}
	for range 1 + r.IntN(3) {
		p := productID(r)
		c.Lines = append(c.Lines, order.Item{ProductID: p, Quantity: 1 + r.Int64N(7), DiscountPercent: oneOf[int64](r, 0, 0, 15)})
		c.Products[p] = state(t, h, product.Stream(p), product.Apply)
	}
	events, err := order.Decide(order.State{}, c, h.now())
	if err == nil {
		h.shop.orders = append(h.shop.orders, c.ID)
	}
	h.decided(order.Stream(c.ID), m, events, err)
}

// orderCommand takes an order's next step of fulfilment, or does what a clerk or a customer may.
func (h *History) orderCommand(t testing.TB, r *rand.Rand, id string) {
	t.Helper()
	stream := order.Stream(id)
	s := state(t, h, stream, order.Apply)
	some := func(lines []order.LineQuantity) []order.LineQuantity {
		var part []order.LineQuantity
		for _, l := range lines {
			if r.IntN(2) == 0 {
				part = append(part, order.LineQuantity{Line: l.Line, Quantity: 1 + r.Int64N(l.Quantity)})
			}
		}
		return part // nil for all
	}
	var c order.Command
	switch n := r.IntN(16); {
	case n < 9:
		now := h.now()
		if n == 0 {
			now = now.AddDate(1, 0, 0) // too late to be paid
		}
		h.fulfil(t, r, id, s, order.Next(s, now, time.Hour))
		return
	case n < 12:
		c = order.Ship{ID: id, Carrier: "Post", Tracking: oneOf(r, "", "T1"), ShippedOn: "2026-12-31", Lines: some(s.Unshipped())}
	case n < 14:
		c = order.Deliver{ID: id, Parcel: r.IntN(len(s.Parcels) + 1), DeliveredOn: "2027-01-02"}
	case n < 15:
		c = order.TakeBack{ID: id, Lines: some(s.Returnable()), Restock: r.IntN(2) == 0, RefundShipping: r.IntN(4) == 0,
			Reason: oneOf(r, "", "too small"), ReturnedOn: "2027-01-20"}
	default:
		c = order.Cancel{ID: id, Reason: "changed my mind"}
	}
	events, err := order.Decide(s, c, h.now())
	h.decided(stream, "clerk", events, err)
}

// fulfil does a step of fulfilment and records what came of it.
func (h *History) fulfil(t testing.TB, r *rand.Rand, id string, s order.State, step order.Step) {
	t.Helper()
	outcome := order.Outcome{ID: id, Step: step}
	switch step.Kind {
	case order.StepNone:
		return
	case order.StepReserve:
		for _, p := range s.Products() {
			came := h.stock(t, p.ProductID, stock.Reserve{ProductID: p.ProductID, OrderID: id, Quantity: p.Quantity})
			if e, refused := came[0].(stock.ReservationRefused); refused {
				outcome.Refused = &order.StockRefused{ProductID: p.ProductID, Wanted: e.Quantity, Available: e.Available}
				break
			}
		}
	case order.StepAuthorise:
		outcome.Declined = oneOf(r, "", "", "", "", "too little money")
	case order.StepRelease:
		for _, p := range s.ToRelease() {
			h.stock(t, p.ProductID, stock.Release{ProductID: p.ProductID, OrderID: id})
		}
	case order.StepDispatch:
		for _, p := range s.ByProduct(s.Parcels[step.Parcel-1].Lines) {
			h.stock(t, p.ProductID, stock.Ship{ProductID: p.ProductID, OrderID: id, Parcel: step.Parcel, Quantity: p.Quantity})
		}
	case order.StepRestock:
		for _, p := range s.ByProduct(s.Returns[step.Return-1].Lines) {
			h.stock(t, p.ProductID, stock.Return{ProductID: p.ProductID, OrderID: id, Return: step.Return, Quantity: p.Quantity})
		}
	}
	events, err := order.Decide(s, outcome, h.now())
	h.decided(order.Stream(id), "fulfilment", events, err)
}
