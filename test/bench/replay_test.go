package bench_test

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/eventstore"
	"jangbu/infra/readmodel"
	"jangbu/projector"
	"jangbu/query/view"
	"jangbu/test/program"
	"jangbu/test/servers"
	"jangbu/test/shopgen"
)

// BenchmarkReplay replays a log into all views, by the CLI: at first, and once more, verified against the generation before.
//
//	events/s   of the log, of the first replay
//	of-drain   that, as a part of the rate at which the client alone reads the log
//	of-spared  the same, but the client's collector runs as seldom as the replay's does
//	x-single   that, as a multiple of the same done event by event
//	verified   events/s of the second replay, as a part of the first
//	MB         most memory that a replay held
func BenchmarkReplay(b *testing.B) {
	for _, size := range sizes(b, "JANGBU_BENCH_EVENTS", "1000000") {
		b.Run(fmt.Sprintf("events=%d", size), func(b *testing.B) {
			_, url, _ := stack(b, program.Written(b, shopgen.Config{Seed: 1, Events: size}))
			store := client(b, url)
			drain(b, store) // brings the log into memory
			for b.Loop() {
				redis := servers.RedisServer(b)
				events, drained := drain(b, store)
				spared := drainSparing(b, store)
				first, memory := replay(b, url, redis, events)
				second, more := replay(b, url, redis, events)
				single := oneByOne(b, store, servers.RedisServer(b))
				b.ReportMetric(first, "events/s")
				b.ReportMetric(first/drained, "of-drain")
				b.ReportMetric(first/spared, "of-spared")
				b.ReportMetric(first/single, "x-single")
				b.ReportMetric(second/first, "verified")
				b.ReportMetric(max(memory, more), "MB")
			}
		})
	}
}

// drain reads the whole log, and does nothing with it.
func drain(b *testing.B, store *eventstore.Store) (events int, perSecond float64) {
	b.Helper()
	began := time.Now()
	for _, err := range store.ReadAll(b.Context(), event.Position{}) {
		must(b, err)
		events++
	}
	return events, rate(events, began)
}

// drainSparing is drain with the replay's percentage of the collector; the replay's memory limit a client never comes near. One that keeps
// nothing collects its small heap all the time, if nobody tells it otherwise.
func drainSparing(b *testing.B, store *eventstore.Store) (perSecond float64) {
	b.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	_, perSecond = drain(b, store)
	return perSecond
}

func replay(b *testing.B, eventstoreURL, redisURL string, events int) (perSecond, memory float64) {
	b.Helper()
	began := time.Now()
	p := program.AsProcess(b, "replay", "--all", "--eventstore-url", eventstoreURL, "--redis-url", redisURL)
	watch := time.NewTicker(100 * time.Millisecond) // the system's own figure of an ended process is not below that of its parent
	defer watch.Stop()
	for running := true; running; {
		select {
		case <-watch.C:
			memory = max(memory, float64(p.Memory("VmHWM")))
		case <-p.Ended:
			running = false
		}
	}
	if p.Code != 0 {
		b.Fatalf("exit code %d: %s", p.Code, p.Stderr.String())
	}
	return rate(events, began), memory
}

var errEnough = errors.New("enough")

// oneByOne folds the log into all views with no batches, for ten seconds.
func oneByOne(b *testing.B, store *eventstore.Store, redisURL string) (perSecond float64) {
	b.Helper()
	model, err := readmodel.Open(redisURL, readmodel.Config{})
	must(b, err)
	defer model.Close()
	var appliers []*projector.Applier
	for _, v := range view.All() {
		build, err := model.Begin(b.Context(), v.Name, v.Version, uuid.NewString())
		must(b, err)
		appliers = append(appliers, projector.NewApplier(v, build.Generation, model, store))
	}
	ctx, cancel := context.WithTimeoutCause(b.Context(), 10*time.Second, errEnough)
	defer cancel()
	began, events := time.Now(), 0
	for e, err := range store.ReadAll(b.Context(), event.Position{}) {
		must(b, err)
		for i, v := range view.All() {
			if _, ok := v.Source(e.Stream); !ok {
				continue
			}
			if err := appliers[i].Apply(ctx, []event.Recorded{e}); context.Cause(ctx) == errEnough {
				return rate(events, began)
			} else {
				must(b, err)
			}
		}
		events++
	}
	return rate(events, began)
}
