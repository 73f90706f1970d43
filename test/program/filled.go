package program

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"

	"jangbu/domain/event"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/eventstore"
	"jangbu/projector"
	"jangbu/query/view"
	"jangbu/test/shopgen"
)

// Filled is the data folder of a made-up shop that has run until now: the events are in it, and have been relayed.
func Filled(t testing.TB, cfg shopgen.Config) (data string) {
	t.Helper()
	return fill(t, cfg, relay)
}

// Written is the data folder of a made-up shop of which nothing has been relayed.
func Written(t testing.TB, cfg shopgen.Config) (data string) {
	t.Helper()
	return fill(t, cfg, func(context.Context, *eventstore.Store, int) error { return nil })
}

func fill(t testing.TB, cfg shopgen.Config, then func(ctx context.Context, store *eventstore.Store, events int) error) (data string) {
	t.Helper()
	data = t.TempDir()
	server, err := eventstoredb.Start(eventstoredb.Config{Path: filepath.Join(data, "events.db"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	store, err := eventstore.Open(server.URL(), eventstore.Config{Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		var events int
		events, err = shopgen.Fill(t.Context(), store, shopgen.Appends(cfg), 64)
		if err == nil {
			err = then(t.Context(), store, events)
		}
		err = errors.Join(err, store.Close())
	}
	if err := errors.Join(err, server.Close()); err != nil {
		t.Fatal(err)
	}
	return data
}

// relay runs the relay over so many events, so that its checkpoint stands at the end of the log.
func relay(ctx context.Context, store *eventstore.Store, events int) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	nowhere := &counter{want: int64(events), reached: stop}
	ignore := func(string, error) {}
	return projector.NewRelay(store, nowhere, "jangbu", view.Categories(view.All()), ignore).Run(ctx)
}

// counter is a bus that takes all and delivers nothing.
type counter struct {
	want    int64
	have    atomic.Int64
	reached func()
}

func (c *counter) Publish(_ context.Context, events []event.Recorded) []error {
	if c.have.Add(int64(len(events))) >= c.want {
		c.reached()
	}
	return make([]error, len(events))
}
