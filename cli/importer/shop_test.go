package importer_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// shop is as much of the write API as an import needs, in memory. It notes what took effect, so that a test can say
// what a run added, and misbehaves when told to.
type shop struct {
	mu       sync.Mutex
	keys     map[string]remembered
	members  map[string]string // id -> name
	products map[string]*soldProduct
	orders   map[string]*takenOrder
	effects  []string // every command that changed something, in order
	requests int
	asked    map[string]int // how often shipping an order was asked for that was not confirmed

	// unconfirmed, if set, says whether an order is not confirmed yet, when shipping it has been asked for so often.
	unconfirmed func(orderID string, asked int) bool
	// fault, if set, is asked before and after each request takes effect; see the values of misdeed.
	fault func(n int, r *http.Request) misdeed
	// gate, if set, holds each first placing of an order until it returns.
	gate func(orderID string)
}

type misdeed int

const (
	behave     misdeed = iota
	busy               // 503 with Retry-After, nothing happens
	hangUp             // the connection closes, nothing happens
	loseAnswer         // it happens, then the connection closes
	crash              // 500, nothing happens
)

type remembered struct {
	request string
	status  int
	answer  string
}

type soldProduct struct {
	price        int64
	stock        int64
	discontinued bool
}

type takenOrder struct {
	prices    map[string]int64 // by product, as charged
	shippedOn string
	placedOn  string
	fee       int64
	shipTo    string
}

func newShop() *shop {
	return &shop{keys: map[string]remembered{}, members: map[string]string{}, products: map[string]*soldProduct{}, orders: map[string]*takenOrder{},
		asked: map[string]int{}}
}

func (s *shop) serve(t *testing.T) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv
}

// ServeHTTP serves POST /batch. The commands of a batch run side by side; when one of them breaks the connection, the others
// have happened.
func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var batch []batched
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil || r.URL.Path != "/batch" {
		problem(w, 400, fmt.Sprintf("%s with %v", r.URL.Path, err))
		return
	}
	answers := make([]batchedAnswer, len(batch))
	var broken atomic.Bool
	var running sync.WaitGroup
	for i, b := range batch {
		running.Go(func() {
			one, err := http.NewRequest(http.MethodPost, b.Path, nil)
			if err != nil {
				panic(err)
			}
			one.Header.Set("Idempotency-Key", b.Key)
			if b.Key == "" {
				one.Header.Del("Idempotency-Key")
			}
			if b.IfMatch != "" {
				one.Header.Set("If-Match", b.IfMatch)
			}
			status, body, hangs := s.serveOne(one, b.Body)
			answers[i] = batchedAnswer{status, json.RawMessage(body)}
			if hangs {
				broken.Store(true)
			}
		})
	}
	running.Wait()
	if broken.Load() {
		panic(http.ErrAbortHandler)
	}
	if err := json.NewEncoder(w).Encode(answers); err != nil {
		panic(err)
	}
}

type batched struct {
	Path    string          `json:"path"`
	Body    json.RawMessage `json:"body"`
	Key     string          `json:"idempotency_key"`
	IfMatch string          `json:"if_match"`
}

type batchedAnswer struct {
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`
}

// serveOne serves one command, with what goes wrong with it.
func (s *shop) serveOne(r *http.Request, body []byte) (status int, answer string, hangs bool) {
	if s.gate != nil && r.URL.Path == "/orders" {
		var b struct{ ID string }
		if json.Unmarshal(body, &b) == nil {
			s.gate(b.ID)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	var bad misdeed
	if s.fault != nil {
		bad = s.fault(s.requests, r)
	}
	switch bad {
	case busy:
		return 503, `{"title":"x","detail":"the event store is away"}`, false
	case hangUp:
		return 0, `{}`, true
	case crash:
		return 500, `{"title":"x","detail":"broken"}`, false
	}
	status, answer = s.once(r, string(body))
	return status, answer, bad == loseAnswer
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"title":"x","detail":%q}`, detail)
}

// once answers a key it has seen as it did then.
func (s *shop) once(r *http.Request, body string) (int, string) {
	key, request := r.Header.Get("Idempotency-Key"), r.URL.Path+" "+body
	if first, seen := s.keys[key]; key != "" && seen {
		if first.request != request {
			return 422, `{"detail":"The key was used with another request."}`
		}
		return first.status, first.answer
	}
	effects := len(s.effects)
	status, answer := s.act(r, []byte(body))
	if len(s.effects) > effects && key != "" {
		s.keys[key] = remembered{request, status, answer}
	}
	return status, answer
}

