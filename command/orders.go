package command

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/infra/web"
)

func (s *Service) orders() aggregate[order.State, order.Command] {
	return aggregate[order.State, order.Command]{order.Category, order.Codec, order.Apply,
		func(state order.State, c order.Command) ([]any, error) { return order.Decide(state, c, s.cfg.Now()) }}
}

func (s *Service) registerOrders(e *echo.Echo) {
	orders := s.orders()
	e.POST("/orders", s.placeOrder)
	e.POST("/orders/:id/ship", changing(s, orders, web.Decode, shipOrder))
	e.POST("/orders/:id/deliver", changing(s, orders, web.DecodeOptional, deliverOrder))
	e.POST("/orders/:id/return", changing(s, orders, web.DecodeOptional, returnOrder))
	e.POST("/orders/:id/cancel", changing(s, orders, web.Decode, cancelOrder))
}

type placeOrderBody struct {
	ID            string          `json:"id,omitempty"`
	MemberID      string          `json:"member_id"`
	Lines         []orderLineBody `json:"lines"`
	ShippingFee   int64           `json:"shipping_fee,omitempty"`
	ShipTo        *shipToBody     `json:"ship_to,omitempty"`
	PlacedOn      string          `json:"placed_on,omitempty"`
	PaymentMethod string          `json:"payment_method,omitempty"`
	Manual        bool            `json:"manual,omitempty"`
}

type orderLineBody struct {
	ProductID       string `json:"product_id"`
	Quantity        int64  `json:"quantity"`
	DiscountPercent int64  `json:"discount_percent,omitempty"`
}

type shipToBody struct {
	Name    string `json:"name"`
	City    string `json:"city"`
	Country string `json:"country"`
}

func (b placeOrderBody) clientID() string { return b.ID }

func (b placeOrderBody) command(id string) order.Place {
	c := order.Place{ID: id, MemberID: b.MemberID, ShippingFee: b.ShippingFee, ShipTo: (*order.ShipTo)(b.ShipTo), PlacedOn: b.PlacedOn,
		PaymentMethod: b.PaymentMethod, Manual: b.Manual}
	for _, l := range b.Lines {
		c.Lines = append(c.Lines, order.Item(l))
	}
	return c
}

// placeOrder handles POST /orders. What its decision needs of the member and the products, prepare reads.
func (s *Service) placeOrder(c echo.Context) error {
	id, body, r, err := readCreation[placeOrderBody](c)
	if err != nil {
		return err
	}
	place := body.command(id)
	o := s.orders().deciding(r, id, func(state order.State) ([]any, error) { return order.Decide(state, place, s.cfg.Now()) })
	o.creates, o.check, o.elsewhere = true, place.Check, true
	o.prepare = func(ctx context.Context) (err error) {
		place.Member, place.Products, err = s.references(ctx, place)
		return err
	}
	o.resume = func(events []any) {
		for i, e := range events {
			if e, ok := e.(order.Placed); ok {
				e.PlacedAt = s.cfg.Now().UTC().Round(0) // the time to pay begins when it is placed, not when that was tried first
				events[i] = e
			}
		}
	}
	return s.run(c, o)
}

const orderReads = 16 // streams that one order reads at a time

// references reads the member and each product of an order, several at a time. One that does not exist is absent or
// zero.
func (s *Service) references(ctx context.Context, place order.Place) (buyer member.State, sold map[string]product.State, err error) {
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(orderReads)
	reads.Go(func() error {
		state, err := current(ctx, s, members, place.MemberID)
		buyer = state
		return err
	})
	distinct := map[string]bool{}
	for _, item := range place.Lines {
		distinct[item.ProductID] = true
	}
	var mu sync.Mutex
	sold = make(map[string]product.State, len(distinct))
	for _, id := range slices.Sorted(maps.Keys(distinct)) {
		reads.Go(func() error {
			state, err := current(ctx, s, s.products(), id)
			mu.Lock()
			defer mu.Unlock()
			sold[id] = state
			return err
		})
	}
	err = reads.Wait()
	return buyer, sold, err
}

// current is the state of a thing as of now, the zero state if there is no such thing.
func current[S, C any](ctx context.Context, s *Service, a aggregate[S, C], id string) (S, error) {
	k, err := s.freshShared(ctx, event.StreamName(a.category, id), a)
	if err != nil {
		return *new(S), err
	}
	return k.state.(S), nil
}

type lineBody struct {
	Line     int   `json:"line"`
	Quantity int64 `json:"quantity"`
}

func quantities(lines []lineBody) []order.LineQuantity {
	if lines == nil {
		return nil
	}
	all := make([]order.LineQuantity, len(lines))
	for i, l := range lines {
		all[i] = order.LineQuantity(l)
	}
	return all
}

type shipBody struct {
	Carrier   string     `json:"carrier"`
	Tracking  string     `json:"tracking,omitempty"`
	ShippedOn string     `json:"shipped_on,omitempty"`
	Lines     []lineBody `json:"lines,omitempty"`
}

func shipOrder(id string, b shipBody) order.Command {
	return order.Ship{ID: id, Carrier: b.Carrier, Tracking: b.Tracking, ShippedOn: b.ShippedOn, Lines: quantities(b.Lines)}
}

type deliverBody struct {
	Parcel      int    `json:"parcel,omitempty"`
	DeliveredOn string `json:"delivered_on,omitempty"`
}

func deliverOrder(id string, b deliverBody) order.Command {
	return order.Deliver{ID: id, Parcel: b.Parcel, DeliveredOn: b.DeliveredOn}
}

type returnBody struct {
	Lines          []lineBody `json:"lines,omitempty"`
	Restock        bool       `json:"restock,omitempty"`
	RefundShipping bool       `json:"refund_shipping,omitempty"`
	Reason         string     `json:"reason,omitempty"`
	ReturnedOn     string     `json:"returned_on,omitempty"`
}

func returnOrder(id string, b returnBody) order.Command {
	return order.TakeBack{ID: id, Lines: quantities(b.Lines), Restock: b.Restock, RefundShipping: b.RefundShipping,
		Reason: b.Reason, ReturnedOn: b.ReturnedOn}
}

type cancelBody struct {
	Reason string `json:"reason"`
}

func cancelOrder(id string, b cancelBody) order.Command {
	return order.Cancel{ID: id, Reason: b.Reason}
}
