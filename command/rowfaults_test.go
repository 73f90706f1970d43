package command_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/domain/event"
)

// TestRowLosesTheRace: a rival's event comes before a row. Each of its commands is decided again, and lands once.
func TestRowLosesTheRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, command.Config{})
		held, rivals := q.log.onAppend, 0
		q.log.onAppend = func(stream string, events []event.Proposed) fault {
			f := held(stream, events)
			if stream == heldStream && rivals < 3 {
				rivals++
				rival := event.Proposed{ID: [16]byte{byte(rivals)}, Type: "member.renamed.v1", Data: fmt.Appendf(nil, `{"name":"Rival %d"}`, rivals)}
				if _, err := q.log.History.Append(t.Context(), stream, q.log.History.Last(stream), []event.Proposed{rival}); err != nil {
					t.Error(err)
				}
			}
			return f
		}
		q.rename("B", "Idempotency-Key: b")
		q.rename("Rival 3") // has an effect behind B only
		q.rename("C", `If-Match: "2"`)
		q.release()
		var statuses []int
		for _, answer := range q.answers {
			statuses = append(statuses, (<-answer).Status)
		}
		if !slices.Equal(statuses, []int{200, 200, 200, 412}) {
			t.Errorf("statuses %v", statuses)
		}
		names := q.names()[1:]
		slices.Sort(names)
		if len(slices.Compact(names)) < 5 || len(q.log.Stream(heldStream)) != 1+3+3 {
			t.Errorf("the stream holds %v", q.names())
		}
	})
}

// TestTooLargeInARow: a row that the store finds too large is taken apart; only the command that is too large by itself is refused.
func TestTooLargeInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, command.Config{})
		held := q.log.onAppend
		q.log.onAppend = func(stream string, events []event.Proposed) fault {
			f := held(stream, events)
			for _, e := range events {
				if string(e.Data) == `{"name":"large"}` {
					f.err = event.ErrTooLarge
				}
			}
			return f
		}
		for _, name := range []string{"B", "large", "C", "C"} {
			q.rename(name)
		}
		q.release()
		for i, status := range []int{200, 200, 413, 200, 200} {
			if a := <-q.answers[i]; a.Status != status {
				t.Errorf("command %d: %d %s", i, a.Status, a.Body)
			}
		}
		if names := q.names(); len(names) != 4 {
			t.Errorf("the stream holds %v", names)
		}
	})
}

// TestPanicInARow: a rule that panics is the answer to its own command, and the process lives.
func TestPanicInARow(t *testing.T) {
	log := &fakeLog{}
	commandtest.NewClient(t, log, command.Config{}).Shop()
	var broken atomic.Bool
	c := commandtest.NewClient(t, log, command.Config{Now: func() time.Time {
		if broken.Load() {
			panic("no clock")
		}
		return commandtest.Now
	}})
	broken.Store(true)
	wantProblem(t, c.Post("/orders/open/ship", `{"carrier":"A"}`), 500, "internal")
	broken.Store(false)
	c.Must("/orders/open/ship", `{"carrier":"A"}`)
	log.onRead = func(string) error { panic("no store") }
	wantProblem(t, c.Post("/members/nobody/rename", `{"name":"A"}`), 500, "internal")
}

// TestRowOfLostAnswers: a row lands, its answer is lost each time, and the clients send their commands again.
func TestRowOfLostAnswers(t *testing.T) {
	for _, persist := range []bool{false, true} {
		t.Run(fmt.Sprintf("persist=%v", persist), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(t, command.Config{})
				held := q.log.onAppend
				q.log.onAppend = func(stream string, events []event.Proposed) fault {
					f := held(stream, events)
					if stream == heldStream && len(events) > 1 {
						f = fault{err: fmt.Errorf("%w: %w", event.ErrUnavailable, errors.New("no answer")), persist: persist}
					}
					return f
				}
				keys := []string{"B", "C", "D"}
				for _, k := range keys {
					q.rename(k, "Idempotency-Key: "+k)
				}
				q.release()
				<-q.answers[0]
				for i := range keys {
					wantProblem(t, <-q.answers[i+1], 503, "unavailable")
				}
				q.log.onAppend = nil
				for _, c := range []*commandtest.Client{q.client, commandtest.NewClient(t, q.log, command.Config{})} {
					for i, k := range keys {
						a := c.Post("/members/m/rename", fmt.Sprintf(`{"name":%q}`, k), "Idempotency-Key: "+k)
						if d := a.Done(t); d.Revision != int64(i)+2 {
							t.Errorf("%s: %+v", k, d)
						}
					}
				}
				if names := q.names(); len(names) != 5 {
					t.Errorf("the stream holds %v", names)
				}
			})
		})
	}
}

// TestCrashOfARow cuts the process off from the log at its n-th step, for every n, while it carries out a row: before the step, or
// between the step and its answer. Then a second process gets the same requests. Each has one effect or none, and one answer.
func TestCrashOfARow(t *testing.T) {
	for _, persist := range []bool{false, true} {
		crashes := 0
		for n := int64(1); ; n++ {
			crashed := false
			synctest.Test(t, func(t *testing.T) { crashed = crashRow(t, n, persist) })
			if t.Failed() {
				t.Fatalf("crash at %d, persist=%v", n, persist)
			}
			if !crashed {
				break
			}
			crashes++
		}
		if crashes < 6 {
			t.Errorf("the row crashed in %d places only", crashes)
		}
	}
}

func crashRow(t *testing.T, n int64, persist bool) bool {
	q := newQueue(t, command.Config{})
	names := []string{"B", "C", "C", "D", "", "first"} // the third without effect, the fifth refused, the last one in a row of its own
	key := func(i int) string { return fmt.Sprintf("Idempotency-Key: %d", i) }
	for i, name := range names {
		q.rename(name, key(i))
	}
	held := q.log.onAppend
	var steps atomic.Int64
	q.log.onAppend = func(stream string, events []event.Proposed) fault {
		f := held(stream, events)
		if step := steps.Add(1); step >= n {
			f = fault{err: event.ErrUnavailable, persist: persist && step == n}
		}
		return f
	}
	q.log.onRead = func(string) error {
		if steps.Add(1) >= n {
			return event.ErrUnavailable
		}
		return nil
	}
	q.release()
	<-q.answers[0]
	var first []commandtest.Answer
	for i := range names {
		first = append(first, <-q.answers[1+i])
	}
	synctest.Wait()
	crashed := steps.Load() >= n
	q.log.onAppend, q.log.onRead = nil, nil
	second := commandtest.NewClient(t, q.log, command.Config{})
	for round := range 2 {
		for i, name := range names {
			a := second.Post("/members/m/rename", fmt.Sprintf(`{"name":%q}`, name), key(i))
			if first[i].Status != 503 && !a.Equal(first[i]) {
				t.Errorf("round %d: %s is answered\n%+v, was answered\n%+v", round, name, a, first[i])
			}
			first[i] = a
		}
		second.Must("/members/m/rename", fmt.Sprintf(`{"name":"Z%d"}`, round))
	}
	effects := map[string]int{}
	for _, e := range q.log.Stream(heldStream) {
		if m := e.Meta(); m.RequestHash != "" {
			effects[m.CommandID]++
		}
	}
	for id, n := range effects {
		if n > 1 {
			t.Errorf("command %s has %d effects", id, n)
		}
	}
	return crashed
}
