// Package shopgen makes up the events of a shop: as many as asked for, always the same for the same seed. Members and
// products are chosen by Zipf's law, so some are in thousands of orders and most in few, as in a real shop.
//
// Orders have three lines at the prices of their moment, and the events of their whole lives: of ten that are confirmed, eight
// are shipped some days later, one in two parcels at times, one is cancelled, and one stays open; of those that arrive, some
// come back. Others are refused for want of stock or money. Products are stocked, and stocked again when they run low.
// Between all that members and products are renamed, products repriced, and a few discontinued.
//
// No order waits for anything at the end of a history: whoever fulfils orders finds nothing to do.
package shopgen

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/domain/stock"
)

// Config says what shop to make up. Zero fields get the defaults named here.
type Config struct {
	Seed     uint64
	Events   int     // at least this many, and few more; default 10,000
	Members  int     // default Events/100, and at least 10
	Products int     // default Events/400, and at least 10
	Skew     float64 // exponent of Zipf's law, above 1; default 1.1
	Placed   bool    // all that happens after the first days is that orders are placed, and nothing becomes of them
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
	tags       = []string{"new", "organic", "seasonal"}
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
		cfg.Members = max(10, cfg.Events/100)
	}
	if cfg.Products <= 0 {
		cfg.Products = max(10, cfg.Events/400)
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
	stocks     []onHand
	open       []placedOrder // confirmed orders that wait to be shipped
	underway   []placedOrder // shipped ones that have not arrived
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
		case g.cfg.Placed:
			g.place()
		case n < 36 && len(g.open) < 5*perDay:
			g.place()
		case n < 65 && len(g.underway) < 5*perDay: // or they would pile up, the more the longer the history
			g.end()
		case n < 90:
			g.arrive()
		case n < 92:
			g.renameMember()
		case n < 93:
			g.renameProduct()
		case n < 94:
			g.count()
		default:
			g.reprice()
		}
	}
}

// emit makes one append to a stream.
func (g *generator) emit(stream string, codec *event.Codec, events ...any) {
	if g.stopped || len(events) == 0 {
		return
	}
	last, known := g.revisions[stream]
	if !known {
		last = event.NoStream
	}
	command := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "shopgen %d %s %d", g.cfg.Seed, stream, last+1))
	metadata, err := json.Marshal(event.Metadata{CommandID: command.String(), CorrelationID: command.String(), Actor: "shopgen"})
	if err != nil {
		panic(fmt.Sprintf("shopgen: %v", err)) // strings only
	}
	proposed := make([]event.Proposed, len(events))
	for i, e := range events {
		name, data, err := codec.Encode(e)
		if err != nil {
			panic(fmt.Sprintf("shopgen: %v", err)) // the codecs know every type used here
		}
		proposed[i] = event.Proposed{ID: uuid.NewSHA1(command, strconv.AppendInt(nil, int64(i), 10)), Type: name, Data: data, Metadata: metadata}
	}
	g.revisions[stream] = last + int64(len(events))
	g.events += len(events)
	g.stopped = !g.yield(Append{stream, last, proposed})
}

func memberStream(i int) string  { return member.Stream(fmt.Sprintf("m%d", i)) }
func productStream(i int) string { return product.Stream(fmt.Sprintf("p%d", i)) }
func stockStream(i int) string   { return stock.Stream(fmt.Sprintf("p%d", i)) }
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
	if i%3 == 0 {
		p.Tags = tags[i/3%len(tags):][:1]
	}
	g.products = append(g.products, p)
	g.stocks = append(g.stocks, onHand{})
	g.emit(productStream(i), product.Codec, p)
	g.restock(i)
	if i%4 == 0 {
		g.emit(stockStream(i), stock.Codec, stock.LowWaterSet{LowWater: 100})
	}
}

func (g *generator) day() string { return opening.AddDate(0, 0, g.orders/perDay).Format(time.DateOnly) }

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
