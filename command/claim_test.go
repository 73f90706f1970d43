package command_test

import (
	"testing"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/domain/event"
)

// TestRefusedAgainAndAgain: who is refused asks again under the same key. What the order's own stream refuses leaves nothing in the log; what
// another stream refuses leaves an event each time, and costs no more to be refused for the hundredth time than for the second. When
// there is nothing against it any more it is carried out, once.
func TestRefusedAgainAndAgain(t *testing.T) {
	for _, r := range []struct {
		name, path, body string
		status           int
		wayPath, wayBody string // what makes way for it
		leaves           int    // events, of each refusal
	}{
		{"by its stream", "/members/new/rename", `{"name":"B"}`, 404, "/members", `{"id":"new","name":"A"}`, 0},
		{"by another stream", "/orders", `{"id":"o","member_id":"new","lines":[{"product_id":"queso","quantity":1}]}`, 422, "/members", `{"id":"new","name":"A"}`, 1},
	} {
		t.Run(r.name, func(t *testing.T) {
			log := &fakeLog{}
			c := commandtest.NewClient(t, log, command.Config{})
			c.Shop()
			refuse := func() (events int, read int64) {
				before, readBefore := len(log.Events()), log.read.Load()
				if a := c.Post(r.path, r.body, "Idempotency-Key: k"); a.Status != r.status {
					t.Fatalf("%d %s", a.Status, a.Body)
				}
				return len(log.Events()) - before, log.read.Load() - readBefore
			}
			if n, _ := refuse(); n != r.leaves {
				t.Errorf("the first refusal left %d events", n)
			}
			_, second := refuse()
			for i := range 98 {
				if n, read := refuse(); n != r.leaves || read > second {
					t.Fatalf("refusal %d left %d events, having read %d; the second had read %d", i+3, n, read, second)
				}
			}
			c.Must(r.wayPath, r.wayBody)
			done := c.Must(r.path, r.body, "Idempotency-Key: k")
			if again := c.Post(r.path, r.body, "Idempotency-Key: k"); !again.Equal(done) {
				t.Errorf("again %+v, first %+v", again, done)
			}
		})
	}
}

// TestAnswerWithoutRequest: of a claim an operator has deleted all but the answer. Nobody can tell whose it was, so it answers nobody: the
// key is free.
func TestAnswerWithoutRequest(t *testing.T) {
	log := &fakeLog{}
	c := commandtest.NewClient(t, log, command.Config{})
	c.Must("/members", `{"id":"m","name":"A"}`)
	const path, key = "/members/m/rename", "Idempotency-Key: k"
	c.Must(path, `{"name":"A"}`, key)
	claims := log.Events()
	claim := claims[len(claims)-1]
	if event.Category(claim.Stream) != "idempotency" || claim.Revision != 1 {
		t.Fatalf("the last event is %s@%d", claim.Stream, claim.Revision)
	}
	log.Truncate(claim.Stream, claim.Revision)
	renamed := c.Must(path, `{"name":"B"}`, key)
	if d := renamed.Done(t); d.Revision != 1 {
		t.Errorf("answered revision %d", d.Revision)
	}
	if again := commandtest.NewClient(t, log, command.Config{}).Post(path, `{"name":"B"}`, key); !again.Equal(renamed) {
		t.Errorf("again %+v, first %+v", again, renamed)
	}
	if code, _ := c.Post(path, `{"name":"A"}`, key).Problem(t); code != "idempotency-key-reused" {
		t.Errorf("another request under the key: %s", code)
	}
	if n := len(log.Stream("member-m")); n != 2 {
		t.Errorf("%d events", n)
	}
}
