package command_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/domain/event"
)

// queue is a stream whose first append is held, so that what comes meanwhile gathers in its line, in a known order.
type queue struct {
	*testing.T
	log     *fakeLog
	client  *commandtest.Client
	release func()
	appends []int // events of each append to the stream
	answers []chan commandtest.Answer
}

const heldStream = "member-m"

// newQueue must run in a bubble. The first rename, to "first", is already on its way; its events stand at revision 1.
func newQueue(t *testing.T, cfg command.Config) *queue {
	q := &queue{T: t, log: &fakeLog{}}
	q.client = commandtest.NewClient(t, q.log, cfg)
	q.client.Must("/members", `{"id":"m","name":"A"}`)
	hold := make(chan struct{})
	q.release = sync.OnceFunc(func() { close(hold) })
	q.log.onAppend = func(stream string, events []event.Proposed) fault {
		if stream == heldStream {
			q.appends = append(q.appends, len(events))
			<-hold
		}
		return fault{}
	}
	q.rename("first")
	return q
}

func (q *queue) rename(name string, headers ...string) { q.renameBy(q.Context(), name, headers...) }

// renameBy puts a rename in line.
func (q *queue) renameBy(ctx context.Context, name string, headers ...string) {
	answer := make(chan commandtest.Answer, 1)
	q.answers = append(q.answers, answer)
	go func() {
		answer <- q.client.DoContext(ctx, http.MethodPost, "/members/m/rename", fmt.Sprintf(`{"name":%q}`, name),
			append(headers, "Content-Type: application/json")...)
	}()
	synctest.Wait()
}

func (q *queue) names() []string {
	var names []string
	for _, e := range q.log.Stream(heldStream) {
		names = append(names, string(e.Data))
	}
	return names
}

// TestRow: what gathers while an append is under way is decided in its order and appended at once; each has its own answer, and
// none has one before the row has landed.
func TestRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, command.Config{})
		q.rename("B")
		q.rename("B")                  // changes nothing
		q.rename("B", `If-Match: "9"`) // likewise
		q.rename("C", `If-Match: "2"`)
		q.rename("D", `If-Match: "2"`) // was C's
		q.rename("")
		q.rename("C", "Idempotency-Key: nothing")
		q.rename("E", "Idempotency-Key: something")
		q.rename("E", "Idempotency-Key: something", `If-Match: "9"`) // the same request
		q.rename("first", "Idempotency-Key: alone")                  // changes nothing on the row's base
		q.rename("F")
		for i, answer := range q.answers {
			if len(answer) > 0 {
				t.Errorf("command %d is answered before anything has landed: %+v", i, <-answer)
			}
		}
		q.release()
		for i, want := range []struct {
			status   int
			revision string
		}{{200, "1"}, {200, "2"}, {200, "2"}, {200, "2"}, {200, "3"}, {412, "3"}, {422, ""}, {200, "3"}, {200, "4"}, {200, "4"}, {200, "5"}, {200, "6"}} {
			a := <-q.answers[i]
			if etag := a.Header.Get("ETag"); a.Status != want.status || want.revision != "" && etag != `"`+want.revision+`"` {
				t.Errorf("command %d: %d %s %s, want %v", i, a.Status, etag, a.Body, want)
			}
		}
		if want := []int{1, 3, 2}; !slices.Equal(q.appends, want) {
			t.Errorf("appends of %v events, want %v", q.appends, want)
		}
	})
}

// TestKeyBehindOthersOfARow: a keyed command that has an effect only behind another of its row. While that is being appended, the
// same request comes to another process, which sees only what has landed: there is nothing to do. Both answer alike.
func TestKeyBehindOthersOfARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, command.Config{})
		q.rename("B")
		q.rename("first", "Idempotency-Key: k")
		second := make(chan struct{})
		q.log.onAppend = func(stream string, _ []event.Proposed) fault {
			if stream == heldStream {
				<-second
			}
			return fault{}
		}
		q.release()
		synctest.Wait()
		other := commandtest.NewClient(t, q.log, command.Config{}).Post("/members/m/rename", `{"name":"first"}`, "Idempotency-Key: k")
		close(second)
		if d := other.Done(t); d.Revision != 1 {
			t.Errorf("%+v", d)
		}
		if a := <-q.answers[2]; !a.Equal(other) {
			t.Errorf("two answers:\n%+v\n%+v", a, other)
		}
	})
}

