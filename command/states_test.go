package command_test

import (
	"strings"
	"testing"
	"time"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/domain/event"
)

// TestRepetitionOfAnother: two processes carry out one keyed request at once, a day apart. The quicker one appends what the slower one has
// reserved, not what it would decide itself, so that the slower one's append is a repetition of it. What the slower one answers, and
// decides by from then on, is what stands in the log.
func TestRepetitionOfAnother(t *testing.T) {
	log := &fakeLog{}
	slow := commandtest.NewClient(t, log, command.Config{})
	slow.Shop()
	quick := commandtest.NewClient(t, log, command.Config{Now: func() time.Time { return commandtest.Now.Add(24 * time.Hour) }})
	for _, r := range []struct{ name, path, body, stream, then, thenBody, want string }{
		{"create", "/orders", `{"id":"new","member_id":"vinet","manual":true,"lines":[{"product_id":"queso","quantity":1}]}`, "order-new",
			"/orders/new/ship", `{"carrier":"B"}`, `"placed_at":"2026-02-28T15:00:00Z"`},
		{"change", "/orders/open/ship", `{"carrier":"A"}`, "order-open",
			"/orders/open/deliver", `{}`, `"shipped_on":"2026-02-28"`},
	} {
		t.Run(r.name, func(t *testing.T) {
			headers := []string{"Idempotency-Key: " + r.name, "Prefer: return=representation"}
			var other commandtest.Answer
			overtaken := false
			log.onAppend = func(stream string, _ []event.Proposed) fault {
				if stream == r.stream && !overtaken {
					overtaken = true
					other = quick.Post(r.path, r.body, headers...)
				}
				return fault{}
			}
			if a := slow.Post(r.path, r.body, headers...); !a.Equal(other) || a.Status >= 300 {
				t.Errorf("answers\n%+v\n%+v", a, other)
			}
			log.onAppend = nil
			if a := slow.Post(r.then, r.thenBody, headers[1]); a.Status != 200 || !strings.Contains(a.Body, r.want) {
				t.Errorf("the slower one goes on from %s", a.Body)
			}
		})
	}
}
