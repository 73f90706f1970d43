package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/test/program"
	"jangbu/test/servers"
)

const demo = "../testdata/shop"

// folders are the orders to import: our own, which are always there, and Northwind's.
func folders() []struct {
	name string
	dir  func(testing.TB) string
} {
	return []struct {
		name string
		dir  func(testing.TB) string
	}{
		{"demo", func(testing.TB) string { return demo }},
		{"northwind", servers.Northwind},
	}
}

func TestAcceptance(t *testing.T) {
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			accept(t, v.open(t), demo)
		})
	}
}

// TestAcceptanceOfNorthwind imports many more orders, in one way of running: the demo shop tells the ways apart.
func TestAcceptanceOfNorthwind(t *testing.T) {
	long(t, "830 orders")
	t.Parallel()
	dir := servers.Northwind(t)
	accept(t, openDev(t, program.AsProcess, t.TempDir()), dir)
}

// accept is the acceptance test: what is imported is what the views say, and importing it again changes nothing.
func accept(t *testing.T, s *shop, dir string) {
	s.importFolder(t, dir)
	s.awaitFulfilled(t)
	s.awaitLanded(t, s.readLog(t))
	want := newOracle(t, dir)
	s.wantExpectedFiles(t, dir)
	s.wantOracle(t, want)
	before := s.wantFold(t)
	s.wantEntityTags(t, before)
	s.wantNotFound(t)

	head, lines := s.head(t), s.views(t)
	s.importFolder(t, dir)
	if again := s.head(t); again != head {
		t.Errorf("the second import moved the head of the log from %s to %s", head, again)
	}
	s.wantViews(t, before)
	again := s.views(t)
	for name, l := range lines {
		if l.Status = again[name].Status; again[name] != l { // which says, too, how far behind the sweep is
			t.Errorf("after the second import view %s is %+v, was %+v", name, again[name], l)
		}
		if l.Generation != 1 || l.Building != 0 || l.LagEvents != 0 {
			t.Errorf("view %s: %+v", name, l)
		}
	}
}

// awaitFulfilled waits until no order in the log needs a step of its fulfilment.
func (s *shop) awaitFulfilled(t *testing.T) {
	t.Helper()
	orders, read := map[string]order.State{}, event.Position{}
	servers.Until(t, "every order is fulfilled as far as it can be", func() error {
		for e, err := range s.store.ReadAll(t.Context(), read) {
			if err != nil {
				return err
			}
			if read = e.Position; event.Category(e.Stream) != order.Category {
				continue
			}
			decoded, err := order.Codec.Decode(e.Type, e.Data)
			if err != nil {
				return err
			}
			orders[e.Stream] = order.Apply(orders[e.Stream], decoded)
		}
		for stream, state := range orders {
			if step := order.Next(state, time.Time{}, time.Hour); step.Kind != order.StepNone {
				return fmt.Errorf("%s, which is %s, needs %s", stream, state.Status, step.Kind)
			}
		}
		return nil
	})
}

// head is where the log ends, but for the checkpoints that the relay keeps in it.
func (s *shop) head(t *testing.T) event.Position {
	t.Helper()
	var at event.Position
	for e, err := range s.store.ReadAll(t.Context(), event.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Category(e.Stream) != "relay" {
			at = e.Position
		}
	}
	return at
}

