package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/domain/payment"
	"jangbu/domain/stock"
	"jangbu/infra/web"
)

const renameToB = `{"name":"B"}`

func wantProblem(t *testing.T, a commandtest.Answer, status int, code string) {
	t.Helper()
	if got, _ := a.Problem(t); a.Status != status || got != code {
		t.Errorf("%d %s, want %d %s", a.Status, a.Body, status, code)
	}
}

func TestConflictsAreDecidedAgain(t *testing.T) {
	log := &fakeLog{}
	c := commandtest.NewClient(t, log, command.Config{MaxAttempts: 4})
	c.Shop()
	rivals, left := 0, 3
	log.onAppend = func(stream string, _ []event.Proposed) fault {
		if stream != "member-vinet" || left == 0 {
			return fault{}
		}
		left--
		rivals++
		rival := event.Proposed{ID: [16]byte{byte(rivals)}, Type: "member.renamed.v1", Data: fmt.Appendf(nil, `{"name":"Rival %d"}`, rivals)}
		if _, err := log.History.Append(t.Context(), stream, log.History.Last(stream), []event.Proposed{rival}); err != nil {
			t.Error(err)
		}
		return fault{}
	}
	if d := c.Post("/members/vinet/rename", renameToB).Done(t); d.Revision != 4 {
		t.Errorf("%+v after three rivals", d)
	}
	left = 1000
	a := c.Post("/members/vinet/rename", `{"name":"C"}`)
	wantProblem(t, a, 409, "concurrent-change")
	if rivals != 3+4 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d rivals, Retry-After %q", rivals, a.Header.Get("Retry-After"))
	}
	wantProblem(t, c.Post("/members/vinet/rename", `{"name":"C"}`, `If-Match: "8"`), 412, "revision-mismatch")
}

func TestStoreAway(t *testing.T) {
	const order = `{"id":"new","member_id":"vinet","lines":[{"product_id":"queso","quantity":1}]}`
	for _, f := range []struct {
		name     string
		onRead   func(string) error
		onAppend func(string, []event.Proposed) fault
		path     string
		body     string
		status   int
		code     string
	}{
		{"reads fail", away("member-vinet"), nil, "/members/vinet/rename", renameToB, 503, "unavailable"},
		{"reads of the member fail", away("member-vinet"), nil, "/orders", order, 503, "unavailable"},
		{"reads of a product fail", away("product-queso"), nil, "/orders", order, 503, "unavailable"},
		{"appends fail", nil, failing(event.ErrUnavailable), "/members/vinet/rename", renameToB, 503, "unavailable"},
		{"appends of orders fail", nil, failing(event.ErrUnavailable), "/orders", order, 503, "unavailable"},
		{"too large", nil, failing(event.ErrTooLarge), "/orders", order, 413, "event-too-large"},
		{"deleted for good", nil, failing(event.ErrStreamNotFound), "/orders", order, 409, "id-retired"},
		{"an error nobody knows", nil, failing(errors.New("disk on fire")), "/orders", order, 500, "internal"},
	} {
		for _, headers := range [][]string{nil, {"Idempotency-Key: " + f.name}} {
			t.Run(fmt.Sprint(f.name, headers), func(t *testing.T) {
				log := &fakeLog{}
				shop := commandtest.NewClient(t, log, command.Config{})
				shop.Shop()
				before := log.sizes()
				log.onRead, log.onAppend = f.onRead, f.onAppend
				c := commandtest.NewClient(t, log, command.Config{}) // that has read nothing yet
				wantProblem(t, c.Post(f.path, f.body, headers...), f.status, f.code)
				for stream, n := range log.sizes() {
					if before[stream] != n {
						t.Errorf("%s grew from %d to %d", stream, before[stream], n)
					}
				}
			})
		}
	}
}

func away(stream string) func(string) error {
	return func(s string) error {
		if s == stream {
			return event.ErrUnavailable
		}
		return nil
	}
}

func failing(err error) func(string, []event.Proposed) fault {
	return func(string, []event.Proposed) fault { return fault{err: err} }
}

func TestTimeout(t *testing.T) {
	c := commandtest.NewClient(t, &fakeLog{}, command.Config{Timeout: 1})
	wantProblem(t, c.Post("/members", `{"name":"A"}`), 503, "unavailable")
}

// TestTimeoutOfAStep: fulfilment hears that a retry may cure it, wherever the time ran out.
func TestTimeoutOfAStep(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	for name, timeout := range map[string]time.Duration{"before it began": 1, "while the log did not answer": 10 * time.Millisecond} {
		log := &fakeLog{onRead: func(string) error { <-hang; return nil }}
		s := command.New(log, command.Config{Timeout: timeout})
		for step, err := range map[string]error{
			"an outcome": s.RecordOutcome(t.Context(), event.Recorded{}, order.Outcome{ID: "open", Step: order.Step{Kind: order.StepReserve}}),
			"a payment":  s.RecordPayment(t.Context(), event.Recorded{}, "open", "void", payment.Void{OrderID: "open"}),
			"stock":      s.MoveStock(t.Context(), event.Recorded{}, "queso", "release/open", stock.Release{ProductID: "queso", OrderID: "open"}),
		} {
			if !errors.Is(err, event.ErrUnavailable) {
				t.Errorf("%s, %s: %v", step, name, err)
			}
		}
	}
}

