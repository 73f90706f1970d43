package importer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"jangbu/cli/importer"
)

// write makes a folder from a small right one and the files given.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	all := map[string]string{
		"members.csv":  "id,name,contact,city,country,phone\nM,Mo,,,,\nN,No,,,,\n",
		"products.csv": "id,name,category,list_price,opening_stock,discontinued\nP,Pen,Pens,2.00,9,1\nQ,Quill,Pens,3.00,9,0\n",
		"orders.csv": "id,member_id,placed_on,shipped_on,shipping_fee,carrier,ship_name,ship_city,ship_country\n" +
			"1,M,2024-01-01,2024-01-02,0,Post,,,\n2,N,2024-01-02,,1.5,,,,\n3,M,2024-01-03,,0,,,,\n",
		"lines.csv": "order_id,product_id,unit_price,quantity,discount_percent\n1,P,2.00,1,0\n2,P,2.00,1,0\n3,Q,3.10,1,0\n",
	}
	maps.Copy(all, files)
	dir := t.TempDir()
	overwrite(t, dir, all)
	return dir
}

// overwrite puts files into a folder, but for empty ones.
func overwrite(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	orderHead = "id,member_id,placed_on,shipped_on,shipping_fee,carrier,ship_name,ship_city,ship_country\n"
	lineHead  = "order_id,product_id,unit_price,quantity,discount_percent\n"
)

