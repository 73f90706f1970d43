package e2e_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"testing"
	"time"

	"jangbu/test/servers"
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
	days       []dayItem
	sold       []productItem
	counts     []countItem
	all        []orderItem
	funnel     funnelDoc
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
		Lines       []lineDoc `json:"lines"`
		Units       int64     `json:"units"`
		Subtotal    int64     `json:"subtotal"`
		ShippingFee int64     `json:"shipping_fee"`
		Total       int64     `json:"total"`
		Currency    string    `json:"currency"`
		ShipTo      *shipTo   `json:"ship_to"`
		Manual      bool      `json:"manual"`
		Payment     struct {
			Method     string `json:"method"`
			Status     string `json:"status"`
			Authorised int64  `json:"authorised"`
			Captured   int64  `json:"captured"`
			Refunded   int64  `json:"refunded"`
		} `json:"payment"`
		Parcels      []parcelDoc `json:"parcels"`
		Returns      []struct{}  `json:"returns"`
		CancelReason string      `json:"cancel_reason"`
		CancelCode   string      `json:"cancel_code"`
		Timeline     []momentDoc `json:"timeline"`
		Revision     int64       `json:"revision"`
	}
	parcelDoc struct {
		Number      int       `json:"number"`
		Carrier     string    `json:"carrier"`
		Tracking    string    `json:"tracking"`
		ShippedOn   string    `json:"shipped_on"`
		DeliveredOn *string   `json:"delivered_on"`
		Lines       []partDoc `json:"lines"`
	}
	partDoc struct {
		Line     int   `json:"line"`
		Quantity int64 `json:"quantity"`
	}
	momentDoc struct {
		At     someTime `json:"at"`
		Actor  string   `json:"actor"`
		What   string   `json:"what"`
		Number int      `json:"number"`
	}
	memberDoc struct {
		ID                string     `json:"id"`
		Name              string     `json:"name"`
		Contact           string     `json:"contact"`
		City              string     `json:"city"`
		Country           string     `json:"country"`
		Phone             string     `json:"phone"`
		Email             string     `json:"email"`
		Addresses         []struct{} `json:"addresses"`
		Closed            bool       `json:"closed"`
		OpenOrders        int64      `json:"open_orders"`
		FavouriteCategory *string    `json:"favourite_category"`
		Orders            int64      `json:"orders"`
		Spent             int64      `json:"spent"`
		FirstOrderOn      *string    `json:"first_order_on"`
		LastOrderOn       *string    `json:"last_order_on"`
	}
	productDoc struct {
		ID           string    `json:"id"`
		Name         string    `json:"name"`
		Category     string    `json:"category"`
		Price        int64     `json:"price"`
		Currency     string    `json:"currency"`
		Discontinued bool      `json:"discontinued"`
		Description  string    `json:"description"`
		Tags         []string  `json:"tags"`
		Images       []string  `json:"images"`
		Sale         *struct{} `json:"sale"`
		Stock        struct {
			OnHand    int64 `json:"on_hand"`
			Reserved  int64 `json:"reserved"`
			Available int64 `json:"available"`
		} `json:"stock"`
		Sold figures `json:"sold"`
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
		Currency string `json:"currency"`
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
	dayItem struct {
		Day string `json:"day"`
		figures
	}
	productItem struct {
		ProductID string `json:"product_id"`
		figures
	}
	countItem struct {
		Category string `json:"category"`
		Products int64  `json:"products"`
	}
	orderItem struct {
		listItem
		MemberID string `json:"member_id"`
	}
	funnelDoc struct {
		Placed    int64            `json:"placed"`
		Confirmed int64            `json:"confirmed"`
		Shipped   int64            `json:"shipped"`
		Delivered int64            `json:"delivered"`
		Returned  int64            `json:"returned"`
		Cancelled map[string]int64 `json:"cancelled"`
	}
)

// someTime is a time that the files do not tell: any will do.
type someTime struct{}

func (*someTime) UnmarshalJSON(b []byte) error {
	var t time.Time
	if err := json.Unmarshal(b, &t); err != nil || t.Location() != time.UTC {
		return fmt.Errorf("%s is no time in UTC: %w", b, err)
	}
	return nil
}

func newOracle(t *testing.T, dir string) *oracle {
	t.Helper()
	o := &oracle{orders: map[string]*orderDoc{}, members: map[string]*memberDoc{}, products: map[string]*productDoc{}, lists: map[string][]listItem{}}
	for _, r := range servers.ReadCSV(t, dir, "members.csv") {
		o.members[r["id"]] = &memberDoc{ID: r["id"], Name: r["name"], Contact: r["contact"], City: r["city"], Country: r["country"], Phone: r["phone"], Addresses: []struct{}{}}
		o.lists[r["id"]] = []listItem{}
	}
	for _, r := range servers.ReadCSV(t, dir, "products.csv") {
		p := &productDoc{ID: r["id"], Name: r["name"], Category: r["category"], Currency: "USD",
			Price: centsOf(t, r["list_price"]), Discontinued: r["discontinued"] == "1", Tags: []string{}, Images: []string{}}
		p.Stock.OnHand = whole(t, r["opening_stock"])
		p.Stock.Available = p.Stock.OnHand
		o.products[r["id"]] = p
	}
	for _, r := range servers.ReadCSV(t, dir, "orders.csv") {
		o.addOrder(t, r)
	}
	for _, r := range servers.ReadCSV(t, dir, "lines.csv") {
		o.addLine(t, r)
	}
	o.addUp()
	return o
}

