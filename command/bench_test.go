package command_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/domain/event"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/eventstore"
)

// BenchmarkPlaceOrder posts orders from 64 callers a processor over the client and the embedded server on disk, beside
// the bare append of one event of the same size, which is what a command costs at least.
func BenchmarkPlaceOrder(b *testing.B) {
	server, err := eventstoredb.Start(eventstoredb.Config{Path: filepath.Join(b.TempDir(), "events.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	store, err := eventstore.Open(server.URL(), eventstore.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	c := commandtest.NewClient(b, store, command.Config{})
	c.Shop()
	const order = `{"member_id":"vinet","lines":[{"product_id":"queso","quantity":1},{"product_id":"apples","quantity":2}]}`
	run := func(name string, post func(i int64) bool) {
		b.Run(name, func(b *testing.B) {
			var n atomic.Int64
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if !post(n.Add(1)) {
						b.Error("refused")
					}
				}
			})
		})
	}
	run("bare append", func(int64) bool {
		_, err := store.Append(context.Background(), "bare-"+uuid.NewString(), event.NoStream,
			[]event.Proposed{{ID: uuid.New(), Type: "bare.v1", Data: make([]byte, 400), Metadata: make([]byte, 200)}})
		return err == nil
	})
	run("order", func(int64) bool { return c.Post("/orders", order).Status == 201 })
	keys := uuid.NewString()
	run("order with a key", func(i int64) bool {
		return c.Post("/orders", order, fmt.Sprintf("Idempotency-Key: %s %d", keys, i)).Status == 201
	})
}
