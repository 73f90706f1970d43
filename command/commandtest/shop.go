package commandtest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"jangbu/command"
	"jangbu/domain/event"
)

// WiderShop adds to Shop: member gone, closed; member kim with kim@example.com and as many addresses as may be; order
// new, whose stock nobody has reserved yet; of queso 10 on hand and 7 reserved; of apples as much as may be.
func (c *Client) WiderShop(store command.Store) {
	c.t.Helper()
	c.Shop()
	c.Must("/members", `{"id":"gone","name":"Gone"}`)
	c.Must("/members/gone/close", "")
	c.Must("/members", `{"id":"kim","name":"Kim","email":"kim@example.com"}`)
	for i := range 50 {
		c.Must("/members/kim/addresses", fmt.Sprintf(`{"label":"%d","name":"Kim","city":"Seoul","country":"Korea"}`, i))
	}
	c.Must("/orders", `{"id":"waiting","member_id":"vinet","lines":[{"product_id":"queso","quantity":2}]}`)
	c.Must("/products/queso/restock", `{"quantity":10}`)
	c.Must("/products/apples/restock", `{"quantity":1000000000000}`)
	record(c.t, store, "stock-queso", 0, "stock.reserved.v1", `{"order_id":"waiting","quantity":7}`)
}

// record writes what no route of the API does, as the fulfilment of orders would.
func record(t testing.TB, store command.Store, stream string, after int64, name, data string) {
	t.Helper()
	e := event.Proposed{ID: uuid.New(), Type: name, Data: []byte(data), Metadata: []byte(`{}`)}
	if _, err := store.Append(context.Background(), stream, after, []event.Proposed{e}); err != nil {
		t.Fatal(err)
	}
}

