package commandtest

import (
	"testing"

	"jangbu/command"
)

// testPrefer: a client gets as much of an answer as it prefers, and each retry as much as it then prefers.
func testPrefer(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	const minimal, whole = "Prefer: return=minimal", "Prefer: return=representation"
	const renamed = `{"id":"m","stream":"member-m","revision":1,"state":{"exists":true,"name":"B"}}`
	for _, step := range []struct {
		name, path, body string
		headers          []string
		status           int
		etag             string
		applied, want    string
	}{
		{"creation, minimal", "/members", `{"id":"m","name":"A"}`, []string{minimal}, 201, `"0"`, "return=minimal", ``},
		{"change, whole", "/members/m/rename", `{"name":"B"}`, []string{whole, "Idempotency-Key: b"}, 200, `"1"`, "return=representation", renamed},
		{"change, minimal", "/members/m/rename", `{"name":"C"}`, []string{minimal, "Idempotency-Key: c"}, 204, `"2"`, "return=minimal", ``},
		{"an earlier change again, whole", "/members/m/rename", `{"name":"B"}`, []string{whole, "Idempotency-Key: b"}, 200, `"1"`, "return=representation", renamed},
		{"an earlier change again, minimal", "/members/m/rename", `{"name":"B"}`, []string{minimal, "Idempotency-Key: b"}, 204, `"1"`, "return=minimal", ``},
		{"no change, whole", "/members/m/rename", `{"name":"C"}`, []string{whole}, 200, `"2"`, "return=representation",
			`{"id":"m","stream":"member-m","revision":2,"state":{"exists":true,"name":"C"}}`},
		{"nothing said", "/members/m/rename", `{"name":"C"}`, nil, 200, `"2"`, "", `{"id":"m","stream":"member-m","revision":2}`},
		{"nothing known", "/members/m/rename", `{"name":"C"}`, []string{"Prefer: return=poem"}, 200, `"2"`, "", `{"id":"m","stream":"member-m","revision":2}`},
	} {
		t.Run(step.name, func(t *testing.T) {
			a := c.Post(step.path, step.body, step.headers...)
			if a.Status != step.status || a.Body != step.want || a.Header.Get("ETag") != step.etag || a.Header.Get("Preference-Applied") != step.applied {
				t.Errorf("%d %s, headers %v", a.Status, a.Body, a.Header)
			}
			if a.Header.Get("Consistency-Token") == "" || (a.Status == 201) != (a.Header.Get("Location") == "/members/m") {
				t.Errorf("headers %v", a.Header)
			}
		})
	}
	c.WiderShop(store)
	if a := c.Post("/products/queso/restock", `{"quantity":5}`, whole); a.Body != `{"id":"queso","stream":"stock-queso","revision":2,"state":{"on_hand":15,"reserved":7}}` {
		t.Errorf("of stock, which may be reserved for many: %s", a.Body)
	}
	if code, _ := c.Post("/members/m/rename", `{"name":""}`, minimal).Problem(t); code != "invalid-fields" {
		t.Errorf("problem %s", code)
	}
}
