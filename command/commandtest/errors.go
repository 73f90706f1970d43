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
	header := func(name, header string) failing {
		return failing{name, rename, `{"name":"A"}`, []string{header}, 400, "malformed-header", nil}
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
		bad("a field where none is known", "/products/queso/discontinue", `{"reason":"x"}`, "/reason"),
		header("no revision", "If-Match: 3"),
		header("empty key", "Idempotency-Key: "),
		header("long key", "Idempotency-Key: "+strings.Repeat("k", 256)),
		header("key beyond ASCII", "Idempotency-Key: schlüssel"),
		header("actor beyond ASCII", "X-Actor: 김"),
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
	c.Shop()
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
	for stream, want := range map[string]int{"member-vinet": 1, "product-queso": 1, "product-chai": 2, "order-open": 1, "order-sent": 2, "order-off": 2} {
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
