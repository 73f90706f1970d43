package query_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"jangbu/domain/member"
	"jangbu/domain/order"
)

const (
	orderBody = `{"id":"1","status":"placed","placed_on":"2026-01-01","member":{"id":"M","name":"Mina","country":"Korea"},` +
		`"lines":[{"product_id":"P","name":"Pen","category":"Desk","unit_price":150,"quantity":2,"discount_percent":0,"amount":300}],"units":2,"subtotal":300,` +
		`"shipping_fee":0,"total":300,"currency":"USD","ship_to":null,"payment":{"method":"card","status":"none","authorised":0,"captured":0,"refunded":0},` +
		`"parcels":[],"returns":[],"timeline":[{"at":"1970-01-01T00:00:00.040Z","actor":"","what":"placed"}],"revision":0}`
	memberBody = `{"id":"M","name":"Mina","email":"mina@shop.example","contact":"","city":"Seoul","country":"Korea","phone":"","addresses":[],"closed":false,` +
		`"orders":3,"open_orders":3,"spent":900,"favourite_category":"Desk","first_order_on":"2026-01-01","last_order_on":"2026-01-03"}`
	productBody = `{"id":"P","name":"Pen","category":"Desk","description":"","tags":["blue"],"images":[],"price":150,"currency":"USD","sale":null,"discontinued":false,` +
		`"stock":{"on_hand":2,"reserved":0,"available":2},"sold":{"orders":3,"units":6,"sales":900}}`
	penItem   = `{"id":"P","name":"Pen","category":"Desk","tags":["blue"],"image":"","price":150,"currency":"USD","sale":null}`
	penPage   = `{"items":[` + penItem + `],"next":null}`
	emptyPage = `{"items":[],"next":null}`
)

func item(i int) string {
	return fmt.Sprintf(`{"id":"%d","status":"placed","placed_on":"2026-01-%02d","units":2,"total":300,"currency":"USD"}`, i, i)
}

func listed(days ...int) string {
	var items []string
	for _, i := range days {
		items = append(items, fmt.Sprintf(`{"id":"%d","status":"placed","placed_on":"2026-01-%02d","member_id":"M","units":2,"total":300,"currency":"USD"}`, i, i))
	}
	return `{"items":[` + strings.Join(items, ",") + `],"next":null}`
}

// routes is every route, and what the shop answers there.
var routes = []struct{ path, body string }{
	{"/orders", listed(3, 2, 1)},
	{"/orders?status=placed&since=2026-01-02", listed(3, 2)},
	{"/orders?status=shipped", emptyPage},
	{"/orders/1", orderBody},
	{"/funnel", `{"placed":3,"confirmed":0,"shipped":0,"delivered":0,"returned":0,"cancelled":{}}`},
	{"/members?email=mina@shop.example", `{"items":[{"id":"M","name":"Mina","email":"mina@shop.example"}]}`},
	{"/members/M", memberBody},
	{"/members/M/orders", `{"items":[` + item(3) + `,` + item(2) + `,` + item(1) + `],"next":null}`},
	{"/products", penPage},
	{"/products?sort=price&category=Desk", penPage},
	{"/products?sort=popular&tag=blue", penPage},
	{"/products?q=pe", penPage},
	{"/products/P", productBody},
	{"/categories", `{"items":[{"category":"Desk","products":1}]}`},
	{"/stock/low", `{"items":[{"product_id":"P","name":"Pen","available":2,"low_water":5}]}`},
	{"/sales/days", `{"items":[{"day":"2026-01-01","orders":1,"units":2,"sales":300},{"day":"2026-01-02","orders":1,"units":2,"sales":300},{"day":"2026-01-03","orders":1,"units":2,"sales":300}]}`},
	{"/sales/months", `{"items":[{"month":"2026-01","orders":3,"units":6,"sales":900}]}`},
	{"/sales/categories", `{"items":[{"category":"Desk","orders":3,"units":6,"sales":900}]}`},
	{"/sales/countries", `{"items":[{"country":"Korea","orders":3,"sales":900}]}`},
	{"/sales/products", `{"items":[{"product_id":"P","orders":3,"units":6,"sales":900}]}`},
}

