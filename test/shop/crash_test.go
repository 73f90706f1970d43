package shop_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/eventstore"
	"jangbu/infra/gateway/simulator"
	"jangbu/test/books"
	"jangbu/test/program"
	"jangbu/test/servers"
)

// crashPayWithin is how long orders wait for their payment here: long enough for most to get over some kills.
const crashPayWithin = 20 * time.Second

// crash is a shop of programs that get killed.
type crash struct {
	command  string
	store    *eventstore.Store
	gateway  *simulator.Simulator
	args     map[string][]string
	programs map[string]*program.Program
	killed   map[string]int
}

// TestCrash has clients order, cancel, ship and take back, while commands, fulfilment, the projector that relays, and the
// embedded servers are killed with kill -9, wherever they are. SNS, SQS and Redis lose everything each time. In the
// end every order is final or waits for a client, and the books balance to the unit.
//
// JANGBU_TEST_CRASH_ORDERS says how many orders, 200 if that is not set.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: long")
	}
	orders := number(t, "JANGBU_TEST_CRASH_ORDERS", 200)
	seed := seedOf(t)
	c := openCrash(t)
	for i := range products {
		must(t, c.command, "/products", map[string]any{"id": fmt.Sprint("p", i), "name": fmt.Sprint("Product ", i), "category": "C", "price": 100, "currency": "EUR"})
		must(t, c.command, fmt.Sprint("/products/p", i, "/restock"), map[string]any{"quantity": orders})
	}
	must(t, c.command, "/members", map[string]any{"id": "ada", "name": "Ada"})

	began := time.Now()
	done := c.clients(t, orders, seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for over := false; !over; {
		select {
		case <-done:
			over = true
		case <-time.After(time.Duration(500+random.IntN(2000)) * time.Millisecond): // between two kills
			c.kill(t, random)
		}
	}
	took := time.Since(began)
	var last *books.Books
	eventually(t, 5*time.Minute, func() []error {
		last = c.books(t)
		return last.Check(time.Now(), crashPayWithin, c.gateway.Balances())
	})
	if len(last.Orders) != orders {
		t.Errorf("%d orders", len(last.Orders))
	}
	t.Logf("%d orders in %v, settled %v later; killed %v; they are %v", orders, took.Round(time.Second), (time.Since(began) - took).Round(time.Second), c.killed, tally(last))
	for _, status := range []string{"confirmed", "cancelled", "cancelled sold-out", "cancelled payment-declined", "shipped", "delivered", "returned"} {
		if tally(last)[status] == 0 {
			t.Errorf("no order is %s, of %v", status, tally(last))
		}
	}
}

const products = 5

func openCrash(t *testing.T) *crash {
	c := &crash{gateway: simulator.New(simulator.Config{Strict: true}), args: map[string][]string{}, programs: map[string]*program.Program{}, killed: map[string]int{}}
	pay := httptest.NewServer(simulator.Handler(c.gateway))
	t.Cleanup(pay.Close)
	eventstorePort, aws, redis, http := servers.Port(t), servers.Port(t), servers.Port(t), servers.Port(t)
	url := "esdb://127.0.0.1:" + eventstorePort + "?tls=false"
	servers := []string{"--eventstore-url", url, "--redis-url", "redis://127.0.0.1:" + redis, "--aws-endpoint-url", "http://127.0.0.1:" + aws, "--log-level", "error"}
	c.args["stack"] = []string{"stack", "--data", t.TempDir(), "--eventstore", eventstorePort, "--aws", aws, "--redis", redis, "--log-level", "error"}
	c.args["command"] = []string{"command", "--http", http, "--eventstore-url", url, "--log-level", "error"}
	c.args["projector"] = append([]string{"projector", "--http", "0"}, servers...)
	for _, name := range []string{"fulfilment 1", "fulfilment 2"} {
		c.args[name] = append([]string{"fulfilment", "--http", "0", "--pay-within", crashPayWithin.String(), "--simulator-url", pay.URL}, servers...)
	}
	for _, name := range c.names() {
		c.start(t, name)
	}
	stack := c.programs["stack"]
	stack.Line(t, &stack.Stderr, "AWS_ENDPOINT_URL=")
	c.command = c.programs["command"].Ready(t)
	var err error
	if c.store, err = eventstore.Open(url, eventstore.Config{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *crash) names() []string {
	return []string{"stack", "command", "projector", "fulfilment 1", "fulfilment 2"}
}

func (c *crash) start(t *testing.T, name string) {
	t.Helper()
	c.programs[name] = program.AsProcess(t, c.args[name]...)
}

// kill kills one program, the servers more rarely than the others, and starts it again.
func (c *crash) kill(t *testing.T, random *rand.Rand) {
	t.Helper()
	name := c.names()[1+random.IntN(4)]
	if random.IntN(10) == 0 {
		name = "stack"
	}
	select {
	case <-c.programs[name].Ended:
		t.Fatalf("%s ended by itself with %d: %s", name, c.programs[name].Code, c.programs[name].Stderr.String())
	default:
	}
	c.programs[name].Kill(t)
	c.killed[name]++
	c.start(t, name)
}

func (c *crash) books(t *testing.T) *books.Books {
	t.Helper()
	b, err := books.Read(c.store.ReadAll(t.Context(), event.Position{}))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// clients live through so many orders, some at a time. The channel closes when all have.
func (c *crash) clients(t *testing.T, orders int, seed uint64) <-chan struct{} {
	done := make(chan struct{})
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(32, orders) {
		all.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(orders) {
					return
				}
				l := &life{url: c.command, id: fmt.Sprint("o", n), random: rand.New(rand.NewPCG(seed, uint64(n)))}
				if err := l.run(); err != nil {
					t.Errorf("order %s: %v", l.id, err)
				}
			}
		})
	}
	go func() {
		all.Wait()
		close(done)
	}()
	return done
}