// testWholeShop runs every command of the shop once, most of them once more, and looks at what is in the log then.
func testWholeShop(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	for _, step := range []struct {
		path, body string
		token      string // where it leads
	}{
		{"/members", `{"id":"kim","name":"Kim","email":" Kim@Example.com"}`, "member-kim@0"},
		{"/members/kim/email", `{"email":"kim@example.org"}`, "member-kim@1"},
		{"/members/kim/email", `{"email":"KIM@example.org"}`, "member-kim@1"},
		{"/members/kim/contact", `{"contact":"Kim","city":"Seoul","country":"Korea","phone":"02"}`, "member-kim@2"},
		{"/members/kim/contact", `{"contact":"Kim","city":"Seoul","country":"Korea","phone":"02"}`, "member-kim@2"},
		{"/members/kim/addresses", `{"label":"home","name":"Kim","street":"Sejong-daero 1","postcode":"04524","city":"Seoul","country":"Korea"}`, "member-kim@3"},
		{"/members/kim/addresses/remove", `{"label":"home"}`, "member-kim@4"},
		{"/members/kim/addresses/remove", `{"label":"home"}`, "member-kim@4"},
		{"/members/kim/email", `{"email":""}`, "member-kim@5"},

		{"/products", `{"id":"tea","name":"Tea","category":"Drinks","price":1000,"currency":"USD","description":"Hot.","tags":["B","a"],"images":["https://a.example/1.png"]}`, "product-tea@0"},
		{"/products/tea/describe", `{"description":"Hot,\nand wet."}`, "product-tea@1"},
		{"/products/tea/categorise", `{"category":"Beverages"}`, "product-tea@2"},
		{"/products/tea/tag", `{"tags":[]}`, "product-tea@3"},
		{"/products/tea/picture", `{"images":["https://a.example/2.png"]}`, "product-tea@4"},
		{"/products/tea/sale", `{"price":800,"from":"2026-02-28T23:00:00+09:00","until":"2026-03-01T00:00:00Z"}`, "product-tea@5"},
		{"/products/tea/restock", `{"quantity":10}`, "stock-tea@0"},
		{"/products/tea/count", `{"on_hand":9,"reason":"a mouse"}`, "stock-tea@1"},
		{"/products/tea/count", `{"on_hand":9,"reason":"a mouse"}`, "stock-tea@1"},
		{"/products/tea/low-water", `{"low_water":3}`, "stock-tea@2"},

		{"/orders", `{"id":"o","member_id":"kim","lines":[{"product_id":"tea","quantity":3}],"payment_method":"invoice","manual":true}`, "order-o@0"},
		{"/orders/o/ship", `{"carrier":"Post","lines":[{"line":1,"quantity":2}]}`, "order-o@1"},
		{"/orders/o/ship", `{"carrier":"Post","tracking":"7"}`, "order-o@2"},
		{"/orders/o/deliver", `{"parcel":2,"delivered_on":"2026-03-01"}`, "order-o@3"},
		{"/orders/o/deliver", ``, "order-o@4"},
		{"/orders/o/deliver", `{}`, "order-o@4"},
		{"/orders/o/return", `{"lines":[{"line":1,"quantity":1}],"restock":true,"reason":"cold"}`, "order-o@5"},
		{"/orders/o/return", `{"refund_shipping":true}`, "order-o@6"},

		{"/products/tea/sale/end", ``, "product-tea@6"},
		{"/products/tea/sale/end", `{}`, "product-tea@6"},
		{"/products/tea/discontinue", ``, "product-tea@7"},
		{"/products/tea/relist", ``, "product-tea@8"},
		{"/members/kim/close", `{"reason":"moved"}`, "member-kim@6"},
		{"/members/kim/close", ``, "member-kim@6"},
	} {
		d := c.Post(step.path, step.body).Done(t)
		if got := fmt.Sprintf("%s@%d", d.Stream, d.Revision); got != step.token {
			t.Errorf("POST %s %s leads to %s, want %s", step.path, step.body, got, step.token)
		}
	}
	for _, want := range []struct{ stream, events string }{
		{"member-kim", `member.registered.v1 {"name":"Kim","email":"kim@example.com"}
member.email_changed.v1 {"email":"kim@example.org"}
member.contact_changed.v1 {"contact":"Kim","city":"Seoul","country":"Korea","phone":"02"}
member.address_set.v1 {"label":"home","name":"Kim","street":"Sejong-daero 1","postcode":"04524","city":"Seoul","country":"Korea"}
member.address_removed.v1 {"label":"home"}
member.email_changed.v1 {"email":""}
member.closed.v1 {"reason":"moved"}`},
		{"product-tea", `product.created.v1 {"name":"Tea","category":"Drinks","price":1000,"currency":"USD","description":"Hot.","tags":["a","b"],"images":["https://a.example/1.png"]}
product.described.v1 {"description":"Hot,\nand wet."}
product.categorised.v1 {"category":"Beverages"}
product.tagged.v1 {"tags":[]}
product.pictured.v1 {"images":["https://a.example/2.png"]}
product.sale_set.v1 {"price":800,"from":"2026-02-28T14:00:00Z","until":"2026-03-01T00:00:00Z"}
product.sale_ended.v1 {}
product.discontinued.v1 {}
product.relisted.v1 {}`},
		{"stock-tea", `stock.restocked.v1 {"quantity":10}
stock.counted.v1 {"on_hand":9,"was":10,"reason":"a mouse"}
stock.low_water_set.v1 {"low_water":3}`},
		{"order-o", `order.placed.v2 {"member_id":"kim","member_country":"Korea","currency":"USD","lines":[` +
			`{"product_id":"tea","name":"Tea","category":"Beverages","unit_price":800,"quantity":3,"discount_percent":0,"amount":2400}],` +
			`"placed_on":"2026-02-28","placed_at":"2026-02-28T15:00:00Z","payment_method":"invoice","manual":true}
order.shipped.v1 {"carrier":"Post","shipped_on":"2026-02-28","lines":[{"line":1,"quantity":2}]}
order.shipped.v1 {"carrier":"Post","tracking":"7","shipped_on":"2026-02-28"}
order.delivered.v1 {"parcel":2,"delivered_on":"2026-03-01"}
order.delivered.v1 {"parcel":1,"delivered_on":"2026-02-28"}
order.returned.v1 {"lines":[{"line":1,"quantity":1}],"amount":800,"restock":true,"reason":"cold","returned_on":"2026-02-28"}
order.returned.v1 {"lines":[{"line":1,"quantity":2}],"amount":1600,"returned_on":"2026-02-28"}`},
	} {
		var lines []string
		for _, r := range load(t, store, want.stream) {
			lines = append(lines, r.Type+" "+string(r.Data))
		}
		if got := strings.Join(lines, "\n"); got != want.events {
			t.Errorf("%s holds\n%s\nwant\n%s", want.stream, got, want.events)
		}
	}
}

