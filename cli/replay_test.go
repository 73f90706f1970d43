package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"jangbu/cli/term"
	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/projector"
	"jangbu/test/servers"
)

// corrupt overwrites the composed document of an order in the live generation.
func corrupt(t *testing.T, doc string, change func(body string) string) {
	t.Helper()
	client := redisNow(t)
	keys, err := client.Keys(t.Context(), fmt.Sprintf("*{orders.%d-*}:j:%s", viewsNow(t)["orders"].Generation, doc)).Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys of the document: %v, %v", keys, err)
	}
	body, err := client.Get(t.Context(), keys[0]).Result()
	if err == nil {
		err = client.Set(t.Context(), keys[0], change(body), 0).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func unship(body string) string {
	return strings.Replace(body, `"status":"shipped"`, `"status":"lost"`, 1)
}

// wantDiff requires what people are shown of a document that unship has changed.
func wantDiff(t *testing.T, stdout string) {
	t.Helper()
	want := "\norders/1\n- status: \"lost\"\n+ status: \"shipped\"\n"
	if !strings.Contains(stdout, want) {
		t.Errorf("stdout does not show%s\nbut\n%s", want, stdout)
	}
}

func TestReplayRefusesDrift(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	corrupt(t, "1", unship)
	code, stdout, stderr := quiet(t, "replay", "orders", "members")
	if code != exitDrift || !strings.Contains(stderr, "jangbu: view orders: 1 of its documents differ from what the log folds to; ") ||
		!strings.Contains(stderr, "--allow-drift") || !strings.Contains(stderr, "--restart") {
		t.Errorf("code %d: %s", code, stderr)
	}
	wantDiff(t, stdout)
	now := viewsNow(t)
	if now["orders"].Generation != 1 || now["orders"].Building != 2 || now["members"].Generation != 2 {
		t.Errorf("after drift in orders: %+v", now)
	}
	results, _ := printed[[]rebuilt](t, exitDrift, "replay", "orders")
	if r := results[0]; len(results) != 1 || r.View != "orders" || r.Generation != 2 || r.Switched || r.Verified != 3 || r.Drift == nil || r.Drift.Documents != 1 ||
		r.Drift.First[0].Document != "1" || !strings.Contains(*r.Drift.First[0].Live, "lost") || !strings.Contains(*r.Drift.First[0].New, "shipped") {
		t.Errorf("as JSON: %+v", results)
	}
	results, _ = printed[[]rebuilt](t, exitDrift, "replay", "orders", "--restart")
	if results[0].Generation != 3 {
		t.Errorf("restarted: %+v", results)
	}
	stdout = mustRun(t, "replay", "orders", "--allow-drift")
	wantDiff(t, stdout)
	if now := viewsNow(t)["orders"]; now.Generation != 3 || now.Building != 0 {
		t.Errorf("after --allow-drift: %+v", now)
	}
	mustRun(t, "replay", "orders")
}

func TestAudit(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	mustRun(t, "audit", "orders")
	corrupt(t, "1", unship)
	for _, args := range [][]string{{"audit", "orders"}, {"audit", "orders", "--sample", "10"}} {
		code, stdout, stderr := quiet(t, args...)
		if code != exitDrift || !strings.Contains(stderr, "jangbu audit orders --repair") {
			t.Errorf("%v: code %d: %s", args, code, stderr)
		}
		wantDiff(t, stdout)
	}
	wantDiff(t, mustRun(t, "audit", "orders", "--repair"))
	for _, args := range [][]string{{"audit", "orders", "--repair"}, {"audit", "orders", "--sample", "10"}} {
		results, _ := printed[[]rebuilt](t, 0, args...)
		if r := results[0]; r.Drift != nil || r.Switched || r.Verified != 3 {
			t.Errorf("%v after a repair: %+v", args, results)
		}
	}
}

func TestRollback(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	code, stdout, stderr := quiet(t, "rollback", "orders")
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "there is no previous generation to go back to") || !strings.Contains(stderr, "jangbu replay orders") {
		t.Errorf("code %d, %q, %s", code, stdout, stderr)
	}
	mustRun(t, "replay", "orders")
	s.add(t, "order-2", order.Shipped{Carrier: "Post", ShippedOn: "2026-01-06"})
	results, _ := printed[[]rebuilt](t, 0, "rollback", "orders")
	if r := results[0]; !r.Switched || r.Generation != 1 || r.Events == 0 {
		t.Errorf("%+v", results)
	}
	if now := viewsNow(t)["orders"]; now.Generation != 1 || now.LagEvents != 0 {
		t.Errorf("after a rollback: %+v", now)
	}
	mustRun(t, "audit", "orders")
	mustRun(t, "rollback", "orders")
	if now := viewsNow(t)["orders"]; now.Generation != 2 {
		t.Errorf("after a rollback of the rollback: %+v", now)
	}
}

