package query_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/domain/stock"
	"jangbu/query/view"
)

// page reads one page, and the path of the next one, "" after the last.
func (s *shop) page(path string) (ids []string, next string) {
	s.Helper()
	var page struct {
		Items []struct{ ID string }
		Next  *string
	}
	a := s.get(path)
	if err := json.Unmarshal(a.Body.Bytes(), &page); err != nil || a.Code != 200 {
		s.Fatalf("%s: %d %s", path, a.Code, a.Body)
	}
	for _, item := range page.Items {
		ids = append(ids, item.ID)
	}
	if page.Next == nil {
		return ids, ""
	}
	u, err := url.Parse(path)
	if err != nil {
		s.Fatal(err)
	}
	values := u.Query()
	values.Set("after", *page.Next)
	u.RawQuery = values.Encode()
	return ids, u.String()
}

// pages follows a list to its end.
func (s *shop) pages(path string) (ids []string, pages int) {
	s.Helper()
	for path != "" {
		var some []string
		some, path = s.page(path)
		ids, pages = append(ids, some...), pages+1
	}
	return ids, pages
}

func TestOrdersOfOperators(t *testing.T) {
	s := openShop(t)
	s.log.Add(t, "order-1", order.Shipped{Carrier: "Post", ShippedOn: "2026-01-09"})
	for i := 4; i <= 31; i++ {
		s.log.Add(t, order.Stream(fmt.Sprint(i)), s.order(i))
	}
	s.replay()
	down := func(from, to int) (ids []string) {
		for i := from; i >= to; i-- {
			ids = append(ids, fmt.Sprint(i))
		}
		return ids
	}
	for _, c := range []struct {
		query string
		want  []string
		pages int
	}{
		{"", down(31, 1), 2},
		{"limit=200", down(31, 1), 1},
		{"limit=1", down(31, 1), 31},
		{"status=placed&limit=10", down(31, 2), 3},
		{"status=shipped", []string{"1"}, 1},
		{"status=delivered", nil, 1},
		{"status=&since=2026-01-20&limit=5", down(31, 20), 3},
		{"since=2026-01-20&limit=12", down(31, 20), 1},
		{"since=2026-01-20&limit=4&status=placed", down(31, 20), 3},
		{"since=2026-01-31", down(31, 31), 1},
		{"since=2026-02-01", nil, 1},
		{"since=1999-01-01&limit=31", down(31, 1), 1},
	} {
		if got, pages := s.pages("/orders?" + c.query); !slices.Equal(got, c.want) || pages != c.pages {
			t.Errorf("%s: %v in %d pages, want %v in %d", c.query, got, pages, c.want, c.pages)
		}
	}
}

// TestNoValue: a parameter without a value is as if it were not there.
func TestNoValue(t *testing.T) {
	s := openShop(t)
	s.is(s.get("/products?category=&tag=&sort=&q=&limit=&after="), 200, penPage)
	s.is(s.get("/products?q=&sort=price&category=Desk"), 200, penPage)
	s.is(s.get("/products?q=pen&sort=&category=&tag="), 200, penPage)
	s.is(s.get("/orders?status=&since=&limit=&after="), 200, listed(3, 2, 1))
	s.is(s.get("/sales/months?from=&to=&limit="), 200, s.get("/sales/months").Body.String())
}

func TestMalformed(t *testing.T) {
	s := openShop(t)
	for path, wrong := range map[string][]string{
		"/orders": {"status=open", "status=Placed", "since=2026-1-1", "since=2026-02-30", "since=x", "limit=0", "limit=201", "after=x", "after=AAAA", "after=orders.AAAA", "after=orders.", "member=M", "status=placed&status=shipped",
			"since=%FF", "%zz"},
		"/members/M/orders": {"status=placed", "limit=x"},
		"/members":          {"", "email=", "email=x", "email=a@b@c", "name=Mina", "email=a@b.example&limit=1"},
		"/products": {"sort=name", "sort=Price", "q=%20-", "q=a+b+c+d+e+f+g+h+i", "q=pen&sort=price", "q=pen&category=Desk", "q=pen&tag=blue", "limit=0", "after=x", "page=2",
			"sort=popular&after=popular.x", "sort=popular&after=popular.%00", "q=pen&after=search.x"},
		"/products?sort=popular":          {"after=popular.AAAA"},
		"/categories":                     {"limit=5"},
		"/stock/low":                      {"limit=5"},
		"/funnel":                         {"from=2026-01-01"},
		"/orders/1":                       {"limit=1"},
		"/orders/none":                    {"x="},
		"/members/M":                      {"email=x"},
		"/products/P":                     {"%zz"},
		"/sales/days":                     {"from=x", "to=2026-13", "from=2026-01-02&to=2026-01-01", "limit=0", "limit=1001", "limit=x", "after=x"},
		"/sales/months":                   {"from=2026-01-02", "to=2026-01-30", "from=2026-1", "from=2026-02&to=2026-01"},
		"/sales/categories":               {"from=2026-01-15", "to=2026-02-27"},
		"/sales/countries?from=2026":      {""},
		"/sales/products?to=2026-02-29":   {""},
		"/sales/products?from=0000-00-00": {""},
	} {
		for _, query := range wrong {
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			a := s.get(path + sep + query)
			s.isProblem(a, 400, "malformed-parameter")
			if a.Code != 400 {
				t.Errorf("%s%s%s", path, sep, query)
			}
		}
	}
}

