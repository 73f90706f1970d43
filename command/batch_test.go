package command_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"jangbu/command"
	"jangbu/command/commandtest"
)

// TestBatchOfLargeStates: the answers of a batch tell what the commands left the thing as, until they are too much to be held together.
// The rest is carried out and answered without.
func TestBatchOfLargeStates(t *testing.T) {
	c := commandtest.NewClient(t, &fakeLog{}, command.Config{})
	c.Shop()
	lines := strings.Repeat(`,{"product_id":"queso","quantity":1}`, 1000)[1:]
	c.Must("/orders", `{"id":"big","member_id":"vinet","manual":true,"lines":[`+lines+`]}`)
	var commands []string
	for line := range 60 {
		commands = append(commands, fmt.Sprintf(`{"path":"/orders/big/ship","body":{"carrier":"Post","lines":[{"line":%d,"quantity":1}]}}`, line+1))
	}
	total, states := 0, 0
	for i, r := range c.Batch(commands, "Prefer: return=representation") {
		if r.Status != 200 || r.ETag != fmt.Sprintf("%q", fmt.Sprint(i+1)) {
			t.Errorf("command %d: %d %s", i, r.Status, r.ETag)
		}
		total += len(r.Body)
		if bytes.Contains(r.Body, []byte(`"state":`)) {
			if states++; states != i+1 {
				t.Errorf("answer %d has a state, and one before it has none", i)
			}
		}
	}
	if total > 5<<20 || states == 0 || states == 60 {
		t.Errorf("%d answers with states, %d bytes in all", states, total)
	}
}