// TestBatchOutOfTime: when a batch may go on no longer, what was done is answered all the same, and the rest is not begun.
func TestBatchOutOfTime(t *testing.T) {
	log := &fakeLog{}
	c := commandtest.NewClient(t, log, command.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	log.onAppend = func(_ string, events []event.Proposed) fault {
		if events[0].Type == "member.renamed.v1" {
			cancel()
		}
		return fault{}
	}
	a := c.DoContext(ctx, http.MethodPost, "/batch", `[{"path":"/members","body":{"id":"m","name":"A"}},
		{"path":"/members/m/rename","body":{"name":"B"}},{"path":"/members/m/rename","body":{"name":"C"}}]`, "Content-Type: application/json")
	var results []commandtest.Result
	if err := json.Unmarshal([]byte(a.Body), &results); a.Status != 200 || err != nil {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if results[0].Status != 201 || results[2].Status != 503 || !strings.Contains(string(results[2].Body), "problem:unavailable") {
		t.Errorf("%+v", results)
	}
	for _, e := range log.Stream("member-m") {
		if strings.Contains(string(e.Data), "C") {
			t.Errorf("it was begun: %s", e.Data)
		}
	}
	late := commandtest.NewClient(t, log, command.Config{BatchTimeout: 1})
	for _, r := range late.Batch([]string{`{"path":"/members","body":{"id":"n","name":"A"}}`, `{"path":"/members/m/rename","body":{"name":"D"}}`}) {
		if r.Status != 503 {
			t.Errorf("%+v", r)
		}
	}
	if command.DefaultBatchTimeout+command.DefaultTimeout > web.DefaultAnswerTimeout {
		t.Error("a batch may take longer than its answer is waited for")
	}
}

func TestUnreadableHistory(t *testing.T) {
	log := &fakeLog{}
	if _, err := log.History.Append(t.Context(), "member-m", event.NoStream, []event.Proposed{{ID: [16]byte{1}, Type: "member.vanished.v9", Data: []byte(`{}`)}}); err != nil {
		t.Fatal(err)
	}
	c := commandtest.NewClient(t, log, command.Config{})
	wantProblem(t, c.Post("/members/m/rename", renameToB), 500, "internal")
}

// TestLostAnswer: the log writes and its answer is lost, each time it is asked. Without a key too, the command finds
// that it has been carried out, since it sends the same event ids again.
func TestLostAnswer(t *testing.T) {
	log := &fakeLog{}
	c := commandtest.NewClient(t, log, command.Config{})
	c.Shop()
	lost := map[string]bool{}
	log.onAppend = func(_ string, events []event.Proposed) fault {
		id := events[0].ID.String()
		if lost[id] {
			return fault{}
		}
		lost[id] = true
		return fault{err: event.ErrUnavailable, persist: true}
	}
	for i, headers := range [][]string{nil, {"Idempotency-Key: k"}} {
		body := fmt.Sprintf(`{"name":"B%d"}`, i)
		if d := c.Post("/members/vinet/rename", body, headers...).Done(t); d.Revision != int64(i)+1 {
			t.Errorf("%+v", d)
		}
	}
	if n := len(log.Stream("member-vinet")); n != 3 {
		t.Errorf("%d events", n)
	}
}

// TestCrashAnywhere cuts the process, one that knows the streams or one that does not, off from the log at its n-th step, for every n, before
// the step or between the step and its answer; a second process then gets the same request. There is one effect, and one answer from then on.
func TestCrashAnywhere(t *testing.T) {
	for _, r := range []struct {
		name, path, body string
		effects          int
	}{
		{"create", "/members", `{"name":"A"}`, 1},
		{"create with id", "/members", `{"id":"m","name":"A"}`, 1},
		{"order", "/orders", `{"member_id":"vinet","lines":[{"product_id":"queso","quantity":1},{"product_id":"apples","quantity":1}]}`, 1},
		{"rename", "/members/vinet/rename", renameToB, 1},
		{"no effect", "/members/vinet/rename", `{"name":"Vins et alcools"}`, 0},
		{"discontinue", "/products/queso/discontinue", ``, 1},
		{"ship", "/orders/open/ship", `{"carrier":"A"}`, 1},
	} {
		for _, persist := range []bool{false, true} {
			for _, warm := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s persist=%v warm=%v", r.name, persist, warm), func(t *testing.T) {
					n := int64(1)
					for ; crash(t, n, persist, warm, r.path, r.body, r.effects); n++ {
						if n > 50 {
							t.Fatal("the command takes more than 50 steps")
						}
					}
					if n < 3 {
						t.Errorf("the command crashed in %d places only", n-1)
					}
				})
			}
		}
	}
}

// crash reports whether the n-th step was reached.
func crash(t *testing.T, n int64, persist, warm bool, path, body string, effects int) bool {
	t.Helper()
	log := &fakeLog{}
	process := commandtest.NewClient(t, log, command.Config{})
	process.Shop()
	before := log.sizes()
	revive := log.crashAt(n, persist)
	const key = "Idempotency-Key: k"
	if !warm {
		process = commandtest.NewClient(t, log, command.Config{})
	}
	first := process.Post(path, body, key)
	crashed := revive()
	if crashed {
		wantProblem(t, first, 503, "unavailable")
	}
	second := commandtest.NewClient(t, log, command.Config{})
	answer := second.Post(path, body, key)
	d := answer.Done(t)
	if !crashed && !answer.Equal(first) {
		t.Errorf("second answer %+v, first %+v", answer, first)
	}
	if d.Stream == "member-vinet" {
		second.Must("/members/vinet/rename", `{"name":"Z"}`)
	}
	if again := second.Post(path, body, key); !again.Equal(answer) {
		t.Errorf("crash at %d: third answer %+v, second %+v", n, again, answer)
	}
	for _, recorded := range log.Stream(d.Stream)[before[d.Stream]:] {
		if recorded.Meta().RequestHash != "" {
			effects--
		}
	}
	if effects != 0 {
		t.Errorf("crash at %d: %d effects too few", n, effects)
	}
	return crashed
}