func TestReplayInTwoSteps(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	results, _ := printed[[]rebuilt](t, 0, "replay", "orders", "--no-switch")
	if r := results[0]; r.Switched || r.Verified != 3 || r.Generation != 2 {
		t.Errorf("without a switch: %+v", results)
	}
	results, _ = printed[[]rebuilt](t, 0, "replay", "orders", "--workers", "1")
	if r := results[0]; !r.Switched || r.Generation != 2 {
		t.Errorf("with it: %+v", results)
	}
	mustRun(t, "replay", "orders", "--no-switch")
	results, _ = printed[[]rebuilt](t, 0, "audit", "orders")
	if r := results[0]; r.Switched || r.Generation != 4 || r.Events == 0 {
		t.Errorf("an audit goes on with what a replay has left: %+v", results)
	}
}

// TestBarOfAResumedReplay: it counts what this run reads, and its percentage is of the whole log.
func TestBarOfAResumedReplay(t *testing.T) {
	at := func(commit uint64) event.Position { return event.Position{Commit: commit, Prepare: commit} }
	type step struct {
		events int64
		at     uint64
		phase  projector.Phase
		want   string
	}
	for name, steps := range map[string][]step{
		"resumed": {
			{0, 0, projector.PhaseBuild, "build  ░░░░░░░░░░░░░░░░░░░░░░░░  0              0/s"}, // the lease is another's yet
			{0, 900, projector.PhaseBuild, "build  █████████████████████░░░  0   90%        0/s"},
			{50, 950, projector.PhaseBuild, "build  ██████████████████████░░  50/100   95%       17/s  ETA 3.0s"},
			{100, 0, projector.PhaseBuild, ""}, // Redis was restarted: from the beginning
			{125, 250, projector.PhaseBuild, "125/500   25%"},
			{800, 1000, projector.PhaseDone, "800/800  100%"},
		},
		"fresh":           {{0, 0, projector.PhaseBuild, "  0  "}, {25, 250, projector.PhaseBuild, "25/100   25%"}, {99, 1000, projector.PhaseDone, "99/99  100%"}},
		"nothing to read": {{0, 1000, projector.PhaseVerify, "  0  100%"}, {0, 1000, projector.PhaseDone, "  0  100%"}},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(0, 0)
			var drawn strings.Builder
			p := term.NewProgress(&drawn, term.Options{Terminal: true, Now: func() time.Time { return now }})
			b := &rebuildBars{bars: map[string]*term.Bar{"orders": p.Bar("orders", 0)}, head: at(1000), took: map[string]time.Duration{}, from: map[string]event.Position{}}
			for _, step := range steps {
				now = now.Add(time.Second)
				b.show(projector.Progress{View: "orders", Phase: step.phase, Events: step.events, At: at(step.at)})
				drawn.Reset()
				if err := p.Draw(); err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(drawn.String(), step.want) {
					t.Errorf("%+v: drawn %q", step, drawn.String())
				}
			}
		})
	}
}

