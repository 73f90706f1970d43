package command_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/domain/event"
)

// gated is a Store whose every operation waits for the scheduler's verdict before it is done.
type gated struct {
	log   *fakeLog
	gates chan<- chan verdict
}

type verdict int

const (
	proceed verdict = iota
	lose            // done, but the answer is lost
	refuse          // not done
)

func (g gated) ask() verdict {
	gate := make(chan verdict)
	g.gates <- gate
	return <-gate
}

func (g gated) ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	if g.ask() != proceed {
		return func(yield func(event.Recorded, error) bool) { yield(event.Recorded{}, event.ErrUnavailable) }
	}
	return g.log.ReadStream(ctx, stream, from)
}

func (g gated) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error) {
	v := g.ask()
	if v == refuse {
		return event.Position{}, event.ErrUnavailable
	}
	position, err := g.log.Append(ctx, stream, expected, events)
	if v == lose {
		return event.Position{}, event.ErrUnavailable
	}
	return position, err
}

func (g gated) Last(ctx context.Context, stream string) (event.Recorded, error) {
	if g.ask() != proceed {
		return event.Recorded{}, event.ErrUnavailable
	}
	return g.log.Last(ctx, stream)
}

func (g gated) SetMaxCount(context.Context, string, int) error { return nil }

// TestAnyInterleaving runs several attempts of one keyed command, in one process or several, so that they meet in rows or on
// the log, beside rivals that make it an effect, no effect, or
// refused by turns, in an order of steps drawn from a seed, with steps that fail and answers that get lost. Whoever is
// answered is answered alike, and the answer is true: the revision of the one effect, or that there is none.
func TestAnyInterleaving(t *testing.T) {
	seeds := uint64(1500)
	if testing.Short() {
		seeds = 100
	}
	outcomes := map[string]int{}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { outcomes[interleave(t, seed)]++ })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Log(outcomes)
	for _, o := range []string{"effect", "no effect"} {
		if outcomes[o] < int(seeds/20) {
			t.Errorf("the seeds hardly ever lead to %s: %v", o, outcomes)
		}
	}
}

func interleave(t *testing.T, seed uint64) string {
	random := rand.New(rand.NewPCG(seed, 7))
	log := &fakeLog{}
	commandtest.NewClient(t, log, command.Config{}).Must("/members", fmt.Sprintf(`{"id":"m","name":"%c"}`, "XY"[random.IntN(2)]))

	gates := make(chan chan verdict)
	keyed := make(chan commandtest.Answer, 4)
	running := make(chan struct{}, 8)
	processes := make([]*commandtest.Client, 1+random.IntN(3))
	for i := range processes {
		processes[i] = commandtest.NewClient(t, gated{log, gates}, command.Config{MaxRow: random.IntN(4)})
	}
	start := func(body string, answers chan<- commandtest.Answer, headers ...string) {
		c := processes[random.IntN(len(processes))]
		go func() {
			a := c.Post("/members/m/rename", body, headers...)
			if answers != nil {
				answers <- a
			}
			running <- struct{}{}
		}()
	}
	const key, body = "Idempotency-Key: k", `{"name":"X"}`
	left := 0
	for range 2 + random.IntN(2) {
		start(body, keyed, key)
		left++
	}
	for i := range 1 + random.IntN(4) {
		start(fmt.Sprintf(`{"name":"%c"}`, "XYZX"[(int(seed)+i)%4]), nil)
		left++
	}
	faults := random.IntN(2) == 0
	schedule(random, gates, running, left, func() verdict {
		if faults && random.IntN(6) == 0 {
			return lose + verdict(random.IntN(2))
		}
		return proceed
	}, func() {})
	close(keyed)
	return judge(t, log, keyed)
}

// judge compares the answers with the log, and with what the same request is answered from now on.
func judge(t *testing.T, log *fakeLog, answers <-chan commandtest.Answer) string {
	last := commandtest.NewClient(t, log, command.Config{})
	final := last.Post("/members/m/rename", `{"name":"X"}`, "Idempotency-Key: k")
	d := final.Done(t)
	for a := range answers {
		if a.Status == 200 && !a.Equal(final) {
			t.Errorf("answers differ:\n%+v\n%+v", a, final)
		} else if a.Status != 200 && a.Status != 503 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	effects, name := 0, ""
	for _, recorded := range log.Stream("member-m") {
		if recorded.Meta().RequestHash != "" {
			effects++
			if recorded.Revision != d.Revision {
				t.Errorf("effect at %d, answered %d", recorded.Revision, d.Revision)
			}
		}
		if recorded.Revision == d.Revision {
			name = string(recorded.Data)
		}
	}
	if effects > 1 || name != `{"name":"X"}` {
		t.Errorf("%d effects, answered revision %d: %s", effects, d.Revision, name)
	}
	if effects == 1 {
		return "effect"
	}
	return "no effect"
}
