package shop_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"jangbu/command"
	"jangbu/command/fulfilment"
	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/domain/payment"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/eventstore"
	"jangbu/infra/gateway"
	"jangbu/infra/gateway/simulator"
	"jangbu/infra/schedule"
	"jangbu/infra/web"
	"jangbu/test/books"
	"jangbu/test/servers"
)

// sale is the write side of a shop in this process, over an event store that fsyncs. No message is sent: hints carry
// the orders, and the sweep what hints lose.
type sale struct {
	url     string
	store   *eventstore.Store
	gateway *simulator.Simulator
}

func openSale(t testing.TB, commands command.Config) *sale {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	server, err := eventstoredb.Start(eventstoredb.Config{Path: filepath.Join(t.TempDir(), "events.db"), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	s := &sale{gateway: simulator.New(simulator.Config{Strict: true})}
	if s.store, err = eventstore.Open(server.URL(), eventstore.Config{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	due, err := schedule.Open(servers.MiniRedis(t), schedule.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = due.Close() })
	var manager *fulfilment.Manager
	commands.OrderChanged = func(id string) { manager.Poke(id) }
	shop := command.New(s.store, commands)
	manager = fulfilment.New(shop, gateway.New(s.gateway, gateway.Config{}), due, fulfilment.Config{Logger: quiet, Workers: 64})

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + listener.Addr().String()
	e := web.New(web.Config{Log: quiet})
	shop.Register(e)
	ctx, stop := context.WithCancel(context.Background())
	var all errgroup.Group
	all.Go(func() error { return web.Serve(ctx, e, listener, time.Minute) })
	all.Go(func() error { return manager.Run(ctx, silence{}, s.store, due) })
	t.Cleanup(func() {
		stop()
		client.CloseIdleConnections()
		if err := all.Wait(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// silence is a queue that brings nothing.
type silence struct{}

func (silence) Receive(ctx context.Context, _ int, wait time.Duration) ([]event.Delivery, error) {
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
	return nil, nil
}

func (silence) Delete(context.Context, []event.Delivery) error { return nil }

// run sells stock units of one product to orders that all come at once, and returns how long it took until the last
// POST was answered, and until the last order was settled.
func (s *sale) run(t testing.TB, orders, stock int) (posted, settled time.Duration) {
	t.Helper()
	must(t, s.url, "/members", map[string]any{"id": "ada", "name": "Ada"})
	must(t, s.url, "/products", map[string]any{"id": "hot", "name": "Hot", "category": "C", "price": 1000, "currency": "EUR"})
	must(t, s.url, "/products/hot/restock", map[string]any{"quantity": stock})
	began := time.Now()
	var all sync.WaitGroup
	for i := range orders {
		all.Go(func() {
			status, answer := insist(s.url, "/orders", fmt.Sprintf(`{"id":"o%d","member_id":"ada","lines":[{"product_id":"hot","quantity":1}]}`, i), "")
			if status != 201 && !strings.Contains(answer, ":order-exists") { // which an order that was sent again may
				t.Errorf("order %d: %d %s", i, status, answer)
			}
		})
	}
	all.Wait()
	posted = time.Since(began)
	s.awaitConfirmations(t, orders)
	return posted, time.Since(began)
}

// awaitConfirmations follows the log until so many orders are confirmed or cancelled.
func (s *sale) awaitConfirmations(t testing.TB, orders int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for e, err := range s.store.Subscribe(ctx, event.Position{}, []string{order.Category + "-"}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == "order.confirmed.v1" || e.Type == "order.cancelled.v1" {
			orders--
		}
		if orders == 0 {
			return
		}
	}
	t.Fatalf("%d orders are neither confirmed nor cancelled", orders)
}

func (s *sale) books(t testing.TB) *books.Books {
	t.Helper()
	b, err := books.Read(s.store.ReadAll(context.Background(), event.Position{}))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFlashSale: of many orders at once for the last units of one product exactly as many are confirmed as there are units.
// The others are sold out, and nobody was asked to pay for them.
//
// JANGBU_TEST_FLASH_ORDERS and JANGBU_TEST_FLASH_STOCK say how many, 500 and 50 if they are not set.
func TestFlashSale(t *testing.T) {
	orders, stock := number(t, "JANGBU_TEST_FLASH_ORDERS", 500), number(t, "JANGBU_TEST_FLASH_STOCK", 50)
	s := openSale(t, command.Config{})
	posted, settled := s.run(t, orders, stock)
	t.Logf("%d orders: %.0f placed/s, %.0f settled/s", orders, float64(orders)/posted.Seconds(), float64(orders)/settled.Seconds())
	var b *books.Books
	eventually(t, time.Minute, func() []error { // those that lost undo nothing here, but may be on their way to know
		b = s.books(t)
		return b.Check(time.Now(), fulfilment.DefaultPayWithin, s.gateway.Balances())
	})
	if n := tally(b); n["confirmed"] != stock || n["cancelled sold-out"] != orders-stock {
		t.Errorf("%v of %d orders for %d units", n, orders, stock)
	}
	if hot := b.Stock["hot"]; hot.Available() != 0 || hot.OnHand != int64(stock) {
		t.Errorf("%d on hand, %d available", hot.OnHand, hot.Available())
	}
	for id, o := range b.Orders {
		if p := b.Payments[id]; o.Status == order.StatusCancelled && p.Status != "" && p.Status != payment.StatusVoided {
			t.Errorf("the payment of order %s, which is cancelled, is %s", id, p.Status)
		}
	}
	if held := s.gateway.Balances(); len(held) != stock {
		t.Errorf("the gateway holds %d payments", len(held))
	}
}

// BenchmarkFlashSale sells 500 units to 5,000 orders at once, with commands of one stream decided in a row, and each alone.
func BenchmarkFlashSale(b *testing.B) {
	const orders, stock = 5000, 500
	for name, cfg := range map[string]command.Config{"in a row": {}, "each alone": {MaxRow: 1}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				posted, settled := openSale(b, cfg).run(b, orders, stock)
				b.ReportMetric(float64(orders)/posted.Seconds(), "placed/s")
				b.ReportMetric(float64(orders)/settled.Seconds(), "settled/s")
			}
		})
	}
}
