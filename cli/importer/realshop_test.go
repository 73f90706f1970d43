package importer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"jangbu/command"
	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/eventstore"
	"jangbu/infra/web"
)

// realShop is the command API itself on an event store, without fulfilment: for what an import learns from its answers.
type realShop struct {
	url   string
	store *eventstore.Store
	api   http.Handler

	mu   sync.Mutex
	left int    // commands that get through before the importer dies
	die  func() // nil: it lives
}

func newRealShop(t *testing.T) *realShop {
	t.Helper()
	server, err := eventstoredb.Start(eventstoredb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	store, err := eventstore.Open(server.URL(), eventstore.Config{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	api := web.New(web.Config{Log: log})
	command.New(store, command.Config{}).Register(api)
	s := &realShop{store: store, api: api}
	srv := httptest.NewServer(s)
	s.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		if err := store.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
		if err := server.Close(); err != nil {
			t.Errorf("close the server: %v", err)
		}
	})
	return s
}

// ServeHTTP lets through as much of a batch as there is left.
func (s *realShop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.die == nil {
		s.api.ServeHTTP(w, r)
		return
	}
	var batch []json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		panic(err)
	}
	whole := len(batch) <= s.left
	batch = batch[:min(s.left, len(batch))]
	s.left -= len(batch)
	body, err := json.Marshal(batch)
	if err != nil {
		panic(err)
	}
	part := httptest.NewRequest(http.MethodPost, r.URL.Path, bytes.NewReader(body))
	part.Header = r.Header
	if whole {
		s.api.ServeHTTP(w, part)
		return
	}
	s.api.ServeHTTP(httptest.NewRecorder(), part)
	s.die()
	panic(http.ErrAbortHandler)
}

// dieAfter has the importer that runs in the context die when so many commands have got through.
func (s *realShop) dieAfter(t *testing.T, commands int) context.Context {
	ctx, die := context.WithCancel(t.Context())
	t.Cleanup(die)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.die = commands, die
	return ctx
}

func (s *realShop) live() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.die = nil
}

// reprice is what the shop does by itself.
func (s *realShop) reprice(t *testing.T, id string, price int64) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/products/"+id+"/reprice", strings.NewReader(fmt.Sprintf(`{"price":%d}`, price)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	if s.api.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}

// price is what a product costs.
func (s *realShop) price(t *testing.T, id string) int64 {
	t.Helper()
	var state product.State
	for _, e := range s.read(t, product.Codec, product.Stream(id)) {
		state = product.Apply(state, e)
	}
	return state.Price
}

// wantCharged compares what orders pay for a unit of each of their lines; of one that is not there, nothing.
func (s *realShop) wantCharged(t *testing.T, want map[string]string) {
	t.Helper()
	for id, prices := range want {
		got := ""
		for _, e := range s.read(t, order.Codec, order.Stream(id)) {
			if placed, ok := e.(order.Placed); ok {
				for _, ln := range placed.Lines {
					got += fmt.Sprintf("%s %d ", ln.ProductID, ln.UnitPrice)
				}
			}
		}
		if got = strings.TrimSpace(got); got != prices {
			t.Errorf("order %s was charged %q, want %q", id, got, prices)
		}
	}
}

func (s *realShop) read(t *testing.T, codec *event.Codec, stream string) []any {
	t.Helper()
	var all []any
	for r, err := range s.store.ReadStream(t.Context(), stream, 0) {
		if errors.Is(err, event.ErrStreamNotFound) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		e, err := codec.Decode(r.Type, r.Data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// events counts what happened in the shop.
func (s *realShop) events(t *testing.T) (n int) {
	t.Helper()
	for e, err := range s.store.ReadAll(t.Context(), event.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Category(e.Stream) != "idempotency" {
			n++
		}
	}
	return n
}
