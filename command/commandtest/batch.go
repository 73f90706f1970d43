package commandtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"jangbu/command"
	"jangbu/domain/event"
)

// Result is the answer to one command of a batch.
type Result struct {
	Status           int             `json:"status"`
	ETag             string          `json:"etag"`
	Location         string          `json:"location"`
	ConsistencyToken string          `json:"consistency_token"`
	Body             json.RawMessage `json:"body"`
}

// Batch posts commands, each a JSON object, as an array.
func (c *Client) Batch(commands []string, headers ...string) []Result {
	c.t.Helper()
	a := c.Post("/batch", "["+strings.Join(commands, ",\n")+"]", headers...)
	var results []Result
	if err := json.Unmarshal([]byte(a.Body), &results); a.Status != 200 || err != nil {
		c.t.Fatalf("POST /batch: %d %s", a.Status, a.Body)
	}
	return results
}

// BatchLines posts commands one a line.
func (c *Client) BatchLines(commands []string, headers ...string) []Result {
	c.t.Helper()
	a := c.Do(http.MethodPost, "/batch", strings.Join(commands, "\n\n")+"\r\n", append([]string{"Content-Type: application/x-ndjson"}, headers...)...)
	if a.Status != 200 || a.Header.Get("Content-Type") != "application/x-ndjson" {
		c.t.Fatalf("POST /batch: %d %s", a.Status, a.Body)
	}
	var results []Result
	for line := range strings.Lines(a.Body) {
		var r Result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			c.t.Fatalf("POST /batch: line %s: %v", line, err)
		}
		results = append(results, r)
	}
	return results
}

// testBatch: every command is answered as if it had come alone, in either form.
func testBatch(t *testing.T, store command.Store) {
	for form, post := range map[string]func(*Client, []string, ...string) []Result{"array": (*Client).Batch, "lines": (*Client).BatchLines} {
		c := NewClient(t, store, command.Config{})
		id := "batch-" + form
		results := post(c, []string{
			`{"path":"/members","body":{"id":"` + id + `","name":"A"}}`,
			`{"path":"/members/` + id + `/rename","body":{"name":"B"},"if_match":"\"0\"","idempotency_key":null}`,
			`{"path":"/members/` + id + `/rename","body":{"name":"C"},"if_match":"\"0\""}`,
			`{"path":"/products","body":{"id":"` + id + `","name":"P","category":"C","price":1,"currency":"USD"}}`,
			`{"path":"/products/` + id + `/discontinue","body":null}`,
			`{"path":"/nothing"}`,
			`{"path":"/members/` + id + `/rename","body":["B"]}`,
			`{"path":"/members/` + id + `/rename"}`,
			`{"path":"/members/` + id + `/rename","body":{"name":"B"},"idempotency_key":""}`,
		}, "X-Actor: kim", "X-Correlation-Id: the batch", "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		for i, want := range []Result{
			{201, `"0"`, "/members/" + id, "member-" + id + "@0", nil},
			{200, `"1"`, "", "member-" + id + "@1", nil},
			{412, `"1"`, "", "", nil},
			{201, `"0"`, "/products/" + id, "product-" + id + "@0", nil},
			{200, `"1"`, "", "product-" + id + "@1", nil},
			{404, "", "", "", nil}, {400, "", "", "", nil}, {400, "", "", "", nil}, {400, "", "", "", nil},
		} {
			got := results[i]
			body := string(got.Body)
			if got.Body = nil; got.Status != want.Status || got.ETag != want.ETag || got.Location != want.Location || got.ConsistencyToken != want.ConsistencyToken {
				t.Errorf("%s: command %d: %+v %s", form, i, got, body)
			}
			if strings.Contains(body, "urn:jangbu:problem:") != (want.Status >= 400) || !json.Valid([]byte(body)) {
				t.Errorf("%s: command %d: body %s", form, i, body)
			}
		}
		for _, r := range load(t, store, "member-"+id) {
			if m := r.Meta(); m.Actor != "kim" || m.CorrelationID != "the batch" || m.Traceparent == "" {
				t.Errorf("metadata %+v", m)
			}
		}
		for _, r := range post(c, []string{`{"path":"/members/` + id + `/rename","body":{"name":"D"}}`}, "Prefer: return=minimal") {
			if r.Status != 204 || r.Body != nil {
				t.Errorf("%s: minimal: %+v", form, r)
			}
		}
	}
}

// testBatchOrder: as many as may be, in few streams; those of one stream have their effect in their order.
func testBatchOrder(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	const members = 7
	var commands []string
	for i := range command.MaxBatch {
		if m := i % members; i < members {
			commands = append(commands, fmt.Sprintf(`{"path":"/members","body":{"id":"m%d","name":"0"}}`, m))
		} else {
			id := []string{"m", "%6d"}[i%2] + strconv.Itoa(m) // the same stream
			commands = append(commands, fmt.Sprintf(`{"path":"/members/%s/rename","body":{"name":"%d"}}`, id, i))
		}
	}
	for i, r := range c.Batch(commands) {
		if want := fmt.Sprintf("member-m%d@%d", i%members, i/members); r.ConsistencyToken != want {
			t.Fatalf("command %d: %+v, want %s", i, r, want)
		}
	}
	for m := range members {
		for i, r := range load(t, store, fmt.Sprintf("member-m%d", m))[1:] {
			if want := fmt.Sprintf(`{"name":"%d"}`, (i+1)*members+m); string(r.Data) != want {
				t.Fatalf("member %d at %d: %s, want %s", m, r.Revision, r.Data, want)
			}
		}
	}
}