func TestRoutes(t *testing.T) {
	s := openShop(t)
	for _, route := range routes {
		t.Run(route.path, func(t *testing.T) {
			s.T = t
			a := s.get(route.path)
			s.is(a, 200, route.body)
			etag := a.Header().Get("ETag")
			if !strings.HasPrefix(etag, `"`) || !strings.HasSuffix(etag, `"`) || len(etag) < 3 {
				t.Fatalf("entity tag %s", etag)
			}
			if a.Header().Get("Cache-Control") != "no-cache" {
				t.Errorf("Cache-Control %q", a.Header().Get("Cache-Control"))
			}

			head := s.ask(http.MethodHead, route.path)
			if head.Code != 200 || head.Header().Get("ETag") != etag {
				t.Errorf("HEAD: %d, ETag %s", head.Code, head.Header().Get("ETag"))
			}
			for match, status := range map[string]int{
				etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200, `"x", "y"`: 200,
			} {
				a := s.get(route.path, "If-None-Match", match)
				if a.Code != status || a.Header().Get("ETag") != etag || (status == 304) != (a.Body.Len() == 0) {
					t.Errorf("If-None-Match: %s is answered with %d %s", match, a.Code, a.Body)
				}
			}
			for _, bad := range []string{"x", `"x`, ""} {
				s.isProblem(s.get(route.path, "If-None-Match", bad), 400, "malformed-header")
			}
			for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
				s.isProblem(s.ask(method, route.path), 405, "method-not-allowed")
			}
		})
	}
}

// TestEscapedIDs: an id is the same, whichever of its characters are escaped.
func TestEscapedIDs(t *testing.T) {
	s := openShop(t)
	s.log.Add(t, "member-a-b", member.Registered{Name: "Ada"})
	s.log.Add(t, "order-a_b", s.order(1))
	s.replay()
	s.pass(time.Second)
	for plain, escaped := range map[string]string{
		"/orders/1": "/orders/%31", "/members/M": "/members/%4d", "/members/a-b": "/members/a%2Db", "/orders/a_b": "/orders/%61%5F%62",
		"/members/M/orders": "/members/%4D/orders", "/products/P": "/products/%50",
	} {
		s.is(s.get(escaped), 200, s.get(plain).Body.String())
	}
	s.isProblem(s.get("/members/a%252Db"), 404, "member-not-found") // whose id has a percent sign
}

func TestETagFollowsTheBody(t *testing.T) {
	s := openShop(t)
	etag := s.get("/orders/1").Header().Get("ETag")
	s.log.Add(t, "member-M", member.Renamed{Name: "Mina Kim"}) // of another stream than the order's
	s.replay()
	s.pass(time.Second) // for which the old generation may still be read
	a := s.get("/orders/1", "If-None-Match", etag)
	s.is(a, 200, strings.Replace(orderBody, `"Mina"`, `"Mina Kim"`, 1))
	if a.Header().Get("ETag") == etag {
		t.Error("the entity tag is still the same")
	}
	etag = a.Header().Get("ETag")
	s.replay() // a new generation with the same content
	s.pass(time.Second)
	if a := s.get("/orders/1", "If-None-Match", etag); a.Code != 304 {
		t.Errorf("after a replay: %d %s", a.Code, a.Body)
	}
}

func TestNotFound(t *testing.T) {
	s := openShop(t)
	for path, code := range map[string]string{
		"/orders/none": "order-not-found", "/members/none": "member-not-found", "/members/none/orders": "member-not-found",
		"/products/none": "product-not-found", "/": "route-not-found", "/stock": "route-not-found",
		"/sales": "route-not-found", "/sales/years": "route-not-found", "/orders/%00": "order-not-found", "/orders/~member-M": "order-not-found",
		"/orders/" + strings.Repeat("x", 10_000): "order-not-found", "/orders/%F0%9F%8C%B6": "order-not-found", "/orders/a%2Fb": "order-not-found",
		"/orders/%2Ffunnel": "order-not-found", "/members/%2Femail%2Fmina@shop.example": "member-not-found", "/members/%2Fall/orders": "member-not-found",
		"/products/%2Flow": "product-not-found", "/products/%2Fcategories": "product-not-found",
	} {
		s.isProblem(s.get(path), 404, code)
		if a := s.ask(http.MethodHead, path); a.Code != 404 {
			t.Errorf("HEAD %.40s: %d", path, a.Code)
		}
	}
}

