package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/infra/readmodel"
	"jangbu/infra/schedule"
	"jangbu/query/view"
)

// message is what the relay would have made of an event.
func message(stream string, revision int) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"type":"order.placed.v1","subject":%q,"revision":"%d","position":"1/1"}`, uuid.New(), stream, revision)
}

const deadOrders = "jangbu-orders-dlq"

func TestDeadLettersAreListedAndLeft(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	s.send(t, deadOrders, message("order-1", 1))
	s.send(t, deadOrders, "no event\n"+strings.Repeat("장", 100))
	all, _ := printed[[]deadLetter](t, 0, "dlq", "list", "orders")
	if len(all) != 2 {
		t.Fatalf("%+v", all)
	}
	for _, d := range all {
		event := d.Stream == "order-1" && d.Revision == 1 && d.Type == "order.placed.v1" && d.Problem == ""
		other := strings.HasPrefix(d.Begins, "no event\n장") && len([]rune(d.Begins)) == beginsWidth && d.Problem != ""
		if event == other || d.ID == "" || d.Sent.IsZero() || d.Receives != 1 {
			t.Errorf("%+v", d)
		}
	}
	table := mustRun(t, "dlq", "list", "orders")
	for _, want := range []string{"order-1 ", "order.placed.v1", `"no event\n장`, "read message: "} {
		if !strings.Contains(table, want) || strings.Count(table, "\n") != 3 {
			t.Errorf("no %s in\n%s", want, table)
		}
	}
	some, stderr := printed[[]deadLetter](t, 0, "dlq", "list", "orders", "--limit", "1")
	if len(some) != 1 || !strings.Contains(stderr, "--limit") {
		t.Errorf("with a limit: %+v, %s", some, stderr)
	}
	if q := withQueue(t, "orders").Queue; q.Dead != 2 {
		t.Errorf("after all that the queue has %+v", q)
	}
}

