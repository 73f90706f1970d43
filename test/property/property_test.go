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
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"jangbu/command"
	"jangbu/infra/embedded/snssqs"
	"jangbu/infra/readmodel"
	"jangbu/infra/web"
	"jangbu/query/view"
	"jangbu/test/folded"
	"jangbu/test/history"
)

func TestViewsEqualTheLog(t *testing.T) {
	history.Seeds(t, 40, func(t *testing.T, r *rand.Rand) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			newRun(t, r, newBubbleRedis(t), bubble{}).play(5 + r.IntN(20))
		})
	})
}

// run is one history.
type run struct {
	*testing.T
	*rand.Rand
	world      *world
	api        *echo.Echo
	projectors []*process
	replays    []*process
	orders     int
	told       []string
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
			r.Log(strings.Join(r.told, "\n"))
		}
		for _, p := range append(r.projectors, r.replays...) {
			p.stop()
		}
	}()
	for range 1 + r.IntN(2) {
		r.projectors = append(r.projectors, r.world.start(r.T, r.world.projector))
	}
	for range steps {
		r.step()
	}
	r.tell("peace")
	r.world.setFaults(snssqs.Faults{})
	for _, p := range r.projectors {
		p.endAfter(-1)
	}
	r.revive()
	r.settle()
	for _, p := range append(r.projectors, r.replays...) {
		p.stop()
	}
	r.compare()
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
		}
	case n < 60:
		d := time.Duration(r.Int64N(int64(6 * time.Second)))
		r.tell("%s pass", d)
		r.world.clock.pass(d)
	case n < 70:
		r.world.setFaults(r.faults())
		r.tell("faults %+v", r.world.faults)
	case n < 84:
		i, steps := r.IntN(len(r.projectors)), 1+r.IntN(120)
		r.tell("projector %d is killed in %d steps", i, steps)
		r.projectors[i].endAfter(steps)
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

// revive starts a new projector for each that has been killed.
func (r *run) revive() {
	for i, p := range r.projectors {
		if p.ended() {
			r.tell("projector %d comes back", i)
			r.projectors[i] = r.world.start(r.T, r.world.projector)
		}
	}
}

// command POSTs one, which may be refused, and may be sent twice.
func (r *run) command() {
	m, p, o := fmt.Sprintf("M%d", r.IntN(3)), fmt.Sprintf("P%d", r.IntN(3)), fmt.Sprintf("O%d", r.IntN(r.orders+1))
	var path, body string
	switch r.IntN(12) {
	case 0, 1:
		path, body = "/members", fmt.Sprintf(`{"id":%q,"name":"Name of %s","country":"Peru"}`, m, m)
	case 2, 3:
		path, body = "/products", fmt.Sprintf(`{"id":%q,"name":"Name of %s","category":"C%d","price":%d,"currency":"USD"}`, p, p, r.IntN(2), r.IntN(1000))
	case 4:
		path, body = "/members/"+m+"/rename", fmt.Sprintf(`{"name":"%s, once more <%d>"}`, m, r.IntN(100))
	case 5:
		path, body = "/products/"+p+"/reprice", fmt.Sprintf(`{"price":%d}`, r.IntN(1000))
	case 6:
		path, body = "/orders/"+o+"/cancel", `{"reason":"changed my mind"}`
	case 7:
		path, body = "/orders/"+o+"/ship", `{"carrier":"Post"}`
	default:
		path = "/orders"
		body = fmt.Sprintf(`{"id":%q,"member_id":%q,"manual":true,"lines":[{"product_id":%q,"quantity":%d}],"placed_on":"2026-%02d-11"}`, o, m, p, 1+r.IntN(9), 1+r.IntN(12))
	}
	status := r.post(path, body)
	r.tell("POST %s %s: %d", path, body, status)
	if path == "/orders" && status == http.StatusCreated {
		r.orders++
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

// settle waits until every view is live, and verified up to the log's end.
func (r *run) settle() {
	model := r.open()
	defer model.Close()
	head := r.world.log.Events()
	if len(head) == 0 {
		return
	}
	end := head[len(head)-1].Position
	for _, v := range r.world.views {
		r.world.clock.eventually(r.T, fmt.Sprintf("%s is verified up to %s", v.Name, end), func() bool {
			r.revive() // a kill may be due
			registry, err := model.Registry(r.Context(), v.Name)
			return err == nil && registry.Live.Number > 0 && registry.At.Compare(end) >= 0
		})
	}
}

// compare requires what readers find to be the fold.
func (r *run) compare() {
	model := r.open()
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

func (r *run) open() *readmodel.Store {
	model, err := readmodel.Open(r.world.redis.url(), readmodel.Config{Dial: r.world.redis.dial})
	if err != nil {
		r.Fatal(err)
	}
	return model
}