// TestReplayInterrupted: Ctrl-C ends a replay with an exit code of its own, and the same replay resumes.
func TestReplayInterrupted(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	p := start(t, "replay", "orders", "--rate", "0.01", "--log-level", "error")
	servers.Eventually(t, "the replay has begun", func() bool { return viewsNow(t)["orders"].Building == 2 })
	p.stop()
	if code := p.end(t); code != exitInterrupted || !strings.Contains(p.stderr.String(), "run the same replay again to resume") {
		t.Errorf("code %d: %s", code, p.stderr.String())
	}
	mustRun(t, "replay", "orders")
	if now := viewsNow(t)["orders"]; now.Generation != 2 {
		t.Errorf("resumed: %+v", now)
	}
}

// TestReplayWaitsForTheStore: a store that is away when a replay starts is waited for, as one that goes away later, and for no longer.
func TestReplayWaitsForTheStore(t *testing.T) {
	addr := "127.0.0.1:" + servers.Port(t)
	args := []string{"replay", "orders", "--eventstore-url", "esdb://" + addr + "?tls=false", "--redis-url", servers.EmbeddedRedis(t)}
	code, _, stderr := quiet(t, append(args, "--patience", "10ms")...)
	if code != exitFailed || !strings.Contains(stderr, "see that the event store runs at --eventstore-url") {
		t.Errorf("with little patience: code %d: %s", code, stderr)
	}
	p := start(t, append(args, "--log-level", "error")...)
	servers.Eventually(t, "it says what it waits for", func() bool { return strings.Contains(p.stderr.String(), "(waiting: read the end of the log") })
	store, err := eventstoredb.Start(eventstoredb.Config{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 0 {
		t.Errorf("code %d: %s", code, p.stderr.String())
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

func TestDiffLines(t *testing.T) {
	long := strings.Repeat("x", 200)
	tests := map[string]struct {
		live, fresh string
		want        []string
	}{
		"members":      {`{"a":1,"b":{"c":"x","d":2}}`, `{"a":1,"b":{"c":"y","e":2}}`, []string{`- b.c: "x"`, `+ b.c: "y"`, `- b.d: 2`, `+ b.e: 2`}},
		"elements":     {`{"l":[1,{"q":2},3]}`, `{"l":[1,{"q":5}]}`, []string{`- l[1].q: 2`, `+ l[1].q: 5`, `- l[2]: 3`}},
		"large number": {`{"n":9007199254740993}`, `{"n":9007199254740992}`, []string{`- n: 9007199254740993`, `+ n: 9007199254740992`}},
		"null":         {`{"n":null}`, `{}`, []string{`- n: null`}},
		"kinds":        {`{"n":[1]}`, `{"n":{}}`, []string{`- n: [1]`, `+ n: {}`}},
		"form alone":   {`{"n":1}`, `{"n":1 }`, []string{`- {"n":1}`, `+ {"n":1 }`}},
		"items":        {"{\"id\":1}\n{\"id\":2}\n{\"id\":2}", "{\"id\":2}\n{\"id\":3}", []string{`- {"id":1}`, `- {"id":2}`, `+ {"id":3}`}},
		"order alone":  {"{\"id\":1}\n{\"id\":2}", "{\"id\":2}\n{\"id\":1}", []string{`- {"id":1} {"id":2}`, `+ {"id":2} {"id":1}`}},
		"no JSON":      {"\x1b[31m", "{}", []string{`-  [31m`, `+ {}`}},
		"a long value": {`{"n":""}`, `{"n":"` + long + `"}`, []string{`- n: ""`, `+ n: "` + long[:diffWidth-6] + `…`}},
	}
	for name, tt := range tests {
		if got := diffLines(projector.Diff{Live: []byte(tt.live), New: []byte(tt.fresh)}); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, tt.want)
		}
	}
	if got := diffLines(projector.Diff{Live: []byte("{}")}); !slices.Equal(got, []string{"- {}", "+ (there is no such document)"}) {
		t.Errorf("a ghost: %q", got)
	}
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprintf(`"m%d":1`, i))
	}
	if got := diffLines(projector.Diff{Live: []byte("{" + strings.Join(many, ",") + "}"), New: []byte("{}")}); len(got) != diffLinesShown+1 || got[diffLinesShown] != "  and 10 lines more" {
		t.Errorf("many: %q", got)
	}
}
