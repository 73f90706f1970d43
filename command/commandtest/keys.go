package commandtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"jangbu/command"
	"jangbu/domain/event"
)

const anOrder = `{"member_id":"vinet","lines":[{"product_id":"queso","quantity":1}]}`

// testKeySameAgain sends every kind of command three times: twice, then once more to another process after things
// have moved on.
func testKeySameAgain(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	c.Shop()
	var first []Answer
	requests := []struct{ path, body, again string }{
		{"/members", `{"id":"m","name":"A","city":"Reims"}`, `{ "city": "Reims", "name":"A","id":"m", "phone":"" }`},
		{"/members", `{"name":"A"}`, `{"name":"A","id":null}`},
		{"/members/vinet/rename", `{"name":"B"}`, ` {"name":"\u0042"}`},
		{"/products", `{"id":"p","name":"A","category":"B","price":1,"currency":"USD"}`, `{"price":1,"id":"p","name":"A","category":"B","currency":"USD"}`},
		{"/products/queso/rename", `{"name":"B"}`, `{"name":"B"}`},
		{"/products/queso/reprice", `{"price":5}`, `{"price":5}`},
		{"/products/queso/discontinue", ``, `{}`},
		{"/orders/open/ship", `{"carrier":"A"}`, `{"carrier":"A"}`},
		{"/orders", `{"member_id":"vinet","lines":[{"product_id":"apples","quantity":1}]}`, `{"member_id":"vinet","lines":[{"product_id":"apples","quantity":1,"discount_percent":0}]}`},
	}
	key := func(i int) string { return fmt.Sprintf("Idempotency-Key: key %d", i) }
	for i, r := range requests {
		a := c.Must(r.path, r.body, key(i))
		a.Done(t)
		if again := c.Post(r.path, r.again, key(i)); !again.Equal(a) {
			t.Errorf("%s again:\n%+v\nfirst\n%+v", r.path, again, a)
		}
		first = append(first, a)
	}
	c.Must("/members/vinet/rename", `{"name":"C"}`)
	c.Must("/members/m/rename", `{"name":"C"}`)
	c.Must("/products/queso/reprice", `{"price":6}`)
	c.Must("/products/apples/discontinue", ``)
	sizes := map[string]int{}
	for _, a := range first {
		stream := a.Done(t).Stream
		sizes[stream] = len(load(t, store, stream))
	}
	restarted := NewClient(t, store, command.Config{})
	for i, r := range requests {
		if again := restarted.Post(r.path, r.again, key(i)); !again.Equal(first[i]) {
			t.Errorf("%s after a restart:\n%+v\nfirst\n%+v", r.path, again, first[i])
		}
	}
	for stream, size := range sizes {
		if got := len(load(t, store, stream)); got != size {
			t.Errorf("%s grew from %d to %d events", stream, size, got)
		}
	}
}

