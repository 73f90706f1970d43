package importer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// Kind says what a step does to the shop.
type Kind string

// The kinds of steps, in the order in which a report lists them.
const (
	Members   Kind = "members"
	Products  Kind = "products"
	Stock     Kind = "stock"
	Orders    Kind = "orders"
	Prices    Kind = "prices"
	Shipments Kind = "shipments"
	Endings   Kind = "discontinued"
)

// kinds lists every Kind.
var kinds = [...]Kind{Members, Products, Stock, Orders, Prices, Shipments, Endings}

// step is one POST of the plan, and where it stands in it. Steps are named by their index.
type step struct {
	kind    Kind
	at      Place
	lines   []Place // of an order: where each of its lines stands
	what    string  // "order 10248"
	path    string
	key     string
	ifMatch string
	body    []byte
	needs   []int  // steps that must have succeeded
	follows []int  // steps that must have ended, well or not
	blocked Place  // when set, a row already known to be bad makes the step impossible
	wrong   string // when set, what is wrong with the step's own row
	fine    []int  // statuses besides 2xx that are as good as success here
}

// noRevision is an If-Match that no stream's revision ever meets: a command that carries it changes nothing.
const noRevision = `"9007199254740991"`

// present says what an earlier run left in the shop. The zero value is an empty shop.
type present struct {
	resumed  bool             // some product of the folder is there
	products map[string]bool  // the products of the folder that are there
	prices   map[string]int64 // of the products there that cost what an order of the folder does, and not their list price
	orders   map[string]bool  // the orders of the folder that are there
}

// planner turns a folder into steps, walking the orders and keeping track of what each product costs.
type planner struct {
	steps    []step
	shop     present
	member   map[string]int
	products map[string]*priced
}

// priced is a product in the course of the walk.
type priced struct {
	product
	create int   // the step that creates it
	stock  int   // the step that puts its opening stock there; create where there is none
	setter int   // the step that set its present price
	buyers []int // orders placed since, which pay that price
	orders []int // every order of it
	price  int64 // what it costs at this point of the walk, in the shop; unknown when negative
	listed int64 // what it would cost at this point had the whole walk been done in one run
	lastAt Place // the line that set listed
	checks []int // rechecks of earlier price changes
}

const unknownPrice = -1

// plan lays out every step. It is deterministic: the same folder and the same shop give the same plan.
func plan(f *folder, shop present) []step {
	p := &planner{shop: shop, member: map[string]int{}, products: map[string]*priced{}}
	for _, m := range f.members {
		p.member[m.id] = p.add(step{kind: Members, at: m.at, what: "member " + m.id, path: "/members", key: "import-member-" + m.id,
			body: encode(memberBody{m.id, m.name, m.contact, m.city, m.country, m.phone})})
	}
	for _, d := range f.products {
		i := p.add(step{kind: Products, at: d.at, what: "product " + d.id, path: "/products", key: "import-product-" + d.id,
			body: encode(productBody{d.id, d.name, d.category, d.price, currency})})
		// The opening stock cannot be corrected once it is there, so a product that has too little is not begun. Of one that is
		// there the shop may have been restocked since.
		if !shop.products[d.id] {
			p.steps[i].wrong = d.lack()
		}
		price := d.price
		if shop.resumed {
			price = unknownPrice
		}
		stock := i
		if d.stock > 0 {
			stock = p.add(step{kind: Stock, at: d.at, what: "stock of product " + d.id, path: "/products/" + url.PathEscape(d.id) + "/restock",
				key: "import-stock-" + d.id, body: encode(restockBody{d.stock}), needs: []int{i}})
		}
		p.products[d.id] = &priced{product: d, create: i, stock: stock, setter: i, price: price, listed: d.price, lastAt: d.at}
	}
	for _, o := range f.orders {
		p.place(o)
	}
	for _, d := range f.products {
		p.finish(p.products[d.id], f.unplaced)
	}
	return p.steps
}

func (p *planner) add(s step) int {
	p.steps = append(p.steps, s)
	return len(p.steps) - 1
}

// place adds an order with the prices it needs before it and the shipping after it.
func (p *planner) place(o order) {
	there := p.shop.orders[o.id]
	needs := []int{p.member[o.memberID]}
	body := orderBody{ID: o.id, MemberID: o.memberID, ShippingFee: o.fee, PlacedOn: o.placedOn, PaymentMethod: "invoice"}
	if o.shipName != "" || o.shipTo != "" || o.country != "" {
		body.ShipTo = &shipToBody{o.shipName, o.shipTo, o.country}
	}
	lines := make([]Place, len(o.lines))
	var basket []*priced
	for i, ln := range o.lines {
		d := p.products[ln.productID]
		body.Lines = append(body.Lines, lineBody{ln.productID, ln.quantity, ln.discount})
		lines[i] = ln.at
		if slices.Contains(basket, d) {
			continue // two lines of one product have one price
		}
		basket = append(basket, d)
		if there {
			p.recheck(d, ln, o.id)
			needs = append(needs, d.create)
			continue
		}
		p.reprice(d, ln, o.id)
		needs = append(needs, d.setter, d.stock)
	}
	placed := p.add(step{kind: Orders, at: o.at, lines: lines, what: "order " + o.id, path: "/orders", key: "import-order-" + o.id,
		body: encode(body), needs: needs})
	for _, d := range basket {
		d.orders = append(d.orders, placed)
		if !there {
			d.buyers = append(d.buyers, placed)
		}
	}
	if o.shippedOn != "" {
		p.add(step{kind: Shipments, at: o.at, what: "shipping of order " + o.id, path: "/orders/" + url.PathEscape(o.id) + "/ship",
			key: "import-ship-" + o.id, body: encode(shipBody{o.carrier, o.shippedOn}), needs: []int{placed}})
	}
}

