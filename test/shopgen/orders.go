package shopgen

import (
	"fmt"
	"time"

	"jangbu/domain/money"
	"jangbu/domain/order"
	"jangbu/domain/stock"
)

// placedOrder is an order on its way, with the places of its products in the generator's lists.
type placedOrder struct {
	number int
	state  order.State
	lines  []int
}

func (o placedOrder) id() string { return fmt.Sprintf("o%d", o.number) }

// onHand is a product's stock, without whom it is reserved for: orders ship and release what they reserved.
type onHand struct{ units, reserved int64 }

// decide appends what the rules make of a command.
func (g *generator) decide(o *placedOrder, c order.Command) {
	events, err := order.Decide(o.state, c, opening)
	if err != nil {
		panic(fmt.Sprintf("shopgen: %T of %s, %s: %v", c, o.id(), o.state.Status, err)) // only what the rules allow is asked for
	}
	g.record(o, events...)
}

func (g *generator) record(o *placedOrder, events ...any) {
	for _, e := range events {
		o.state = order.Apply(o.state, e)
	}
	g.emit(orderStream(o.number), order.Codec, events...)
}

// came records what came of a step of fulfilment.
func (g *generator) came(o *placedOrder, kind order.StepKind, n int) {
	g.decide(o, order.Outcome{ID: o.id(), Step: order.Step{Kind: kind, Parcel: n, Return: n}})
}

// units is what lines of an order hold, product by product.
func (o placedOrder) units(lines []order.LineQuantity) (products []int, quantities []int64) {
	for _, p := range o.state.ByProduct(lines) {
		for i, l := range o.state.Lines {
			if l.ProductID == p.ProductID {
				products, quantities = append(products, o.lines[i]), append(quantities, p.Quantity)
				break
			}
		}
	}
	return products, quantities
}

// place places an order and sees it through to where it can be shipped, or is cancelled.
func (g *generator) place() {
	who := int(g.anyMember.Uint64())
	o := placedOrder{number: g.orders}
	e := order.Placed{MemberID: fmt.Sprintf("m%d", who), MemberCountry: g.members[who], Currency: currency, PlacedOn: g.day(),
		ShippingFee: g.random.Int64N(5_000), ShipTo: &order.ShipTo{Name: fmt.Sprintf("Member %d", who), City: fmt.Sprintf("City %d", who%97), Country: g.members[who]},
		PlacedAt: opening.AddDate(0, 0, g.orders/perDay).Add(time.Duration(g.orders%perDay) * time.Minute)}
	if g.random.IntN(5) == 0 {
		e.PaymentMethod = order.Invoice
	}
	for range linesOf {
		i := int(g.anyProduct.Uint64())
		for g.ended[i] {
			i = (i + 1) % len(g.products)
		}
		e.Lines, o.lines = append(e.Lines, g.line(i)), append(o.lines, i)
	}
	g.orders++
	g.record(&o, e)
	if g.cfg.Placed || !g.reserve(&o) {
		return
	}
	g.came(&o, order.StepReserve, 0)
	if g.random.IntN(50) == 0 {
		g.decide(&o, order.Outcome{ID: o.id(), Step: order.Step{Kind: order.StepAuthorise}, Declined: "insufficient funds"})
		g.undo(&o)
		return
	}
	g.came(&o, order.StepAuthorise, 0)
	g.open = append(g.open, o)
}

func (g *generator) line(i int) order.Line {
	p := g.products[i]
	l := order.Line{ProductID: fmt.Sprintf("p%d", i), Name: p.Name, Category: p.Category, UnitPrice: p.Price,
		Quantity: 1 + g.random.Int64N(40), DiscountPercent: pick(g, []int64{0, 0, 0, 5, 10, 25})}
	amount, err := money.LineAmount(l.UnitPrice, l.Quantity, l.DiscountPercent)
	if err != nil {
		panic(fmt.Sprintf("shopgen: %v", err)) // prices and quantities are far below the limit
	}
	l.Amount = amount
	return l
}

// reserve sets an order's stock aside, or cancels the order. Of what runs out there is more in time, most of the time.
func (g *generator) reserve(o *placedOrder) bool {
	products, quantities := o.units(o.state.Unshipped())
	for k, i := range products {
		s, quantity := &g.stocks[i], quantities[k]
		if s.units-s.reserved < quantity && g.random.IntN(4) > 0 {
			g.restock(i)
		}
		if available := s.units - s.reserved; available < quantity {
			g.emit(stockStream(i), stock.Codec, stock.ReservationRefused{OrderID: o.id(), Quantity: quantity, Available: available})
			g.decide(o, order.Outcome{ID: o.id(), Step: order.Step{Kind: order.StepReserve},
				Refused: &order.StockRefused{ProductID: fmt.Sprintf("p%d", i), Wanted: quantity, Available: available}})
			g.undo(o)
			return false
		}
		s.reserved += quantity
		g.emit(stockStream(i), stock.Codec, stock.Reserved{OrderID: o.id(), Quantity: quantity})
	}
	return true
}

