package cli

import (
	"context"
	"errors"
	"time"

	"jangbu/infra/web"
	"jangbu/projector"
)

type projectorMode struct {
	shopAccess
	busFlags
	workerFlags
	AutoReplay bool       `help:"Rebuild a view whose code is of a newer version than its live generation, beside it, and switch when it has caught up." env:"JANGBU_AUTO_REPLAY"`
	Provision  bool       `help:"Create what is missing of topic and queues, now and whenever it is found missing. Turn it off where that right is not given." default:"true" negatable:"" env:"JANGBU_PROVISION"`
	HTTP       listenAddr `name:"http" help:"Address of /healthz and /readyz; port 0 picks a free one." default:"127.0.0.1:8083" env:"JANGBU_PROJECTOR_HTTP" placeholder:"ADDR"`
}

func (projectorMode) Help() string {
	return `
It relays events from the store to SNS, takes them from the views' queues, and lands them in Redis. Any of the three may be away: it waits and goes on where it stopped. Any number of these services may run at once.

It builds a view that has no generation yet by itself. Where the view's code is of another version than the one that built the live generation, it leaves that alone, and /readyz is red and says which command to run; with --auto-replay it rebuilds it in the background, while queries go on reading the old one. /readyz is red, too, and says since when, for a view that messages bring nothing any more, and for one whose verified position stands still while the log goes on; and while Redis is set to throw away keys when its memory is full.

Examples:

    jangbu projector
    jangbu projector --http :8083 --aws-endpoint-url http://127.0.0.1:4566
    jangbu projector --auto-replay
    AWS_REGION=eu-central-1 jangbu projector --topic shop          # AWS itself
`
}

// Run serves until ctx ends.
func (m *projectorMode) Run(ctx context.Context, a *app) (err error) {
	listener, err := listen(m.HTTP)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreClosed(listener.Close())) }()
	holdBallast()
	store, model, closeBoth, err := m.openBoth(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBoth()) }()
	b, err := m.busFlags.open(ctx, m.shopFlags)
	if err != nil {
		return err
	}
	defer b.Close()
	health := web.NewHealth(time.Now, a.log)
	health.Probe("eventstore", store.Ping)
	health.Probe("redis", model.Ping)
	health.Probe("redis eviction", model.Keeps)
	w := wiring{app: a, store: store, bus: b, health: health}
	p := w.newProjector(model, projector.Config{Topic: string(m.Topic), Workers: m.Workers, AutoReplay: m.AutoReplay}, m.Provision)
	return a.serve(ctx, service{health: health, listener: listener, loops: []func(context.Context) error{p.Run}})
}