// testBatchKeys: the keys within a batch are the same keys as outside, and a batch can be sent again.
func testBatchKeys(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	const name, order = `{"name":"A"}`, `{"path":"/members","body":` + `{"name":"A"},"idempotency_key":"a"}`
	first := c.Must("/members", name, "Idempotency-Key: a").Done(t)
	batch := []string{order, order,
		`{"path":"/members","body":{"name":"B"},"idempotency_key":"a"}`,
		`{"path":"/members","body":{"name":"B"},"idempotency_key":"b"}`,
		`{"path":"/members/` + first.ID + `/rename","body":{"name":"C"},"idempotency_key":"c"}`,
	}
	before := c.Batch(batch)
	for i, status := range []int{201, 201, 422, 201, 200} {
		if before[i].Status != status {
			t.Errorf("command %d: %d %s", i, before[i].Status, before[i].Body)
		}
	}
	if before[0].Location != "/members/"+first.ID || before[1].Location != before[0].Location {
		t.Errorf("%+v and %+v for %+v", before[0], before[1], first)
	}
	c.Must("/members/"+first.ID+"/rename", `{"name":"D"}`)
	after := NewClient(t, store, command.Config{}).BatchLines(batch)
	if !slices.EqualFunc(before, after, func(a, b Result) bool {
		return a.Status == b.Status && a.ETag == b.ETag && a.Location == b.Location && string(a.Body) == string(b.Body)
	}) {
		t.Errorf("again:\n%+v\nfirst:\n%+v", after, before)
	}
	if n := len(load(t, store, event.StreamName("member", first.ID))); n != 3 {
		t.Errorf("%d events", n)
	}
}

// testBatchMalformed: such a batch is one problem, and nothing of it is done.
func testBatchMalformed(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	const fine = `{"path":"/members","body":{"id":"m","name":"A"}}`
	many := "[" + strings.Repeat(fine+",", command.MaxBatch) + fine + "]"
	for _, b := range []struct {
		name, media, body string
		status            int
		code              string
		pointers          []string
	}{
		{"no body", "application/json", ``, 400, "malformed-body", nil},
		{"one command", "application/json", fine, 400, "malformed-body", []string{""}},
		{"lines for an array", "application/json", fine + "\n" + fine, 400, "malformed-body", nil},
		{"an array for lines", "application/x-ndjson", "[" + fine + "]", 400, "malformed-body", []string{"/0"}},
		{"half a line", "application/x-ndjson", fine + "\n" + fine[:20] + "\n", 400, "malformed-body", nil},
		{"wrong types", "application/json", `[` + fine + `,{"path":7,"body":[],"if_match":1},null,{"pth":"/members"}]`, 400, "malformed-body",
			[]string{"/1/path", "/1/if_match", "/2", "/3/pth"}},
		{"wrong types in lines", "application/x-ndjson", fine + "\n\n" + `{"path":7}` + "\n" + fine, 400, "malformed-body", []string{"/1/path"}},
		{"a field twice", "application/json", `[{"path":"/members","path":"/orders"}]`, 400, "malformed-body", []string{"/0/path"}},
		{"no paths", "application/json", `[` + fine + `,{"path":""},{"path":"members"},{"path":"//host/members"},{"path":"/members?a=b"},{"path":"/%zz"}]`, 400, "malformed-body",
			[]string{"/1/path", "/2/path", "/3/path", "/4/path", "/5/path"}},
		{"a batch in it", "application/json", `[` + fine + `,{"path":"/batch","body":[]},{"path":"/%62atch/"}]`, 400, "malformed-body", []string{"/1/path", "/2/path"}},
		{"too many", "application/json", many, 413, "batch-too-large", nil},
		{"too large", "application/json", strings.Repeat(" ", command.MaxBatchBytes+1), 413, "body-too-large", nil},
		{"text", "text/plain", many, 415, "unsupported-media-type", nil},
	} {
		t.Run(b.name, func(t *testing.T) {
			a := c.Do(http.MethodPost, "/batch", b.body, "Content-Type: "+b.media)
			if code, pointers := a.Problem(t); a.Status != b.status || code != b.code || !slices.Equal(pointers, b.pointers) {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	for _, header := range []string{"Idempotency-Key: k", `If-Match: "3"`, "If-Match: "} { // of a command
		if a := c.Post("/batch", "["+fine+"]", header); a.Status != 400 || !strings.Contains(a.Body, "malformed-header") {
			t.Errorf("with %s: %d %s", header, a.Status, a.Body)
		}
	}
	if a := c.Post("/members/m/rename", `{"name":"B"}`); a.Status != 404 {
		t.Errorf("member m is there: %d %s", a.Status, a.Body)
	}
	if results := c.Batch(nil); len(results) != 0 {
		t.Errorf("an empty batch is answered %v", results)
	}
	large := `{"path":"/members","body":{"id":"m","name":"` + strings.Repeat("x", 1<<20) + `"}}`
	if results := c.Batch([]string{large}); results[0].Status != 413 {
		t.Errorf("a command too large to come alone: %d", results[0].Status)
	}
}
