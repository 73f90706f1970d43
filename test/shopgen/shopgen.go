// Package shopgen makes up the events of a shop: as many as asked for, always the same for the same seed. Members and
// products are chosen by Zipf's law, so some are in thousands of orders and most in few, as in a real shop.
//
// Orders have three lines at the prices of their moment. Of ten that are placed, eight are shipped some time later, one
// is cancelled, and one stays open; that is decided within some five days of the shop. Between them members and products are
// renamed, products repriced, and a few discontinued.
package shopgen

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/money"
	"jangbu/domain/order"
	"jangbu/domain/product"
)

// Config says what shop to make up. Zero fields get the defaults named here.
type Config struct {
	Seed     uint64
	Events   int     // at least this many, and few more; default 10,000
	Members  int     // default Events/50, and at least 10
	Products int     // default Events/200, and at least 10
	Skew     float64 // exponent of Zipf's law, above 1; default 1.1
}

// Append is one write to one stream: the events after a revision.
type Append struct {
	Stream   string
	Expected int64 // event.NoStream or the revision of the stream's last event
	Events   []event.Proposed
}

const (
	currency = "USD"
	perDay   = 40 // orders
	linesOf  = 3
)

var (
	countries  = []string{"Germany", "USA", "France", "Brazil", "UK", "Venezuela", "Spain", "Sweden", "South Korea", "Norway", "Japan", "Mexico"}
	categories = []string{"Beverages", "Condiments", "Confections", "Dairy Products", "Grains/Cereals", "Meat/Poultry", "Produce", "Seafood"}
	carriers   = []string{"Speedy Express", "United Package", "Federal Shipping"}
	opening    = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Appends yields the shop's history. Appends to one stream are in order, and must be made in order; those to different
// streams may be made side by side.
func Appends(cfg Config) iter.Seq[Append] {
	if cfg.Events <= 0 {
		cfg.Events = 10_000
	}
	if cfg.Members <= 0 {
		cfg.Members = max(10, cfg.Events/50)
	}
	if cfg.Products <= 0 {
		cfg.Products = max(10, cfg.Events/200)
	}
	if cfg.Skew <= 1 {
		cfg.Skew = 1.1
	}
	return func(yield func(Append) bool) {
		random := rand.New(rand.NewPCG(cfg.Seed, 0x6a616e67627500))
		g := &generator{
			cfg: cfg, random: random, yield: yield,
			anyMember:  rand.NewZipf(random, cfg.Skew, 10, uint64(cfg.Members-1)),
			anyProduct: rand.NewZipf(random, cfg.Skew, 10, uint64(cfg.Products-1)),
			revisions:  map[string]int64{},
		}
		g.run()
	}
}

type generator struct {
	cfg        Config
	random     *rand.Rand
	yield      func(Append) bool
	anyMember  *rand.Zipf
	anyProduct *rand.Zipf
	members    []string // countries
	products   []product.Created
	ended      map[int]bool // products that are discontinued
	open       []int        // orders that wait for their end
	orders     int
	events     int
	revisions  map[string]int64
	stopped    bool
}

func (g *generator) run() {
	for range g.cfg.Members {
		g.addMember()
	}
	for range g.cfg.Products {
		g.addProduct()
	}
	g.ended = map[int]bool{}
	for !g.stopped && g.events < g.cfg.Events {
		switch n := g.random.IntN(100); {
		case n < 48 && len(g.open) < 5*perDay:
			g.place()
		case n < 91:
			g.end()
		case n < 92:
			g.renameMember()
		case n < 93:
			g.renameProduct()
		default:
			g.reprice()
		}
	}
}

// emit appends one event to its stream.
func (g *generator) emit(stream string, codec *event.Codec, e any) {
	if g.stopped {
		return
	}
	name, data, err := codec.Encode(e)
	if err != nil {
		panic(fmt.Sprintf("shopgen: %v", err)) // the codecs know every type used here
	}
	last, known := g.revisions[stream]
	if !known {
		last = event.NoStream
	}
	g.revisions[stream] = last + 1
	g.events++
	command := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "shopgen %d %s %d", g.cfg.Seed, stream, last+1))
	metadata, err := json.Marshal(event.Metadata{CommandID: command.String(), CorrelationID: command.String(), Actor: "shopgen"})
	if err != nil {
		panic(fmt.Sprintf("shopgen: %v", err)) // strings only
	}
	id := uuid.NewSHA1(command, []byte("0"))
	g.stopped = !g.yield(Append{stream, last, []event.Proposed{{ID: id, Type: name, Data: data, Metadata: metadata}}})
}

