package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// folder is what the files say, checked: every reference resolves, and every order has its lines.
type folder struct {
	members  []member
	products []product
	orders   []order // by date, then id
	// unplaced says, for a product, the place of an order of it that is left out.
	unplaced map[string]Place
	problems problems
}

type member struct {
	at                                      Place
	id, name, contact, city, country, phone string
}

type product struct {
	at                 Place
	id, name, category string
	price              int64
	stock              int64 // before the first order
	discontinued       bool
	taken              int64  // by its orders, those that are left out included: once corrected, they are placed too
	short              string // when set, the first line that the opening stock does not cover
}

type order struct {
	at                        Place
	id, memberID              string
	placedOn, shippedOn       string
	fee                       int64
	carrier                   string
	shipName, shipTo, country string
	lines                     []line
	fault                     Place // the first row that makes the order impossible, its own or another's
	faulty                    bool
}

type line struct {
	at                 Place
	productID          string
	price              int64
	quantity, discount int64
}

const maxQuantity = 1_000_000_000

// loader reads the files in the order of their references. The maps tell where an id stands, broken rows included.
type loader struct {
	folder
	memberAt, productAt map[string]reference
	orderAt             map[string]*order
}

type reference struct {
	at  Place
	bad bool
}

// readFolder reads and checks the four files. All that is wrong is in the result's problems.
func readFolder(dir string) *folder {
	l := &loader{
		folder:   folder{unplaced: map[string]Place{}},
		memberAt: map[string]reference{}, productAt: map[string]reference{}, orderAt: map[string]*order{},
	}
	members := readTable(dir, "members.csv", []string{"id", "name", "contact", "city", "country", "phone"}, &l.problems)
	products := readTable(dir, "products.csv", []string{"id", "name", "category", "list_price", "opening_stock", "discontinued"}, &l.problems)
	orders := readTable(dir, "orders.csv", []string{"id", "member_id", "placed_on", "shipped_on", "shipping_fee", "carrier",
		"ship_name", "ship_city", "ship_country"}, &l.problems)
	lines := readTable(dir, "lines.csv", []string{"order_id", "product_id", "unit_price", "quantity", "discount_percent"}, &l.problems)
	if members != nil {
		l.loadMembers(members)
	}
	if products != nil {
		l.loadProducts(products)
	}
	switch {
	case orders == nil:
	case members == nil || products == nil || lines == nil:
		l.problems.skip(Place{File: orders.path}, "no order is placed, because one of the other files could not be used")
		for _, p := range l.products {
			l.unplaced[p.id] = Place{File: orders.path}
		}
	default:
		l.loadOrders(orders)
		l.loadLines(lines)
		l.settleOrders()
	}
	return &l.folder
}

func (l *loader) loadMembers(t *table) {
	for _, r := range t.rows {
		m := member{at: r.at, id: t.cell(r, "id"), name: t.cell(r, "name"), contact: t.cell(r, "contact"),
			city: t.cell(r, "city"), country: t.cell(r, "country"), phone: t.cell(r, "phone")}
		if l.claim(l.memberAt, r, "member", m.id) {
			l.members = append(l.members, m)
		}
	}
}

func (l *loader) loadProducts(t *table) {
	for _, r := range t.rows {
		p := product{at: r.at, id: t.cell(r, "id"), name: t.cell(r, "name"), category: t.cell(r, "category")}
		if !l.claim(l.productAt, r, "product", p.id) {
			continue
		}
		price, err := cents(t.cell(r, "list_price"))
		stock, stockErr := between(t.cell(r, "opening_stock"), 0, maxQuantity)
		flag, flagErr := between(t.cell(r, "discontinued"), 0, 1)
		if !l.fieldsFit(r.at, named{"list_price", err}, named{"opening_stock", stockErr}, named{"discontinued", flagErr}) {
			l.productAt[p.id] = reference{r.at, true}
			continue
		}
		p.price, p.stock, p.discontinued = price, stock, flag == 1
		l.products = append(l.products, p)
	}
}

// claim gives the id to the row, and reports whether the row may be used: it is whole, its id is one, and no row
// above has it.
func (l *loader) claim(ids map[string]reference, r row, kind, id string) bool {
	first, taken := ids[id]
	if taken {
		if !r.broken {
			l.problems.add(r.at, "%s %s stands already at %s", kind, id, first.at)
		}
		return false
	}
	if r.broken || !l.fieldsFit(r.at, named{"id", checkID(id)}) {
		ids[id] = reference{r.at, true}
		return false
	}
	ids[id] = reference{at: r.at}
	return true
}

type named struct {
	column string
	err    error
}

// fieldsFit reports every wrong field of a row.
func (l *loader) fieldsFit(at Place, fields ...named) bool {
	ok := true
	for _, f := range fields {
		if f.err != nil {
			l.problems.add(at, "%s: %v", f.column, f.err)
			ok = false
		}
	}
	return ok
}

