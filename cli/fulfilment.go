package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jangbu/command"
	"jangbu/command/fulfilment"
	"jangbu/infra/bus"
	"jangbu/infra/gateway"
	"jangbu/infra/gateway/simulator"
	"jangbu/infra/gateway/stripe"
	"jangbu/infra/schedule"
	"jangbu/infra/web"
)

// paymentFlags say who takes the money, and how long an order waits for it.
type paymentFlags struct {
	PayWithin           time.Duration `help:"How long after it was placed an order by card may wait to be confirmed; then it is cancelled." default:"15m" env:"JANGBU_PAY_WITHIN" placeholder:"TIME"`
	Gateway             string        `help:"Payment gateway: simulator or stripe." enum:"simulator,stripe" default:"simulator" env:"JANGBU_GATEWAY" placeholder:"NAME"`
	SimulatorURL        string        `name:"simulator-url" help:"Simulated gateway that several processes share; none: one in this process, which forgets when it stops." env:"JANGBU_SIMULATOR_URL" placeholder:"URL"`
	StripeKey           string        `help:"Secret key of the Stripe account." env:"STRIPE_API_KEY" placeholder:"KEY"`
	StripeURL           string        `name:"stripe-url" help:"Stripe API to use; none: Stripe itself." env:"JANGBU_STRIPE_URL" placeholder:"URL"`
	StripePaymentMethod string        `help:"Payment method that is charged: the shop has no page on which a customer enters a card." default:"pm_card_visa" env:"JANGBU_STRIPE_PAYMENT_METHOD" placeholder:"ID"`
}

// check says what is wrong with the flags together.
func (f paymentFlags) check() error {
	switch {
	case f.PayWithin <= 0:
		return &failure{exitUsage, errors.New("--pay-within must be more than 0, such as 15m")}
	case f.Gateway == "stripe" && f.StripeKey == "":
		return &failure{exitUsage, errors.New("--gateway stripe needs a key: set --stripe-key or STRIPE_API_KEY")}
	case f.Gateway == "stripe" && f.SimulatorURL != "":
		return &failure{exitUsage, errors.New("--gateway stripe asks no simulator: leave out --simulator-url (JANGBU_SIMULATOR_URL)")}
	case f.Gateway != "stripe" && f.StripeURL != "":
		return &failure{exitUsage, errors.New("--stripe-url (JANGBU_STRIPE_URL) is for --gateway stripe: set that, or leave it out")}
	}
	for flag, text := range map[string]string{"--simulator-url (JANGBU_SIMULATOR_URL)": f.SimulatorURL, "--stripe-url (JANGBU_STRIPE_URL)": f.StripeURL} {
		if _, err := webURL(text); err != nil && text != "" { // one of them at most is set
			return wrongURL(err, flag)
		}
	}
	return nil
}

// open makes the gateway, reliable and reporting.
func (f paymentFlags) open(a *app, health *web.Health) *gateway.Patient {
	cfg := gateway.Config{Report: func(err error) { health.Set(fulfilment.LoopGateway, err) }}
	if f.Gateway == "stripe" {
		cfg.Timeout = stripe.CallTimeout
		return gateway.New(stripe.New(f.StripeKey, stripe.Config{URL: f.StripeURL, PaymentMethod: f.StripePaymentMethod}), cfg)
	}
	if f.StripeKey != "" {
		a.log.Warn("payments are simulated, although there is a Stripe key: orders are shipped without money; set --gateway stripe (JANGBU_GATEWAY)")
	}
	if f.SimulatorURL != "" {
		return gateway.New(simulator.NewClient(f.SimulatorURL), cfg)
	}
	return gateway.New(simulator.New(simulator.Config{}), cfg)
}

// openSchedule prepares the schedule of fulfilment.
func (f redisFlags) openSchedule(name shopFlags) (*schedule.Schedule, error) {
	s, err := schedule.Open(f.RedisURL, schedule.Config{Namespace: string(name.Topic)})
	if err != nil {
		return nil, wrongURL(err, "--redis-url (REDIS_URL)")
	}
	return s, nil
}

