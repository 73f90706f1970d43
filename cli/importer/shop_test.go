package importer_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
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
	return &shop{keys: map[string]remembered{}, members: map[string]string{}, products: map[string]*soldProduct{}, orders: map[string]*takenOrder{}}
}

func (s *shop) serve(t *testing.T) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
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
		w.Header().Set("Retry-After", "0")
		problem(w, 503, "the event store is away")
		return
	case hangUp:
		panic(http.ErrAbortHandler)
	case crash:
		problem(w, 500, "broken")
		return
	}
	status, answer := s.once(r, string(body))
	if bad == loseAnswer {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
	io.WriteString(w, answer)
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
		Price, ShippingFee                               int64
		Lines                                            []struct{ ProductID string }
		ShipTo                                           *struct{ Name string }
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
	return s.change(parts[0], parts[1], parts[2], b.Price, b.ShippedOn, r.Header.Get("If-Match") != "")
}

func (s *shop) change(kind, id, verb string, price int64, shippedOn string, noMatch bool) (int, string) {
	p, o := s.products[id], s.orders[id]
	switch {
	case kind == "products" && p == nil, kind == "orders" && o == nil:
		return 404, `{"detail":"does not exist"}`
	case verb == "reprice" && p.price == price, verb == "discontinue" && p.discontinued, verb == "ship" && o.shippedOn == shippedOn:
		return 200, `{"revision":1}`
	case noMatch:
		return 412, `{"detail":"another revision"}`
	case verb == "reprice":
		p.price = price
	case verb == "discontinue":
		p.discontinued = true
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