func testKeyOtherRequest(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	c.Shop()
	c.Must("/members", `{"id":"two","name":"Two"}`)
	key := func(k string) string { return "Idempotency-Key: " + k }
	created := c.Must("/members", `{"name":"A"}`, key("create"))
	c.Must("/members", `{"id":"m","name":"A"}`, key("create with id"))
	c.Must("/members/vinet/rename", `{"name":"B"}`, key("rename"))
	c.Must("/members/vinet/rename", `{"name":"B"}`, key("no effect"))
	c.Must("/orders", anOrder, key("order"))
	for _, other := range []struct{ name, key, path, body string }{
		{"another body, id by the server", "create", "/members", `{"name":"B"}`},
		{"an id where there was none", "create", "/members", `{"id":"n","name":"A"}`},
		{"another id", "create with id", "/members", `{"id":"n","name":"A"}`},
		{"an id that is taken", "create with id", "/members", `{"id":"two","name":"A"}`},
		{"no id where there was one", "create with id", "/members", `{"name":"A"}`},
		{"another name", "rename", "/members/vinet/rename", `{"name":"C"}`},
		{"another name without effect", "rename", "/members/two/rename", `{"name":"Two"}`},
		{"another member", "rename", "/members/two/rename", `{"name":"B"}`},
		{"a member that is not there", "rename", "/members/nobody/rename", `{"name":"B"}`},
		{"a wrong body", "rename", "/members/vinet/rename", `{"name":""}`},
		{"a wrong new member", "create", "/members", `{"name":""}`},
		{"another path", "rename", "/products/queso/rename", `{"name":"B"}`},
		{"a rule refuses", "rename", "/orders/sent/cancel", `{"reason":"x"}`},
		{"after no effect", "no effect", "/members/vinet/rename", `{"name":"C"}`},
		{"another order", "order", "/orders", `{"member_id":"vinet","lines":[{"product_id":"queso","quantity":2}]}`},
		{"an order by nobody", "order", "/orders", `{"member_id":"x","lines":[{"product_id":"queso","quantity":1}]}`},
	} {
		t.Run(other.name, func(t *testing.T) {
			a := c.Post(other.path, other.body, key(other.key))
			if code, _ := a.Problem(t); a.Status != 422 || code != "idempotency-key-reused" {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	for _, err := range store.ReadStream(context.Background(), "member-n", 0) {
		if !errors.Is(err, event.ErrStreamNotFound) {
			t.Errorf("reading member n, which nobody made: %v", err)
		}
	}
	t.Run("another actor has keys of its own", func(t *testing.T) {
		kim := c.Must("/members", `{"name":"B"}`, key("create"), "X-Actor: kim")
		if kim.Done(t).ID == created.Done(t).ID {
			t.Error("two actors made one member")
		}
	})
}

// testKeyRefused: what was refused under a key may be carried out under it later, once.
func testKeyRefused(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	c.Shop()
	refused := func(status int, path, body, key string) {
		t.Helper()
		for range 2 {
			if a := c.Post(path, body, "Idempotency-Key: "+key); a.Status != status {
				t.Errorf("POST %s %s: %d %s", path, body, a.Status, a.Body)
			}
		}
	}
	accepted := func(path, body, key string) {
		t.Helper()
		a := c.Post(path, body, "Idempotency-Key: "+key)
		a.Done(t)
		if again := c.Post(path, body, "Idempotency-Key: "+key); !again.Equal(a) {
			t.Errorf("again %+v, first %+v", again, a)
		}
	}
	const order = `{"id":"later","member_id":"new","lines":[{"product_id":"queso","quantity":1}]}`
	refused(404, "/members/new/rename", `{"name":"B"}`, "rename")
	refused(422, "/orders", order, "order")
	c.Must("/members", `{"id":"new","name":"A"}`)
	accepted("/members/new/rename", `{"name":"B"}`, "rename")
	accepted("/orders", order, "order")

	t.Run("a refused condition", func(t *testing.T) {
		a := c.Post("/members/new/rename", `{"name":"C"}`, "Idempotency-Key: cond", `If-Match: "0"`)
		if a.Status != 412 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		a = c.Post("/members/new/rename", `{"name":"C"}`, "Idempotency-Key: cond", `If-Match: "1"`)
		if d := a.Done(t); d.Revision != 2 {
			t.Errorf("%+v", d)
		}
	})
	t.Run("a refusal binds nothing", func(t *testing.T) {
		refused(422, "/orders", `{"id":"last","member_id":"nobody","lines":[{"product_id":"queso","quantity":1}]}`, "free")
		refused(404, "/members/nobody/rename", `{"name":"B"}`, "free")
		accepted("/orders", `{"id":"last","member_id":"new","lines":[{"product_id":"queso","quantity":1}]}`, "free")
	})
	t.Run("a wrong body binds nothing", func(t *testing.T) {
		refused(422, "/members", `{"name":""}`, "typo")
		accepted("/members", `{"name":"A"}`, "typo")
	})
}

func testKeyNoEffect(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	c.Shop()
	const path, body = "/members/vinet/rename", `{"name":"Vins et alcools"}`
	first := c.Must(path, body, "Idempotency-Key: k")
	if d := first.Done(t); d.Revision != 0 {
		t.Fatalf("%+v", d)
	}
	c.Must(path, `{"name":"B"}`)
	for range 2 {
		if again := c.Post(path, body, "Idempotency-Key: k"); !again.Equal(first) {
			t.Errorf("again %+v, first %+v", again, first)
		}
	}
	if again := NewClient(t, store, command.Config{}).Post(path, body, "Idempotency-Key: k", `If-Match: "9"`); !again.Equal(first) {
		t.Errorf("again %+v, first %+v", again, first)
	}
	post := func() Answer { return c.Post(path, `{"name":"B"}`, "Idempotency-Key: stale", `If-Match: "0"`) }
	stale := post()
	if d := stale.Done(t); d.Revision != 1 {
		t.Errorf("%+v", d)
	}
	c.Must(path, `{"name":"C"}`)
	if again := post(); !again.Equal(stale) {
		t.Errorf("under a condition that fails again %+v, first %+v", again, stale)
	}
	if n := len(load(t, store, "member-vinet")); n != 3 {
		t.Errorf("%d events", n)
	}
}

func testKeyFiftyAtOnce(t *testing.T, store command.Store) {
	const callers = 50
	clients := []*Client{NewClient(t, store, command.Config{}), NewClient(t, store, command.Config{})}
	clients[0].Shop()
	for _, r := range []struct {
		name, path, body string
		stream           string
		events           int
	}{
		{"create", "/members", `{"name":"A"}`, "", 1},
		{"create with id", "/members", `{"id":"m","name":"A"}`, "member-m", 1},
		{"order", "/orders", anOrder, "", 1},
		{"rename", "/members/vinet/rename", `{"name":"B"}`, "member-vinet", 2},
		{"no effect", "/members/vinet/rename", `{"name":"B"}`, "member-vinet", 2},
		{"ship", "/orders/open/ship", `{"carrier":"A"}`, "order-open", 2},
	} {
		t.Run(r.name, func(t *testing.T) {
			answers := make([]Answer, callers)
			var all sync.WaitGroup
			for i := range callers {
				all.Go(func() { answers[i] = clients[i%2].Post(r.path, r.body, "Idempotency-Key: at once "+r.name) })
			}
			all.Wait()
			for _, a := range answers {
				if !a.Equal(answers[0]) {
					t.Fatalf("two answers:\n%+v\n%+v", answers[0], a)
				}
			}
			d := answers[0].Done(t)
			if r.stream != "" && d.Stream != r.stream {
				t.Errorf("%+v", d)
			}
			if n := len(load(t, store, d.Stream)); n != r.events {
				t.Errorf("%s holds %d events, want %d", d.Stream, n, r.events)
			}
		})
	}
}

// testKeyFiftyRefused: fifty that are refused at once are refused alike, and the key is free for when the rules allow it.
func testKeyFiftyRefused(t *testing.T, store command.Store) {
	clients := []*Client{NewClient(t, store, command.Config{}), NewClient(t, store, command.Config{})}
	clients[0].Shop()
	for _, r := range []struct{ path, body, code string }{
		{"/orders", `{"id":"new","member_id":"vinet","lines":[{"product_id":"chai","quantity":1}]}`, "product-discontinued"},
		{"/members/late/rename", `{"name":"B"}`, "member-not-found"},
		{"/orders/off/ship", `{"carrier":"A"}`, "order-already-cancelled"},
	} {
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				if code, _ := clients[i%2].Post(r.path, r.body, "Idempotency-Key: refused "+r.code).Problem(t); code != r.code {
					t.Errorf("%s: %s, want %s", r.path, code, r.code)
				}
			})
		}
		all.Wait()
	}
	clients[0].Must("/members", `{"id":"late","name":"A"}`)
	const key = "Idempotency-Key: refused member-not-found"
	first := clients[1].Must("/members/late/rename", `{"name":"B"}`, key)
	if again := clients[0].Post("/members/late/rename", `{"name":"B"}`, key); !again.Equal(first) {
		t.Errorf("again %+v, first %+v", again, first)
	}
}

// testKeyConditional: a retry has the first answer although its condition no longer holds.
func testKeyConditional(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	c.Shop()
	post := func() Answer {
		return c.Post("/members/vinet/rename", `{"name":"B"}`, "Idempotency-Key: k", `If-Match: "0"`)
	}
	first := post()
	if d := first.Done(t); d.Revision != 1 {
		t.Fatalf("%+v", d)
	}
	c.Must("/members/vinet/rename", `{"name":"C"}`)
	if again := post(); !again.Equal(first) {
		t.Errorf("again %+v, first %+v", again, first)
	}
}
