package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jangbu/domain/order"
	"jangbu/infra/bus"
	"jangbu/infra/eventstore"
	"jangbu/infra/readmodel"
	"jangbu/infra/web"
	"jangbu/projector"
	"jangbu/query/view"
)

// wrongURL is the error of a flag that cannot be used.
func wrongURL(err error, flag string) error {
	return &failure{exitUsage, fmt.Errorf("%w; correct %s", err, flag)}
}

// open begins to connect to the event store.
func (f storeFlags) open(a *app) (*eventstore.Store, error) {
	return f.openWith(eventstore.Config{Logger: a.log})
}

// openLeader is open for a service that decides on what it reads.
func (f storeFlags) openLeader(a *app) (*eventstore.Store, error) {
	return f.openWith(eventstore.Config{Logger: a.log, Leader: true})
}

func (f storeFlags) openWith(cfg eventstore.Config) (*eventstore.Store, error) {
	store, err := eventstore.Open(f.EventstoreURL, cfg)
	if err != nil {
		return nil, wrongURL(err, "--eventstore-url (EVENTSTORE_URL)")
	}
	return store, nil
}

// open prepares the read model.
func (f redisFlags) open(a *app, name shopFlags) (*readmodel.Store, error) {
	readmodel.LogTo(a.log)
	model, err := readmodel.Open(f.RedisURL, readmodel.Config{Namespace: string(name.Topic)})
	if err != nil {
		return nil, wrongURL(err, "--redis-url (REDIS_URL)")
	}
	return model, nil
}

// openBoth begins to connect to the event store and prepares the read model; closeBoth closes them.
func (f shopAccess) openBoth(a *app) (store *eventstore.Store, model *readmodel.Store, closeBoth func() error, err error) {
	if store, err = f.storeFlags.open(a); err != nil {
		return nil, nil, nil, err
	}
	if model, err = f.redisFlags.open(a, f.shopFlags); err != nil {
		return nil, nil, nil, errors.Join(err, store.Close())
	}
	return store, model, func() error { return errors.Join(model.Close(), store.Close()) }, nil
}

// open prepares the bus.
func (f busFlags) open(ctx context.Context, name shopFlags) (*bus.Bus, error) {
	b, err := bus.Connect(ctx, bus.Config{Topic: string(name.Topic), Region: f.AWSRegion, Endpoint: f.AWSEndpointURL})
	if err != nil {
		return nil, &failure{exitUsage, fmt.Errorf("%w; see --aws-endpoint-url, --aws-region and --topic", err)}
	}
	return b, nil
}

// subscriptions is a queue for every view, with the categories that feed it, and one for fulfilment.
func subscriptions() []bus.Subscription {
	var subs []bus.Subscription
	for _, v := range view.All() {
		subs = append(subs, bus.Subscription{View: v.Name, Categories: v.Categories()})
	}
	return append(subs, fulfilmentSubscription())
}

func fulfilmentSubscription() bus.Subscription {
	return bus.Subscription{View: fulfilmentQueue, Categories: []string{order.Category}}
}

// builder writes a generation that only its replay writes to.
func builder(model *readmodel.Store) func() projector.Builder {
	return func() projector.Builder { return model.NewBuilder() }
}

// The checks by which a projector says whether every view is built, and verified.
const (
	generations = "generations"
	sweep       = "sweep"
)

// wiring is what the services behind the APIs share.
type wiring struct {
	app    *app
	store  *eventstore.Store
	bus    *bus.Bus
	health *web.Health
}

// newProjector wires a projector to its dependencies, and its loops to the health page. The caller's part of the
// configuration is what flags say.
func (w wiring) newProjector(model *readmodel.Store, cfg projector.Config, provision bool) *projector.Service {
	cfg.Builder, cfg.Report, cfg.Logger = builder(model), w.health.Set, w.app.log
	w.health.Expect("relay", sweep, generations)
	for _, v := range view.All() {
		w.health.Expect("queue "+v.Name, "view "+v.Name)
	}
	if provision {
		w.health.Expect("provision")
		cfg.Provision = func(ctx context.Context) error {
			_, err := w.bus.Provision(ctx, subscriptions())
			return err
		}
	}
	return projector.New(w.store, model, w.bus, func(view string) projector.Queue { return w.bus.Queue(view) }, cfg)
}

// allWhole waits until the projector reports that every view has a live generation, and that a sweep has found each to
// hold all that was in the log.
func allWhole(ctx context.Context, health *web.Health) error {
	const poll = 50 * time.Millisecond // each look also asks the probes, beside the build that it waits for
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		if checks, _ := health.Report(ctx); checks[generations].OK && checks[sweep].OK {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