// act decides one command. A refusal is not remembered, as in the real thing: only events carry keys.
func (s *shop) act(r *http.Request, body []byte) (int, string) {
	var b struct {
		ID, Name, MemberID, PlacedOn, ShippedOn, Carrier string
		Price, ShippingFee, Quantity                     int64
		PaymentMethod                                    string
		Lines                                            []struct {
			ProductID string
			Quantity  int64
		}
		ShipTo *struct{ Name string }
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(body), "_", "")), &b); err != nil {
		return 400, `{"detail":"no JSON"}`
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) == 1 {
		switch parts[0] {
		case "members":
			if b.Name == "" {
				return 422, `{"title":"wrong field","errors":[{"pointer":"/name","detail":"must not be empty"}]}`
			}
			if s.members[b.ID] != "" {
				return 409, `{"detail":"the member exists"}`
			}
			s.members[b.ID] = b.Name
		case "products":
			if s.products[b.ID] != nil {
				return 409, `{"detail":"the product exists"}`
			}
			s.products[b.ID] = &soldProduct{price: b.Price}
		case "orders":
			o := &takenOrder{prices: map[string]int64{}, placedOn: b.PlacedOn, fee: b.ShippingFee}
			if s.orders[b.ID] != nil {
				return 409, `{"detail":"the order exists"}`
			}
			if s.members[b.MemberID] == "" {
				return 422, `{"detail":"no member"}`
			}
			for i, ln := range b.Lines {
				p := s.products[ln.ProductID]
				if p == nil || p.discontinued {
					return 422, fmt.Sprintf(`{"detail":"x","errors":[{"pointer":"/lines/%d/product_id","detail":"is not sold"}]}`, i)
				}
				if p.stock -= ln.Quantity; p.stock < 0 || b.PaymentMethod != "invoice" {
					return 409, `{"detail":"sold out, or not paid"}`
				}
				o.prices[ln.ProductID] = p.price
			}
			if b.ShipTo != nil {
				o.shipTo = b.ShipTo.Name
			}
			s.orders[b.ID] = o
		}
		s.effects = append(s.effects, parts[0]+" "+b.ID)
		return 201, fmt.Sprintf(`{"id":%q,"revision":0}`, b.ID)
	}
	number := b.Price
	if parts[2] == "restock" {
		number = b.Quantity
	}
	return s.change(parts[0], parts[1], parts[2], number, b.ShippedOn, r.Header.Get("If-Match") != "")
}

func (s *shop) change(kind, id, verb string, number int64, shippedOn string, noMatch bool) (int, string) {
	p, o := s.products[id], s.orders[id]
	switch {
	case kind == "products" && p == nil, kind == "orders" && o == nil:
		return 404, `{"detail":"does not exist"}`
	case verb == "reprice" && p.price == number, verb == "discontinue" && p.discontinued, verb == "ship" && o.shippedOn == shippedOn:
		return 200, `{"revision":1}`
	case noMatch:
		return 412, `{"detail":"another revision"}`
	case verb == "reprice":
		p.price = number
	case verb == "restock":
		p.stock += number
	case verb == "discontinue":
		p.discontinued = true
	case verb == "ship" && s.unconfirmed != nil && s.unconfirmed(id, s.asked[id]):
		s.asked[id]++
		return 409, `{"type":"urn:jangbu:problem:order-not-confirmed","detail":"not confirmed yet"}`
	case verb == "ship" && o.shippedOn != "":
		return 409, `{"detail":"shipped already"}`
	case verb == "ship":
		o.shippedOn = shippedOn
	default:
		return 404, `{}`
	}
	s.effects = append(s.effects, kind+" "+id+" "+verb)
	return 200, `{"revision":1}`
}

// snapshot is everything the shop holds, comparable.
func (s *shop) snapshot() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := json.Marshal(map[string]any{"members": s.members, "products": printed(s.products), "orders": printed(s.orders)})
	if err != nil {
		panic(err)
	}
	return string(data)
}

func printed[T any](m map[string]*T) map[string]string {
	out := map[string]string{}
	for id, v := range maps.All(m) {
		out[id] = fmt.Sprintf("%+v", *v)
	}
	return out
}

func (s *shop) effectCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.effects)
}