func (l *loader) loadOrders(t *table) {
	seen := map[string]reference{}
	for _, r := range t.rows {
		o := &order{at: r.at, id: t.cell(r, "id"), memberID: t.cell(r, "member_id"),
			placedOn: t.cell(r, "placed_on"), shippedOn: t.cell(r, "shipped_on"), carrier: t.cell(r, "carrier"),
			shipName: t.cell(r, "ship_name"), shipTo: t.cell(r, "ship_city"), country: t.cell(r, "ship_country")}
		_, again := seen[o.id]
		usable := l.claim(seen, r, "order", o.id)
		if again {
			continue
		}
		l.orderAt[o.id] = o
		if !usable {
			o.spoil(r.at)
			continue
		}
		var feeErr, shippedErr error
		o.fee, feeErr = cents(t.cell(r, "shipping_fee"))
		if o.shippedOn != "" {
			shippedErr = checkDate(o.shippedOn)
		}
		who, known := l.memberAt[o.memberID]
		fits := l.fieldsFit(r.at, named{"placed_on", checkDate(o.placedOn)}, named{"shipped_on", shippedErr}, named{"shipping_fee", feeErr})
		switch {
		case !known:
			l.fieldsFit(r.at, named{"member_id", unknown("member", o.memberID, "members.csv")})
			o.spoil(r.at)
		case !fits:
			o.spoil(r.at)
		case who.bad:
			o.spoil(who.at)
		}
	}
}

// spoil leaves the order out, because of the row at that place. The first reason stands.
func (o *order) spoil(at Place) {
	if !o.faulty {
		o.faulty, o.fault = true, at
	}
}

func (l *loader) loadLines(t *table) {
	for _, r := range t.rows {
		ln := line{at: r.at, productID: t.cell(r, "product_id")}
		o, known := l.orderAt[t.cell(r, "order_id")]
		if known {
			o.lines = append(o.lines, ln)
		}
		if r.broken {
			if known {
				o.spoil(r.at)
			}
			continue
		}
		var priceErr, quantityErr, discountErr, orderErr, productErr error
		ln.price, priceErr = cents(t.cell(r, "unit_price"))
		ln.quantity, quantityErr = between(t.cell(r, "quantity"), 1, maxQuantity)
		ln.discount, discountErr = between(t.cell(r, "discount_percent"), 0, 100)
		if !known {
			orderErr = unknown("order", t.cell(r, "order_id"), "orders.csv")
		}
		what, sold := l.productAt[ln.productID]
		if !sold {
			productErr = unknown("product", ln.productID, "products.csv")
		}
		fits := l.fieldsFit(r.at, named{"order_id", orderErr}, named{"product_id", productErr}, named{"unit_price", priceErr},
			named{"quantity", quantityErr}, named{"discount_percent", discountErr})
		if !known {
			continue
		}
		o.lines[len(o.lines)-1] = ln
		if !fits {
			o.spoil(r.at)
		} else if what.bad {
			o.spoil(what.at)
		}
	}
}

// settleOrders keeps the orders that can be placed, in the order in which they are, and says why the others cannot.
func (l *loader) settleOrders() {
	all := make([]*order, 0, len(l.orderAt))
	for _, o := range l.orderAt {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *order) int {
		return cmp.Or(cmp.Compare(a.placedOn, b.placedOn), compareIDs(a.id, b.id))
	})
	l.countStock(all)
	for _, o := range all {
		if !o.faulty {
			l.checkLines(o)
		}
		if !o.faulty {
			l.orders = append(l.orders, *o)
			continue
		}
		if o.fault != o.at {
			l.problems.skip(o.at, "order %s is left out because of %s", o.id, o.fault)
		}
		for _, ln := range o.lines {
			if _, known := l.unplaced[ln.productID]; !known {
				l.unplaced[ln.productID] = o.at
			}
		}
	}
}

// countStock adds up what the orders take of each product.
func (l *loader) countStock(orders []*order) {
	products := map[string]*product{}
	for i := range l.products {
		products[l.products[i].id] = &l.products[i]
	}
	for _, o := range orders {
		for _, ln := range o.lines {
			d, usable := products[ln.productID]
			if !usable {
				continue
			}
			if left := d.stock - d.taken; ln.quantity > left && d.short == "" {
				d.short = fmt.Sprintf("order %s takes %d with %d left (%s)", o.id, ln.quantity, left, ln.at)
			}
			d.taken += ln.quantity
		}
	}
}

// lack says that the opening stock does not cover the product's orders, or nothing.
func (d product) lack() string {
	if d.short == "" {
		return ""
	}
	return fmt.Sprintf("opening_stock: the orders take %d of product %s, not %d; %s: raise it to %d or more, or correct the orders", d.taken, d.id, d.stock, d.short, d.taken)
}

func (l *loader) checkLines(o *order) {
	if len(o.lines) == 0 {
		l.problems.add(o.at, "order %s has no lines in lines.csv", o.id)
		o.spoil(o.at)
	}
	first := map[string]line{}
	for _, ln := range o.lines {
		before, again := first[ln.productID]
		if again && before.price != ln.price {
			l.problems.add(ln.at, "order %s has product %s at another price at %s", o.id, ln.productID, before.at)
			o.spoil(ln.at)
		}
		if !again {
			first[ln.productID] = ln
		}
	}
}

// compareIDs puts numbers before other ids and in numeric order: 9 before 10.
func compareIDs(a, b string) int {
	if digits(a) != digits(b) {
		if digits(a) {
			return -1
		}
		return 1
	}
	if digits(a) {
		x, y := strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y), cmp.Compare(a, b))
	}
	return cmp.Compare(a, b)
}

func unknown(kind, id, file string) error {
	return fmt.Errorf("there is no %s %q in %s", kind, id, file)
}
