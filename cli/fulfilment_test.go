package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/command/fulfilment"
	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/infra/eventstore"
	"jangbu/infra/gateway/simulator"
	"jangbu/infra/web"
	"jangbu/test/servers"
)

func postJSON(t *testing.T, url, body string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 {
		t.Fatalf("POST %s %s: %s %s", url, body, resp.Status, answer)
	}
}

// orderNow is the state of an order in the log.
func orderNow(t *testing.T, store *eventstore.Store, id string) order.State {
	t.Helper()
	var s order.State
	for recorded, err := range store.ReadStream(t.Context(), order.Stream(id), 0) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := order.Codec.Decode(recorded.Type, recorded.Data)
		if err != nil {
			t.Fatal(err)
		}
		s = order.Apply(s, e)
	}
	return s
}

func awaitOrder(t *testing.T, store *eventstore.Store, id string, want func(order.State) bool) {
	t.Helper()
	servers.Until(t, "order "+id+" is as it is to be", func() error {
		if s := orderNow(t, store, id); !want(s) {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
}

// checksOf is what /readyz tells.
func checksOf(t *testing.T, url string) (names []string, red string) {
	t.Helper()
	resp, err := http.Get(url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct {
		Checks map[string]struct {
			OK    bool
			Error string
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	for name, check := range body.Checks {
		names = append(names, name)
		if !check.OK {
			red += fmt.Sprintf("%s: %s\n", name, check.Error)
		}
	}
	return names, red
}

// fillShop fills a shop with one member and one product of 1.00.
func fillShop(t *testing.T, url string) {
	t.Helper()
	postJSON(t, url+"/members", `{"id":"ada","name":"Ada"}`)
	postJSON(t, url+"/products", `{"id":"pen","name":"Pen","category":"Pens","price":100,"currency":"EUR"}`)
	postJSON(t, url+"/products/pen/restock", `{"quantity":5}`)
}

func orderOf(id string, quantity, fee int) string {
	return fmt.Sprintf(`{"id":%q,"member_id":"ada","shipping_fee":%d,"lines":[{"product_id":"pen","quantity":%d}]}`, id, fee, quantity)
}

// TestStripeKeyOfNoUse: whoever has a Stripe key and a simulated gateway is told that no money moves, and not the key.
func TestStripeKeyOfNoUse(t *testing.T) {
	for _, flags := range []paymentFlags{{Gateway: "simulator"}, {Gateway: "simulator", StripeKey: "sk_test_1"}, {Gateway: "stripe", StripeKey: "sk_test_1"}} {
		var said output
		flags.open(&app{log: newLogger(&said, "info", "text")}, web.NewHealth(time.Now, slog.New(slog.DiscardHandler)))
		want := flags.Gateway == "simulator" && flags.StripeKey != ""
		if got := said.String(); strings.Contains(got, "--gateway stripe") != want || !want && got != "" || strings.Contains(got, "sk_test_1") {
			t.Errorf("%+v: %q", flags, got)
		}
	}
}

// TestDevFulfils: the simulated gateway of dev does what its documentation says with the amounts.
func TestDevFulfils(t *testing.T) {
	url, store := dev(t)
	fillShop(t, url)
	postJSON(t, url+"/orders", orderOf("good", 2, 0))
	postJSON(t, url+"/orders", orderOf("poor", 1, 2))
	postJSON(t, url+"/orders", orderOf("much", 9, 0))
	postJSON(t, url+"/orders", orderOf("ours", 1, 7))
	awaitOrder(t, store, "good", func(s order.State) bool { return s.Status == order.StatusConfirmed })
	awaitOrder(t, store, "poor", func(s order.State) bool { return s.CancelCode == order.PaymentDeclined && s.Voided && s.Released })
	awaitOrder(t, store, "much", func(s order.State) bool { return s.CancelCode == order.SoldOut })
	postJSON(t, url+"/orders/good/ship", `{"carrier":"Post"}`)
	postJSON(t, url+"/orders/good/return", `{"restock":true}`)
	awaitOrder(t, store, "good", func(s order.State) bool { return s.Captured && s.Returns[0].Refunded && s.Returns[0].Restocked })
	odd := []event.Proposed{{ID: uuid.New(), Type: "order.teleported.v1", Data: []byte(`{}`)}}
	if _, err := store.Append(t.Context(), "order-odd", event.NoStream, odd); err != nil {
		t.Fatal(err)
	}
	servers.Until(t, "/readyz names both orders", func() error {
		names, red := checksOf(t, url)
		if !strings.Contains(red, "fulfilment orders: order ours has been stuck since ") || !strings.Contains(red, "the amount 107 is not taken") ||
			!strings.Contains(red, "Likewise 1 more: odd.") {
			return fmt.Errorf("it is red for %q", red)
		}
		for _, loop := range fulfilment.Loops() {
			if !slices.Contains(names, loop) {
				t.Errorf("/readyz does not know %s: %v", loop, names)
			}
		}
		return nil
	})
}

// TestFulfilmentSideBySide: two services, which share a gateway, beside the command service; no projector relays, so the sweep
// does it all.
func TestFulfilmentSideBySide(t *testing.T) {
	pay := simulator.New(simulator.Config{Strict: true})
	server := httptest.NewServer(simulator.Handler(pay))
	defer server.Close()
	stack := start(t, "stack", "--data", t.TempDir(), "--eventstore", "0", "--aws", "0", "--redis", "0", "--log-level", "warn")
	url := stack.wait(t, &stack.stderr, "EVENTSTORE_URL=")
	programs := []*program{start(t, "command", "--http", "0", "--log-level", "warn", "--eventstore-url", url)}
	for range 2 {
		programs = append(programs, start(t, "fulfilment", "--http", "0", "--log-level", "warn", "--eventstore-url", url,
			"--redis-url", stack.wait(t, &stack.stderr, "REDIS_URL="), "--aws-endpoint-url", stack.wait(t, &stack.stderr, "AWS_ENDPOINT_URL="),
			"--simulator-url", server.URL))
	}
	var urls []string
	for _, p := range programs {
		urls = append(urls, p.wait(t, &p.stdout, "ready "))
		waitHealthy(t, urls[len(urls)-1])
	}
	store, err := eventstore.Open(url, eventstore.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	fillShop(t, urls[0])
	for i := range 7 {
		postJSON(t, urls[0]+"/orders", orderOf(fmt.Sprint("o", i), 1, 0))
	}
	confirmed := 0
	for i := range 7 {
		awaitOrder(t, store, fmt.Sprint("o", i), func(s order.State) bool { return s.Status != order.StatusPlaced })
		if orderNow(t, store, fmt.Sprint("o", i)).Status == order.StatusConfirmed {
			confirmed++
		}
	}
	held := pay.Balances()
	if confirmed != 5 || len(held) != 5 {
		t.Errorf("%d confirmed, and the gateway holds %+v", confirmed, held)
	}
	for id, b := range held {
		if b.Steps["authorise"] != 1 {
			t.Errorf("order %s: %+v", id, b)
		}
	}
	for _, p := range append(programs, stack) {
		p.stop()
		if code := p.end(t); code != 0 {
			t.Errorf("code %d, %s", code, p.stderr.String())
		}
	}
}