func TestBadRowsAreNamedAndTheRestGoesOn(t *testing.T) {
	tests := map[string]struct {
		files  map[string]string
		want   []string // the whole list of problems
		orders []string // that are placed nevertheless
	}{
		"all right, with BOM, CRLF, quotes, and columns in another order": {
			files: map[string]string{"members.csv": "\ufeffname,id,contact,city,country,phone\r\n\"Mo \"\"the\"\" Big, Inc.\nof Seoul\",M,,,,\r\nNo,N,,,,\r\n"},
			want:  nil, orders: []string{"1", "2", "3"},
		},
		"wrong column count": {
			files:  map[string]string{"lines.csv": lineHead + "1,P,2.00,1,0\n2,P,2.00,1\n3,Q,3.10,1,0\n"},
			want:   []string{"lines.csv:3: the row has 4 columns, the header has 5", "orders.csv:3: order 2 is left out because of lines.csv:3", "products.csv:2: end of product P skipped because of orders.csv:3"},
			orders: []string{"1", "3"},
		},
		"a stray quote does not swallow the rest": {
			files:  map[string]string{"lines.csv": lineHead + "1,P,2.00,1,0\n3,Q,\"3.10,1,0\n2,P,2.00,1,0\n"},
			want:   []string{`lines.csv:3: the row cannot be read: extraneous or missing " in quoted-field`, "orders.csv:4: order 3 is left out because of lines.csv:3"},
			orders: []string{"1", "2"},
		},
		"bad numbers and dates, all at once": {
			files: map[string]string{
				"orders.csv": orderHead + "1,M,2024-13-01,soon,-1,Post,,,\n2,N,2024-01-02,,1.555,,,,\n3,M,2024-01-03,,0,,,,\n",
				"lines.csv":  lineHead + "1,P,2.00,1,0\n2,P,2.00,1,0\n3,Q,1e3,0,101\n",
			},
			want: []string{
				`lines.csv:4: unit_price: "1e3" is not an amount such as 14.00`,
				`lines.csv:4: quantity: "0" is not a whole number from 1 to 1000000000`,
				`lines.csv:4: discount_percent: "101" is not a whole number from 0 to 100`,
				`orders.csv:2: placed_on: "2024-13-01" is not a date such as 1996-07-04`,
				`orders.csv:2: shipped_on: "soon" is not a date such as 1996-07-04`,
				`orders.csv:2: shipping_fee: "-1" is not an amount such as 14.00`,
				`orders.csv:3: shipping_fee: "1.555" has more than 2 decimals`,
				"orders.csv:4: order 3 is left out because of lines.csv:4",
				"products.csv:2: end of product P skipped because of orders.csv:3",
			},
		},
		"unknown references": {
			files: map[string]string{
				"orders.csv": orderHead + "1,M,2024-01-01,,0,,,,\n2,Z,2024-01-02,,0,,,,\n3,M,2024-01-03,,0,,,,\n",
				"lines.csv":  lineHead + "1,P,2.00,1,0\n2,Q,3.00,1,0\n3,X,3.10,1,0\n4,P,2.00,1,0\n",
			},
			want: []string{
				`lines.csv:4: product_id: there is no product "X" in products.csv`,
				`lines.csv:5: order_id: there is no order "4" in orders.csv`,
				`orders.csv:3: member_id: there is no member "Z" in members.csv`,
				"orders.csv:4: order 3 is left out because of lines.csv:4",
			},
			orders: []string{"1"},
		},
		"a bad product takes its orders along": {
			files: map[string]string{"products.csv": "id,name,category,list_price,opening_stock,discontinued\nP,Pen,Pens,two,9,1\nQ,Quill,Pens,3.00,9,0\n"},
			want: []string{`products.csv:2: list_price: "two" is not an amount such as 14.00`,
				"orders.csv:2: order 1 is left out because of products.csv:2", "orders.csv:3: order 2 is left out because of products.csv:2"},
			orders: []string{"3"},
		},
		"more ordered than there is": {
			files: map[string]string{"lines.csv": lineHead + "1,P,2.00,6,0\n2,P,2.00,4,0\n3,Q,3.10,9,0\n"},
			want: []string{"products.csv:2: opening_stock: the orders take 10 of product P, not 9; order 2 takes 4 with 3 left (lines.csv:3): raise it to 10 or more, or correct the orders",
				"orders.csv:2: order 1 skipped because of products.csv:2 (product P)", "orders.csv:2: shipping of order 1 skipped because of products.csv:2 (order 1)",
				"orders.csv:3: order 2 skipped because of products.csv:2 (product P)", "products.csv:2: stock of product P skipped because of products.csv:2 (product P)",
				"products.csv:2: end of product P skipped because of products.csv:2 (product P)"},
			orders: []string{"3"},
		},
		"duplicates and bad ids": {
			files: map[string]string{
				"members.csv": "id,name,contact,city,country,phone\nM,Mo,,,,\nN,No,,,,\nM,Other,,,,\nA B,Space,,,,\n",
				"orders.csv":  orderHead + "1,M,2024-01-01,,0,,,,\n2,N,2024-01-02,,0,,,,\n1,N,2024-01-03,,0,,,,\n3,M,2024-01-03,,0,,,,\n",
			},
			want: []string{"members.csv:4: member M stands already at members.csv:2", `members.csv:5: id: "A B" is not an id: 1 to 64 letters, digits, '_' or '-'`,
				"orders.csv:4: order 1 stands already at orders.csv:2"},
			orders: []string{"1", "2", "3"},
		},
		"an order without lines, an order with two prices": {
			files: map[string]string{"lines.csv": lineHead + "1,P,2.00,1,0\n1,P,2.10,1,0\n3,Q,3.10,1,0\n3,Q,3.10,2,0\n"},
			want: []string{"lines.csv:3: order 1 has product P at another price at lines.csv:2", "orders.csv:3: order 2 has no lines in lines.csv",
				"orders.csv:2: order 1 is left out because of lines.csv:3", "products.csv:2: end of product P skipped because of orders.csv:2"},
			orders: []string{"3"},
		},
		"not UTF-8": {
			files:  map[string]string{"members.csv": "id,name,contact,city,country,phone\nM,Caf\xe9,,,,\nN,No,,,,\n"},
			want:   []string{"members.csv:2: the row is not UTF-8", "orders.csv:2: order 1 is left out because of members.csv:2", "orders.csv:4: order 3 is left out because of members.csv:2", "products.csv:2: end of product P skipped because of orders.csv:2"},
			orders: []string{"2"},
		},
		"missing file": {
			files: map[string]string{"members.csv": ""},
			want: []string{"members.csv: the file is missing", "orders.csv: no order is placed, because one of the other files could not be used",
				"products.csv:2: end of product P skipped because of orders.csv"},
		},
		"missing column": {
			files: map[string]string{"lines.csv": "order_id,product_id,price,quantity\n"},
			want: []string{"lines.csv:1: missing column unit_price, discount_percent", "orders.csv: no order is placed, because one of the other files could not be used",
				"products.csv:2: end of product P skipped because of orders.csv"},
		},
		"empty file": {
			files: map[string]string{"orders.csv": "\n"},
			want:  []string{"orders.csv:1: the file is empty: it needs a header with the columns id, member_id, placed_on, shipped_on, shipping_fee, carrier, ship_name, ship_city, ship_country"},
		},
		"what the server refuses fails those that need it, not those that only follow": {
			files: map[string]string{
				"members.csv": "id,name,contact,city,country,phone\nM,,,,,\nN,No,,,,\n",
				"lines.csv":   lineHead + "1,P,2.00,1,0\n2,P,2.20,1,0\n3,Q,3.10,1,0\n",
			},
			want: []string{"members.csv:2: member M: 422 Unprocessable Entity: wrong field; /name: must not be empty",
				"orders.csv:2: order 1 skipped because of members.csv:2 (member M)", "orders.csv:2: shipping of order 1 skipped because of members.csv:2 (order 1)",
				"orders.csv:4: order 3 skipped because of members.csv:2 (member M)", "products.csv:2: end of product P skipped because of members.csv:2 (order 1)"},
			orders: []string{"2"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir, s := write(t, tt.files), newShop()
			report, err := run(t, dir, s.serve(t).URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, report.Problems, dir, tt.want)
			got := slices.Sorted(maps.Keys(s.orders))
			if !slices.Equal(got, tt.orders) {
				t.Errorf("placed orders %v, want %v", got, tt.orders)
			}
		})
	}
}

