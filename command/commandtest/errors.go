package commandtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"jangbu/command"
)

type failing struct {
	name, path, body string
	headers          []string
	status           int
	code             string
	pointers         []string
}

// Codes are the problems that the suite has a store produce; the others need one that misbehaves.
func Codes() []string {
	codes := []string{"batch-too-large", "idempotency-key-reused", "method-not-allowed", "revision-mismatch"}
	for _, f := range append(malformed(), refusals()...) {
		codes = append(codes, f.code)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

func malformed() []failing {
	const rename, order = "/members/vinet/rename", "/orders"
	bad := func(name, path, body string, pointers ...string) failing {
		return failing{name, path, body, nil, 400, "malformed-body", pointers}
	}
	header := func(name string, headers ...string) failing {
		return failing{name, rename, `{"name":"A"}`, headers, 400, "malformed-header", nil}
	}
	return []failing{
		bad("no body", rename, ``),
		bad("no JSON", rename, `{"name":`),
		bad("trailing data", rename, `{"name":"A"} {}`),
		bad("no UTF-8", rename, "{\"name\":\"\xff\"}"),
		bad("no object", rename, `["A"]`, ""),
		bad("null", rename, `null`, ""),
		bad("unknown field", rename, `{"name":"A","nom":"B"}`, "/nom"),
		bad("field in another case", rename, `{"Name":"A"}`, "/Name"),
		bad("field twice", rename, `{"name":"A","name":"B"}`, "/name"),
		bad("wrong type", rename, `{"name":7}`, "/name"),
		bad("null for a required field", rename, `{"name":null}`, "/name"),
		bad("wrong types deep inside", order, `{"member_id":"vinet","lines":[{"product_id":"queso","quantity":1},{"product_id":4,"quantity":1.5,"~a/b":0}],"ship_to":[]}`,
			"/lines/1/product_id", "/lines/1/quantity", "/lines/1/~0a~1b", "/ship_to"),
		bad("a number beyond 64 bits", "/products/queso/reprice", `{"price":9223372036854775808}`, "/price"),
		bad("a moment that is a number", "/products/queso/sale", `{"price":1,"from":1,"until":2}`, "/from", "/until"),
		bad("a list that is a text", "/products/queso/tag", `{"tags":"a"}`, "/tags"),
		bad("a field where none is known", "/products/queso/discontinue", `{"reason":"x"}`, "/reason"),
		header("no revision", "If-Match: 3"),
		header("empty key", "Idempotency-Key: "),
		header("long key", "Idempotency-Key: "+strings.Repeat("k", 256)),
		header("key beyond ASCII", "Idempotency-Key: schlüssel"),
		header("actor beyond ASCII", "X-Actor: 김"),
		header("two actors", "X-Actor: client", "X-Actor: gateway"),
		header("two correlation ids", "X-Correlation-ID: a", "X-Correlation-ID: a"),
		header("long correlation id", "X-Correlation-ID: "+strings.Repeat("c", 129)),
		{"too large", rename, `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 413, "body-too-large", nil},
		{"form", rename, `name=A`, []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "unsupported-media-type", nil},
		{"compressed", rename, `{"name":"A"}`, []string{"Content-Encoding: gzip"}, 415, "unsupported-media-type", nil},
	}
}

func refusals() []failing {
	orderOf := func(lines string) string { return `{"id":"new","member_id":"vinet","lines":[` + lines + `]}` }
	wrong := func(name, path, body string, pointers ...string) failing {
		return failing{name, path, body, nil, 422, "invalid-fields", pointers}
	}
	refused := func(name, path, body, code string) failing {
		return failing{name, path, body, nil, 409, code, nil}
	}
	missing := func(name, path, body, code string) failing {
		return failing{name, path, body, nil, 404, code, nil}
	}
	return []failing{
		missing("member", "/members/nobody/rename", `{"name":"A"}`, "member-not-found"),
		missing("member under no id", "/members/a%20b/rename", `{"name":"A"}`, "member-not-found"),
		missing("product to rename", "/products/nix/rename", `{"name":"A"}`, "product-not-found"),
		missing("product to reprice", "/products/nix/reprice", `{"price":1}`, "product-not-found"),
		missing("product to discontinue", "/products/nix/discontinue", ``, "product-not-found"),
		missing("order to ship", "/orders/nix/ship", `{"carrier":"A"}`, "order-not-found"),
		missing("order to cancel", "/orders/nix/cancel", `{"reason":"A"}`, "order-not-found"),
		missing("member to change", "/members/nobody/contact", `{}`, "member-not-found"),
		missing("member to write to", "/members/nobody/email", `{"email":"a@example.com"}`, "member-not-found"),
		missing("member under no id to write to", "/members/a%20b/email", `{"email":""}`, "member-not-found"),
		missing("member to close", "/members/nobody/close", ``, "member-not-found"),
		missing("product to describe", "/products/nix/describe", `{"description":"A"}`, "product-not-found"),
		missing("product to relist", "/products/nix/relist", ``, "product-not-found"),
		missing("product to restock", "/products/nix/restock", `{"quantity":1}`, "product-not-found"),
		missing("product to count", "/products/nix/count", `{"on_hand":1,"reason":"A"}`, "product-not-found"),
		missing("product to watch", "/products/nix/low-water", `{"low_water":1}`, "product-not-found"),
		missing("product under no id to restock", "/products/a%20b/restock", `{"quantity":1}`, "product-not-found"),
		missing("order to deliver", "/orders/nix/deliver", ``, "order-not-found"),
		missing("order to return", "/orders/nix/return", ``, "order-not-found"),
		missing("route", "/nothing", `{}`, "route-not-found"),
		wrong("member", "/members", `{"id":"a b","name":" ","phone":"1\n2"}`, "/id", "/name", "/phone"),
		wrong("name", "/members/vinet/rename", `{}`, "/name"),
		wrong("product", "/products", `{"name":"A","currency":"XXX"}`, "/category", "/price", "/currency"),
		wrong("price left out", "/products/queso/reprice", `{}`, "/price"),
		wrong("price below zero", "/products/queso/reprice", `{"price":-1}`, "/price"),
		wrong("order", "/orders", `{"member_id":"","lines":[{"product_id":"","quantity":0}],"ship_to":{"name":"A","city":"","country":""},"placed_on":"x"}`,
			"/member_id", "/lines/0/product_id", "/lines/0/quantity", "/ship_to/city", "/ship_to/country", "/placed_on"),
		wrong("order of nothing", "/orders", `{"member_id":"vinet","lines":[]}`, "/lines"),
		wrong("order by nobody for unknown things", "/orders", `{"member_id":"nobody","lines":[{"product_id":"nix","quantity":1}]}`,
			"/member_id", "/lines/0/product_id"),
		wrong("shipment", "/orders/open/ship", `{"carrier":"","shipped_on":"1996-02-30"}`, "/carrier", "/shipped_on"),
		wrong("reason", "/orders/open/cancel", `{}`, "/reason"),
		wrong("e-mail", "/members", `{"name":"A","email":"A <a@example.com>"}`, "/email"),
		wrong("e-mail left out", "/members/vinet/email", `{}`, "/email"),
		wrong("e-mail to change", "/members/vinet/email", `{"email":"a@"}`, "/email"),
		wrong("contact", "/members/vinet/contact", `{"phone":"1\n2"}`, "/phone"),
		wrong("address", "/members/vinet/addresses", `{"label":"","name":"A","city":"","country":"B"}`, "/label", "/city"),
		wrong("address to remove", "/members/vinet/addresses/remove", `{"label":""}`, "/label"),
		wrong("reason to close", "/members/vinet/close", `{"reason":"a\nb"}`, "/reason"),
		wrong("product described", "/products", `{"name":"A","category":"B","price":1,"currency":"USD","description":"\u0000","tags":[""],"images":["x"]}`,
			"/description", "/tags/0", "/images/0"),
		wrong("description left out", "/products/queso/describe", `{}`, "/description"),
		wrong("category left out", "/products/queso/categorise", `{}`, "/category"),
		wrong("tags left out", "/products/queso/tag", `{}`, "/tags"),
		wrong("images left out", "/products/queso/picture", `{}`, "/images"),
		wrong("sale", "/products/queso/sale", `{"from":"2026-02-28","until":""}`, "/price", "/from", "/until"),
		wrong("sale of the past", "/products/queso/sale", `{"price":1,"from":"2026-01-01T00:00:00Z","until":"2026-02-28T15:00:00Z"}`, "/until"),
		wrong("quantity left out", "/products/queso/restock", `{}`, "/quantity"),
		wrong("count left out", "/products/queso/count", `{"reason":"A"}`, "/on_hand"),
		wrong("count without a reason", "/products/queso/count", `{"on_hand":9}`, "/reason"),
		wrong("mark left out", "/products/queso/low-water", `{}`, "/low_water"),
		wrong("payment", "/orders", `{"member_id":"vinet","lines":[{"product_id":"queso","quantity":1}],"payment_method":"shells"}`, "/payment_method"),
		wrong("parcel", "/orders/open/ship", `{"carrier":"A","lines":[{"line":2,"quantity":1}]}`, "/lines/0/line"),
		wrong("parcel of no lines", "/orders/open/ship", `{"carrier":"A","lines":[]}`, "/lines"),
		wrong("delivery", "/orders/sent/deliver", `{"parcel":-1,"delivered_on":"x"}`, "/delivered_on", "/parcel"),
		wrong("return", "/orders/sent/return", `{"lines":[{"line":1,"quantity":0}],"returned_on":"x"}`, "/lines/0/quantity", "/returned_on"),
		wrong("fee with a part", "/orders/sent/return", `{"lines":[{"line":1,"quantity":1}],"refund_shipping":true}`, "/refund_shipping"),
		refused("e-mail of another's", "/members", `{"id":"new","name":"A","email":"Kim@example.com"}`, "email-taken"),
		refused("e-mail of another's to change to", "/members/vinet/email", `{"email":"kim@example.com"}`, "email-taken"),
		refused("closed member to rename", "/members/gone/rename", `{"name":"A"}`, "member-closed"),
		refused("closed member to write to", "/members/gone/email", `{"email":"gone@example.com"}`, "member-closed"),
		refused("closed member who orders", "/orders", `{"member_id":"gone","lines":[{"product_id":"queso","quantity":1}]}`, "member-closed"),
		refused("one address too many", "/members/kim/addresses", `{"label":"x","name":"A","city":"B","country":"C"}`, "too-many-addresses"),
		refused("count below what is reserved", "/products/queso/count", `{"on_hand":6,"reason":"A"}`, "stock-reserved"),
		refused("more than can be in stock", "/products/apples/restock", `{"quantity":1}`, "stock-too-large"),
		refused("not confirmed", "/orders/waiting/ship", `{"carrier":"A"}`, "order-not-confirmed"),
		refused("parcel over what is left", "/orders/open/ship", `{"carrier":"A","lines":[{"line":1,"quantity":3}]}`, "order-already-shipped"),
		refused("not shipped to be delivered", "/orders/open/deliver", ``, "order-not-shipped"),
		refused("no such parcel", "/orders/sent/deliver", `{"parcel":2}`, "order-not-shipped"),
		refused("not shipped to come back", "/orders/open/return", ``, "order-not-shipped"),
		refused("cancelled to be delivered", "/orders/off/deliver", ``, "order-already-cancelled"),
		refused("cancelled to come back", "/orders/off/return", ``, "order-already-cancelled"),
		refused("member again", "/members", `{"id":"vinet","name":"A"}`, "member-exists"),
		refused("product again", "/products", `{"id":"queso","name":"A","category":"B","price":1,"currency":"USD"}`, "product-exists"),
		refused("order again", "/orders", `{"id":"open","member_id":"vinet","lines":[{"product_id":"queso","quantity":2}]}`, "order-exists"),
		refused("discontinued", "/orders", orderOf(`{"product_id":"chai","quantity":1}`), "product-discontinued"),
		refused("two currencies", "/orders", orderOf(`{"product_id":"queso","quantity":1},{"product_id":"mochi","quantity":1}`), "order-mixed-currencies"),
		refused("too dear", "/orders", orderOf(`{"product_id":"ring","quantity":2}`), "order-total-too-large"),
		refused("shipped otherwise", "/orders/sent/ship", `{"carrier":"Speedy"}`, "order-already-shipped"),
		refused("cancelled after shipping", "/orders/sent/cancel", `{"reason":"late"}`, "order-already-shipped"),
		refused("shipped after cancelling", "/orders/off/ship", `{"carrier":"Federal"}`, "order-already-cancelled"),
		refused("cancelled otherwise", "/orders/off/cancel", `{"reason":"fraud"}`, "order-already-cancelled"),
	}
}

// testErrors makes every mistake twice, without and with a key, and finds nothing written.
func testErrors(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	c.WiderShop(store)
	for i, f := range append(malformed(), refusals()...) {
		for _, keyed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d %s keyed=%v", f.status, f.name, keyed), func(t *testing.T) {
				headers := f.headers
				if keyed && !strings.Contains(strings.Join(headers, " "), "Idempotency-Key") {
					headers = append(slices.Clone(headers), fmt.Sprintf("Idempotency-Key: %d", i))
				}
				if !strings.Contains(strings.Join(headers, " "), "Content-Type") {
					headers = append(slices.Clone(headers), "Content-Type: application/json")
				}
				a := c.Do(http.MethodPost, f.path, f.body, headers...)
				code, pointers := a.Problem(t)
				if a.Status != f.status || code != f.code || !slices.Equal(pointers, f.pointers) {
					t.Errorf("%d %s, want %d %s %q", a.Status, a.Body, f.status, f.code, f.pointers)
				}
			})
		}
	}
	for stream, want := range map[string]int{"member-vinet": 1, "product-queso": 1, "product-chai": 2, "order-open": 1, "order-sent": 2, "order-off": 2,
		"member-kim": 51, "member-gone": 2, "order-waiting": 1, "stock-queso": 2, "stock-apples": 1} {
		if got := len(load(t, store, stream)); got != want {
			t.Errorf("%s holds %d events, want %d", stream, got, want)
		}
	}
	t.Run("405", func(t *testing.T) {
		a := c.Do(http.MethodDelete, "/orders/open/ship", "")
		if code, _ := a.Problem(t); a.Status != 405 || code != "method-not-allowed" || !strings.Contains(a.Header.Get("Allow"), "POST") {
			t.Errorf("%d %s, Allow %q", a.Status, a.Body, a.Header.Get("Allow"))
		}
	})
}
