package commandtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"jangbu/command"
	"jangbu/domain/event"
)

// Run runs the suite. open returns an empty store and is called once a test.
func Run(t *testing.T, open func(t *testing.T) command.Store) {
	for name, test := range map[string]func(*testing.T, command.Store){
		"commands":               testCommands,
		"events":                 testEvents,
		"errors":                 testErrors,
		"if-match":               testIfMatch,
		"metadata":               testMetadata,
		"rivals":                 testRivals,
		"key: same again":        testKeySameAgain,
		"key: another request":   testKeyOtherRequest,
		"key: refused":           testKeyRefused,
		"key: changed nothing":   testKeyNoEffect,
		"key: fifty at once":     testKeyFiftyAtOnce,
		"key: fifty refused":     testKeyFiftyRefused,
		"key: conditional again": testKeyConditional,
		"states kept":            testStatesKept,
		"prefer":                 testPrefer,
		"batch":                  testBatch,
		"batch: order":           testBatchOrder,
		"batch: keys":            testBatchKeys,
		"batch: malformed":       testBatchMalformed,
		"whole shop":             testWholeShop,
		"whole shop: again":      testWholeShopAgain,
		"stock yet to be":        testStockYetToBe,
		"emails":                 testEmails,
		"emails: race":           testEmailRace,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func load(t testing.TB, store command.Store, stream string) []event.Recorded {
	t.Helper()
	var recorded []event.Recorded
	for r, err := range store.ReadStream(context.Background(), stream, 0) {
		if err != nil {
			t.Fatalf("read %s: %v", stream, err)
		}
		recorded = append(recorded, r)
	}
	return recorded
}

func testCommands(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	c.Shop()
	for _, step := range []struct {
		name, path, body string
		status           int
		stream           string
		revision         int64
	}{
		{"rename a member", "/members/vinet/rename", `{"name":"Vins"}`, 200, "member-vinet", 1},
		{"to the same name", "/members/vinet/rename", `{"name":" Vins "}`, 200, "member-vinet", 1},
		{"rename a product", "/products/queso/rename", `{"name":"Queso Cabrales"}`, 200, "product-queso", 1},
		{"reprice a product", "/products/queso/reprice", `{"price":0}`, 200, "product-queso", 2},
		{"to the same price", "/products/queso/reprice", `{"price":0}`, 200, "product-queso", 2},
		{"discontinue without a body", "/products/queso/discontinue", ``, 200, "product-queso", 3},
		{"discontinue twice, with a body", "/products/queso/discontinue", `{}`, 200, "product-queso", 3},
		{"place", "/orders", `{"id":"o_1","member_id":"vinet","lines":[{"product_id":"apples","quantity":1}],"ship_to":null}`, 201, "order-o_1", 0},
		{"ship", "/orders/open/ship", `{"carrier":"Speedy"}`, 200, "order-open", 1},
		{"ship again", "/orders/open/ship", `{"carrier":"Speedy"}`, 200, "order-open", 1},
		{"cancel", "/orders/o_1/cancel", `{"reason":"late"}`, 200, "order-o_1", 1},
		{"cancel again", "/orders/o_1/cancel", `{"reason":"late"}`, 200, "order-o_1", 1},
		{"cancel again, the id escaped", "/orders/%6F%5f1/cancel", `{"reason":"late"}`, 200, "order-o_1", 1},
		{"rename, the id escaped", "/members/%76inet/rename", `{"name":"Vin"}`, 200, "member-vinet", 2},
	} {
		t.Run(step.name, func(t *testing.T) {
			a := c.Post(step.path, step.body)
			d := a.Done(t)
			if a.Status != step.status || d.Stream != step.stream || d.Revision != step.revision {
				t.Errorf("%d %+v", a.Status, d)
			}
		})
	}
	t.Run("ids made by the server", func(t *testing.T) {
		seen := map[string]bool{}
		for range 2 {
			d := c.Post("/members", `{"name":"Nameless"}`).Done(t)
			if id, err := uuid.Parse(d.ID); err != nil || id.Version() != 7 || seen[d.ID] {
				t.Errorf("id %s is no fresh UUIDv7", d.ID)
			}
			seen[d.ID] = true
		}
	})
}

func testEvents(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	c.Shop()
	c.Must("/products/apples/reprice", `{"price":4241}`)
	c.Must("/orders", `{"id":"full","member_id":"vinet","shipping_fee":3238,"placed_on":"1996-07-04","manual":true,
		"lines":[{"product_id":"queso","quantity":3},{"product_id":"apples","quantity":35,"discount_percent":15},{"product_id":"queso","quantity":1}],
		"ship_to":{"name":"Vins","city":"Reims","country":"France"}}`)
	c.Must("/orders/full/ship", `{"carrier":"Federal","tracking":"1Z"}`)
	c.Must("/members/vinet/rename", `{"name":"Vins & Co"}`)
	const typed = `"Cafe\u0301"` // as two characters, which is stored as one
	c.Must("/products", `{"id":"cafe","name":`+typed+`,"category":`+typed+`,"tags":[`+typed+`,"café"],"price":1,"currency":"USD"}`)
	for _, path := range []string{"rename", "categorise", "tag"} {
		c.Must("/products/cafe/"+path, map[string]string{"rename": `{"name":` + typed + `}`, "categorise": `{"category":` + typed + `}`, "tag": `{"tags":[` + typed + `]}`}[path])
	}
	c.Must("/members", `{"id":"rene","name":"René","email":"rene\u0301@example.com","country":"Co\u0302te d'Ivoire"}`)
	for _, want := range []struct{ stream, events string }{
		{"order-full", `order.placed.v2 {"member_id":"vinet","member_country":"France","currency":"USD","lines":[` +
			`{"product_id":"queso","name":"Queso","category":"Dairy","unit_price":1400,"quantity":3,"discount_percent":0,"amount":4200},` +
			`{"product_id":"apples","name":"Apples","category":"Produce","unit_price":4241,"quantity":35,"discount_percent":15,"amount":126170},` +
			`{"product_id":"queso","name":"Queso","category":"Dairy","unit_price":1400,"quantity":1,"discount_percent":0,"amount":1400}],` +
			`"shipping_fee":3238,"ship_to":{"name":"Vins","city":"Reims","country":"France"},"placed_on":"1996-07-04","placed_at":"2026-02-28T15:00:00Z","manual":true}
order.shipped.v1 {"carrier":"Federal","tracking":"1Z","shipped_on":"2026-02-28"}`},
		{"member-vinet", `member.registered.v1 {"name":"Vins et alcools","country":"France"}
member.renamed.v1 {"name":"Vins \u0026 Co"}`},
		{"product-cafe", `product.created.v1 {"name":"Café","category":"Café","price":1,"currency":"USD","tags":["café"]}`}, // once
		{"member-rene", `member.registered.v1 {"name":"René","email":"rene` + "\u0301" + `@example.com","country":"Côte d'Ivoire"}`},
		{"product-chai", `product.created.v1 {"name":"Chai","category":"Beverages","price":1800,"currency":"USD"}
product.discontinued.v1 {}`},
	} {
		var lines []string
		for _, r := range load(t, store, want.stream) {
			lines = append(lines, r.Type+" "+string(r.Data))
		}
		if got := strings.Join(lines, "\n"); got != want.events {
			t.Errorf("%s holds\n%s\nwant\n%s", want.stream, got, want.events)
		}
	}
	if placed := load(t, store, "order-open")[0]; !strings.Contains(string(placed.Data), `"placed_on":"2026-02-28"`) {
		t.Errorf("placed without a date: %s", placed.Data)
	}
}

func testIfMatch(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	c.Shop()
	c.Must("/members/vinet/rename", `{"name":"B"}`) // revision 1
	for _, step := range []struct {
		name, ifMatch, path, body string
		status                    int
		code                      string
	}{
		{"an old revision", `"0"`, "/members/vinet/rename", `{"name":"C"}`, 412, "revision-mismatch"},
		{"weak never matches", `W/"1"`, "/members/vinet/rename", `{"name":"C"}`, 412, "revision-mismatch"},
		{"another form of the number", `"01"`, "/members/vinet/rename", `{"name":"C"}`, 412, "revision-mismatch"},
		{"judged before the rules", `"7"`, "/orders/sent/cancel", `{"reason":"x"}`, 412, "revision-mismatch"},
		{"of no account to a command without effect", `"0"`, "/members/vinet/rename", `{"name":"B"}`, 200, ""},
		{"nor is any", `W/"7"`, "/members/vinet/email", `{"email":""}`, 200, ""},
		{"of nothing", `"0"`, "/members/nobody/rename", `{"name":"B"}`, 404, "member-not-found"},
		{"on a creation", `*`, "/members", `{"id":"new","name":"New"}`, 412, "revision-mismatch"},
		{"malformed", `1`, "/members/vinet/rename", `{"name":"C"}`, 400, "malformed-header"},
		{"the revision", `"1"`, "/members/vinet/rename", `{"name":"C"}`, 200, ""},
		{"a list", `"0", W/"2" ,"2"`, "/members/vinet/rename", `{"name":"D"}`, 200, ""},
		{"any", `*`, "/members/vinet/rename", `{"name":"E"}`, 200, ""},
	} {
		t.Run(step.name, func(t *testing.T) {
			a := c.Post(step.path, step.body, "If-Match: "+step.ifMatch)
			if a.Status != step.status {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			if step.code == "" {
				a.Done(t)
			} else if code, _ := a.Problem(t); code != step.code {
				t.Errorf("problem %s", code)
			}
		})
	}
	if n := len(load(t, store, "member-vinet")); n != 5 {
		t.Errorf("%d events, want 5", n)
	}
	if got := c.Post("/members/vinet/rename", `{"name":"F"}`, `If-Match: "0"`).Header.Get("ETag"); got != `"4"` {
		t.Errorf("a mismatch names ETag %s", got)
	}
}

func testMetadata(t *testing.T, store command.Store) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	c := NewClient(t, store, command.Config{})
	meta := func(id string, headers ...string) (event.Recorded, event.Metadata) {
		c.Must("/members", `{"id":"`+id+`","name":"A"}`, headers...)
		r := load(t, store, "member-"+id)[0]
		var m event.Metadata
		if err := json.Unmarshal(r.Metadata, &m); err != nil {
			t.Fatal(err)
		}
		return r, m
	}
	plain, m := meta("plain")
	if id, err := uuid.Parse(m.CommandID); err != nil || id.Version() != 7 || plain.ID != uuid.NewSHA1(id, []byte("0")) {
		t.Errorf("event %s of command %s", plain.ID, m.CommandID)
	}
	if m.Actor != "anonymous" || m.CorrelationID != m.CommandID || m.CausationID != m.CommandID || m.RequestHash != "" || m.Traceparent != "" {
		t.Errorf("without headers: %+v", m)
	}
	keyed, m := meta("keyed", "Idempotency-Key: k", "X-Actor: kim", "X-Correlation-ID: basket 7", "Traceparent: "+trace)
	if id, err := uuid.Parse(m.CommandID); err != nil || id.Version() != 5 || keyed.ID != uuid.NewSHA1(id, []byte("0")) {
		t.Errorf("event %s of command %s", keyed.ID, m.CommandID)
	}
	if m.Actor != "kim" || m.CorrelationID != "basket 7" || len(m.RequestHash) != 64 || m.Traceparent != trace {
		t.Errorf("with headers: %+v", m)
	}
	for i, bad := range []string{"", "00", trace + "-01", strings.ToUpper(trace), "ff" + trace[2:],
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"} {
		if _, m := meta(fmt.Sprint("bad", i), "Traceparent: "+bad); m.Traceparent != "" {
			t.Errorf("traceparent %q is taken for well-formed", bad)
		}
	}
	if _, m := meta("future", "Traceparent: 01"+trace[2:]+"-more"); m.Traceparent == "" {
		t.Error("a traceparent of a later version is thrown away")
	}
}

// testRivals: commands of one stream at once. Each that succeeds has its own revision, and none is lost.
func testRivals(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{MaxAttempts: 1000})
	c.Must("/members", `{"id":"m","name":"A"}`)
	const rivals = 20
	revisions := make([]int64, rivals)
	var all sync.WaitGroup
	for i := range rivals {
		all.Go(func() {
			a := c.Post("/members/m/rename", fmt.Sprintf(`{"name":"B%d"}`, i))
			var d Done
			if err := json.Unmarshal([]byte(a.Body), &d); a.Status != 200 || err != nil {
				t.Errorf("%d %s", a.Status, a.Body)
			}
			revisions[i] = d.Revision
		})
	}
	all.Wait()
	slices.Sort(revisions)
	for i, revision := range revisions {
		if revision != int64(i)+1 {
			t.Fatalf("revisions %v", revisions)
		}
	}
	if n := len(load(t, store, "member-m")); n != rivals+1 {
		t.Errorf("%d events", n)
	}
}
