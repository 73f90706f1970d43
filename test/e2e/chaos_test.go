package e2e_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/test/program"
	"jangbu/test/servers"
)

// Under load, everything but the query API is killed with -9, again and again, several at once: two projectors with the relay
// and the sweep in one of them, Redis, the SNS/SQS endpoint, the event store and the command API. Whatever a reader is answered
// meanwhile is whole; in the end the views are the fold of the log, and each command has been done once.
//
// It goes on for JANGBU_TEST_CHAOS_SECONDS, 15 if that is not set. JANGBU_TEST_SEED repeats what is killed, and when.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: long")
	}
	type redis struct {
		name string
		args []string
	}
	for _, redis := range oneUnderRace([]redis{
		{"redis-server with an append-only file", []string{"--appendonly", "yes", "--appendfsync", "everysec"}},
		{"redis-server without persistence", nil},
	}) {
		t.Run(redis.name, func(t *testing.T) {
			t.Parallel()
			newChaos(t, servers.StartRedis(t, redis.args...)).run(t)
		})
	}
}

type chaos struct {
	*shop
	redis  *servers.RedisProcess
	random *rand.Rand
	killed map[string]int
}

func newChaos(t *testing.T, redis *servers.RedisProcess) *chaos {
	t.Helper()
	seed := seedOf(t)
	s := &shop{data: t.TempDir(), launch: program.AsProcess}
	stack, bus := s.startStack(t, "event store", s.data), s.startStack(t, "bus", t.TempDir())
	s.eventstore, s.aws, s.redis = stack.Line(t, &stack.Stderr, "EVENTSTORE_URL="), bus.Line(t, &bus.Stderr, "AWS_ENDPOINT_URL="), redis.URL()
	s.startServices(t)
	s.health = append(s.health, s.startProjector(t, "second projector").Ready(t))
	return &chaos{shop: s, redis: redis, random: rand.New(rand.NewPCG(seed, 0)), killed: map[string]int{}}
}

func (c *chaos) run(t *testing.T) {
	c.importFolder(t, demo)
	known := c.wantFold(t)
	known.withoutTotals()
	readers := c.readers(known, wholeOrAway(t, known))
	writers := c.writers(t, "chaos")
	end := time.Now().Add(chaosTime(t))
	for c.round(t, math.MaxInt); time.Now().Before(end); { // all at first
		c.round(t, 1+c.random.IntN(3))
	}
	rounds, reads := writers.end(t), readers.end(t)
	c.awaitReady(t)
	c.wantFold(t)
	c.wantDoneOnce(t, "chaos", rounds)
	t.Logf("%d rounds of writes, %d reads; killed: %v", rounds, reads, c.killed)
}

func chaosTime(t *testing.T) time.Duration {
	t.Helper()
	set := os.Getenv("JANGBU_TEST_CHAOS_SECONDS")
	if set == "" {
		return 15 * time.Second
	}
	seconds, err := strconv.ParseFloat(set, 64)
	if err != nil {
		t.Fatalf("JANGBU_TEST_CHAOS_SECONDS: %v", err)
	}
	return time.Duration(seconds * float64(time.Second))
}

// round kills so many of all there is, starts them again, and lets the load go on for a while.
func (c *chaos) round(t *testing.T, kills int) {
	t.Helper()
	const redis = "redis-server"
	names := append(slices.Sorted(maps.Keys(c.programs)), redis)
	names = slices.DeleteFunc(names, func(name string) bool { return name == "query" })
	c.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	victims := names[:min(kills, len(names))]
	for _, name := range victims {
		if name == redis {
			c.redis.Kill()
		} else {
			c.programs[name].Kill(t)
		}
		c.killed[name]++
		c.pass(300 * time.Millisecond)
	}
	for _, name := range victims {
		if name == redis {
			c.redis.Start()
		} else {
			c.restart(t, name)
		}
		c.pass(300 * time.Millisecond)
	}
	c.pass(2 * time.Second)
}

// pass is a random while at most that long. It waits for nothing: when the next kill comes is chance.
func (c *chaos) pass(most time.Duration) { <-time.After(time.Duration(c.random.Int64N(int64(most)))) }

// wantDoneOnce requires of every command of so many rounds of the writers, however often it was repeated, that the log has just
// one event of it.
func (s *shop) wantDoneOnce(t *testing.T, prefix string, rounds int64) {
	t.Helper()
	have := map[string]int{}
	for _, e := range s.readLog(t) {
		what := e.Stream + " " + e.Type
		if e.Type == "member.renamed.v1" {
			what = "rename " + string(e.Data)
		}
		have[what]++
	}
	want := func(what string) {
		t.Helper()
		if have[what] != 1 {
			t.Errorf("done %d times: %s", have[what], what)
		}
	}
	for i := range rounds {
		i++
		id := fmt.Sprintf("%s-%d", prefix, i)
		want(order.Stream(id) + " order.placed.v2")
		if i%5 == 0 {
			want(member.Stream(id) + " member.registered.v1")
		}
		switch i % 4 {
		case 0:
			want(order.Stream(id) + " order.cancelled.v1")
		case 1:
			want(fmt.Sprintf(`rename {"name":"Renamed %d"}`, i))
		default:
			want(order.Stream(id) + " order.shipped.v1")
		}
	}
}
