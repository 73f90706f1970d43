package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"jangbu/query/view"
)

// servedAt is where the query API serves a document of a view, and what it answers there. A list, and a page of what is ranked,
// stands there as its items, joined by newlines.
func servedAt(t *testing.T, v *view.View, doc, body string) expectation {
	t.Helper()
	special := strings.HasPrefix(doc, "/")
	switch v {
	case view.Orders:
		if special {
			return expectation{doc: body}
		}
		return expectation{"/orders/" + doc: body}
	case view.OrderLists:
		if doc == "/all" {
			return expectation{"/orders": body}
		} else if special {
			return expectation{"/orders?status=" + doc[1:]: body}
		}
		return expectation{"/members/" + doc + "/orders": body}
	case view.Members:
		if address, ok := strings.CutPrefix(doc, "/email/"); ok {
			return expectation{"/members?email=" + address: body}
		}
		return expectation{"/members/" + doc: body}
	case view.Products:
		switch doc {
		case view.LowStock:
			return expectation{"/stock/low": body}
		case view.CategoryCounts:
			return expectation{"/categories": body}
		}
		return expectation{"/products/" + doc: body}
	case view.Catalogue:
		if strings.HasPrefix(doc, "search?") {
			return expectation{"/products" + strings.TrimPrefix(doc, "search"): body}
		}
		return expectation{shelfPath(doc): body}
	case view.Popular:
		var ranked view.Ranked
		if err := json.Unmarshal([]byte(body), &ranked); err != nil {
			t.Fatal(err)
		}
		return expectation{shelfPath(doc): join(ranked.Items)}
	case view.Sales:
		return servedTallies(t, doc, body)
	}
	t.Fatalf("nobody says where view %s is served", v.Name)
	return nil
}

// shelfPath is where a list named sort?category=…&tag=… is served.
func shelfPath(doc string) string {
	sort, shelf, _ := strings.Cut(doc, "?")
	return strings.TrimSuffix("/products?sort="+sort+"&"+shelf, "&")
}

// servedTallies are the paths that are answered from one document alone.
func servedTallies(t *testing.T, doc, body string) expectation {
	t.Helper()
	month, _, _ := strings.Cut(doc, "/")
	want := expectation{}
	for _, tally := range []string{view.Days, view.Months, view.ByCategory, view.ByCountry, view.ByProduct} {
		entries, err := view.TalliedIn([]byte(body), tally)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			continue
		}
		answer, err := view.TallyBody(tally, entries, 1000)
		if err != nil {
			t.Fatal(err)
		}
		path := "/sales/" + tally
		if doc != view.SalesTotal {
			path = fmt.Sprintf("%s?from=%s&to=%s", path, month, month)
		}
		want[path] = string(answer)
	}
	return want
}

// paged reports whether a path answers pages.
func paged(path string) bool {
	return path == "/orders" || strings.HasPrefix(path, "/orders?") || strings.HasPrefix(path, "/products?") ||
		strings.HasPrefix(path, "/members/") && strings.HasSuffix(path, "/orders")
}

// aboutOne reports whether a path is about one order, member or product, so that others change nothing there.
func aboutOne(path string) bool {
	return strings.Count(path, "/") > 1 && !strings.HasPrefix(path, "/sales/") && path != "/stock/low"
}

// anyPath is a path of each view that can always be asked for.
var anyPath = map[*view.View]string{
	view.Orders: "/orders/none", view.OrderLists: "/orders", view.Members: "/members/none", view.Products: "/products/none",
	view.Catalogue: "/products", view.Popular: "/products?sort=popular", view.Sales: "/sales/months",
}