// fulfilmentQueue names the queue beside those of the views.
const fulfilmentQueue = "fulfilment"

// manager is fulfilment wired to its dependencies.
type manager struct {
	*fulfilment.Manager
	run func(context.Context) error
}

// newManager wires fulfilment to its dependencies, and its loops to the health page. The caller's part of the configuration is what flags say.
func (w wiring) newManager(shop *command.Service, g fulfilment.Gateway, s *schedule.Schedule, cfg fulfilment.Config, provision bool) manager {
	cfg.Report, cfg.Logger = w.health.Set, w.app.log
	if provision {
		cfg.Provision = func(ctx context.Context) error {
			_, err := w.bus.Provision(ctx, []bus.Subscription{fulfilmentSubscription()})
			return err
		}
	}
	w.health.Expect(fulfilment.Loops()...)
	m := fulfilment.New(shop, g, s, cfg)
	return manager{m, func(ctx context.Context) error { return m.Run(ctx, w.bus.Queue(fulfilmentQueue), w.store, s) }}
}

type fulfilmentMode struct {
	shopAccess
	busFlags
	paymentFlags
	Workers   int        `help:"How many orders to drive at a time." default:"16" env:"JANGBU_FULFILMENT_WORKERS" placeholder:"N"`
	Provision bool       `help:"Create the topic and the queue, now and whenever they are found missing. Turn it off where that right is not given." default:"true" negatable:"" env:"JANGBU_PROVISION"`
	HTTP      listenAddr `name:"http" help:"Address of /healthz and /readyz; port 0 picks a free one." default:"127.0.0.1:8084" env:"JANGBU_FULFILMENT_HTTP" placeholder:"ADDR"`
}

func (fulfilmentMode) Help() string {
	return `
It reserves the stock of orders, asks the payment gateway, confirms or cancels; it takes the money when a parcel leaves and pays it back when one returns. Any of its dependencies may be away: it waits and goes on where it stopped. It hears of orders through SQS, and without that, some seconds later, through the log. Any number of these services may run at once.

/readyz shows its loops, and the gateway: red when nothing has been answered for a minute, or the gateway is left alone, since half of at least 20 tries in 10 seconds got no answer. The check "fulfilment orders" is red while there is an order that it cannot go on with, such as one with an event that this release cannot read, or a payment that the gateway rejects; it says which, since when and why. Others go on meanwhile, and that order is tried again by itself, within five minutes. /readyz is red, too, while Redis is set to throw away keys when its memory is full. docs/payments.md says what the simulated gateway does with which amounts.

Examples:

    jangbu fulfilment
    jangbu fulfilment --http :8084 --pay-within 30m --workers 32
    STRIPE_API_KEY=sk_test_123 jangbu fulfilment --gateway stripe
`
}

// Run serves until ctx ends.
func (m *fulfilmentMode) Run(ctx context.Context, a *app) (err error) {
	if err := m.check(); err != nil {
		return err
	}
	if m.Workers < 1 {
		return &failure{exitUsage, fmt.Errorf("--workers must be at least 1, not %d", m.Workers)}
	}
	health := web.NewHealth(time.Now, a.log)
	listener, err := listen(m.HTTP)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreClosed(listener.Close())) }()
	store, err := m.openLeader(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	due, err := m.openSchedule(m.shopFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, due.Close()) }()
	b, err := m.busFlags.open(ctx, m.shopFlags)
	if err != nil {
		return err
	}
	defer b.Close()
	health.Probe("eventstore", store.Ping)
	health.Probe("redis", due.Ping)
	health.Probe("redis eviction", due.Keeps)
	cfg := fulfilment.Config{PayWithin: m.PayWithin, Workers: m.Workers}
	w := wiring{app: a, store: store, bus: b, health: health}
	work := w.newManager(command.New(store, command.Config{Logger: a.log}), m.paymentFlags.open(a, health), due, cfg, m.Provision)
	return a.serve(ctx, service{health: health, listener: listener, loops: []func(context.Context) error{work.run}})
}
