package eventstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/eventstore"
)

// Each benchmark runs with the adapter and with the bare client, for their ratio:
//
//	go test ./infra/eventstore -run '^$' -bench . -count 5

const callers = 64

var payload = append(append([]byte(`{"text":"`), bytes.Repeat([]byte("x"), 388)...), `"}`...)

func BenchmarkAppend(b *testing.B) {
	url := startServer(b, eventstoredb.Config{Path: filepath.Join(b.TempDir(), "events.db")}).URL()
	store, client := open(b, url, eventstore.Config{}), bare(b, url)
	b.Run("adapter", func(b *testing.B) {
		inParallel(b, func(ctx context.Context, stream string) error {
			_, err := store.Append(ctx, stream, event.NoStream, []event.Proposed{{ID: uuid.New(), Type: "a.b.v1", Data: payload}})
			return err
		})
	})
	b.Run("bare", func(b *testing.B) {
		inParallel(b, func(ctx context.Context, stream string) error {
			_, err := client.AppendToStream(ctx, stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}},
				esdb.EventData{EventID: uuid.New(), EventType: "a.b.v1", ContentType: esdb.ContentTypeJson, Data: payload})
			return err
		})
	})
}

func inParallel(b *testing.B, call func(ctx context.Context, stream string) error) {
	b.SetParallelism(callers / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := call(b.Context(), "order-"+uuid.NewString()); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}

func BenchmarkLast(b *testing.B) {
	url := startServer(b, eventstoredb.Config{}).URL()
	store, client := open(b, url, eventstore.Config{}), bare(b, url)
	if _, err := store.Append(b.Context(), "order-1", event.NoStream, proposed(1)); err != nil {
		b.Fatal(err)
	}
	b.Run("adapter", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := store.Last(b.Context(), "order-1"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			stream, err := client.ReadStream(b.Context(), "order-1", esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				b.Fatal(err)
			}
			stream.Close()
		}
	})
}

func BenchmarkReadAll(b *testing.B) {
	url := startServer(b, eventstoredb.Config{}).URL()
	store, client := open(b, url, eventstore.Config{}), bare(b, url)
	const batches, batch = 200, 500
	for range batches {
		events := make([]event.Proposed, batch)
		for i := range events {
			events[i] = event.Proposed{ID: uuid.New(), Type: "a.b.v1", Data: payload}
		}
		if _, err := store.Append(b.Context(), "order-"+uuid.NewString(), event.NoStream, events); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("adapter", func(b *testing.B) {
		drain(b, func() (n int) {
			for _, err := range store.ReadAll(b.Context(), event.Position{}) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			return n
		})
	})
	b.Run("bare", func(b *testing.B) {
		drain(b, func() (n int) {
			stream, err := client.ReadAll(b.Context(), esdb.ReadAllOptions{}, math.MaxInt64)
			if err != nil {
				b.Fatal(err)
			}
			defer stream.Close()
			for {
				_, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					return n
				}
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
		})
	})
}

func drain(b *testing.B, all func() int) {
	b.ReportAllocs()
	events := 0
	for b.Loop() {
		events += all()
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}

func bare(b *testing.B, url string) *esdb.Client {
	b.Helper()
	conf, err := esdb.ParseConnectionString(url)
	if err != nil {
		b.Fatal(err)
	}
	conf.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(conf)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = client.Close() })
	return client
}
