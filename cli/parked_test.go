package cli

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
)

// An event that no code can read is parked in every view that reads its stream; one of them goes on without it.
func TestParked(t *testing.T) {
	s := newOpsShop(t)
	if table := mustRun(t, "parked", "list"); strings.Count(table, "\n") != 1 {
		t.Errorf("with nothing parked:\n%s", table)
	}
	s.add(t, "order-9", placedOrder())
	s.put(t, "order-9", 0, event.Proposed{ID: uuid.New(), Type: "order.teleported.v1", Data: []byte(`{"to":"Mars"}`), Metadata: []byte(`{"command_id":"c-9"}`)})
	s.add(t, "order-9", order.Cancelled{Reason: "late"})
	s.open(t)
	all, _ := printed[[]parkedStream](t, 0, "parked", "list", "orders", "sales")
	if len(all) != 2 || all[0].View != "orders" || all[1].View != "sales" {
		t.Fatalf("parked are %+v", all)
	}
	for _, p := range all {
		if p.Stream != "order-9" || p.Revision != 1 || p.Type != "order.teleported.v1" || p.Generation != 1 || p.Since.IsZero() || !strings.Contains(p.Reason, "unknown event type") {
			t.Errorf("parked is %+v", p)
		}
	}
	if v := viewsNow(t)["orders"]; v.Parked != 1 || v.Status != "parked 1" || v.Documents != 4 {
		t.Errorf("the view is %+v", v)
	}
	if out := mustRun(t, "parked", "show", "orders", "order-9"); !strings.Contains(out, `{"to":"Mars"}`) || !strings.Contains(out, `{"command_id":"c-9"}`) || !strings.Contains(out, all[0].Reason) {
		t.Errorf("show prints\n%s", out)
	}
	if got, _ := printed[parkedEvent](t, 0, "parked", "show", "orders", "order-9"); string(got.Event) != `{"to":"Mars"}` || got.Revision != 1 || got.Recorded.IsZero() {
		t.Errorf("show says %+v", got)
	}
	if got, _ := printed[trace](t, 0, "trace", "order-9"); got.Views[0].Arrivals[0].State != arrived || got.Views[0].Arrivals[1].State != parked ||
		got.Views[0].Arrivals[2].State != missing || got.Views[0].Parked == nil {
		t.Errorf("its trace is %+v", got.Views[0])
	}

	code, stdout, stderr := quiet(t, "parked", "retry", "orders", "--all")
	if code != 1 || !strings.Contains(stdout, "parked at revision 1: ") {
		t.Errorf("retry: code %d, %s", code, stdout)
	}
	wantOneLine(t, stderr, "1 of 1 streams", "jangbu parked show orders")
	code, _, stderr = quiet(t, "parked", "skip", "orders", "order-9")
	if code != 2 {
		t.Errorf("skip without a terminal: code %d", code)
	}
	wantOneLine(t, stderr, "Leave event 1 (order.teleported.v1) of order-9 out of view orders", "--yes")
	if out := mustRun(t, "parked", "skip", "orders", "order-9", "--yes"); !strings.Contains(out, "the stream is landed") {
		t.Error(out)
	}
	for range 2 { // in the generation that is, and in the next
		views := viewsNow(t)
		if v := views["orders"]; v.Parked != 0 || v.Status != statusOK || v.LagEvents != 0 {
			t.Errorf("the view is %+v", v)
		}
		if views["sales"].Parked != 1 {
			t.Errorf("another view is %+v", views["sales"])
		}
		if got, _ := printed[trace](t, 0, "trace", "order-9"); got.Views[0].Revision != 2 || got.Views[0].Missing != 0 || got.Views[0].Arrivals[1] != (arrival{Revision: 1, State: skipped}) {
			t.Errorf("its trace is %+v", got.Views[0])
		}
		mustRun(t, "replay", "orders")
	}
}

// What was parked by code that has been mended lands.
func TestParkedAndMended(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	s.add(t, "order-3", placedOrder())
	park(t, "order-3")
	if out := mustRun(t, "parked", "retry", "orders", "order-3"); !strings.Contains(out, "order-3  landed") {
		t.Error(out)
	}
	if v := viewsNow(t)["orders"]; v.Parked != 0 || v.Documents != 4 {
		t.Errorf("the view is %+v", v)
	}
	code, _, stderr := quiet(t, "parked", "retry", "orders", "order-3")
	if code != 1 {
		t.Errorf("again: code %d", code)
	}
	wantOneLine(t, stderr, "order-3 is not parked in view orders", "jangbu parked list orders")
}