// TestNothingYet: a shop in which nothing has happened has tallies, and no documents.
func TestNothingYet(t *testing.T) {
	s := newShop(t)
	s.replay()
	for _, path := range []string{"/sales/days", "/sales/months", "/sales/categories", "/sales/countries", "/sales/products?from=2026-01", "/categories", "/stock/low",
		"/members?email=mina@shop.example"} {
		s.is(s.get(path), 200, `{"items":[]}`)
	}
	for _, path := range []string{"/orders", "/orders?status=placed", "/products", "/products?sort=popular", "/products?category=Desk&sort=price", "/products?q=pen"} {
		s.is(s.get(path), 200, emptyPage)
	}
	s.is(s.get("/funnel"), 200, `{"placed":0,"confirmed":0,"shipped":0,"delivered":0,"returned":0,"cancelled":{}}`)
	s.isProblem(s.get("/orders/1"), 404, "order-not-found")
	s.isProblem(s.get("/members/M/orders"), 404, "member-not-found")

	s.log.Add(t, "member-M", member.Registered{Name: "Mina"})
	s.replay()
	s.is(s.get("/members/M/orders"), 200, `{"items":[],"next":null}`)
}

func TestPages(t *testing.T) {
	s := openShop(t)
	for i := 4; i <= 25; i++ {
		s.log.Add(t, order.Stream(fmt.Sprint(i)), s.order(i))
	}
	s.replay()
	read := func(limit string) (ids []string, rounds int) {
		t.Helper()
		path := "/members/M/orders?" + limit
		for {
			var page struct {
				Items []struct{ ID string }
				Next  *string
			}
			a := s.get(path)
			if err := json.Unmarshal(a.Body.Bytes(), &page); err != nil || a.Code != 200 {
				t.Fatalf("%s: %d %s", path, a.Code, a.Body)
			}
			for _, item := range page.Items {
				ids = append(ids, item.ID)
			}
			if rounds++; page.Next == nil {
				return ids, rounds
			}
			path = "/members/M/orders?" + limit + "&after=" + *page.Next
		}
	}
	for limit, rounds := range map[string]int{"": 2, "limit=": 2, "limit=1": 25, "limit=5": 5, "limit=12": 3, "limit=24": 2, "limit=25": 1, "limit=200": 1} {
		ids, got := read(limit)
		if got != rounds || len(ids) != 25 {
			t.Errorf("%q: %d orders in %d pages, want 25 in %d", limit, len(ids), got, rounds)
		}
		for i, id := range ids {
			if id != fmt.Sprint(25-i) {
				t.Errorf("%q: order %d is %s", limit, i, id)
				break
			}
		}
	}
	for _, bad := range []string{"limit=0", "limit=-1", "limit=201", "limit=x", "limit=1.5", "limit=99999999999999999999", "after=x", "after=%00", "after=AAAA", "after=7"} {
		s.isProblem(s.get("/members/M/orders?"+bad), 400, "malformed-parameter")
	}
}

// TestRedisAway: without Redis every query is 503, and works again when Redis does.
func TestRedisAway(t *testing.T) {
	s := openShop(t)
	s.redis.Close()
	for _, route := range routes {
		s.isProblem(s.get(route.path), 503, "unavailable")
		s.isProblem(s.get(route.path, "Consistency-Token", s.token("order-1"), "Prefer", "wait=1"), 503, "unavailable")
	}
	if err := s.redis.Restart(); err != nil {
		t.Fatal(err)
	}
	// After many failures the client looks only now and then whether Redis is back.
	for end := time.Now().Add(10 * time.Second); s.get(routes[0].path).Code == 503 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	for _, route := range routes {
		s.is(s.get(route.path), 200, route.body)
	}
}

// TestNotBuilt: a view without a live generation is never answered as if it were empty, neither before it was built nor
// after Redis lost it.
func TestNotBuilt(t *testing.T) {
	rebuilding := func(s *shop) {
		s.Helper()
		for _, route := range routes {
			s.isProblem(s.get(route.path), 503, "view-rebuilding")
			s.isProblem(s.get(strings.Replace(route.path, "/1", "/none", 1)), 503, "view-rebuilding")
			s.isProblem(s.get(route.path, "Consistency-Token", "order-1@0"), 503, "view-rebuilding")
		}
	}
	t.Run("before", func(t *testing.T) { rebuilding(newShop(t)) })
	t.Run("lost", func(t *testing.T) {
		s := openShop(t)
		for _, route := range routes {
			s.get(route.path) // the API now knows the live generations
		}
		s.redis.FlushAll()
		rebuilding(s)
		s.replay()
		for _, route := range routes {
			s.is(s.get(route.path), 200, route.body)
		}
	})
}
