package bus_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/bus"
	"jangbu/infra/embedded/snssqs"
)

func connect(t testing.TB, cfg bus.Config) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

var view = []bus.Subscription{{View: "orders", Categories: []string{"order"}}}

func provisioned(t testing.TB, server *snssqs.Server) (*bus.Bus, *bus.Queue) {
	t.Helper()
	b := connect(t, bus.Config{Endpoint: server.URL()})
	if _, err := b.Provision(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	return b, b.Queue("orders")
}

// bare leaves no AWS setting in the environment.
func bare(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
}

func TestLoopbackNeedsNoSettings(t *testing.T) {
	bare(t)
	server := startEmbedded(t, snssqs.Config{})
	t.Setenv("AWS_ENDPOINT_URL", server.URL())
	b := connect(t, bus.Config{})
	if _, err := b.Provision(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	want := []string{"jangbu-orders", "jangbu-orders-dlq"}
	if have := server.Queues(); strings.Join(have, " ") != strings.Join(want, " ") {
		t.Errorf("queues %v, want %v", have, want)
	}
}

func TestConnectRefusals(t *testing.T) {
	bare(t)
	for name, cfg := range map[string]bus.Config{
		"no region":                {Endpoint: "https://sqs.example.com"},
		"an endpoint that is none": {Endpoint: "127.0.0.1:4566"},
	} {
		if _, err := bus.Connect(t.Context(), cfg); err == nil || !strings.HasPrefix(err.Error(), "connect bus: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAbsentEndpoint(t *testing.T) {
	b := connect(t, bus.Config{Endpoint: "http://127.0.0.1:1"})
	_, provision := b.Provision(t.Context(), view)
	_, receive := b.Queue("orders").Receive(t.Context(), 10, time.Second)
	for name, err := range map[string]error{
		"provision": provision, "receive": receive, "publish": b.Publish(t.Context(), benchEvents(1))[0],
	} {
		if !errors.Is(err, event.ErrUnavailable) || errors.Is(err, event.ErrNotProvisioned) {
			t.Errorf("%s: %v, want ErrUnavailable alone", name, err)
		}
	}
}

// An endpoint that keeps its queues in memory comes back without them, under the same address.
func TestEndpointRestarts(t *testing.T) {
	server := startEmbedded(t, snssqs.Config{})
	addr := server.Addr()
	b, q := provisioned(t, server)
	if err := b.Publish(t.Context(), benchEvents(1))[0]; err != nil {
		t.Fatal(err)
	}
	held, err := q.Receive(t.Context(), 10, 20*time.Second)
	if err != nil || len(held) != 1 {
		t.Fatal(held, err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	startEmbedded(t, snssqs.Config{Addr: addr})
	_, receive := q.Receive(t.Context(), 10, 20*time.Second)
	for name, err := range map[string]error{"receive": receive, "publish": b.Publish(t.Context(), benchEvents(1))[0]} {
		if !errors.Is(err, event.ErrNotProvisioned) {
			t.Errorf("%s: %v, want ErrNotProvisioned", name, err)
		}
	}
	report, err := b.Provision(t.Context(), view)
	if err != nil || report.Resources[0].Outcome != bus.Created {
		t.Fatalf("provisioning anew: %+v, %v", report, err)
	}
	if err := b.Publish(t.Context(), benchEvents(1))[0]; err != nil {
		t.Fatal(err)
	}
	ds, err := q.Receive(t.Context(), 10, 20*time.Second)
	if err != nil || len(ds) != 1 {
		t.Fatalf("after the restart: %v, %v", ds, err)
	}
	if err := q.Delete(t.Context(), append(held, ds...)); err != nil {
		t.Errorf("deleting one from before the restart and one from after: %v", err)
	}
	if d, err := q.Depth(t.Context()); err != nil || d != (bus.Depth{}) {
		t.Errorf("depth %+v, %v", d, err)
	}
}

// Every published event is told apart from every failed one, and exactly the published ones arrive.
func TestPartialPublish(t *testing.T) {
	server := startEmbedded(t, snssqs.Config{Seed: 3})
	b, q := provisioned(t, server)
	server.SetFaults(snssqs.Faults{FailPublish: 0.4})
	events := benchEvents(95)
	accepted := map[uuid.UUID]bool{}
	for i, err := range b.Publish(t.Context(), events) {
		if err == nil {
			accepted[events[i].ID] = true
		} else if !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("event %d: %v, want ErrUnavailable", i, err)
		}
	}
	if len(accepted) == 0 || len(accepted) == len(events) {
		t.Fatalf("%d of %d events were published", len(accepted), len(events))
	}
	got := map[uuid.UUID]bool{}
	for range accepted {
		ds, err := q.Receive(t.Context(), 1, 0)
		if err != nil || len(ds) != 1 {
			t.Fatalf("after %d of %d: %v, %v", len(got), len(accepted), ds, err)
		}
		if !accepted[ds[0].Event.ID] {
			t.Errorf("event %s arrived although its publishing failed", ds[0].Event.ID)
		}
		got[ds[0].Event.ID] = true
	}
	if d, err := q.Depth(t.Context()); err != nil || len(got) != len(accepted) || d.Visible != 0 {
		t.Errorf("%d of %d arrived, depth %+v, %v", len(got), len(accepted), d, err)
	}
}

func TestDeleteRetriesItsFailures(t *testing.T) {
	server := startEmbedded(t, snssqs.Config{Seed: 5})
	b, q := provisioned(t, server)
	for _, err := range b.Publish(t.Context(), benchEvents(10)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var ds []event.Delivery
	for len(ds) < 10 {
		more, err := q.Receive(t.Context(), 10, 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, more...)
	}
	server.SetFaults(snssqs.Faults{FailDelete: 1, FailVisibility: 1})
	for name, err := range map[string]error{"delete": q.Delete(t.Context(), ds), "hide": q.Hide(t.Context(), ds, time.Minute)} {
		if !errors.Is(err, event.ErrUnavailable) || !strings.Contains(err.Error(), "10 of 10 messages remain") {
			t.Errorf("%s when every entry fails: %v", name, err)
		}
	}
	server.SetFaults(snssqs.Faults{FailDelete: 0.3})
	for range 100 { // each call retries; the odds of 100 failing ones are none
		if err := q.Delete(t.Context(), ds); err == nil {
			break
		}
	}
	if d, err := q.Depth(t.Context()); err != nil || d != (bus.Depth{}) {
		t.Errorf("depth %+v, %v", d, err)
	}
}

// A request whose answer is lost may have been done: the caller sees a failure and the message a second receive.
func TestLostAnswerIsRedelivered(t *testing.T) {
	server := startEmbedded(t, snssqs.Config{})
	b, q := provisioned(t, server)
	if err := b.Publish(t.Context(), benchEvents(1))[0]; err != nil {
		t.Fatal(err)
	}
	server.SetFaults(snssqs.Faults{FailReceive: 1, DoneAnyway: 1})
	if _, err := q.Receive(t.Context(), 10, 0); !errors.Is(err, event.ErrUnavailable) {
		t.Fatalf("receive: %v", err)
	}
	server.SetFaults(snssqs.Faults{})
	if d, _ := server.Depth("jangbu-orders"); d != (snssqs.Depth{InFlight: 1}) {
		t.Errorf("depth %+v", d)
	}
}

func TestCancelledPublish(t *testing.T) {
	server := startEmbedded(t, snssqs.Config{})
	b, _ := provisioned(t, server)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range b.Publish(ctx, benchEvents(25)) {
		if !errors.Is(err, context.Canceled) || !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("publishing with a cancelled context: %v", err)
		}
	}
}

func TestRefusedPublishIsFinal(t *testing.T) {
	server := startEmbedded(t, snssqs.Config{})
	b, _ := provisioned(t, server)
	bad := benchEvents(2)
	bad[0].Type = "a\x00b" // an attribute that SNS refuses
	result := b.Publish(t.Context(), bad)
	if !errors.Is(result[0], bus.ErrRefused) || errors.Is(result[0], event.ErrUnavailable) || result[1] != nil {
		t.Errorf("results %v", result)
	}
}

// The SDK's request bodies make net/http close connections to a fast server, see httpClient; and requests in a row need
// one connection.
func TestConnectionsAreReused(t *testing.T) {
	var opened atomic.Int64
	front := httptest.NewUnstartedServer(startEmbedded(t, snssqs.Config{}))
	front.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	front.Start()
	t.Cleanup(front.Close)
	b := connect(t, bus.Config{Endpoint: front.URL})
	if _, err := b.Provision(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if err := b.Publish(t.Context(), benchEvents(1))[0]; err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections were opened for requests in a row", n)
	}
}
