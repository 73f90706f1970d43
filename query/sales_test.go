package query_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"jangbu/domain/order"
	"jangbu/query/row"
)

// salesShop sold one pen on each of some days.
func salesShop(t *testing.T, days ...string) *shop {
	s := newShop(t)
	for i, day := range days {
		e := s.order(1)
		e.PlacedOn = day
		e.Lines[0].ProductID = []string{"P", "Q"}[i%2]
		s.log.Add(t, order.Stream(fmt.Sprint(i)), e)
	}
	s.replay()
	return s
}

func TestSalesOfAPeriod(t *testing.T) {
	s := salesShop(t, "2025-12-31", "2026-01-01", "2026-01-31", "2026-03-05", "2026-03-05", "2026-04-01")
	day := func(day string, n int) string {
		return fmt.Sprintf(`{"day":%q,"orders":%d,"units":%d,"sales":%d}`, day, n, 2*n, 300*n)
	}
	month := func(month string, n int) string { return strings.Replace(day(month, n), "day", "month", 1) }
	desk := func(n int) string {
		return fmt.Sprintf(`{"category":"Desk","orders":%d,"units":%d,"sales":%d}`, n, 2*n, 300*n)
	}
	korea := func(n int) string { return fmt.Sprintf(`{"country":"Korea","orders":%d,"sales":%d}`, n, 300*n) }
	product := func(id string, n int) string {
		return fmt.Sprintf(`{"product_id":%q,"orders":%d,"units":%d,"sales":%d}`, id, n, 2*n, 300*n)
	}
	for _, c := range []struct {
		path string
		want []string
	}{
		{"/sales/days", []string{day("2025-12-31", 1), day("2026-01-01", 1), day("2026-01-31", 1), day("2026-03-05", 2), day("2026-04-01", 1)}},
		{"/sales/days?limit=2", []string{day("2025-12-31", 1), day("2026-01-01", 1)}},
		{"/sales/days?from=2026-01-01&to=2026-03-05", []string{day("2026-01-01", 1), day("2026-01-31", 1), day("2026-03-05", 2)}},
		{"/sales/days?from=2026-01-02&to=2026-03-04", []string{day("2026-01-31", 1)}},
		{"/sales/days?from=2026-01-31&to=2026-01-31", []string{day("2026-01-31", 1)}},
		{"/sales/days?from=2026-01&to=2026-01", []string{day("2026-01-01", 1), day("2026-01-31", 1)}},
		{"/sales/days?from=2026-02-01&limit=1", []string{day("2026-03-05", 2)}},
		{"/sales/days?from=2026-02-01&to=2026-02-28", nil},
		{"/sales/days?from=2027-01-01", nil},
		{"/sales/days?to=2025-12-30", nil},
		{"/sales/months", []string{month("2025-12", 1), month("2026-01", 2), month("2026-03", 2), month("2026-04", 1)}},
		{"/sales/months?from=2026-01&to=2026-03", []string{month("2026-01", 2), month("2026-03", 2)}},
		{"/sales/months?from=2026-01-01&to=2026-01-31&limit=5", []string{month("2026-01", 2)}},
		{"/sales/months?limit=1", []string{month("2025-12", 1)}},
		{"/sales/categories", []string{desk(6)}},
		{"/sales/categories?from=2026-01", []string{desk(5)}},
		{"/sales/categories?to=2026-01-31", []string{desk(3)}},
		{"/sales/countries?from=2026-01-01&to=2026-03-31", []string{korea(4)}},
		{"/sales/countries?from=2026-02&to=2026-02", nil},
		{"/sales/products", []string{product("P", 3), product("Q", 3)}},
		{"/sales/products?limit=1", []string{product("P", 3)}},
		{"/sales/products?from=2026-03", []string{product("Q", 2), product("P", 1)}},
	} {
		t.Run(c.path, func(t *testing.T) {
			s.T = t
			s.is(s.get(c.path), 200, `{"items":[`+strings.Join(c.want, ",")+`]}`)
		})
	}
}