func TestDeadLettersAreRedriven(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	s.add(t, "order-3", placedOrder()) // which no message brings
	s.send(t, deadOrders, message("order-3", 0))
	s.send(t, deadOrders, message("order-1", 1)) // landed long ago
	s.send(t, deadOrders, "no event")
	got, _ := printed[redriven](t, 0, "dlq", "redrive", "orders")
	if want := (redriven{View: "orders", Landed: 2, NoEvents: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if v := withQueue(t, "orders"); v.Documents != 4 || v.Queue.Dead != 1 {
		t.Errorf("%+v, queue %+v", v, v.Queue)
	}

	s.send(t, deadOrders, message("order-elsewhere", 0))
	s.send(t, deadOrders, message("order-1", 7))
	got, stderr := printed[redriven](t, 1, "dlq", "redrive", "orders")
	if want := (redriven{View: "orders", NoEvents: 1, NotInLog: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	wantOneLine(t, stderr, "--eventstore-url", "jangbu dlq purge orders")
	if q := withQueue(t, "orders").Queue; q.Dead != 3 {
		t.Errorf("after that the queue has %+v", q)
	}
}

// TestDeadLettersDuringAnUpgrade: the live generation is that of the release before, and takes nothing from this one.
func TestDeadLettersDuringAnUpgrade(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	model, err := readmodel.Open(os.Getenv("REDIS_URL"), readmodel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	client := redisNow(t)
	const registry = "jangbu:{orders}:registry"
	live := client.HGet(t.Context(), registry, "live").Val()
	if err := client.HSet(t.Context(), registry, "version:"+live, view.Orders.Version-1).Err(); live == "" || err != nil {
		t.Fatalf("live is %q, %v", live, err)
	}
	build, err := model.Begin(t.Context(), "orders", view.Orders.Version, "replay")
	if err == nil {
		err = model.OpenBuild(t.Context(), build.Generation, "replay")
	}
	if err != nil {
		t.Fatal(err)
	}
	s.add(t, "order-3", placedOrder())
	s.send(t, deadOrders, message("order-3", 0))
	s.send(t, deadOrders, message("order-3", 7))
	got, _ := printed[redriven](t, 1, "dlq", "redrive", "orders")
	if want := (redriven{View: "orders", Landed: 1, NotInLog: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestDeadLettersOfFulfilment: their orders are due now, and nothing else is.
func TestDeadLettersOfFulfilment(t *testing.T) {
	const dead = "jangbu-fulfilment-dlq"
	s := newOpsShop(t)
	s.open(t)
	for _, body := range []string{message("order-2", 0), "no event", message("order-elsewhere", 0), message("order-1", 7)} {
		s.send(t, dead, body)
	}
	if all, _ := printed[[]deadLetter](t, 0, "dlq", "list", "fulfilment"); len(all) != 4 {
		t.Errorf("%+v", all)
	}
	got, stderr := printed[redriven](t, 1, "dlq", "redrive", "fulfilment")
	if want := (redriven{View: "fulfilment", Landed: 1, NoEvents: 1, NotInLog: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	wantOneLine(t, stderr, "--eventstore-url", "jangbu dlq purge fulfilment")
	due, err := schedule.Open(os.Getenv("REDIS_URL"), schedule.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer due.Close()
	now := time.Now()
	if ids, err := due.Take(t.Context(), now, now.Add(time.Minute), 10); err != nil || !slices.Equal(ids, []string{"2"}) {
		t.Errorf("due: %v, %v", ids, err)
	}
	if out := mustRun(t, "dlq", "purge", "fulfilment", "--yes"); out != "3 messages of "+dead+" deleted\n" {
		t.Error(out)
	}
}

func TestDeadLettersArePurged(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	s.send(t, deadOrders, "one")
	s.send(t, deadOrders, "two")
	code, stdout, stderr := quiet(t, "dlq", "purge", "orders")
	if code != 2 || stdout != "" {
		t.Errorf("without a terminal: code %d, %s", code, stdout)
	}
	wantOneLine(t, stderr, "now 2", deadOrders, "--yes")
	if q := withQueue(t, "orders").Queue; q.Dead != 2 {
		t.Errorf("the queue has %+v", q)
	}
	if out := mustRun(t, "dlq", "purge", "orders", "--yes"); out != "2 messages of "+deadOrders+" deleted\n" {
		t.Error(out)
	}
	if q := withQueue(t, "orders").Queue; q.Dead != 0 {
		t.Errorf("the queue has %+v", q)
	}
	if code, _, stderr = quiet(t, "dlq", "purge", "orders", "--yes"); code != 1 {
		t.Errorf("again: code %d", code)
	}
	wantOneLine(t, stderr, deadOrders, "run it again in a minute")
}

// TestDeadLettersOfSomebodyElse: SQS answers, and will not.
func TestDeadLettersOfSomebodyElse(t *testing.T) {
	newOpsShop(t)
	denied := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"__type":"com.amazon.coral.service#AccessDeniedException","message":"not yours"}`)
	}))
	defer denied.Close()
	t.Setenv("AWS_ENDPOINT_URL", denied.URL)
	code, _, stderr := quiet(t, "dlq", "list", "orders")
	if code != 1 || strings.Contains(stderr, "runs") {
		t.Errorf("code %d, %s", code, stderr)
	}
	wantOneLine(t, stderr, "not yours", "credentials", "--aws-endpoint-url")
	denied.Close()
	code, _, stderr = quiet(t, "dlq", "list", "orders")
	if code != 1 {
		t.Errorf("code %d", code)
	}
	wantOneLine(t, stderr, "see that SQS runs at --aws-endpoint-url")
}

func TestDeadLettersOfNobody(t *testing.T) {
	newOpsShop(t)
	for _, verb := range []string{"list", "redrive", "purge"} {
		code, _, stderr := quiet(t, "dlq", verb, "orders")
		if code != 1 {
			t.Errorf("%s: code %d", verb, code)
		}
		wantOneLine(t, stderr, deadOrders, "jangbu provision")
		code, _, stderr = quiet(t, "dlq", verb, "sandwiches")
		if code != 2 {
			t.Errorf("%s: code %d", verb, code)
		}
		wantOneLine(t, stderr, `no view "sandwiches"`, "order-lists", "fulfilment")
	}
}