// life is what the clients of one order do. Each command has a key and is sent until it is answered.
type life struct {
	url, id string
	random  *rand.Rand
	sent    int
	gone    bool // it has been cancelled
}

// send sends a command, again and again while it is too early for it.
func (l *life) send(path, body string) error {
	l.sent++
	for try := 0; ; try++ {
		// A refusal binds nothing.
		status, answer := insist(l.url, path, body, fmt.Sprintf("%s-%d-%d", l.id, l.sent, try))
		switch {
		case status < 300:
			return nil
		case code(answer) == "order-not-confirmed":
			time.Sleep(50 * time.Millisecond)
		case code(answer) == "order-already-cancelled", code(answer) == "order-already-shipped":
			l.gone = true
			return nil
		default:
			return fmt.Errorf("POST %s %s: %d %s", path, body, status, answer)
		}
	}
}

func (l *life) run() error {
	if err := l.send("/orders", l.order()); err != nil {
		return err
	}
	at := "/orders/" + l.id
	ship := func(body string) func() error { return func() error { return l.send(at+"/ship", body) } }
	var steps []func() error
	switch l.random.IntN(8) {
	case 0:
		steps = append(steps, func() error { return l.send(at+"/cancel", `{"reason":"changed my mind"}`) })
	case 1:
		time.Sleep(time.Duration(l.random.IntN(300)) * time.Millisecond) // wherever it is then
		steps = append(steps, func() error { return l.send(at+"/cancel", `{"reason":"took too long"}`) })
	case 2, 3:
		steps = append(steps, ship(`{"carrier":"Post","lines":[{"line":1,"quantity":1}]}`), ship(`{"carrier":"Post"}`))
	case 4, 5, 6:
		steps = append(steps, ship(`{"carrier":"Post"}`))
	}
	if len(steps) > 0 && l.random.IntN(2) == 0 {
		steps = append(steps, func() error { return l.send(at+"/deliver", `{}`) })
	}
	if len(steps) > 0 && l.random.IntN(2) == 0 {
		restock := l.random.IntN(2) == 0
		if l.random.IntN(2) == 0 {
			steps = append(steps, func() error {
				return l.send(at+"/return", fmt.Sprintf(`{"restock":%v,"lines":[{"line":1,"quantity":1}]}`, restock))
			})
		}
		steps = append(steps, func() error { return l.send(at+"/return", fmt.Sprintf(`{"restock":%v}`, !restock)) })
	}
	for _, step := range steps {
		if err := step(); err != nil || l.gone {
			return err
		}
	}
	return nil
}

// order is an order whose total asks the simulator for one of the things it does. Some want more than there can be.
func (l *life) order() string {
	endings := []int{0, 0, 0, 0, 0, 2, 4, 4, 5, 5, 6, 6, 8, 8, 9, 9}
	fee := 500 + endings[l.random.IntN(len(endings))]
	if l.random.IntN(100) == 0 {
		fee = 500 + []int{3, 7}[l.random.IntN(2)]
	}
	method := "card"
	if l.random.IntN(5) == 0 {
		method = "invoice"
	}
	var lines []string
	for _, p := range l.random.Perm(products)[:1+l.random.IntN(3)] {
		quantity := 2 + l.random.IntN(2)
		if l.random.IntN(20) == 0 {
			quantity = 900_000
		}
		lines = append(lines, fmt.Sprintf(`{"product_id":"p%d","quantity":%d}`, p, quantity))
	}
	return fmt.Sprintf(`{"id":%q,"member_id":"ada","payment_method":%q,"shipping_fee":%d,"lines":[%s]}`, l.id, method, fee, strings.Join(lines, ","))
}
