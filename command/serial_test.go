package command_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/domain/event"
	"jangbu/test/history"
)

// wish is one command of TestSerial: a rename of a member by a client, and what became of it.
type wish struct {
	stream, name string
	ifMatch      int64 // -1: none
	keyed        bool
	since        int64 // the newest revision that anybody had been told of before the first attempt
	answers      []commandtest.Answer
}

// TestSerial: many clients rename few members through three processes, over a log that fails and loses answers. The log is then
// a serial execution of what was acknowledged: each effect is in it once, where its answer says; each answer without effect
// and each refusal was true at a moment while its command was under way.
func TestSerial(t *testing.T) {
	history.Seeds(t, 12, func(t *testing.T, r *rand.Rand) {
		const streams, clients, each = 3, 24, 40
		log := &fakeLog{}
		for s := range streams {
			growTo(t, log, fmt.Sprintf("member-m%d", s), 1+r.IntN(150)) // some have snapshots
		}
		faults := faultsOf(log, r.Uint64(), r.IntN(3))
		processes := []*commandtest.Client{
			commandtest.NewClient(t, log, command.Config{SnapshotEvery: 7, MaxAttempts: 1000}),
			commandtest.NewClient(t, log, command.Config{SnapshotEvery: 3, MaxAttempts: 1000, Cache: 1}),
			commandtest.NewClient(t, log, command.Config{MaxRow: 2, MaxAttempts: 1000}),
		}
		var told [streams]atomic.Int64
		var all sync.WaitGroup
		wishes := make([][]*wish, clients)
		for k := range clients {
			random := rand.New(rand.NewPCG(r.Uint64(), uint64(k)))
			all.Go(func() {
				for i := range each {
					s := random.IntN(streams)
					w := &wish{stream: fmt.Sprintf("member-m%d", s), name: fmt.Sprintf("N%d", random.IntN(4)), ifMatch: -1, keyed: random.IntN(2) == 0, since: told[s].Load()}
					headers := []string{"X-Correlation-Id: " + fmt.Sprint(k, " ", i)}
					if random.IntN(4) == 0 {
						w.ifMatch = w.since
						headers = append(headers, fmt.Sprintf(`If-Match: "%d"`, w.since))
					}
					if w.keyed {
						headers = append(headers, fmt.Sprintf("Idempotency-Key: %d %d", k, i))
					}
					for try := 0; ; try++ {
						a := processes[random.IntN(len(processes))].Post("/members/"+event.StreamID(w.stream)+"/rename", fmt.Sprintf(`{"name":%q}`, w.name), headers...)
						w.answers = append(w.answers, a)
						if a.Status == 200 {
							raise(&told[s], revisionOf(a))
						}
						if !w.keyed || a.Status != 503 && random.IntN(4) > 0 || try > 200 {
							break
						}
					}
					wishes[k] = append(wishes[k], w)
				}
			})
		}
		all.Wait()
		faults.Store(0)
		judgeSerial(t, log, wishes)
	})
}

func growTo(t *testing.T, log *fakeLog, stream string, n int) {
	t.Helper()
	for i := range n {
		e := event.Proposed{ID: uuid.New(), Type: "member.renamed.v1", Data: fmt.Appendf(nil, `{"name":"old %d"}`, i)}
		if i == 0 {
			e.Type = "member.registered.v1"
		}
		if _, err := log.History.Append(t.Context(), stream, int64(i)-1, []event.Proposed{e}); err != nil {
			t.Fatal(err)
		}
	}
}

// faultsOf lets so many in ten operations fail, some of which happened all the same.
func faultsOf(log *fakeLog, seed uint64, often int) *atomic.Int64 {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 1))
	var rate atomic.Int64
	rate.Store(int64(often))
	draw := func() (bool, bool) {
		mu.Lock()
		defer mu.Unlock()
		return int64(random.IntN(10)) < rate.Load(), random.IntN(2) == 0
	}
	log.onRead = func(string) error {
		if failed, _ := draw(); failed {
			return event.ErrUnavailable
		}
		return nil
	}
	log.onAppend = func(string, []event.Proposed) fault {
		if failed, persist := draw(); failed {
			return fault{err: event.ErrUnavailable, persist: persist}
		}
		return fault{}
	}
	return &rate
}

func raise(n *atomic.Int64, to int64) {
	for {
		was := n.Load()
		if was >= to || n.CompareAndSwap(was, to) {
			return
		}
	}
}

func revisionOf(a commandtest.Answer) int64 {
	n, err := strconv.ParseInt(strings.Trim(a.Header.Get("ETag"), `"`), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// judgeSerial holds the answers against the log.
func judgeSerial(t *testing.T, log *fakeLog, wishes [][]*wish) {
	type place struct {
		name   string
		effect string // of which command; "" for what was there before
	}
	places := map[string][]place{}
	effects := map[string]int64{} // by command: where
	for _, e := range log.Events() {
		if event.Category(e.Stream) != "member" {
			continue
		}
		var data struct{ Name string }
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		id := e.Meta().CorrelationID
		if held := places[e.Stream]; id != "" && held[len(held)-1].name == data.Name {
			t.Errorf("%s@%d renames to the name it has", e.Stream, e.Revision)
		}
		if at, twice := effects[id]; twice && id != "" {
			t.Errorf("command %s has effects at %d and %d", id, at, e.Revision)
		}
		effects[id] = e.Revision
		places[e.Stream] = append(places[e.Stream], place{data.Name, id})
	}
	acknowledged := 0
	for k, of := range wishes {
		for i, w := range of {
			id := fmt.Sprint(k, " ", i)
			at, effect := effects[id]
			var first *commandtest.Answer
			for _, a := range w.answers {
				revision := revisionOf(a)
				switch {
				case a.Status == 503:
					continue
				case revision < w.since:
					t.Errorf("%s %s: %d at %d, when %d was known to exist", id, w.stream, a.Status, revision, w.since)
				case a.Status == 412:
					if w.ifMatch == revision || w.ifMatch < 0 || places[w.stream][revision].name == w.name {
						t.Errorf("%s: a mismatch of %d at %d, where the name is %s", id, w.ifMatch, revision, places[w.stream][revision].name)
					}
					continue
				case a.Status != 200:
					t.Errorf("%s: %d %s", id, a.Status, a.Body)
					continue
				case first != nil && !a.Equal(*first):
					t.Errorf("%s: answers %+v and %+v", id, *first, a)
				case effect && at != revision:
					t.Errorf("%s: effect at %d, answer %d", id, at, revision)
				case places[w.stream][revision].name != w.name:
					t.Errorf("%s: answer %d, where the name is %s, not %s", id, revision, places[w.stream][revision].name, w.name)
				case w.ifMatch >= 0 && effect && at != w.ifMatch+1:
					t.Errorf("%s: effect at %d in spite of If-Match %d", id, at, w.ifMatch)
				}
				first = &a
			}
			if first != nil {
				acknowledged++
			}
		}
	}
	if acknowledged < 100 {
		t.Errorf("only %d commands were acknowledged", acknowledged)
	}
}
