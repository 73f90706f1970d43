package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"jangbu/test/program"
	"jangbu/test/servers"
)

const wait = "Prefer: wait=30"

func TestReadYourWrites(t *testing.T) {
	for _, v := range oneUnderRace([]variant{
		{"dev in this process", func(t *testing.T) *shop { return openDev(t, program.InProcess, t.TempDir()) }},
		{"separate processes", func(t *testing.T) *shop { return openApart(t, program.AsProcess, t.TempDir(), "") }},
		{"redis-cluster", func(t *testing.T) *shop { return openApart(t, program.InProcess, t.TempDir(), servers.RedisCluster(t)) }},
	}) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			s := v.open(t)
			var g errgroup.Group
			for i := range 4 {
				g.Go(func() error { return (&buyer{shop: s, name: fmt.Sprintf("b%d", i)}).live() })
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			s.wantFold(t)
		})
	}
}

// buyer is one member who buys one product, both of them nobody else's, and looks at every view after every command. What
// the views must say is then known exactly.
type buyer struct {
	shop   *shop
	name   string
	called string // the member's name at present
	token  string // of the last command
	posted int
	orders []string
	status map[string]string
}

const price = 120

func (b *buyer) live() error {
	b.called, b.status = "First "+b.name, map[string]string{}
	if err := b.post("/products", fmt.Sprintf(`{"id":%q,"name":"Ink","category":"cat-%s","price":%d,"currency":"USD"}`, b.name, b.name, price)); err != nil {
		return err
	}
	if err := b.look("/products/"+b.name, b.sold()); err != nil {
		return err
	}
	if err := b.post("/members", fmt.Sprintf(`{"id":%q,"name":%q,"country":"land-%s"}`, b.name, b.called, b.name)); err != nil {
		return err
	}
	for round := range 12 {
		if err := b.round(round); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	return nil
}

// round places an order, does something to it or to the member, and looks after each.
func (b *buyer) round(n int) error {
	id := fmt.Sprintf("%s-%02d", b.name, n)
	if err := b.post("/orders", fmt.Sprintf(`{"id":%q,"member_id":%q,"manual":true,"placed_on":"2025-01-%02d","lines":[{"product_id":%q,"quantity":1}]}`, id, b.name, 1+n, b.name)); err != nil {
		return err
	}
	b.orders, b.status[id] = append(b.orders, id), "placed"
	if err := b.lookAround(); err != nil {
		return err
	}
	switch n % 3 {
	case 0:
		b.status[id] = "shipped"
		if err := b.post("/orders/"+id+"/ship", `{"carrier":"Post"}`); err != nil {
			return err
		}
	case 1:
		b.status[id] = "cancelled"
		if err := b.post("/orders/"+id+"/cancel", `{"reason":"changed their mind"}`); err != nil {
			return err
		}
	case 2:
		b.called = fmt.Sprintf("%s, called %d", b.name, n)
		if err := b.post("/members/"+b.name+"/rename", fmt.Sprintf(`{"name":%q}`, b.called)); err != nil {
			return err
		}
	}
	return b.lookAround()
}

func (b *buyer) post(path, body string) error {
	b.posted++
	a, err := b.shop.postUntilDone(path, body, fmt.Sprintf("%s-%d", b.name, b.posted))
	b.token = a.header.Get("Consistency-Token")
	return err
}

// look reads one document with the token of the last command, and requires what it must hold by now.
func (b *buyer) look(path, part string) error {
	a, err := b.shop.getLanded(path, b.token)
	if err == nil && (a.status != http.StatusOK || !strings.Contains(a.body, part)) {
		err = fmt.Errorf("after %s GET %s is %s, without %s", b.token, path, a, part)
	}
	return err
}

// getLanded reads a document once what the token tells has landed, for which a busy machine may take longer than a query waits.
func (s *shop) getLanded(path, token string) (a answer, err error) {
	for range 4 { // of 30 s at most
		a, err = tryGet(s.query, path, "Consistency-Token: "+token, wait)
		if err != nil || a.status != http.StatusServiceUnavailable {
			return a, err
		}
	}
	return a, err
}

func (b *buyer) counted() (n int) {
	for _, status := range b.status {
		if status != "cancelled" {
			n++
		}
	}
	return n
}

func (b *buyer) sold() string {
	n := b.counted()
	return fmt.Sprintf(`"sold":{"orders":%d,"units":%d,"sales":%d}`, n, n, n*price)
}

// lookAround looks at every view that the last command's stream feeds.
func (b *buyer) lookAround() error {
	var items []listItem
	for i := len(b.orders) - 1; i >= 0; i-- {
		id := b.orders[i]
		items = append(items, listItem{id, b.status[id], fmt.Sprintf("2025-01-%02d", i+1), 1, price, "USD"})
		if err := b.look("/orders/"+id, fmt.Sprintf(`"status":%q,"placed_on":%q,"member":{"id":%q,"name":%q`, b.status[id], items[len(items)-1].PlacedOn, b.name, b.called)); err != nil {
			return err
		}
	}
	list, err := json.Marshal(items)
	if err != nil {
		return err
	}
	n := b.counted()
	for path, part := range map[string]string{
		"/members/" + b.name:                       fmt.Sprintf(`"orders":%d,"open_orders":%d,"spent":%d`, n, n, n*price),
		"/members/" + b.name + "/orders?limit=200": `"items":` + string(list),
		"/products/" + b.name:                      b.sold(),
		"/sales/months":                            `"month":"2025-01"`,
		"/sales/categories":                        fmt.Sprintf(`{"category":"cat-%s","orders":%d,"units":%d,"sales":%d}`, b.name, n, n, n*price),
		"/sales/countries":                         fmt.Sprintf(`{"country":"land-%s","orders":%d,"sales":%d}`, b.name, n, n*price),
	} {
		if err := b.look(path, part); err != nil {
			return err
		}
	}
	return b.look("/members/"+b.name, fmt.Sprintf(`"name":%q`, b.called))
}

// A token of what is yet to come.
func TestTokenFromTheFuture(t *testing.T) {
	t.Parallel()
	s := openDev(t, program.InProcess, t.TempDir())
	s.importFolder(t, demo)
	s.wantFold(t)
	const future = "Consistency-Token: order-1001@9"
	for _, path := range []string{"/orders/1001", "/members/HANBIT", "/members/HANBIT/orders", "/products/P-1", "/sales/months"} {
		known := s.get(t, path)
		s.get(t, path, future).wantProblem(t, 503, "view-behind")
		s.get(t, path, future, "Prefer: wait=1").wantProblem(t, 503, "view-behind")
		a := s.get(t, path, future, "Prefer: wait=0, handling=lenient")
		if a.status != 200 || a.body != known.body || a.header.Get("Consistency-Behind") != "order-1001@9; landed=6" ||
			a.header.Get("Preference-Applied") != "handling=lenient" {
			t.Errorf("GET %s leniently: %s %v", path, a, a.header)
		}
		if a := s.get(t, path, "Consistency-Token: order-1001@1, member-HANBIT@0", "Prefer: handling=lenient"); a.status != 200 || a.header.Get("Consistency-Behind") != "" {
			t.Errorf("GET %s with what has landed: %s %v", path, a, a.header)
		}
	}
	if a := s.get(t, "/orders/1001", "Consistency-Token: product-P-1@99"); a.status != 200 {
		t.Errorf("orders wait for a product, which feeds them nothing: %s", a)
	}
	a := s.get(t, "/orders/none", "Consistency-Token: order-none@0", "Prefer: handling=lenient")
	if a.wantProblem(t, 404, "order-not-found"); a.header.Get("Consistency-Behind") != "order-none@0; landed=nothing" {
		t.Errorf("%v", a.header)
	}
}

// A reader may come before the write, and is answered when it has landed.
func TestWaitForAWrite(t *testing.T) {
	t.Parallel()
	s := openDev(t, program.InProcess, t.TempDir())
	s.importFolder(t, demo)
	answers := make(chan answer)
	go func() {
		a, err := s.getLanded("/orders/later", "order-later@0")
		if err != nil {
			t.Error(err)
		}
		answers <- a
	}()
	s.get(t, "/orders/later").wantProblem(t, 404, "order-not-found")
	s.post(t, "/orders", `{"id":"later","member_id":"MIRAE","lines":[{"product_id":"P-1","quantity":1}]}`).done(t)
	if a := <-answers; a.status != 200 || !strings.Contains(a.body, `"id":"later"`) {
		t.Errorf("%s", a)
	}
}