func TestMembersByEmail(t *testing.T) {
	s := openShop(t)
	const mina = `{"items":[{"id":"M","name":"Mina","email":"mina@shop.example"}]}`
	for email, want := range map[string]string{
		"mina@shop.example": mina, "MINA@Shop.Example": mina, " mina@shop.example ": mina, "mina@shop.example.org": `{"items":[]}`, "ina@shop.example": `{"items":[]}`,
	} {
		s.is(s.get("/members?email="+url.QueryEscape(email)), 200, want)
	}
	s.log.Add(t, "member-M", member.EmailChanged{Email: "kim@shop.example"})
	s.log.Add(t, "member-N", member.Registered{Name: "Nils", Email: "mina@shop.example"})
	s.replay()
	s.pass(1e9)
	s.is(s.get("/members?email=kim@shop.example"), 200, `{"items":[{"id":"M","name":"Mina","email":"kim@shop.example"}]}`)
	s.is(s.get("/members?email=mina@shop.example"), 200, `{"items":[{"id":"N","name":"Nils","email":"mina@shop.example"}]}`)
}

// catalogueShop has a hundred teas p000 to p099, each newer and dearer than the one before; every tenth is green, every third
// in another category.
func catalogueShop(t *testing.T) *shop {
	s := newShop(t)
	for i := range 100 {
		p := product.Created{Name: fmt.Sprintf("Tea number%d", i), Category: "Tea", Price: int64(100 + i), Currency: "USD"}
		if i%3 == 0 {
			p.Category = "Tea & more"
		}
		if i%10 == 0 {
			p.Name, p.Tags = p.Name+" green", []string{"green leaf"}
		}
		s.log.Add(t, product.Stream(fmt.Sprintf("p%03d", i)), p)
	}
	for i, id := range []string{"p042", "p033", "p070"} {
		n := int64(10 - i)
		s.log.Add(t, stock.Stream(id), stock.Restocked{Quantity: 50}, stock.Reserved{OrderID: "1", Quantity: n}, stock.Shipped{OrderID: "1", Quantity: n})
	}
	s.log.Add(t, "product-p050", product.Discontinued{})
	s.replay()
	return s
}

func TestProductLists(t *testing.T) {
	s := catalogueShop(t)
	which := func(keep func(i int) bool) (ids []string) {
		for i := range 100 {
			if i != 50 && keep(i) {
				ids = append(ids, fmt.Sprintf("p%03d", i))
			}
		}
		return ids
	}
	reversed := func(ids []string) []string { slices.Reverse(ids); return ids }
	first := func(top, ids []string) []string {
		return append(top, slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(top, id) })...)
	}
	all := func(int) bool { return true }
	more := func(i int) bool { return i%3 == 0 }
	green := func(i int) bool { return i%10 == 0 }
	both := func(i int) bool { return more(i) && green(i) }
	for query, want := range map[string][]string{
		"":                                     reversed(which(all)),
		"sort=newest":                          reversed(which(all)),
		"sort=price":                           which(all),
		"sort=popular":                         first([]string{"p042", "p033", "p070"}, which(all)),
		"category=Tea+%26+more":                reversed(which(more)),
		"category=Tea+%26+more&sort=price":     which(more),
		"category=Tea+%26+more&sort=popular":   first([]string{"p042", "p033"}, which(more)),
		"tag=green+leaf":                       reversed(which(green)),
		"tag=+GREEN+leaf+&sort=price":          which(green),
		"tag=green+leaf&sort=popular":          first([]string{"p070"}, which(green)),
		"category=Tea+%26+more&tag=green+leaf": reversed(which(both)),
		"category=Tea+%26+more&tag=green+leaf&sort=price":   which(both),
		"category=Tea+%26+more&tag=green+leaf&sort=popular": which(both),
		"category=tea":          nil,
		"tag=none&sort=price":   nil,
		"tag=none&sort=popular": nil,
		"category=&tag=&sort=":  reversed(which(all)),
		"sort=popular&category=Tea&tag=green+leaf&limit=&after=": {"p070", "p010", "p020", "p040", "p080"},
	} {
		for _, limit := range []int{1, 7, 200} {
			got, pages := s.pages(fmt.Sprintf("/products?%s&limit=%d", strings.TrimSuffix(query, "&limit=&after="), limit))
			if most := max(1, (len(want)+limit-1)/limit); !slices.Equal(got, want) || pages != most {
				t.Errorf("%s by %d: %v in %d pages, want %v in %d", query, limit, got, pages, want, most)
			}
		}
	}
}

