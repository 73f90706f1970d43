package order

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"jangbu/domain"
	"jangbu/domain/payment"
	"jangbu/domain/stock"

	"pgregory.net/rapid"
)

// counter is a shop of a few orders with their stock and payments, fulfilled as a process manager does it: each step's
// commands on the other streams first, each once under its own id, and then its outcome on the order.
type counter struct {
	t        *rapid.T
	orders   map[string]State
	stocks   map[string]stock.State
	payments map[string]payment.State
	decided  map[string][]any // of the commands that are decided once under their id
}

func (c *counter) stock(id, productID string, command stock.Command) []any {
	if events, ok := c.decided[id]; ok {
		return events
	}
	events, err := stock.Decide(c.stocks[productID], command)
	if err != nil {
		c.t.Fatalf("%#v: %v", command, err)
	}
	for _, e := range events {
		c.stocks[productID] = stock.Apply(c.stocks[productID], e)
	}
	c.decided[id] = events
	return events
}

func (c *counter) pay(orderID string, commands ...payment.Command) {
	for _, command := range commands {
		events, err := payment.Decide(c.payments[orderID], command)
		if err != nil {
			c.t.Fatalf("%#v: %v", command, err)
		}
		for _, e := range events {
			c.payments[orderID] = payment.Apply(c.payments[orderID], e)
		}
	}
}

func (c *counter) order(id string, command Command) {
	events, err := Decide(c.orders[id], command, now)
	var refused *domain.Refused
	var invalid *domain.Invalid
	if err != nil && !errors.As(err, &refused) && !errors.As(err, &invalid) {
		c.t.Fatalf("%#v: %v", command, err)
	}
	for _, e := range events {
		c.orders[id] = Apply(c.orders[id], e)
	}
}

// step does the next step of an order and reports whether there was one. Its worker may die before the outcome is recorded.
func (c *counter) step(id string, at time.Time, dies bool) bool {
	s := c.orders[id]
	step := Next(s, at, time.Minute)
	o := Outcome{ID: id, Step: step}
	key := func(p string) string { return fmt.Sprint(id, step.Kind, step.Parcel, step.Return, p) }
	switch step.Kind {
	case StepNone:
		return false
	case StepReserve:
		for _, p := range s.Products() {
			if refused, ok := c.reserve(id, p, false); ok {
				o.Refused = &StockRefused{ProductID: p.ProductID, Wanted: refused.Quantity, Available: refused.Available}
				break
			}
		}
	case StepRelease:
		for _, p := range s.ToRelease() {
			c.reserve(id, p, true) // decided before it is released, so that nobody who sleeps reserves afterwards
			c.stock(key(p.ProductID), p.ProductID, stock.Release{ProductID: p.ProductID, OrderID: id})
		}
	case StepAuthorise:
		c.pay(id, payment.Request{OrderID: id, Amount: s.Total(), Currency: s.Currency, Method: Card})
		if s.Total()%5 == 2 {
			c.pay(id, payment.Decline{OrderID: id, Reason: "no money"})
			o.Declined = "no money"
		} else {
			c.pay(id, payment.Authorise{OrderID: id, Reference: "pi"})
		}
	case StepVoid:
		c.pay(id, payment.Void{OrderID: id})
	case StepDispatch:
		for _, p := range s.ByProduct(s.Parcels[step.Parcel-1].Lines) {
			c.stock(key(p.ProductID), p.ProductID, stock.Ship{ProductID: p.ProductID, OrderID: id, Parcel: step.Parcel, Quantity: p.Quantity})
		}
	case StepCapture:
		c.pay(id, payment.Capture{OrderID: id})
	case StepRestock:
		for _, p := range s.ByProduct(s.Returns[step.Return-1].Lines) {
			c.stock(key(p.ProductID), p.ProductID, stock.Return{ProductID: p.ProductID, OrderID: id, Return: step.Return, Quantity: p.Quantity})
		}
	case StepRefund:
		c.pay(id, payment.Refund{OrderID: id, Return: step.Return, Amount: s.Returns[step.Return-1].Amount})
	}
	if !dies {
		c.order(id, o)
	}
	return true
}