// undo releases the stock and the payment of a cancelled order.
func (g *generator) undo(o *placedOrder) {
	products, quantities := o.units(o.state.Unshipped())
	if n := len(o.state.ToRelease()); n > 0 {
		for k, i := range products[:n] {
			g.stocks[i].reserved -= quantities[k]
			g.emit(stockStream(i), stock.Codec, stock.Released{OrderID: o.id(), Quantity: quantities[k]})
		}
		g.came(o, order.StepRelease, 0)
	}
	if o.state.Reserved {
		g.came(o, order.StepVoid, 0)
	}
}

// waiting is how many of the orders that have waited longest may be next.
const waiting = 20

// take takes one of the orders that have waited longest out of a list.
func (g *generator) take(from *[]placedOrder) placedOrder {
	k := g.random.IntN(waiting)
	o := (*from)[k]
	*from = append((*from)[:k], (*from)[k+1:]...)
	return o
}

// end ships or cancels an order, or leaves it open for good.
func (g *generator) end() {
	if len(g.open) < waiting {
		g.place()
		return
	}
	o := g.take(&g.open)
	switch n := g.random.IntN(10); {
	case n < 8:
		if n == 0 {
			g.ship(&o, o.state.Unshipped()[:1])
		}
		g.ship(&o, nil)
		g.underway = append(g.underway, o)
	case n < 9:
		g.decide(&o, order.Cancel{ID: o.id(), Reason: "changed their mind"})
		g.undo(&o)
	}
}

func (g *generator) ship(o *placedOrder, lines []order.LineQuantity) {
	g.decide(o, order.Ship{ID: o.id(), Carrier: pick(g, carriers), Tracking: fmt.Sprintf("T%09d", o.number), ShippedOn: g.day(), Lines: lines})
	parcel := len(o.state.Parcels)
	products, quantities := o.units(o.state.Parcels[parcel-1].Lines)
	for k, i := range products {
		g.stocks[i].units -= quantities[k]
		g.stocks[i].reserved -= quantities[k]
		g.emit(stockStream(i), stock.Codec, stock.Shipped{OrderID: o.id(), Parcel: parcel, Quantity: quantities[k]})
	}
	g.came(o, order.StepDispatch, parcel)
	if !o.state.Captured {
		g.came(o, order.StepCapture, 0)
	}
}

// arrive delivers an order. Of twenty, two come back: one whole, one in part.
func (g *generator) arrive() {
	if len(g.underway) < waiting {
		g.end()
		return
	}
	o := g.take(&g.underway)
	g.decide(&o, order.Deliver{ID: o.id(), DeliveredOn: g.day()})
	switch g.random.IntN(20) {
	case 0:
		g.takeBack(&o, nil)
	case 1:
		g.takeBack(&o, []order.LineQuantity{{Line: 1 + g.random.IntN(linesOf), Quantity: 1}})
	}
}

func (g *generator) takeBack(o *placedOrder, lines []order.LineQuantity) {
	g.decide(o, order.TakeBack{ID: o.id(), Lines: lines, Restock: true, Reason: "not as expected", ReturnedOn: g.day()})
	last := o.state.Returns[0]
	products, quantities := o.units(last.Lines)
	for k, i := range products {
		g.stocks[i].units += quantities[k]
		g.emit(stockStream(i), stock.Codec, stock.Returned{OrderID: o.id(), Return: 1, Quantity: quantities[k]})
	}
	g.came(o, order.StepRestock, 1)
	if last.Amount > 0 {
		g.came(o, order.StepRefund, 1)
	}
}

func (g *generator) restock(i int) {
	quantity := 1000 + g.random.Int64N(1000)
	g.stocks[i].units += quantity
	g.emit(stockStream(i), stock.Codec, stock.Restocked{Quantity: quantity})
}

// count finds some units more than there should be.
func (g *generator) count() {
	i := int(g.anyProduct.Uint64())
	was := g.stocks[i].units
	g.stocks[i].units += 1 + g.random.Int64N(3)
	g.emit(stockStream(i), stock.Codec, stock.Counted{OnHand: g.stocks[i].units, Was: was, Reason: "counted"})
}
