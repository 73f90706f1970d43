// Package books checks, after any run, that a shop's books balance: the log alone, and the log against what the payment gateway
// holds. It knows the rules of the shop's streams and none of the code that fulfils orders.
package books

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/domain/payment"
	"jangbu/domain/stock"
	"jangbu/infra/gateway/simulator"
)

// Books is what a log adds up to.
type Books struct {
	Orders   map[string]order.State
	Payments map[string]payment.State
	Stock    map[string]stock.State

	restocked map[string]int64 // by product, and what was counted more or less
	steps     map[string]int   // how often a step was recorded
}

// Read folds a log.
func Read(log iter.Seq2[event.Recorded, error]) (*Books, error) {
	b := &Books{Orders: map[string]order.State{}, Payments: map[string]payment.State{}, Stock: map[string]stock.State{},
		restocked: map[string]int64{}, steps: map[string]int{}}
	for recorded, err := range log {
		if err == nil {
			err = b.add(recorded)
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *Books) add(recorded event.Recorded) error {
	id := event.StreamID(recorded.Stream)
	codecs := map[string]*event.Codec{order.Category: order.Codec, payment.Category: payment.Codec, stock.Category: stock.Codec}
	codec := codecs[event.Category(recorded.Stream)]
	if codec == nil {
		return nil
	}
	e, err := codec.Decode(recorded.Type, recorded.Data)
	if err != nil {
		return fmt.Errorf("%s@%d: %w", recorded.Stream, recorded.Revision, err)
	}
	switch event.Category(recorded.Stream) {
	case order.Category:
		b.Orders[id] = order.Apply(b.Orders[id], e)
		b.countOrder(recorded, e)
	case payment.Category:
		b.Payments[id] = payment.Apply(b.Payments[id], e)
		if r, ok := e.(payment.Refunded); ok {
			b.count(recorded, r.Return)
		} else {
			b.count(recorded)
		}
	case stock.Category:
		b.Stock[id] = stock.Apply(b.Stock[id], e)
		b.countStock(id, recorded, e)
	}
	return nil
}

// count notes that a step was taken.
func (b *Books) count(recorded event.Recorded, of ...any) {
	b.steps[fmt.Sprint(recorded.Stream, " ", recorded.Type, of)]++
}

func (b *Books) countOrder(recorded event.Recorded, e any) {
	switch e := e.(type) {
	case order.Shipped, order.Returned: // there may be several
	case order.Delivered:
		b.count(recorded, e.Parcel)
	case order.StockShipped:
		b.count(recorded, e.Parcel)
	case order.StockReturned:
		b.count(recorded, e.Return)
	case order.PaymentRefunded:
		b.count(recorded, e.Return)
	default:
		b.count(recorded)
	}
}

func (b *Books) countStock(id string, recorded event.Recorded, e any) {
	switch e := e.(type) {
	case stock.Restocked:
		b.restocked[id] += e.Quantity
	case stock.Counted:
		b.restocked[id] += e.OnHand - e.Was
	case stock.Reserved:
		b.count(recorded, e.OrderID)
	case stock.ReservationRefused:
		b.count(recorded, e.OrderID)
	case stock.Released:
		b.count(recorded, e.OrderID)
	case stock.Shipped:
		b.count(recorded, e.OrderID, e.Parcel)
	case stock.Returned:
		b.count(recorded, e.OrderID, e.Return)
	}
}

// Check returns all that is wrong once nobody works on any order any more. held is what a gateway holds that knew every payment
// from the beginning.
func (b *Books) Check(now time.Time, payWithin time.Duration, held map[string]simulator.Balance) []error {
	var wrong []error
	note := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	for step, n := range b.steps {
		if n > 1 {
			note("%d times: %s", n, step)
		}
	}
	for id, o := range b.Orders {
		if step := order.Next(o, now, payWithin); step.Kind != order.StepNone {
			note("order %s, %s, still needs %+v", id, o.Status, step)
		}
		if !o.Manual {
			b.checkMoney(id, o, held[id], note)
		}
	}
	for id := range held {
		if _, ok := b.Orders[id]; !ok {
			note("the gateway has a payment of order %s, which nobody placed", id)
		}
	}
	b.checkStock(note)
	b.checkTotals(held, note)
	return wrong
}

// kept is what the shop keeps of an order.
func kept(o order.State) int64 {
	if !o.Captured {
		return 0
	}
	sum := o.Total()
	for _, r := range o.Returns {
		sum -= r.Amount
	}
	return sum
}

func (b *Books) checkMoney(id string, o order.State, held simulator.Balance, note func(string, ...any)) {
	p := b.Payments[id]
	for step, n := range held.Steps {
		if n != 1 {
			note("the gateway did %s for order %s %d times", step, id, n)
		}
	}
	if got, want := p.Captured-p.Refunded(), kept(o); got != want {
		note("payment of order %s, %s: %d were kept, should be %d", id, o.Status, got, want)
	}
	if o.Status == order.StatusCancelled && p.Status != "" && p.Status != payment.StatusVoided {
		note("order %s is cancelled, and its payment %s", id, p.Status)
	}
	asked := p.Method == order.Card && p.Amount > 0
	switch {
	case !asked && (held.Authorised != 0 || held.Captured != 0):
		note("the gateway holds %+v for order %s, and was never to be asked", held, id)
	case !asked:
	case held.Kept() != p.Captured-p.Refunded():
		note("the gateway kept %d of order %s, the payment says %d", held.Kept(), id, p.Captured-p.Refunded())
	case o.Status == order.StatusCancelled && held.Authorised != 0 && !held.Voided:
		note("the gateway still holds %d for order %s, which is cancelled", held.Authorised, id)
	case o.Status != order.StatusCancelled && (held.Authorised != o.Total() || held.Voided):
		note("order %s is %s, and the gateway holds %+v of %d", id, o.Status, held, o.Total())
	}
}

// checkStock compares every product's stock with what the orders say.
func (b *Books) checkStock(note func(string, ...any)) {
	type wanted struct{ reserved, shipped, returned int64 }
	want := map[string]*wanted{}
	of := func(product string) *wanted {
		if want[product] == nil {
			want[product] = &wanted{}
		}
		return want[product]
	}
	reservedFor := map[string]map[string]int64{}
	for id, o := range b.Orders {
		if o.Manual || o.Status == order.StatusCancelled || !o.Reserved {
			continue
		}
		for _, q := range o.ByProduct(o.Unshipped()) {
			of(q.ProductID).reserved += q.Quantity
			if reservedFor[q.ProductID] == nil {
				reservedFor[q.ProductID] = map[string]int64{}
			}
			reservedFor[q.ProductID][id] += q.Quantity
		}
		for _, parcel := range o.Parcels {
			for _, q := range o.ByProduct(parcel.Lines) {
				of(q.ProductID).shipped += q.Quantity
			}
		}
		for _, r := range o.Returns {
			for _, q := range o.ByProduct(r.Lines) {
				if r.Restock {
					of(q.ProductID).returned += q.Quantity
				}
			}
		}
	}
	ids := slices.Collect(maps.Keys(b.Stock))
	ids = slices.AppendSeq(ids, maps.Keys(want))
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		s, w := b.Stock[id], *of(id)
		if s.Available() < 0 {
			note("of product %s, %d are available", id, s.Available())
		}
		if held := maps.Collect(s.For.All()); s.Reserved != w.reserved || !maps.Equal(held, reservedFor[id]) {
			note("of product %s, %d are reserved, for %v; should be %d, for %v", id, s.Reserved, held, w.reserved, reservedFor[id])
		}
		if s.OnHand+w.shipped-w.returned != b.restocked[id] {
			note("of product %s, %d on hand + %d shipped - %d returned are not the %d restocked", id, s.OnHand, w.shipped, w.returned, b.restocked[id])
		}
	}
}

// checkTotals: captured - refunded is what the orders keep, in all, by currency.
func (b *Books) checkTotals(held map[string]simulator.Balance, note func(string, ...any)) {
	orders, payments, gateway := map[string]int64{}, map[string]int64{}, map[string]int64{}
	for id, o := range b.Orders {
		if o.Manual {
			continue
		}
		orders[o.Currency] += kept(o)
		p := b.Payments[id]
		payments[o.Currency] += p.Captured - p.Refunded()
		if p.Method == order.Card {
			gateway[o.Currency] += held[id].Kept()
		} else {
			gateway[o.Currency] += p.Captured - p.Refunded()
		}
	}
	for currency, want := range orders {
		if payments[currency] != want || gateway[currency] != want {
			note("%s: orders keep %d, payments %d, the gateway and credit %d", currency, want, payments[currency], gateway[currency])
		}
	}
}