func (o *oracle) addOrder(t *testing.T, r map[string]string) {
	t.Helper()
	d := &orderDoc{ID: r["id"], Status: "confirmed", PlacedOn: r["placed_on"], ShippingFee: centsOf(t, r["shipping_fee"]), Currency: "USD",
		Parcels: []parcelDoc{}, Returns: []struct{}{}, Revision: 3, Timeline: []momentDoc{{What: "placed", Actor: "anonymous"},
			{What: "stock-reserved", Actor: "fulfilment"}, {What: "payment-authorised", Actor: "fulfilment"}, {What: "confirmed", Actor: "fulfilment"}}}
	d.Payment.Method, d.Payment.Status = "invoice", "authorised"
	d.Member.ID = r["member_id"]
	d.Member.Name, d.Member.Country = o.members[r["member_id"]].Name, o.members[r["member_id"]].Country
	if r["ship_name"] != "" {
		d.ShipTo = &shipTo{r["ship_name"], r["ship_city"], r["ship_country"]}
	}
	if r["shipped_on"] != "" {
		d.Status, d.Revision, d.Payment.Status = "shipped", 6, "captured"
		d.Parcels = []parcelDoc{{Number: 1, ShippedOn: r["shipped_on"], Carrier: r["carrier"]}}
		d.Timeline = append(d.Timeline, momentDoc{What: "shipped", Actor: "anonymous", Number: 1},
			momentDoc{What: "stock-shipped", Actor: "fulfilment", Number: 1}, momentDoc{What: "payment-captured", Actor: "fulfilment"})
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
	if len(d.Parcels) > 0 {
		d.Parcels[0].Lines = append(d.Parcels[0].Lines, partDoc{len(d.Lines), l.Quantity})
	}
	d.Units += l.Quantity
	d.Subtotal += l.Amount
	d.Total = d.Subtotal + d.ShippingFee
	d.Payment.Authorised = d.Total
	p.Stock.Available -= l.Quantity
	if d.Status == "shipped" {
		d.Payment.Captured = d.Total
		p.Stock.OnHand -= l.Quantity
	} else {
		p.Stock.Reserved += l.Quantity
	}
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
	sold, days, liked := map[string]*figures{}, map[string]*figures{}, map[string]map[string]*figures{}
	o.funnel.Cancelled = map[string]int64{}
	for _, d := range o.byDate() {
		inMonth, inCategory, inCountry, inProduct, onDay := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
		m := o.members[d.Member.ID]
		m.Orders++
		m.OpenOrders++ // none of them has been delivered
		o.funnel.Placed++
		if o.funnel.Confirmed++; d.Status == "shipped" {
			o.funnel.Shipped++
		}
		m.Spent += d.Subtotal
		if m.FirstOrderOn == nil {
			m.FirstOrderOn = &d.PlacedOn
		}
		m.LastOrderOn = &d.PlacedOn
		o.lists[m.ID] = append(o.lists[m.ID], listItem{d.ID, d.Status, d.PlacedOn, d.Units, d.Total, d.Currency})
		o.all = append(o.all, orderItem{listItem{d.ID, d.Status, d.PlacedOn, d.Units, d.Total, d.Currency}, m.ID})
		if liked[m.ID] == nil {
			liked[m.ID] = map[string]*figures{}
		}
		for _, l := range d.Lines {
			add(months, d.PlacedOn[:7], l.Quantity, l.Amount, inMonth)
			add(categories, l.Category, l.Quantity, l.Amount, inCategory)
			add(countries, m.Country, l.Quantity, l.Amount, inCountry)
			add(sold, l.ProductID, l.Quantity, l.Amount, inProduct)
			add(days, d.PlacedOn, l.Quantity, l.Amount, onDay)
			add(liked[m.ID], l.Category, l.Quantity, l.Amount, map[string]bool{})
			o.products[l.ProductID].Price = l.UnitPrice // the price of the latest order stays
		}
	}
	for id, f := range sold {
		o.products[id].Sold = *f
		o.sold = append(o.sold, productItem{id, *f})
	}
	slices.SortFunc(o.sold, func(a, b productItem) int {
		return cmp.Or(cmp.Compare(b.Sales, a.Sales), cmp.Compare(a.ProductID, b.ProductID))
	})
	for id, categories := range liked {
		best := slices.MinFunc(slices.Collect(maps.Keys(categories)), func(a, b string) int {
			return cmp.Or(cmp.Compare(categories[b].Units, categories[a].Units), cmp.Compare(a, b))
		})
		o.members[id].FavouriteCategory = &best
	}
	counts := map[string]int64{}
	for _, p := range o.products {
		if !p.Discontinued {
			counts[p.Category]++
		}
	}
	for _, category := range slices.Sorted(maps.Keys(counts)) {
		o.counts = append(o.counts, countItem{category, counts[category]})
	}
	for _, key := range slices.Sorted(maps.Keys(days)) {
		o.days = append(o.days, dayItem{key, *days[key]})
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
	newest := func(a, b listItem) int { return cmp.Or(-cmp.Compare(a.PlacedOn, b.PlacedOn), cmp.Compare(a.ID, b.ID)) }
	for _, list := range o.lists {
		slices.SortFunc(list, newest)
	}
	slices.SortFunc(o.all, func(a, b orderItem) int { return newest(a.listItem, b.listItem) })
}

// shelf is the ids of the products that are sold, of a category if one is named, in order of their prices.
func (o *oracle) shelf(category string) (ids []string) {
	for id, p := range o.products {
		if !p.Discontinued && (category == "" || p.Category == category) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(o.products[a].Price, o.products[b].Price), cmp.Compare(a, b))
	})
	return ids
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
