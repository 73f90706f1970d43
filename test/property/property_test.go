// Package property_test drives random commands through the real relay, bus, consumers, sweep and read model, in a bubble of
// synthetic time (testing/synctest), so that leases, visibility timeouts and backoffs cost nothing and thousands of histories
// fit in minutes. Meanwhile the SNS/SQS endpoint duplicates, reorders, delays, drops and fails, processes are killed between any
// two of their steps and started again, replays run and are killed, the endpoint forgets everything, and Redis is emptied or goes
// back to an old backup. In the end every view must equal the fold of the log, byte for byte. A few such histories run in
// real time, too, over a real redis-server and a Redis Cluster.
//
// JANGBU_TEST_SEED repeats one history: its commands, faults and kills; how goroutines interleave in it remains Go's
// choice, so a rare failure may take some -count to come again. JANGBU_TEST_SEEDS says how many histories to run.
package property_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"jangbu/command"
	"jangbu/domain/event"
	"jangbu/infra/embedded/snssqs"
	"jangbu/infra/readmodel"
	"jangbu/infra/web"
	"jangbu/query/view"
	"jangbu/test/books"
	"jangbu/test/folded"
	"jangbu/test/history"
)

// TestMain spares the processes of the histories, thousands of them, from reading certificates that they do not need.
func TestMain(m *testing.M) {
	if err := os.Unsetenv("AWS_CA_BUNDLE"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestViewsEqualTheLog(t *testing.T) {
	history.Seeds(t, 40, func(t *testing.T, r *rand.Rand) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			newRun(t, r, newBubbleRedis(t), bubble{}).play(4 + r.IntN(11))
		})
	})
}

// run is one history.
type run struct {
	*testing.T
	*rand.Rand
	world   *world
	api     *echo.Echo
	workers []worker
	fulfils bool // one of the workers is fulfilment; else orders stay as they were placed, unless they are manual
	replays []*process
	orders  int
	told    []string
	wrong   []error // with the books, when they were last looked at
}

// worker is a process that comes back after it was killed.
type worker struct {
	*process
	name string
	run  func(ctx context.Context, p *process) error
}

func newRun(t *testing.T, r *rand.Rand, redis redisServer, clock clock) *run {
	views := view.All()
	r.Shuffle(len(views), func(i, j int) { views[i], views[j] = views[j], views[i] })
	w := newWorld(t, views[:1+r.IntN(2)], redis, clock)
	api := web.New(web.Config{})
	command.New(client{&w.log, &life{}}, command.Config{}).Register(api)
	return &run{T: t, Rand: r, world: w, api: api}
}

// play takes steps, and then requires that all comes to agree with the log.
func (r *run) play(steps int) {
	defer func() {
		if r.Failed() {
			r.Log(strings.Join(r.told, "\n"), r.wrong)
		}
		r.stop()
	}()
	for i := range 1 + r.IntN(2) {
		r.hire(fmt.Sprintf("projector %d", i), r.world.projector)
	}
	if r.fulfils = r.IntN(3) == 0; r.fulfils {
		r.hire("fulfilment", r.world.fulfilment)
	}
	r.open()
	for range steps {
		r.step()
	}
	r.tell("peace")
	r.world.setFaults(snssqs.Faults{})
	for _, w := range r.workers {
		w.endAfter(-1)
	}
	r.revive()
	r.settle()
	r.stop()
	r.compare()
}

func (r *run) hire(name string, run func(ctx context.Context, p *process) error) {
	r.workers = append(r.workers, worker{r.world.start(r.T, run), name, run})
}

func (r *run) stop() {
	for _, w := range r.workers {
		w.stop()
	}
	for _, p := range r.replays {
		p.stop()
	}
}

func (r *run) tell(format string, args ...any) {
	r.told = append(r.told, fmt.Sprintf("%s %s", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...)))
}