// What had landed before a retry failed is told. Where nothing is away, nobody is sent to look whether it runs.
func TestParkedRetryFails(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	park(t, "order-1", "order-2")
	damage(t, "order-2")
	code, stdout, stderr := quiet(t, "parked", "retry", "orders", "--all")
	if code != 1 || !strings.Contains(stdout, "order-1  landed") || strings.Contains(stdout, "order-2") || strings.Contains(stderr, "see that") {
		t.Errorf("code %d, %s: %s", code, stdout, stderr)
	}
	wantOneLine(t, stderr, "land order-2")
	park(t, "order-1")
	if got, _ := printed[[]retried](t, 1, "parked", "retry", "orders", "--all"); len(got) != 1 || got[0].Stream != "order-1" || got[0].Parked != nil {
		t.Errorf("it prints %+v", got)
	}

	t.Setenv("EVENTSTORE_URL", "esdb://127.0.0.1:1?tls=false")
	park(t, "order-1")
	if code, _, stderr = quiet(t, "parked", "retry", "orders", "order-1"); code != 1 {
		t.Errorf("without the event store: code %d", code)
	}
	wantOneLine(t, stderr, "see that the event store and Redis run, then run the same again")
}

// Who answers is not said to be away.
func TestParkedHints(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	park(t, "order-1")
	t.Setenv("EVENTSTORE_URL", newShopStore(t).url)
	for _, verb := range []string{"show", "skip"} {
		code, _, stderr := quiet(t, "parked", verb, "orders", "order-1")
		if code != 1 || strings.Contains(stderr, "event store runs") {
			t.Errorf("%s: code %d, %s", verb, code, stderr)
		}
		wantOneLine(t, stderr, "the event store has no event 0 of order-1", "--eventstore-url is the store of this Redis")
	}

	client := redisNow(t)
	for _, key := range client.Keys(t.Context(), "*").Val() {
		if err := client.Set(t.Context(), key, "something else's", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"parked", "list"}, {"views"}, {"trace", "order-1"}} {
		t.Setenv("EVENTSTORE_URL", s.url)
		code, _, stderr := quiet(t, args...)
		if code != 1 || !strings.Contains(stderr, "WRONGTYPE") || strings.Contains(stderr, "see that") {
			t.Errorf("%v: code %d, %s", args, code, stderr)
		}
	}
	t.Setenv("REDIS_URL", "redis://127.0.0.1:1")
	code, _, stderr := quiet(t, "parked", "list")
	if code != 1 {
		t.Errorf("without Redis: code %d", code)
	}
	wantOneLine(t, stderr, "see that Redis runs at --redis-url")
}

// What is left out is left out, also where the rest of the stream does not land: the same again would be about another event.
func TestParkedSkipFails(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	park(t, "order-2")
	damage(t, "order-2")
	code, stdout, stderr := quiet(t, "parked", "skip", "orders", "order-2", "--yes")
	if code != 1 || stdout != "" {
		t.Errorf("code %d, %s", code, stdout)
	}
	wantOneLine(t, stderr, "event 0 of order-2 is left out of view orders", "jangbu parked retry orders order-2", "land order-2")
}

// damage makes a stream's state in the view orders unreadable.
func damage(t *testing.T, stream string) {
	t.Helper()
	client := redisNow(t)
	keys, err := client.Keys(t.Context(), "jangbu:{orders.*}:s").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if client.HExists(t.Context(), key, stream).Val() {
			err = client.HSet(t.Context(), key, stream, "no state").Err()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// park puts streams on the list of the view orders, with nothing wrong with them.
func park(t *testing.T, streams ...string) {
	t.Helper()
	model, err := readmodel.Open(os.Getenv("REDIS_URL"), readmodel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	registry, err := model.Registry(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	var all []row.Parked
	for _, stream := range streams {
		all = append(all, row.Parked{Stream: stream, Type: "order.placed.v1", Reason: "the code of before", Since: time.Now()})
	}
	if err := model.Park(t.Context(), registry.Live, all); err != nil {
		t.Fatal(err)
	}
}

func TestParkedUsage(t *testing.T) {
	for _, args := range [][]string{{"retry", "orders"}, {"retry", "orders", "order-1", "--all"}, {"list", "sandwiches"}, {"skip", "orders"}} {
		code, stdout, stderr := quiet(t, append([]string{"parked"}, args...)...)
		if code != 2 || stdout != "" {
			t.Errorf("%v: code %d, %s", args, code, stdout)
		}
		wantOneLine(t, stderr, "--help")
	}
	t.Setenv("REDIS_URL", "redis://127.0.0.1:1")
	code, _, stderr := quiet(t, "parked", "list")
	if code != 1 {
		t.Errorf("without Redis: code %d", code)
	}
	wantOneLine(t, stderr, "--redis-url")
}
