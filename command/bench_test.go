package command_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/eventstore"
)

const benchCallers = 64

// bare is a loop of AppendToStream by the esdb client alone: one event of an order's size, to a new stream each time.
func bare(b *testing.B, server *eventstoredb.Server) func(int64) bool {
	b.Helper()
	settings, err := esdb.ParseConnectionString(server.URL())
	if err != nil {
		b.Fatal(err)
	}
	settings.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(settings)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = client.Close() })
	options := esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}
	return func(int64) bool {
		_, err := client.AppendToStream(context.Background(), "bare-"+uuid.NewString(), options,
			esdb.EventData{EventID: uuid.New(), EventType: "bare.v1", ContentType: esdb.ContentTypeJson, Data: make([]byte, 400), Metadata: make([]byte, 200)})
		return err == nil
	}
}

// contender is one way of writing.
type contender struct {
	name string
	do   func(i int64) bool
}

// race lets the contenders take turns, b.N operations each from all callers at once, and reports of each the rate, its part of the
// first one's, and the 99th percentile of what an operation took.
func race(b *testing.B, contenders ...contender) {
	const turns = 4
	took := make([]time.Duration, len(contenders))
	latencies := make([][]time.Duration, len(contenders))
	var n atomic.Int64
	b.ResetTimer()
	for range turns {
		for k, c := range contenders {
			begin := time.Now()
			latencies[k] = append(latencies[k], fromAllCallers(b, max(1, b.N/turns/benchCallers), func() bool { return c.do(n.Add(1)) })...)
			took[k] += time.Since(begin)
		}
	}
	rate := func(k int) float64 { return float64(len(latencies[k])) / took[k].Seconds() }
	for k, c := range contenders {
		slices.Sort(latencies[k])
		b.ReportMetric(rate(k), c.name+"/s")
		b.ReportMetric(rate(k)/rate(0), c.name+"-part")
		b.ReportMetric(float64(latencies[k][len(latencies[k])*99/100].Microseconds())/1000, c.name+"-p99-ms")
	}
	b.ReportMetric(0, "ns/op")
}

func fromAllCallers(b *testing.B, each int, do func() bool) []time.Duration {
	latencies := make([][]time.Duration, benchCallers)
	var all sync.WaitGroup
	for i := range benchCallers {
		all.Go(func() {
			for range each {
				begin := time.Now()
				if !do() {
					b.Error("refused")
					return
				}
				latencies[i] = append(latencies[i], time.Since(begin))
			}
		})
	}
	all.Wait()
	return slices.Concat(latencies...)
}

// BenchmarkPlaceOrder posts orders from 64 callers, beside the bare loop. Run it with -benchtime 20000x.
func BenchmarkPlaceOrder(b *testing.B) {
	store, server := embeddedStore(b)
	c := commandtest.NewClient(b, store, command.Config{})
	c.Shop()
	const order = `{"member_id":"vinet","lines":[{"product_id":"queso","quantity":1},{"product_id":"apples","quantity":2}]}`
	keys := uuid.NewString()
	race(b,
		contender{"bare", bare(b, server)},
		contender{"order", func(int64) bool { return c.Post("/orders", order).Status == 201 }},
		contender{"keyed", func(i int64) bool {
			return c.Post("/orders", order, fmt.Sprintf("Idempotency-Key: %s %d", keys, i)).Status == 201
		}})
}

// BenchmarkHotStream restocks one product from 64 callers: in rows, one by one, and in two processes, whose rows meet on the log.
func BenchmarkHotStream(b *testing.B) {
	store, server := embeddedStore(b)
	rows := commandtest.NewClient(b, store, command.Config{MaxAttempts: 1000})
	rows.Shop()
	second := commandtest.NewClient(b, store, command.Config{MaxAttempts: 1000})
	single := commandtest.NewClient(b, store, command.Config{MaxAttempts: 1000, MaxRow: 1})
	keys := uuid.NewString()
	restock := func(c *commandtest.Client, product string, headers ...string) bool {
		return c.Post("/products/"+product+"/restock", `{"quantity":1}`, headers...).Status == 200
	}
	key := func(i int64) string { return fmt.Sprintf("Idempotency-Key: %s %d", keys, i) }
	race(b,
		contender{"bare", bare(b, server)},
		contender{"rows", func(int64) bool { return restock(rows, "queso") }},
		contender{"keyed-rows", func(i int64) bool { return restock(rows, "queso", key(i)) }},
		contender{"one-by-one", func(int64) bool { return restock(single, "apples") }},
		contender{"keyed-one-by-one", func(i int64) bool { return restock(single, "apples", key(i)) }},
		contender{"two-processes", func(i int64) bool { return restock([]*commandtest.Client{rows, second}[i%2], "chai") }})
}

// BenchmarkColdLoad decides on streams that no memory holds: two of each kind, by turns, in a cache for one. The snapshot is of the
// last event, or as old as snapshots are on average.
func BenchmarkColdLoad(b *testing.B) {
	const none = -1
	store, _ := embeddedStore(b)
	for _, test := range []struct{ events, behind int }{
		{100, none},
		{1_000, none}, {1_000, 0}, {1_000, command.DefaultSnapshotEvery / 2},
		{10_000, none}, {10_000, 0}, {10_000, command.DefaultSnapshotEvery / 2},
		{100_000, 0}, {100_000, command.DefaultSnapshotEvery / 2},
	} {
		cfg, name := command.Config{Cache: 1}, fmt.Sprintf("events=%d/snapshot-behind=%d", test.events, test.behind)
		if test.behind == none {
			cfg.SnapshotEvery, name = 1<<30, fmt.Sprintf("events=%d/no-snapshot", test.events)
		}
		c := commandtest.NewClient(b, store, cfg)
		// The name is the one that it has: nothing is appended.
		rename := func(id string, to int) { c.Must("/members/"+id+"/rename", fmt.Sprintf(`{"name":"%d"}`, to)) }
		var ids [2]string
		for i := range ids {
			ids[i] = fmt.Sprintf("%d-%d-%d", test.events, test.behind, i)
			seen := test.events - max(0, test.behind)
			grow(b, store, "member-"+ids[i], seen)
			if test.behind != none {
				rename(ids[i], seen-1)
				waitForSnapshot(b, store, "member-"+ids[i])
				growOn(b, store, "member-"+ids[i], seen, test.events)
			}
		}
		b.Run(name, func(b *testing.B) {
			for i := range b.N {
				rename(ids[i%2], test.events-1)
			}
		})
	}
}

func waitForSnapshot(b *testing.B, store *eventstore.Store, stream string) {
	b.Helper()
	for {
		if _, err := store.Last(b.Context(), command.SnapshotCategory+"-"+stream); err == nil {
			return
		}
	}
}