// testWholeShopAgain sends every kind of change twice under one key, the second time to another process after
// things have moved on, and with a condition that held only once.
func testWholeShopAgain(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	c.Shop()
	c.Must("/products/queso/restock", `{"quantity":10}`)
	c.Must("/orders/open/ship", `{"carrier":"Post","lines":[{"line":1,"quantity":1}]}`)
	var first []Answer
	changes := []struct{ path, body string }{
		{"/members/vinet/email", `{"email":"vins@example.com"}`},
		{"/members/vinet/contact", `{"city":"Reims"}`},
		{"/members/vinet/addresses", `{"label":"home","name":"Vins","city":"Reims","country":"France"}`},
		{"/members/vinet/addresses/remove", `{"label":"home"}`},
		{"/products/queso/describe", `{"description":"Blue."}`},
		{"/products/queso/categorise", `{"category":"Cheese"}`},
		{"/products/queso/tag", `{"tags":["blue"]}`},
		{"/products/queso/picture", `{"images":["https://a.example/1.png"]}`},
		{"/products/queso/sale", `{"price":1,"from":"2026-02-28T15:00:00Z","until":"2026-03-28T15:00:00Z"}`},
		{"/products/queso/sale/end", ``},
		{"/products/chai/relist", ``},
		{"/products/queso/restock", `{"quantity":5}`},
		{"/products/queso/count", `{"on_hand":12,"reason":"counted"}`},
		{"/products/queso/low-water", `{"low_water":2}`},
		{"/orders/open/ship", `{"carrier":"Post"}`},
		{"/orders/open/deliver", `{"parcel":1}`},
		{"/orders/open/return", `{"lines":[{"line":1,"quantity":1}]}`},
		{"/members/vinet/close", `{"reason":"moved"}`},
	}
	headers := func(i int, r int64) []string {
		return []string{fmt.Sprintf("Idempotency-Key: again %d", i), fmt.Sprintf(`If-Match: "%d"`, r)}
	}
	stream := func(path string) string {
		parts := strings.Split(path, "/")
		category := strings.TrimSuffix(parts[1], "s")
		if parts[3] == "restock" || parts[3] == "count" || parts[3] == "low-water" {
			category = "stock"
		}
		return category + "-" + parts[2]
	}
	last := func(path string) int64 { return int64(len(load(t, store, stream(path)))) - 1 }
	var conditions []int64
	for i, r := range changes {
		at := last(r.path)
		if code, _ := c.Post(r.path, r.body, headers(i, at+1)...).Problem(t); code != "revision-mismatch" {
			t.Errorf("POST %s at another revision: %s", r.path, code)
		}
		a := c.Post(r.path, r.body, headers(i, at)...)
		if d := a.Done(t); d.Revision != at+1 || d.Stream != stream(r.path) {
			t.Errorf("POST %s leads to %+v, from %d", r.path, d, at)
		}
		first, conditions = append(first, a), append(conditions, at)
	}
	size := map[string]int64{}
	for _, r := range changes {
		size[r.path] = last(r.path)
	}
	restarted := NewClient(t, store, command.Config{})
	for i, r := range changes {
		if again := restarted.Post(r.path, r.body, headers(i, conditions[i])...); !again.Equal(first[i]) {
			t.Errorf("POST %s after a restart:\n%+v\nfirst\n%+v", r.path, again, first[i])
		}
	}
	for path, n := range size {
		if got := last(path); got != n {
			t.Errorf("%s grew from %d to %d", stream(path), n, got)
		}
	}
}

// testStockYetToBe: no condition on a stock holds that has no stream yet, and a command that leaves it so names no revision.
func testStockYetToBe(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	c.Shop()
	for _, match := range []string{`"0"`, `*`} {
		a := c.Post("/products/queso/restock", `{"quantity":1}`, "If-Match: "+match)
		if code, _ := a.Problem(t); a.Status != 412 || code != "revision-mismatch" {
			t.Errorf("If-Match: %s: %d %s", match, a.Status, a.Body)
		}
	}
	for path, body := range map[string]string{"/products/queso/count": `{"on_hand":0,"reason":"A"}`, "/products/queso/low-water": `{"low_water":0}`} {
		for _, headers := range [][]string{nil, {"Idempotency-Key: " + path}, {"Idempotency-Key: " + path}} {
			a := c.Post(path, body, headers...)
			if a.Status != 200 || a.Body != `{"id":"queso","stream":"stock-queso"}` || a.Header.Get("ETag")+a.Header.Get("Consistency-Token") != "" {
				t.Errorf("%s: %d %s, headers %v", path, a.Status, a.Body, a.Header)
			}
		}
		r := c.Batch([]string{`{"path":"` + path + `","body":` + body + `}`})[0]
		if r.Status != 200 || r.ETag+r.ConsistencyToken != "" {
			t.Errorf("%s in a batch: %+v", path, r)
		}
	}
	c.Must("/products/queso/restock", `{"quantity":1}`)
	if d := c.Post("/products/queso/restock", `{"quantity":1}`, `If-Match: "0"`).Done(t); d.Revision != 1 || d.Stream != "stock-queso" {
		t.Errorf("%+v", d)
	}
}