// TestPagesOfWhatMoves: a page begins after the last item of the one before, wherever that has gone.
func TestPagesOfWhatMoves(t *testing.T) {
	s := catalogueShop(t)
	ids, next := s.page("/products?sort=popular&limit=2")
	if !slices.Equal(ids, []string{"p042", "p033"}) {
		t.Fatal(ids)
	}
	s.log.Add(t, "stock-p033", stock.Returned{OrderID: "1", Quantity: 9}) // it falls behind
	s.log.Add(t, "product-p042", product.Discontinued{})
	s.land(view.Popular)
	if ids, _ = s.page(next); !slices.Equal(ids, []string{"p070", "p000"}) {
		t.Errorf("the next page holds %v", ids)
	}
}

// TestNextOfAnotherList: a next is taken by the lists whose items follow each other as in its own, and by no others, where it
// would stand at any place.
func TestNextOfAnotherList(t *testing.T) {
	s := catalogueShop(t)
	for i := 1; i <= 3; i++ {
		s.log.Add(t, order.Stream(fmt.Sprint(i)), s.order(i))
	}
	s.log.Add(t, "member-M", member.Registered{Name: "Mina"})
	s.replay()
	s.pass(time.Second)
	kinds := [][]string{
		{"/products", "/products?sort=newest", "/products?category=Tea", "/products?tag=green+leaf"},
		{"/products?sort=price", "/products?sort=price&category=Tea", "/products?sort=price&tag=green+leaf"},
		{"/products?sort=popular", "/products?sort=popular&category=Tea", "/products?sort=popular&tag=green+leaf"},
		{"/products?q=tea", "/products?q=green"},
		{"/orders", "/orders?status=placed", "/orders?since=2026-01-01"},
		{"/members/M/orders"},
	}
	with := func(path, parameter string) string {
		if strings.Contains(path, "?") {
			return path + "&" + parameter
		}
		return path + "?" + parameter
	}
	for from, paths := range kinds {
		for _, path := range paths {
			_, next := s.page(with(path, "limit=2"))
			u, err := url.Parse(next)
			if err != nil || next == "" {
				t.Fatalf("%s has the next page %q (%v)", path, next, err)
			}
			after := "after=" + url.QueryEscape(u.Query().Get("after"))
			for to, others := range kinds {
				for _, other := range others {
					if a := s.get(with(other, after)); to != from {
						s.isProblem(a, 400, "malformed-parameter")
					} else if a.Code != 200 {
						t.Errorf("the next of %s, given to %s: %d %s", path, other, a.Code, a.Body)
					}
				}
			}
		}
	}
}

func TestSearch(t *testing.T) {
	s := catalogueShop(t)
	s.log.Add(t, "product-pu", product.Created{Name: "Grüner ΟΔΟς", Category: "Grün", Currency: "USD"})
	s.replay()
	s.pass(time.Second)
	for q, want := range map[string]string{
		"number7":           "p007 p070 p071 p072 p073 p074 p075 p076 p077 p078 p079",
		"number77":          "p077",
		"NUMBER77 tea":      "p077",
		"t n":               "100",
		"green":             "p000 p010 p020 p030 p040 p060 p070 p080 p090",
		"gre number4":       "p040",
		"green, tea; num":   "p000 p010 p020 p030 p040 p060 p070 p080 p090",
		"number50":          "", // discontinued
		"umber":             "",
		"coffee":            "",
		"number77 number78": "",
		"number1000":        "",
		"gru\u0308n":        "pu",
		"ΟΔΟΣ":              "pu",
	} {
		for _, limit := range []int{1, 3, 200} {
			got, _ := s.pages(fmt.Sprintf("/products?q=%s&limit=%d", url.QueryEscape(q), limit))
			slices.Sort(got)
			if want == "100" && len(got) == 99 {
				continue
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%q by %d: %v, want %s", q, limit, got, want)
			}
		}
	}
}

// TestSearchIsBounded: a page looks at a thousand products at most; it may be empty, and the next ones go on.
func TestSearchIsBounded(t *testing.T) {
	s := newShop(t)
	for i := range 2500 {
		name := fmt.Sprintf("Common %04d", i)
		if i == 2400 {
			name += " rare"
		}
		s.log.Add(t, product.Stream(fmt.Sprintf("p%04d", i)), product.Created{Name: name, Currency: "USD"})
	}
	s.replay()
	path, pages := "/products?q=common+rare", 0
	var found []string
	for path != "" {
		var some []string
		some, path = s.page(path)
		if pages++; pages < 3 && len(some) > 0 {
			t.Errorf("page %d holds %v", pages, some)
		}
		found = append(found, some...)
	}
	if pages != 3 || !slices.Equal(found, []string{"p2400"}) {
		t.Errorf("found %v in %d pages", found, pages)
	}
}
