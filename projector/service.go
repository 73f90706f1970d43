package projector

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"jangbu/infra/backoff"
	"jangbu/query/view"
)

// Store is the event store as a whole projector needs it.
type Store interface {
	Log
	Feed
}

// Config is what a Service may be told. Zero fields get the defaults named here.
type Config struct {
	Topic      string                          // names the relay's checkpoint; default "jangbu"
	Views      []*view.View                    // default view.All()
	Workers    int                             // of each view's queue; default 4
	Provision  func(ctx context.Context) error // creates missing topic and queues; nil: somebody else does
	Builder    func() Builder                  // see ReplayConfig
	AutoReplay bool                            // rebuild a view whose live generation an older version of its code built
	Report     Report                          // default: nothing
	Logger     *slog.Logger                    // default slog.Default()
}

func (c Config) withDefaults() Config {
	c.Topic = cmp.Or(c.Topic, "jangbu")
	if c.Views == nil {
		c.Views = view.All()
	}
	c.Workers = cmp.Or(c.Workers, 4)
	if c.Report == nil {
		c.Report = func(string, error) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Service runs a consumer a view, what keeps every view built, and, while it is elected among all that run, a relay and a
// sweep.
type Service struct {
	store Store
	model Model
	pub   Publisher
	queue func(view string) Queue
	cfg   Config

	provisioning backoff.OnDemand // asked whenever a consumer misses its queue, or the relay its topic
	pause        time.Duration    // after each, before the next is heard
}

const provisionPause = 5 * time.Second

// New returns a Service; nothing runs before Run.
func New(store Store, model Model, pub Publisher, queue func(view string) Queue, cfg Config) *Service {
	return &Service{store: store, model: model, pub: pub, queue: queue, cfg: cfg.withDefaults(), provisioning: backoff.NewOnDemand(), pause: provisionPause}
}

// Run runs everything until ctx ends. It needs no dependency to be there when it starts.
func (s *Service) Run(ctx context.Context) error {
	var g errgroup.Group
	if s.cfg.Provision != nil {
		g.Go(func() error { s.provision(ctx); return nil })
	}
	relay := NewRelay(s.store, s.pub, s.cfg.Topic, view.Categories(s.cfg.Views), s.cfg.Report)
	relay.missing = s.provisioning.Ask
	g.Go(func() error {
		return s.elected(ctx, "relay", "relay", func(ctx context.Context) error {
			if !relay.skipPast(ctx) {
				return nil
			}
			return relay.Run(ctx)
		}, relayPublishes, relayKeeps)
	})
	sweep := &sweep{log: s.store, model: s.model, views: s.cfg.Views, report: s.cfg.Report, logger: s.cfg.Logger, losses: map[string]loss{}}
	g.Go(func() error { return s.elected(ctx, "sweep", "sweep-"+fleet(s.cfg.Views), sweep.Run) })
	decodings := newDecodings()
	for _, v := range s.cfg.Views {
		c := &consumer{
			view: v, queue: s.queue(v.Name), model: s.model, log: s.store,
			logger: s.cfg.Logger, report: s.cfg.Report, missing: s.provisioning.Ask,
			visibility: visibility, decodings: decodings,
		}
		g.Go(func() error { return c.Run(ctx, s.cfg.Workers) })
	}
	watch := &watch{store: s.store, model: s.model, cfg: s.cfg, now: time.Now, standing: map[string]standing{}, building: map[string]*Replay{}}
	g.Go(func() error { return watch.Run(ctx) })
	return g.Wait()
}

// fleet names the projectors that have the same versions of the views' code, of which one sweeps: what another version
// built is not theirs to write to.
func fleet(views []*view.View) string {
	h := fnv.New32a()
	for _, v := range views {
		fmt.Fprintf(h, "%s %d\n", v.Name, v.Version)
	}
	return fmt.Sprintf("%08x", h.Sum32())
}

func (s *Service) provision(ctx context.Context) {
	s.provisioning.Run(ctx, s.pause, s.cfg.Provision, func(err error) { s.cfg.Report("provision", err) })
}