func compare[P interface{ String() string }](t *testing.T, problems []P, dir string, want []string) {
	t.Helper()
	var got []string
	for _, p := range problems {
		got = append(got, strings.ReplaceAll(p.String(), dir+string(filepath.Separator), ""))
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// An opening stock that is too small is corrected like any other row, whatever else is in the shop, and an order that is left
// out for another reason counts: it comes later.
func TestAnOpeningStockIsCorrected(t *testing.T) {
	const head = "id,name,category,list_price,opening_stock,discontinued\n"
	dir := write(t, map[string]string{
		"orders.csv": orderHead + "1,M,2024-01-01,2024-01-02,0,Post,,,\n2,N,2024-01-02,,0,,,,\n3,M,2024-01-03,,0,,,,\n",
		"lines.csv":  lineHead + "1,P,2.00,6,0\n2,P,two,4,0\n3,Q,3.10,9,0\n",
	})
	s := newShop()
	srv := s.serve(t)
	for range 2 {
		if report, err := run(t, dir, srv.URL, nil); err != nil || len(report.Problems) == 0 || s.products["P"] != nil || s.orders["3"] == nil {
			t.Fatalf("%v, %v, orders %v", err, report.Problems, s.orders)
		}
	}
	overwrite(t, dir, map[string]string{
		"products.csv": head + "P,Pen,Pens,2.00,10,1\nQ,Quill,Pens,3.00,9,0\n",
		"lines.csv":    lineHead + "1,P,2.00,6,0\n2,P,2.00,4,0\n3,Q,3.10,9,0\n",
	})
	mustRun(t, dir, srv.URL, nil)
	check(t, s, dir)
}

// Something before the API may take smaller bodies than it. What is too large by itself is a row's fault, and the others go on.
func TestBatchesAreMadeToFit(t *testing.T) {
	long := strings.Repeat("x", 3000)
	dir := write(t, map[string]string{
		"orders.csv": orderHead + "1,M,2024-01-01,2024-01-02,0,Post,,,\n2,N,2024-01-02,,1.5,," + long + ",,\n3,M,2024-01-03,,0,,,,\n",
	})
	s := newShop()
	most := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		if len(body) > 2000 {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		s.mu.Lock()
		most = max(most, len(body))
		s.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	report, err := run(t, dir, proxy.URL, func(c *importer.Config) { c.Workers = 1 })
	if err != nil {
		t.Fatal(err)
	}
	compare(t, report.Problems, dir, []string{"orders.csv:3: order 2: 413 Request Entity Too Large",
		"products.csv:2: end of product P skipped because of orders.csv:3 (order 2)"})
	if got := slices.Sorted(maps.Keys(s.orders)); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("placed orders %v", got)
	}
	mustRun(t, demo, proxy.URL, func(c *importer.Config) { c.Workers = 1 })
	if most < 1000 {
		t.Errorf("no batch had more than %d bytes", most)
	}
}

// What a shop was restocked with by hand is not in the folder.
func TestARestockedShopTakesMoreThanTheOpeningStock(t *testing.T) {
	dir, s := write(t, nil), newShop()
	srv := s.serve(t)
	mustRun(t, dir, srv.URL, nil)
	s.products["Q"].stock += 5
	overwrite(t, dir, map[string]string{
		"orders.csv": orderHead + "1,M,2024-01-01,2024-01-02,0,Post,,,\n2,N,2024-01-02,,1.5,,,,\n3,M,2024-01-03,,0,,,,\n4,M,2024-01-04,,0,,,,\n",
		"lines.csv":  lineHead + "1,P,2.00,1,0\n2,P,2.00,1,0\n3,Q,3.10,1,0\n4,Q,3.10,13,0\n",
	})
	mustRun(t, dir, srv.URL, nil)
	if s.orders["4"] == nil || s.products["Q"].stock != 0 {
		t.Errorf("order 4 is %v, %d of Q are left", s.orders["4"], s.products["Q"].stock)
	}
}

// An answer to the batch as a whole says nothing of the things its commands are about, least of all that they are not there.
func TestABatchThatIsRefusedStopsTheRun(t *testing.T) {
	orders := orderHead + "1,M,2024-01-01,,0,,,,\n2,N,2024-01-02,,0,,,,\n3,M,2024-01-03,,0,,,,\n"
	right := lineHead + "1,P,2.00,1,0\n2,P,2.00,1,0\n3,P,2.50,1,0\n"
	dir := write(t, map[string]string{"orders.csv": orders, "lines.csv": strings.Replace(right, "2,P,2.00,1,0", "2,P,2.00,one,0", 1)})
	s := newShop()
	srv := s.serve(t)
	if _, err := run(t, dir, srv.URL, nil); err != nil || s.products["P"].price != 250 {
		t.Fatalf("%v, %+v", err, s.products["P"])
	}
	overwrite(t, dir, map[string]string{"lines.csv": right})
	effects := s.effectCount()
	for _, status := range []int{http.StatusNotFound, http.StatusForbidden, http.StatusMethodNotAllowed} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "default backend", status) }))
		defer proxy.Close()
		report, err := run(t, dir, proxy.URL, nil)
		if want := fmt.Sprintf("%s answers POST /batch with %d ", proxy.URL, status); !errors.Is(err, importer.ErrNoAPI) || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: error %v", status, err)
		}
		if len(report.Problems) > 0 || s.effectCount() != effects {
			t.Errorf("%d: problems %v, effects %v", status, report.Problems, s.effects[effects:])
		}
	}
	for _, status := range []int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		refused := false
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			first := !refused
			refused = true
			s.mu.Unlock()
			if first {
				http.Error(w, "away for a moment", status)
				return
			}
			s.ServeHTTP(w, r)
		}))
		defer proxy.Close()
		mustRun(t, dir, proxy.URL, nil)
		check(t, s, dir)
	}
}

func TestRowsEditedAfterTheirImportAreReported(t *testing.T) {
	dir, s := write(t, nil), newShop()
	srv := s.serve(t)
	mustRun(t, dir, srv.URL, nil)
	effects := s.effectCount()
	overwrite(t, dir, map[string]string{
		"members.csv": "id,name,contact,city,country,phone\nM,Mo,,,,\nN,Nobody,,,,\n",
		"lines.csv":   lineHead + "1,P,2.00,1,0\n2,P,2.00,7,0\n3,Q,3.20,1,0\n",
	})
	report, err := run(t, dir, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	const reused = ": 422 Unprocessable Entity: The key was used with another request."
	compare(t, report.Problems, dir, []string{
		"lines.csv:4: price of product Q" + reused, "members.csv:3: member N" + reused,
		"orders.csv:3: order 2 skipped because of members.csv:3 (member N)",
		"products.csv:2: end of product P skipped because of members.csv:3 (order 2)",
	})
	if got := s.effects[effects:]; len(got) > 0 {
		t.Errorf("the shop changed: %v", got)
	}
}
