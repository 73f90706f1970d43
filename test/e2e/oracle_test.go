package e2e_test

import (
	"cmp"
	"encoding/csv"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// oracle is what the views must say of a folder of CSV files. It is made from the files alone, by plain sums: none of the
// program's code has a part in it. All amounts are in cents.
type oracle struct {
	orders     map[string]*orderDoc
	members    map[string]*memberDoc
	products   map[string]*productDoc
	lists      map[string][]listItem // by member
	months     []monthItem
	categories []categoryItem
	countries  []countryItem
}

// What the query API documents of its bodies.
type (
	shipTo struct {
		Name    string `json:"name"`
		City    string `json:"city"`
		Country string `json:"country"`
	}
	lineDoc struct {
		ProductID       string `json:"product_id"`
		Name            string `json:"name"`
		Category        string `json:"category"`
		UnitPrice       int64  `json:"unit_price"`
		Quantity        int64  `json:"quantity"`
		DiscountPercent int64  `json:"discount_percent"`
		Amount          int64  `json:"amount"`
	}
	orderDoc struct {
		ID       string `json:"id"`
		Status   string `json:"status"`
		PlacedOn string `json:"placed_on"`
		Member   struct {
			ID      string `json:"id"`
			Name    string `json:"name"`
			Country string `json:"country"`
		} `json:"member"`
		Lines        []lineDoc `json:"lines"`
		Units        int64     `json:"units"`
		Subtotal     int64     `json:"subtotal"`
		ShippingFee  int64     `json:"shipping_fee"`
		Total        int64     `json:"total"`
		Currency     string    `json:"currency"`
		ShipTo       *shipTo   `json:"ship_to"`
		Carrier      string    `json:"carrier"`
		Tracking     string    `json:"tracking"`
		ShippedOn    string    `json:"shipped_on"`
		CancelReason string    `json:"cancel_reason"`
		Revision     int64     `json:"revision"`
	}
	memberDoc struct {
		ID           string  `json:"id"`
		Name         string  `json:"name"`
		Contact      string  `json:"contact"`
		City         string  `json:"city"`
		Country      string  `json:"country"`
		Phone        string  `json:"phone"`
		Orders       int64   `json:"orders"`
		Spent        int64   `json:"spent"`
		FirstOrderOn *string `json:"first_order_on"`
		LastOrderOn  *string `json:"last_order_on"`
	}
	productDoc struct {
		ID           string  `json:"id"`
		Name         string  `json:"name"`
		Category     string  `json:"category"`
		Price        int64   `json:"price"`
		Currency     string  `json:"currency"`
		Discontinued bool    `json:"discontinued"`
		Sold         figures `json:"sold"`
	}
	figures struct {
		Orders int64 `json:"orders"`
		Units  int64 `json:"units"`
		Sales  int64 `json:"sales"`
	}
	listItem struct {
		ID       string `json:"id"`
		Status   string `json:"status"`
		PlacedOn string `json:"placed_on"`
		Units    int64  `json:"units"`
		Total    int64  `json:"total"`
	}
	monthItem struct {
		Month string `json:"month"`
		figures
	}
	categoryItem struct {
		Category string `json:"category"`
		figures
	}
	countryItem struct {
		Country string `json:"country"`
		Orders  int64  `json:"orders"`
		Sales   int64  `json:"sales"`
	}
)

func newOracle(t *testing.T, dir string) *oracle {
	t.Helper()
	o := &oracle{orders: map[string]*orderDoc{}, members: map[string]*memberDoc{}, products: map[string]*productDoc{}, lists: map[string][]listItem{}}
	for _, r := range readCSV(t, dir, "members.csv") {
		o.members[r["id"]] = &memberDoc{ID: r["id"], Name: r["name"], Contact: r["contact"], City: r["city"], Country: r["country"], Phone: r["phone"]}
		o.lists[r["id"]] = []listItem{}
	}
	for _, r := range readCSV(t, dir, "products.csv") {
		o.products[r["id"]] = &productDoc{ID: r["id"], Name: r["name"], Category: r["category"], Currency: "USD",
			Price: centsOf(t, r["list_price"]), Discontinued: r["discontinued"] == "1"}
	}
	for _, r := range readCSV(t, dir, "orders.csv") {
		o.addOrder(t, r)
	}
	for _, r := range readCSV(t, dir, "lines.csv") {
		o.addLine(t, r)
	}
	o.addUp()
	return o
}

func (o *oracle) addOrder(t *testing.T, r map[string]string) {
	t.Helper()
	d := &orderDoc{ID: r["id"], Status: "placed", PlacedOn: r["placed_on"], ShippingFee: centsOf(t, r["shipping_fee"]), Currency: "USD"}
	d.Member.ID = r["member_id"]
	d.Member.Name, d.Member.Country = o.members[r["member_id"]].Name, o.members[r["member_id"]].Country
	if r["ship_name"] != "" {
		d.ShipTo = &shipTo{r["ship_name"], r["ship_city"], r["ship_country"]}
	}
	if r["shipped_on"] != "" {
		d.Status, d.ShippedOn, d.Carrier, d.Revision = "shipped", r["shipped_on"], r["carrier"], 1
	}
	o.orders[d.ID] = d
}

func (o *oracle) addLine(t *testing.T, r map[string]string) {
	t.Helper()
	p, d := o.products[r["product_id"]], o.orders[r["order_id"]]
	l := lineDoc{ProductID: p.ID, Name: p.Name, Category: p.Category, UnitPrice: centsOf(t, r["unit_price"]),
		Quantity: whole(t, r["quantity"]), DiscountPercent: whole(t, r["discount_percent"])}
	l.Amount = (l.UnitPrice*l.Quantity*(100-l.DiscountPercent) + 50) / 100
	d.Lines = append(d.Lines, l)
	d.Units += l.Quantity
	d.Subtotal += l.Amount
	d.Total = d.Subtotal + d.ShippingFee
}

func (o *oracle) addUp() {
	months, categories, countries := map[string]*figures{}, map[string]*figures{}, map[string]*figures{}
	add := func(sums map[string]*figures, key string, units, sales int64, once map[string]bool) {
		if sums[key] == nil {
			sums[key] = &figures{}
		}
		if !once[key] {
			once[key] = true
			sums[key].Orders++
		}
		sums[key].Units += units
		sums[key].Sales += sales
	}
	sold := map[string]*figures{}
	for _, d := range o.byDate() {
		inMonth, inCategory, inCountry, inProduct := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
		m := o.members[d.Member.ID]
		m.Orders++
		m.Spent += d.Subtotal
		if m.FirstOrderOn == nil {
			m.FirstOrderOn = &d.PlacedOn
		}
		m.LastOrderOn = &d.PlacedOn
		o.lists[m.ID] = append(o.lists[m.ID], listItem{d.ID, d.Status, d.PlacedOn, d.Units, d.Total})
		for _, l := range d.Lines {
			add(months, d.PlacedOn[:7], l.Quantity, l.Amount, inMonth)
			add(categories, l.Category, l.Quantity, l.Amount, inCategory)
			add(countries, m.Country, l.Quantity, l.Amount, inCountry)
			add(sold, l.ProductID, l.Quantity, l.Amount, inProduct)
			o.products[l.ProductID].Price = l.UnitPrice // the price of the latest order stays
		}
	}
	for id, f := range sold {
		o.products[id].Sold = *f
	}
	for _, key := range slices.Sorted(maps.Keys(months)) {
		o.months = append(o.months, monthItem{key, *months[key]})
	}
	for _, key := range slices.Sorted(maps.Keys(categories)) {
		o.categories = append(o.categories, categoryItem{key, *categories[key]})
	}
	for _, key := range slices.Sorted(maps.Keys(countries)) {
		o.countries = append(o.countries, countryItem{key, countries[key].Orders, countries[key].Sales})
	}
	for _, list := range o.lists {
		slices.SortFunc(list, func(a, b listItem) int {
			return cmp.Or(-cmp.Compare(a.PlacedOn, b.PlacedOn), cmp.Compare(a.ID, b.ID))
		})
	}
}

// byDate is the orders as an import places them: by date; on one day numbers by value, before other ids.
func (o *oracle) byDate() []*orderDoc {
	return slices.SortedFunc(maps.Values(o.orders), func(a, b *orderDoc) int {
		return cmp.Or(cmp.Compare(a.PlacedOn, b.PlacedOn), compareNumbers(a.ID, b.ID), cmp.Compare(a.ID, b.ID))
	})
}

func compareNumbers(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	switch {
	case errX == nil && errY == nil:
		return cmp.Compare(x, y)
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return 0
}

// readCSV reads a file's rows by the names of its columns.
func readCSV(t *testing.T, path ...string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for _, record := range records[1:] {
		r := map[string]string{}
		for i, column := range records[0] {
			r[strings.TrimPrefix(column, "\ufeff")] = record[i]
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no rows", f.Name())
	}
	return rows
}

func whole(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func centsOf(t *testing.T, s string) int64 {
	t.Helper()
	amount, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is no amount", s)
	}
	amount.Mul(amount, big.NewRat(100, 1))
	if !amount.IsInt() {
		t.Fatalf("%q has fractions of a cent", s)
	}
	return amount.Num().Int64()
}
