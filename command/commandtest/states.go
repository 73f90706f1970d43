package commandtest

import (
	"fmt"
	"strings"
	"testing"

	"jangbu/command"
)

// testStatesKept: two processes that have seen the same streams take turns. What one keeps in memory never makes it answer by
// what the other has changed since, whether it decides on an effect, on none, or refuses.
func testStatesKept(t *testing.T, store command.Store) {
	a, b := NewClient(t, store, command.Config{}), NewClient(t, store, command.Config{Cache: 1})
	a.Shop()
	for _, c := range []*Client{a, b} { // now both know them all
		c.Must("/members/vinet/rename", `{"name":"Vins et alcools"}`)
		c.Must("/orders", `{"member_id":"vinet","lines":[{"product_id":"queso","quantity":1},{"product_id":"apples","quantity":1}]}`)
	}
	for i := range int64(4) {
		mine, theirs := a, b
		if i%2 == 1 {
			mine, theirs = b, a
		}
		theirs.Must("/members/vinet/rename", fmt.Sprintf(`{"name":"B%d"}`, i))
		if d := mine.Must("/members/vinet/rename", fmt.Sprintf(`{"name":"B%d"}`, i)).Done(t); d.Revision != 1+i {
			t.Errorf("the name it has: %+v", d)
		}
		theirs.Must("/products/queso/reprice", fmt.Sprintf(`{"price":%d}`, i))
		order := mine.Must("/orders", `{"member_id":"vinet","lines":[{"product_id":"queso","quantity":1}]}`, "Prefer: return=representation")
		if want := fmt.Sprintf(`"unit_price":%d,`, i); !strings.Contains(order.Body, want) {
			t.Errorf("an order of today at yesterday's price: %s, want %s", order.Body, want)
		}
	}
	theirs := b
	theirs.Must("/orders/open/cancel", `{"reason":"late"}`)
	if code, _ := a.Post("/orders/open/ship", `{"carrier":"A"}`).Problem(t); code != "order-already-cancelled" {
		t.Errorf("problem %s", code)
	}
	if code, _ := a.Post("/members/vinet/rename", `{"name":"C"}`, `If-Match: "3"`).Problem(t); code != "revision-mismatch" {
		t.Errorf("problem %s", code)
	}
	theirs.Must("/products/apples/discontinue", "")
	if code, _ := a.Post("/orders", `{"member_id":"vinet","lines":[{"product_id":"apples","quantity":1}]}`).Problem(t); code != "product-discontinued" {
		t.Errorf("problem %s", code)
	}
}
