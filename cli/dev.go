package cli

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/labstack/echo/v4"

	"jangbu/command"
	"jangbu/command/fulfilment"
	"jangbu/infra/bus"
	"jangbu/infra/eventstore"
	"jangbu/infra/readmodel"
	"jangbu/infra/schedule"
	"jangbu/infra/web"
	"jangbu/projector"
	"jangbu/query"
)

type devMode struct {
	embeddedFlags
	shopFlags
	workerFlags
	paymentFlags
	HTTP listenAddr `name:"http" help:"Address to serve POSTs and GETs on; port 0 picks a free one." default:"127.0.0.1:8080" env:"JANGBU_HTTP" placeholder:"ADDR"`
}

func (devMode) Help() string {
	return `
Event store, SNS/SQS, Redis, command, fulfilment, projector and query in one process, POSTs and GETs on one address. When it serves it prints "ready http://HOST:PORT" to stdout. The events are durable, in one file below --data; the rest is rebuilt from them, and so is a view whose code has changed. A clean stop (Ctrl-C, SIGTERM) leaves a snapshot of the views there, with which the next start is faster.

The variables with which the other modes reach the embedded servers are printed to stderr, one a line.

Examples:

    jangbu dev
    jangbu dev --data /tmp/shop --http 9090
    jangbu dev --http 0 --eventstore 0 --aws 0 --redis 0          # on free ports
`
}

// Run serves until ctx ends.
func (m *devMode) Run(ctx context.Context, a *app) (err error) {
	if err := m.check(); err != nil {
		return err
	}
	listener, err := listen(m.HTTP)
	if err != nil {
		return err
	}
	servers, err := startEmbedded(m.embeddedFlags, a)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, servers.Close()) }()
	servers.announce(a.stderr)
	shop := shopAccess{storeFlags{servers.eventstoreURL}, redisFlags{servers.redisURL}, m.shopFlags}
	store, model, closeBoth, err := shop.openBoth(a)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, closeBoth()) }()
	b, err := busFlags{AWSEndpointURL: servers.awsURL}.open(ctx, m.shopFlags)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer b.Close()
	takeUp(ctx, a, snapshotFile(m.Data), servers.redis, store)
	due, err := shop.openSchedule(m.shopFlags)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, due.Close()) }()
	s := m.services(a, store, model, b, due)
	s.listener = listener
	defer debug.SetGCPercent(debug.SetGCPercent(buildingGC))
	if err := a.serve(ctx, s); err != nil {
		return err
	}
	return leave(ctx, snapshotFile(m.Data), servers.redis, store)
}

// Dev holds all views in its own heap. Building them makes garbage faster than anything later, so the collector is held
// back meanwhile; then it gives back what building took. Where the views are large it runs sooner from then on, since a
// second heap's worth of garbage would be too much; with a small heap that would only cost time.
const (
	buildingGC   = 200 // percent, as in GOGC
	servingGC    = 100
	largeHeapsGC = 20
	largeHeap    = 100 << 20
)

func settle() {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > largeHeap {
		debug.SetGCPercent(largeHeapsGC)
	} else {
		holdBallast()
		debug.SetGCPercent(servingGC)
	}
}

// services wires all services to the embedded servers, reached by the same clients as any others would be.
func (m *devMode) services(a *app, store *eventstore.Store, model *readmodel.Store, b *bus.Bus, due *schedule.Schedule) service {
	health := web.NewHealth(time.Now, a.log)
	health.Probe("eventstore", store.Ping)
	health.Probe("redis", model.Ping)
	w := wiring{app: a, store: store, bus: b, health: health}
	var work manager
	commands := command.New(store, command.Config{OrderChanged: func(id string) { work.Poke(id) }, Logger: a.log})
	work = w.newManager(commands, m.paymentFlags.open(a, health), due, fulfilment.Config{PayWithin: m.PayWithin}, false)
	p := w.newProjector(model, projector.Config{Topic: string(m.Topic), Workers: m.Workers, AutoReplay: true}, true)
	return service{
		health: health,
		routes: func(e *echo.Echo) {
			commands.Register(e)
			query.New(model, query.Config{}).Register(e)
		},
		loops: []func(context.Context) error{p.Run, work.run},
		ready: func(ctx context.Context) error {
			defer settle()
			return allWhole(ctx, health)
		},
	}
}