// reprice makes the product cost what the line says before the order that holds the line, which is not in the shop yet.
func (p *planner) reprice(d *priced, ln line, orderID string) {
	d.listed, d.lastAt = ln.price, ln.at
	if d.price == ln.price {
		return
	}
	p.setPrice(d, ln.price, ln.at, repriceKey(d.id, orderID))
}

func repriceKey(productID, orderID string) string {
	return "import-reprice-" + productID + "-before-" + orderID
}

// setPrice adds the step that sets a price once everyone who pays the present one has been served. In a resumed run
// it has no key: the answer to the same step of an earlier run would leave the price as it is now. Setting a price
// twice does no more than setting it once.
func (p *planner) setPrice(d *priced, price int64, at Place, key string) int {
	if p.shop.resumed {
		key = ""
	}
	d.setter = p.add(step{kind: Prices, at: at, what: "price of product " + d.id, path: d.path("reprice"), key: key,
		body: encode(repriceBody{price}), needs: []int{d.create}, follows: append(d.buyers, d.setter)})
	d.buyers, d.price = nil, price
	return d.setter
}

// recheck follows the price past an order that an earlier run placed. Where that run repriced before it, the same key
// is sent again, with an If-Match that lets nothing happen: it shows whether the line's price has been edited since.
func (p *planner) recheck(d *priced, ln line, orderID string) {
	changed := d.listed != ln.price
	d.listed, d.lastAt = ln.price, ln.at
	if changed {
		d.checks = append(d.checks, p.add(step{kind: Prices, at: ln.at, what: "price of product " + d.id, path: d.path("reprice"),
			key: repriceKey(d.id, orderID), ifMatch: noRevision, body: encode(repriceBody{ln.price}), needs: []int{d.create},
			fine: []int{http.StatusPreconditionFailed, http.StatusConflict}}))
	}
}

// finish leaves the product at the price of its last order, where an import has left it at another, and then discontinues
// it if the folder says so and no order of it is left out.
func (p *planner) finish(d *priced, unplaced map[string]Place) {
	ending := append([]int{d.create}, d.orders...)
	if p.astray(d) {
		last := p.setPrice(d, d.listed, d.lastAt, "")
		p.steps[last].needs = append(p.steps[last].needs, d.checks...)
		ending = append(ending, last)
	}
	if d.discontinued {
		p.add(step{kind: Endings, at: d.at, what: "end of product " + d.id, path: d.path("discontinue"),
			key: "import-discontinue-" + d.id, body: []byte("{}"), needs: ending, blocked: unplaced[d.id]})
	}
}

// astray reports whether the product is at another price than its last order's because an import set it: this run, or one
// that was killed before it restored the price, which is then what some order of the folder names. Any other price was set
// by the shop and stays, and so does the list price, which a shop is likely to go back to.
func (p *planner) astray(d *priced) bool {
	if d.price != unknownPrice {
		return d.price != d.listed
	}
	price, named := p.shop.prices[d.id]
	return named && price != d.listed
}

func (d *priced) path(verb string) string { return "/products/" + url.PathEscape(d.id) + "/" + verb }

// The bodies of the public API.
type (
	memberBody struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Contact string `json:"contact,omitempty"`
		City    string `json:"city,omitempty"`
		Country string `json:"country,omitempty"`
		Phone   string `json:"phone,omitempty"`
	}
	productBody struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Category string `json:"category"`
		Price    int64  `json:"price"`
		Currency string `json:"currency"`
	}
	repriceBody struct {
		Price int64 `json:"price"`
	}
	lineBody struct {
		ProductID string `json:"product_id"`
		Quantity  int64  `json:"quantity"`
		Discount  int64  `json:"discount_percent,omitempty"`
	}
	shipToBody struct {
		Name    string `json:"name"`
		City    string `json:"city"`
		Country string `json:"country"`
	}
	orderBody struct {
		ID          string      `json:"id"`
		MemberID    string      `json:"member_id"`
		Lines       []lineBody  `json:"lines"`
		ShippingFee int64       `json:"shipping_fee,omitempty"`
		ShipTo      *shipToBody `json:"ship_to,omitempty"`
		PlacedOn    string      `json:"placed_on"`

		PaymentMethod string `json:"payment_method"` // what was paid long ago is nothing to ask a gateway for
	}
	restockBody struct {
		Quantity int64 `json:"quantity"`
	}
	shipBody struct {
		Carrier   string `json:"carrier"`
		ShippedOn string `json:"shipped_on"`
	}
)

func encode(body any) []byte {
	data, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("importer: a body that is no JSON: %v", err)) // strings and numbers only
	}
	return data
}
