package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"jangbu/domain/event"
	"jangbu/infra/bus"
	"jangbu/infra/embedded/snssqs"
)

func benchEvents(n int) []event.Recorded {
	events := make([]event.Recorded, n)
	for i := range events {
		events[i] = event.Recorded{
			ID: uuid.New(), Stream: fmt.Sprintf("order-%d", i), Revision: int64(i), Type: "order.placed.v1", Time: time.Now(),
			Position: event.Position{Commit: uint64(i), Prepare: uint64(i)},
			Data: []byte(`{"order_id":"10248","member_id":"VINET","placed_on":"1996-07-04","lines":[{"product_id":"11","name":"Queso Cabrales","category":"Dairy Products","unit_price":1400,"quantity":12,"discount_percent":0},` +
				`{"product_id":"42","name":"Singaporean Hokkien Fried Mee","category":"Grains/Cereals","unit_price":980,"quantity":10,"discount_percent":0}],"shipping_fee":3238,"currency":"USD","ship_to":{"name":"Vins et alcools","city":"Reims","country":"France"}}`),
			Metadata: []byte(`{"command_id":"5b1f0a0c-8f7e-5d2b-9a61-0d6d6c1f9c11","$correlationId":"5b1f0a0c-8f7e-5d2b-9a61-0d6d6c1f9c11","$causationId":"5b1f0a0c-8f7e-5d2b-9a61-0d6d6c1f9c11","actor":"import"}`),
		}
	}
	return events
}

// BenchmarkThroughput takes events the whole way, client and server in one process: published in batches by one relay,
// received and deleted by four workers of each view. An op is one event reaching every view.
func BenchmarkThroughput(b *testing.B) {
	for _, views := range []int{1, 4} {
		b.Run(fmt.Sprintf("views=%d", views), func(b *testing.B) { benchThroughput(b, views) })
	}
}

func benchThroughput(b *testing.B, views int) {
	const relayBatch, relayInFlight, workers = 10, 8, 4 // as in projector
	server, err := snssqs.Start(snssqs.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	bus, subs := benchBus(b, server.URL(), views)
	events := benchEvents(relayBatch)
	var wg sync.WaitGroup
	worked := processorTime(b)
	b.ReportAllocs()
	b.ResetTimer()
	for _, sub := range subs {
		var left atomic.Int64
		left.Store(int64(b.N))
		ctx, cancel := context.WithCancel(b.Context()) // ends the polls that wait for more when all have come
		defer cancel()
		q := bus.Queue(sub.View)
		for range workers {
			wg.Go(func() {
				for left.Load() > 0 {
					ds, err := q.Receive(ctx, 10, 20*time.Second)
					if ctx.Err() != nil {
						return
					}
					if err == nil {
						err = q.Delete(b.Context(), ds)
					}
					if err != nil {
						b.Error(err)
						return
					}
					if left.Add(-int64(len(ds))) <= 0 {
						cancel()
					}
				}
			})
		}
	}
	var calls errgroup.Group
	calls.SetLimit(relayInFlight)
	for sent := 0; sent < b.N; sent += relayBatch {
		calls.Go(func() error { return errors.Join(bus.Publish(b.Context(), events[:min(relayBatch, b.N-sent)])...) })
	}
	if err := calls.Wait(); err != nil {
		b.Fatal(err)
	}
	published := b.Elapsed()
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(b.N)/published.Seconds(), "published/s")
	b.ReportMetric(float64((processorTime(b)-worked).Microseconds())/float64(b.N), "cpu-µs/event")
}

// processorTime is what this process has used: a measure that a busy machine leaves alone.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func benchBus(b *testing.B, url string, views int) (*bus.Bus, []bus.Subscription) {
	b.Helper()
	client, err := bus.Connect(b.Context(), bus.Config{Endpoint: url})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	var subs []bus.Subscription
	for i := range views {
		subs = append(subs, bus.Subscription{View: fmt.Sprintf("view%d", i), Categories: []string{"order", "member"}})
	}
	if _, err := client.Provision(b.Context(), subs); err != nil {
		b.Fatal(err)
	}
	return client, subs
}

// BenchmarkLatency is one event at a time, from Publish to a waiting Receive.
func BenchmarkLatency(b *testing.B) {
	server, err := snssqs.Start(snssqs.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	bus, _ := benchBus(b, server.URL(), 1)
	events := benchEvents(1)
	got := make(chan struct{})
	q := bus.Queue("view0")
	go func() {
		for {
			ds, err := q.Receive(b.Context(), 10, 20*time.Second)
			if err != nil {
				return // the benchmark is over
			}
			for range ds {
				got <- struct{}{}
			}
		}
	}()
	for b.Loop() {
		if err := bus.Publish(b.Context(), events)[0]; err != nil {
			b.Fatal(err)
		}
		<-got
	}
}

// BenchmarkMessage is the message alone.
func BenchmarkMessage(b *testing.B) {
	events := benchEvents(1)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			bus.Encode(events[0])
		}
	})
	body := bus.Encode(events[0])
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := bus.Decode(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}