func TestSalesInCurrencies(t *testing.T) {
	s := salesShop(t, "2026-01-01", "2026-02-01")
	e := s.order(1)
	e.Currency, e.PlacedOn = "JPY", "2026-02-01"
	s.log.Add(t, "order-yen", e)
	s.replay()
	s.pass(time.Second)
	s.is(s.get("/sales/days?from=2026-01&to=2026-01"), 200, `{"items":[{"day":"2026-01-01","orders":1,"units":2,"sales":300}]}`)
	s.is(s.get("/sales/days"), 200, `{"items":[{"day":"2026-01-01","currency":"USD","orders":1,"units":2,"sales":300},`+
		`{"day":"2026-02-01","currency":"JPY","orders":1,"units":2,"sales":300},{"day":"2026-02-01","currency":"USD","orders":1,"units":2,"sales":300}]}`)
	s.is(s.get("/sales/days?limit=1&to=2026-01"), 200, `{"items":[{"day":"2026-01-01","orders":1,"units":2,"sales":300}]}`)
	s.is(s.get("/sales/countries?from=2026-01"), 200, `{"items":[{"country":"Korea","currency":"JPY","orders":1,"sales":300},{"country":"Korea","currency":"USD","orders":2,"sales":600}]}`)
}

// TestSalesInCurrenciesNotShown: an entry says its currency where the tally has another, though that is beyond the limit.
func TestSalesInCurrenciesNotShown(t *testing.T) {
	s := salesShop(t, "2026-01-01", "2026-01-02", "2026-02-01", "2026-03-01")
	e := s.order(1)
	e.Currency, e.PlacedOn = "JPY", "2026-03-02"
	s.log.Add(t, "order-yen", e)
	s.replay()
	s.pass(time.Second)
	for path, want := range map[string]string{
		"/sales/days?limit=1":               `{"day":"2026-01-01","currency":"USD","orders":1,"units":2,"sales":300}`,
		"/sales/months?limit=1":             `{"month":"2026-01","currency":"USD","orders":2,"units":4,"sales":600}`,
		"/sales/days?limit=1&to=2026-02":    `{"day":"2026-01-01","orders":1,"units":2,"sales":300}`,
		"/sales/days?limit=1&to=2026-03-01": `{"day":"2026-01-01","orders":1,"units":2,"sales":300}`, // the yen came a day later
		"/sales/days?limit=1&to=2026-03-02": `{"day":"2026-01-01","currency":"USD","orders":1,"units":2,"sales":300}`,
	} {
		s.is(s.get(path), 200, `{"items":[`+want+`]}`)
	}
}

// TestBestOfEachCurrency: sales in different currencies have no order, so each currency has its own best-selling products.
func TestBestOfEachCurrency(t *testing.T) {
	s := salesShop(t, "2026-01-01", "2026-01-02", "2026-01-03")
	for i, id := range []string{"P", "R", "R"} {
		e := s.order(1)
		e.Currency, e.Lines[0].ProductID = "JPY", id
		s.log.Add(t, order.Stream(fmt.Sprintf("yen-%d", i)), e)
	}
	s.replay()
	s.pass(time.Second)
	entry := func(id, currency string, n int) string {
		return fmt.Sprintf(`{"product_id":%q,"currency":%q,"orders":%d,"units":%d,"sales":%d}`, id, currency, n, 2*n, 300*n)
	}
	s.is(s.get("/sales/products?limit=1"), 200, `{"items":[`+entry("R", "JPY", 2)+`,`+entry("P", "USD", 2)+`]}`)
	s.is(s.get("/sales/products?limit=2"), 200, `{"items":[`+entry("R", "JPY", 2)+`,`+entry("P", "JPY", 1)+`,`+entry("P", "USD", 2)+`,`+entry("Q", "USD", 1)+`]}`)
}

// TestTalliesAreBounded: a tally looks up the months it is of, at most ten years of them, and days no more than it shows.
func TestTalliesAreBounded(t *testing.T) {
	var days []string
	for m := range 130 {
		days = append(days, time.Date(2010, time.January, 15, 0, 0, 0, 0, time.UTC).AddDate(0, m, 0).Format(time.DateOnly))
	}
	s := salesShop(t, days...)
	var looked int
	s.over(hooked{Model: s.model, onDocument: func(row.Generation, string) { looked++ }})
	lookups := func(path string, status, most int) {
		t.Helper()
		looked = 0
		a := s.get(path)
		if a.Code != status || looked > most {
			t.Errorf("%s: %d after %d look-ups, want %d after at most %d", path, a.Code, looked, status, most)
		}
	}
	lookups("/sales/months", 200, 1)
	lookups("/sales/categories", 200, 1)
	lookups("/sales/countries", 200, 1)
	lookups("/sales/categories?from=2012-01&to=2012-12", 200, 13)
	lookups("/sales/products?from=2019-01", 200, 25)
	lookups("/sales/days?limit=10", 200, 12)
	lookups("/sales/days?limit=10&from=2015-01-01", 200, 12)
	lookups("/sales/days", 400, 2*122)
	lookups("/sales/products", 400, 2*122)
	lookups("/sales/products?to=2019-12", 200, 121)
	s.isProblem(s.get("/sales/products"), 400, "malformed-parameter")
}