// TestRowIsBounded: by commands, by events' weight, and by Config.MaxRow.
func TestRowIsBounded(t *testing.T) {
	for _, c := range []struct {
		name    string
		cfg     command.Config
		waiting int
		most    int
	}{
		{"by its length", command.Config{}, 600, 256},
		{"by the configuration", command.Config{MaxRow: 3}, 20, 3},
		{"one by one", command.Config{MaxRow: 1}, 5, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(t, c.cfg)
				for i := range c.waiting {
					q.rename(fmt.Sprint("name ", i))
				}
				q.release()
				for i, answer := range q.answers {
					if d := (<-answer).Done(t); d.Revision != int64(i)+1 {
						t.Errorf("command %d: %+v", i, d)
					}
				}
				if longest := slices.Max(q.appends); longest != c.most {
					t.Errorf("rows of %v events, want %d", q.appends, c.most)
				}
			})
		})
	}
}

// TestRowByWeight: a row stays below what an event store takes in one append.
func TestRowByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		c := commandtest.NewClient(t, log, command.Config{})
		hold := make(chan struct{})
		heaviest, appends := 0, 0
		var all sync.WaitGroup
		log.onAppend = func(stream string, events []event.Proposed) fault {
			if stream != "product-p" {
				return fault{}
			}
			appends++
			weight := 0
			for _, e := range events {
				weight += len(e.Type) + len(e.Data) + len(e.Metadata)
			}
			heaviest = max(heaviest, weight)
			<-hold
			return fault{}
		}
		all.Go(func() {
			c.Must("/products", `{"id":"p","name":"A","category":"B","price":1,"currency":"USD"}`)
		})
		synctest.Wait()
		for i := range 250 {
			all.Go(func() {
				c.Must("/products/p/reprice", fmt.Sprintf(`{"price":%d}`, 2+i), fmt.Sprintf("X-Correlation-Id: %0128d", i))
			})
		}
		synctest.Wait()
		close(hold)
		all.Wait()
		if heaviest > 1<<20 || appends < 2 {
			t.Errorf("%d appends, the heaviest of %d bytes", appends, heaviest)
		}
	})
}

// TestClientsLeave: the client whose command opened the row leaves, and one whose command waits. The others are served; a command
// is carried out if its row had begun when its client left.
func TestClientsLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		c := commandtest.NewClient(t, log, command.Config{})
		c.Must("/members", `{"id":"m","name":"A"}`)
		hold := make(chan struct{})
		log.onAppend = func(string, []event.Proposed) fault { <-hold; return fault{} }
		q := &queue{T: t, log: log, client: c}
		first, leave := context.WithCancel(t.Context())
		q.renameBy(first, "first")
		second, leaveToo := context.WithCancel(t.Context())
		q.renameBy(second, "second")
		q.rename("third")
		leave()
		leaveToo()
		for i := range 2 {
			wantProblem(t, <-q.answers[i], 503, "unavailable")
		}
		close(hold)
		if d := (<-q.answers[2]).Done(t); d.Revision != 2 {
			t.Errorf("%+v", d)
		}
		if names := q.names()[1:]; !slices.Equal(names, []string{`{"name":"first"}`, `{"name":"third"}`}) {
			t.Errorf("the stream holds %v", names)
		}
	})
}

// TestTimeoutInLine: a command that waits in line for longer than a command may take is answered, and not carried out.
func TestTimeoutInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, command.Config{Timeout: time.Second})
		q.rename("late")
		time.Sleep(2 * time.Second)
		for _, answer := range q.answers {
			wantProblem(t, <-answer, 503, "unavailable")
		}
		q.release()
		synctest.Wait()
		if n := len(q.log.Stream(heldStream)); n != 1 {
			t.Errorf("%d events: %v", n, q.names())
		}
	})
}