func memberStream(i int) string  { return member.Stream(fmt.Sprintf("m%d", i)) }
func productStream(i int) string { return product.Stream(fmt.Sprintf("p%d", i)) }
func orderStream(i int) string   { return order.Stream(fmt.Sprintf("o%d", i)) }

func pick[T any](g *generator, from []T) T { return from[g.random.IntN(len(from))] }

func (g *generator) addMember() {
	i := len(g.members)
	country := pick(g, countries)
	g.members = append(g.members, country)
	g.emit(memberStream(i), member.Codec, member.Registered{
		Name: fmt.Sprintf("Member %d & Söhne", i), Contact: fmt.Sprintf("Contact %d", i), City: fmt.Sprintf("City %d", i%97),
		Country: country, Phone: fmt.Sprintf("030-%07d", i),
	})
}

func (g *generator) addProduct() {
	i := len(g.products)
	p := product.Created{Name: fmt.Sprintf("Product %d, A5", i), Category: pick(g, categories), Price: 1 + g.random.Int64N(20_000), Currency: currency}
	g.products = append(g.products, p)
	g.emit(productStream(i), product.Codec, p)
}

func (g *generator) day() string { return opening.AddDate(0, 0, g.orders/perDay).Format(time.DateOnly) }

func (g *generator) place() {
	who := int(g.anyMember.Uint64())
	e := order.Placed{MemberID: fmt.Sprintf("m%d", who), MemberCountry: g.members[who], Currency: currency, PlacedOn: g.day(),
		ShippingFee: g.random.Int64N(5_000), ShipTo: &order.ShipTo{Name: fmt.Sprintf("Member %d", who), City: fmt.Sprintf("City %d", who%97), Country: g.members[who]}}
	for range linesOf {
		i := int(g.anyProduct.Uint64())
		for g.ended[i] {
			i = (i + 1) % len(g.products)
		}
		p := g.products[i]
		l := order.Line{ProductID: fmt.Sprintf("p%d", i), Name: p.Name, Category: p.Category, UnitPrice: p.Price,
			Quantity: 1 + g.random.Int64N(40), DiscountPercent: pick(g, []int64{0, 0, 0, 5, 10, 25})}
		amount, err := money.LineAmount(l.UnitPrice, l.Quantity, l.DiscountPercent)
		if err != nil {
			panic(fmt.Sprintf("shopgen: %v", err)) // prices and quantities are far below the limit
		}
		l.Amount = amount
		e.Lines = append(e.Lines, l)
	}
	g.open = append(g.open, g.orders)
	g.emit(orderStream(g.orders), order.Codec, e)
	g.orders++
}

// end ships or cancels one of the orders that have waited longest, or leaves it open for good.
func (g *generator) end() {
	const waiting = 20
	if len(g.open) < waiting {
		g.place()
		return
	}
	k := g.random.IntN(waiting)
	i := g.open[k]
	g.open = append(g.open[:k], g.open[k+1:]...)
	switch n := g.random.IntN(10); {
	case n < 8:
		g.emit(orderStream(i), order.Codec, order.Shipped{Carrier: pick(g, carriers), Tracking: fmt.Sprintf("T%09d", i), ShippedOn: g.day()})
	case n < 9:
		g.emit(orderStream(i), order.Codec, order.Cancelled{Reason: "changed their mind"})
	}
}

// renameMember renames anyone: to be a good customer is no reason to change one's name.
func (g *generator) renameMember() {
	i := g.random.IntN(len(g.members))
	stream := memberStream(i)
	g.emit(stream, member.Codec, member.Renamed{Name: fmt.Sprintf("Member %d, name %d", i, g.revisions[stream]+1)})
}

func (g *generator) renameProduct() {
	i := int(g.anyProduct.Uint64())
	stream := productStream(i)
	g.products[i].Name = fmt.Sprintf("Product %d, name %d", i, g.revisions[stream]+1)
	g.emit(stream, product.Codec, product.Renamed{Name: g.products[i].Name})
}

// reprice changes a price, or once in a while ends a product, as long as most are still sold.
func (g *generator) reprice() {
	i := int(g.anyProduct.Uint64())
	if g.random.IntN(50) == 0 && !g.ended[i] && len(g.ended) < len(g.products)/10 {
		g.ended[i] = true
		g.emit(productStream(i), product.Codec, product.Discontinued{})
		return
	}
	if g.ended[i] {
		return
	}
	g.products[i].Price = 1 + (g.products[i].Price+g.random.Int64N(500))%20_000
	g.emit(productStream(i), product.Codec, product.Repriced{Price: g.products[i].Price})
}