// step does one thing of many.
func (r *run) step() {
	switch n := r.IntN(100); {
	case n < 45:
		for range 1 + r.IntN(4) {
			r.command()
			if r.IntN(4) == 0 {
				r.pass(time.Second)
			}
		}
	case n < 60:
		r.pass(6 * time.Second)
	case n < 70:
		r.world.setFaults(r.faults())
		r.tell("faults %+v", r.world.faults)
	case n < 84:
		w, steps := r.workers[r.IntN(len(r.workers))], 1+r.IntN(120)
		r.tell("%s is killed in %d steps", w.name, steps)
		w.endAfter(steps)
		r.revive()
	case n < 92:
		v, steps := r.world.views[r.IntN(len(r.world.views))], r.IntN(120)
		r.tell("replay of %s, killed in %d steps", v.Name, steps)
		p := r.world.start(r.T, r.world.replay(v))
		p.endAfter(steps)
		r.replays = append(r.replays, p)
	case n < 95:
		r.tell("the endpoint forgets everything")
		r.world.startBus(r.T, r.Uint64())
	case n < 97:
		r.tell("backup of Redis")
		r.world.redis.backup(r.T)
	default:
		r.tell("Redis is emptied, or restored")
		r.world.redis.restart(r.T)
	}
}

// pass lets some time pass, at most so much.
func (r *run) pass(most time.Duration) {
	d := time.Duration(r.Int64N(int64(most)))
	r.tell("%s pass", d)
	r.world.clock.pass(d)
}

// faults are none, or some of each kind.
func (r *run) faults() snssqs.Faults {
	p := func() float64 { return r.Float64() * r.Float64() * 0.6 }
	if r.IntN(4) == 0 {
		return snssqs.Faults{}
	}
	return snssqs.Faults{
		Duplicate: p(), Reorder: p(), Drop: p(), DelayMax: time.Duration(r.Int64N(int64(4 * time.Second))),
		FailPublish: p(), FailSend: p(), FailReceive: p(), FailDelete: p(), FailVisibility: p(), FailRequest: p(), DoneAnyway: r.Float64(),
	}
}

// revive starts a new process for each worker that has been killed.
func (r *run) revive() {
	for i, w := range r.workers {
		if w.ended() {
			r.tell("%s comes back", w.name)
			r.workers[i].process = r.world.start(r.T, w.run)
		}
	}
}

func (r *run) post(path, body string) int {
	key, status := fmt.Sprint(r.Uint64()), 0
	for range 1 + r.IntN(2) {
		request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", key)
		answer := httptest.NewRecorder()
		r.api.ServeHTTP(answer, request)
		status = answer.Code
		if status >= 500 {
			r.Fatalf("POST %s: %d %s", path, status, answer.Body)
		}
	}
	return status
}

// settle waits until fulfilment, if there is any, has done with every order, and the books balance; and then until every view is live, and verified up to
// the log's end.
func (r *run) settle() {
	read := -1
	r.world.clock.eventually(r.T, "the books balance", func() bool {
		r.revive() // a kill may be due
		if n := r.world.log.Len(); n != read {
			read = n
			r.wrong = r.books()
		}
		return len(r.wrong) == 0 || !r.fulfils
	})
	model := r.model()
	defer model.Close()
	head := r.world.log.Events()
	if len(head) == 0 {
		return
	}
	end := head[len(head)-1].Position
	for _, v := range r.world.views {
		r.world.clock.eventually(r.T, fmt.Sprintf("%s is verified up to %s", v.Name, end), func() bool {
			r.revive()
			registry, err := model.Registry(r.Context(), v.Name)
			return err == nil && registry.Live.Number > 0 && registry.At.Compare(end) >= 0
		})
	}
}

// books is all that is wrong with them.
func (r *run) books() []error {
	read, err := books.Read(r.world.log.ReadAll(r.Context(), event.Position{}))
	if err != nil {
		return []error{err}
	}
	return read.Check(time.Now(), payWithin, r.world.gateway.Balances())
}

// compare requires what readers find to be the fold.
func (r *run) compare() {
	model := r.model()
	defer model.Close()
	for _, v := range r.world.views {
		registry, err := model.Registry(r.Context(), v.Name)
		if err != nil {
			r.Fatal(err)
		}
		if parked, err := model.ParkedIn(r.Context(), registry.Live); err != nil || len(parked) > 0 {
			r.Errorf("parked in %s: %v, %v", v.Name, parked, err)
		}
		folded.Want(r.T, model, v, registry.Live, r.world.log.Events())
	}
}

func (r *run) model() *readmodel.Store {
	model, err := readmodel.Open(r.world.redis.url(), readmodel.Config{Dial: r.world.redis.dial})
	if err != nil {
		r.Fatal(err)
	}
	return model
}