// wantExpectedFiles compares every order and member with the folder's expected answers.
func (s *shop) wantExpectedFiles(t *testing.T, dir string) {
	t.Helper()
	for _, r := range servers.ReadCSV(t, dir, "expected", "orders.csv") {
		var d orderDoc
		s.get(t, "/orders/"+r["order_id"]).into(t, &d)
		var names []string
		for _, l := range d.Lines {
			names = append(names, l.Name)
		}
		if d.Member.Name != r["member_name"] || int64(len(d.Lines)) != whole(t, r["lines"]) || d.Units != whole(t, r["units"]) ||
			d.Subtotal != whole(t, r["subtotal_cents"]) || d.ShippingFee != whole(t, r["shipping_cents"]) ||
			d.Total != whole(t, r["total_cents"]) || d.Status != r["status"] || strings.Join(names, "; ") != r["products"] {
			t.Errorf("order %+v\nwant %v", d, r)
		}
	}
	for _, r := range servers.ReadCSV(t, dir, "expected", "members.csv") {
		var d memberDoc
		s.get(t, "/members/"+r["member_id"]).into(t, &d)
		if d.Name != r["name"] || d.Orders != whole(t, r["orders"]) || d.Spent != whole(t, r["spent_cents"]) ||
			text(d.FirstOrderOn) != r["first_order_on"] || text(d.LastOrderOn) != r["last_order_on"] {
			t.Errorf("member %+v\nwant %v", d, r)
		}
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// wantOracle compares everything the query API serves with what the CSV files say.
func (s *shop) wantOracle(t *testing.T, want *oracle) {
	t.Helper()
	for id, d := range want.orders {
		wantJSON(t, s, "/orders/"+id, *d)
	}
	for id, d := range want.members {
		wantJSON(t, s, "/members/"+id, *d)
	}
	for id, d := range want.products {
		wantJSON(t, s, "/products/"+id, *d)
	}
	wantJSON(t, s, "/sales/months", map[string][]monthItem{"items": want.months})
	wantJSON(t, s, "/sales/categories", map[string][]categoryItem{"items": want.categories})
	wantJSON(t, s, "/sales/countries", map[string][]countryItem{"items": want.countries})
	wantJSON(t, s, "/sales/days", map[string][]dayItem{"items": want.days})
	wantJSON(t, s, "/sales/products", map[string][]productItem{"items": want.sold})
	wantJSON(t, s, "/categories", map[string][]countItem{"items": want.counts})
	wantJSON(t, s, "/stock/low", map[string][]struct{}{"items": {}})
	wantJSON(t, s, "/funnel", want.funnel)
	for id, list := range want.lists {
		for _, limit := range []int{1, 3, 200} {
			wantPages(t, s, "/members/"+id+"/orders", limit, list)
		}
	}
	for _, limit := range []int{7, 200} {
		wantPages(t, s, "/orders", limit, want.all)
		middle := want.all[len(want.all)/2].PlacedOn
		wantPages(t, s, "/orders?since="+middle, limit, slices.DeleteFunc(slices.Clone(want.all), func(i orderItem) bool { return i.PlacedOn < middle }))
		for _, status := range []string{"confirmed", "shipped", "delivered"} {
			wantPages(t, s, "/orders?status="+status, limit, slices.DeleteFunc(slices.Clone(want.all), func(i orderItem) bool { return i.Status != status }))
		}
	}
	s.wantShelves(t, want)
}

// wantShelves compares the lists of products with what the CSV files say of them.
func (s *shop) wantShelves(t *testing.T, want *oracle) {
	t.Helper()
	ids := func(path string) (all []string) {
		t.Helper()
		pages, err := s.pages(path, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range slices.Concat(pages...) {
			var item struct{ ID string }
			if err := json.Unmarshal(raw, &item); err != nil {
				t.Fatal(err)
			}
			all = append(all, item.ID)
		}
		return all
	}
	for _, c := range append([]countItem{{}}, want.counts...) {
		shelf := want.shelf(c.Category)
		if got := ids("/products?sort=price&category=" + url.QueryEscape(c.Category)); !slices.Equal(got, shelf) {
			t.Errorf("products of %q by price: %v, want %v", c.Category, got, shelf)
		}
		for _, sort := range []string{"newest", "popular"} {
			if got := ids("/products?sort=" + sort + "&category=" + url.QueryEscape(c.Category)); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(shelf))) {
				t.Errorf("products of %q by %s: %v, want those of %v", c.Category, sort, got, shelf)
			}
		}
	}
	for id, p := range want.products {
		if found := slices.Contains(ids("/products?q="+url.QueryEscape(p.Name)), id); found == p.Discontinued {
			t.Errorf("product %s, %q, is found by its name: %v; discontinued: %v", id, p.Name, found, p.Discontinued)
		}
	}
}

// wantJSON requires a body to hold exactly these fields.
func wantJSON[T any](t *testing.T, s *shop, path string, want T) {
	t.Helper()
	a := s.get(t, path)
	decoder := json.NewDecoder(strings.NewReader(a.body))
	decoder.DisallowUnknownFields()
	var got T
	if err := decoder.Decode(&got); err != nil || a.status != 200 {
		t.Fatalf("GET %s: %v in %s", path, err, a)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("GET %s: %s\nwant %+v", path, a, want)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("GET %s: Content-Type %q", path, got)
	}
}

// wantPages pages through a list: full pages, each where the one before ended, and a last one that says so.
func wantPages[T comparable](t *testing.T, s *shop, path string, limit int, want []T) {
	t.Helper()
	pages, err := s.pages(path, limit)
	if err != nil {
		t.Fatal(err)
	}
	var got []T
	for i, page := range pages {
		if full := len(page) == limit; !full && i < len(pages)-1 || len(page) > limit || len(page) == 0 && i > 0 {
			t.Errorf("GET %s: page %d of %d has %d items of %d", path, i, len(pages), len(page), limit)
		}
		for _, raw := range page {
			var item T
			if err := json.Unmarshal(raw, &item); err != nil {
				t.Fatal(err)
			}
			got = append(got, item)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("GET %s by %d:\n got %+v\nwant %+v", path, limit, got, want)
	}
}

// wantEntityTags asks for things again with the tag they had.
func (s *shop) wantEntityTags(t *testing.T, known expectation) {
	t.Helper()
	tags := map[string]string{}
	for path, body := range known {
		a := s.get(t, path)
		tag := a.header.Get("ETag")
		if other, seen := tags[tag]; tag == "" || seen && other != a.body {
			t.Errorf("GET %s: ETag %q, which is also that of %s", path, tag, other)
		}
		tags[tag] = a.body
		if a := s.get(t, path, `If-None-Match: "another", W/`+tag); a.status != 304 || a.body != "" || a.header.Get("ETag") != tag {
			t.Errorf("GET %s with its ETag: %s, ETag %s", path, a, a.header.Get("ETag"))
		}
		if a := s.get(t, path, `If-None-Match: "another"`); a.status != 200 {
			t.Errorf("GET %s with another ETag: %s instead of %s", path, a, body)
		}
		if len(tags) > 200 {
			return
		}
	}
}

func (s *shop) wantNotFound(t *testing.T) {
	t.Helper()
	for path, code := range map[string]string{
		"/orders/none":         "order-not-found",
		"/members/none":        "member-not-found",
		"/members/none/orders": "member-not-found",
		"/products/none":       "product-not-found",
		"/orders/" + url.PathEscape("한빛 서점"): "order-not-found",
		"/sales/weeks": "route-not-found",
		"/":            "route-not-found",
	} {
		s.get(t, path).wantProblem(t, 404, code)
	}
}