func (c *counter) reserve(id string, p ProductQuantity, forgo bool) (stock.ReservationRefused, bool) {
	events := c.stock(id+"reserve"+p.ProductID, p.ProductID, stock.Reserve{ProductID: p.ProductID, OrderID: id, Quantity: p.Quantity, Forgo: forgo})
	refused, ok := events[0].(stock.ReservationRefused)
	return refused, ok
}

// TestAnyFulfilment: whatever customers and clerks do while orders are fulfilled, step by step and with workers that die,
// no product is sold twice, and in the end stock and money balance to the unit.
func TestAnyFulfilment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &counter{t, map[string]State{}, map[string]stock.State{}, map[string]payment.State{}, map[string][]any{}}
		came := map[string]int64{}
		for _, p := range []string{"queso", "apples", "sale"} {
			came[p] = rapid.Int64Range(0, 12).Draw(t, p)
			c.stocks[p] = stock.State{OnHand: came[p]}
		}
		ids := []string{"a", "b", "c"}
		for _, id := range ids {
			place := goodPlace().Draw(t, "order "+id).(Place)
			place.Manual = false
			c.order(id, place)
		}
		for range rapid.IntRange(0, 40).Draw(t, "turns") {
			id := rapid.SampledFrom(ids).Draw(t, "id")
			if rapid.IntRange(0, 2).Draw(t, "turn") > 0 {
				c.step(id, now, rapid.IntRange(0, 3).Draw(t, "dies") == 0)
				continue
			}
			if change := anyChange().Draw(t, "change"); !isOutcome(change) {
				c.order(id, change)
			}
			c.checkStock()
		}
		for _, id := range ids {
			for n := 0; c.step(id, now.Add(time.Hour), false); n++ {
				if n > 100 {
					t.Fatalf("order %s is never done: %#v", id, c.orders[id])
				}
			}
		}
		c.checkBalance(came)
	})
}

func isOutcome(c Command) bool {
	_, ok := c.(Outcome)
	return ok
}

func (c *counter) checkStock() {
	for id, s := range c.stocks {
		if s.Reserved < 0 || s.Reserved > s.OnHand {
			c.t.Fatalf("stock of %s: %#v", id, s)
		}
	}
}

func (c *counter) checkBalance(came map[string]int64) {
	c.checkStock()
	for id, s := range c.orders {
		var refunds int64
		for _, r := range s.Returns {
			refunds += r.Amount
		}
		p := c.payments[id]
		switch {
		case s.Captured && (p.Captured != s.Total() || p.Refunded() != refunds || refunds > p.Captured):
			c.t.Fatalf("order %#v with payment %#v", s, p)
		case s.Status == StatusCancelled && p.Status != payment.StatusVoided && p.Status != "":
			c.t.Fatalf("order %#v is cancelled with payment %#v", s, p)
		}
		for product, n := range c.stocks {
			held := n.For.Of(id)
			for i, l := range s.Lines {
				if l.ProductID != product {
					continue
				}
				if s.Status != StatusCancelled {
					held -= l.Quantity - s.shipped()[i]
				}
				came[product] -= s.shipped()[i]
				for _, r := range s.Returns {
					if r.Restock {
						came[product] += unitsOf(r.Lines, i+1)
					}
				}
			}
			if held != 0 {
				c.t.Fatalf("order %#v holds %d of %s too many", s, held, product)
			}
		}
	}
	for product, n := range came {
		if c.stocks[product].OnHand != n {
			c.t.Fatalf("%d of %s should be on hand: %#v", n, product, c.stocks[product])
		}
	}
}

func unitsOf(lines []LineQuantity, line int) int64 {
	for _, l := range lines {
		if l.Line == line {
			return l.Quantity
		}
	}
	return 0
}
