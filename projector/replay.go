package projector

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"

	"jangbu/domain/event"
	"jangbu/query/row"
	"jangbu/query/view"
)

// Replay builds the next generation of views from the log, beside the live ones, and switches to it.
//
//	build      read the log from its start to its present end; only this replay writes, which makes it fast
//	catch up   open the generation to consumers, who write to it from now on, before the live one; then read the log
//	           from where build left off to what is now its end
//	switch     one pointer moves; queries follow
//	drop       what nobody reads any more is removed
//
// An event is either in the log before the opening, and so is read by build or catch up; or a consumer receives it after
// the opening, and lands it in the new generation before the live one. So at the switch the new generation holds all
// that the live one does, and a query never sees the past.
//
// A replay that is interrupted lets its lease go, and the next one resumes from its checkpoint. One that is killed leaves
// a lease behind: until it ends the next replay is row.ErrBusy; after that it resumes if the generation was open, and starts
// a new one if not.
// A replay only reads the event store, and publishes nothing.
type Replay struct {
	model Model
	log   Log
	cfg   ReplayConfig
	token string

	chunkEvents int // of the log, that land and are noted as built at once
	cacheStates int // of streams, that each view's applier remembers
	renewEvery  time.Duration
}

// ReplayConfig is what a Replay may be told. Zero fields get the defaults named here.
type ReplayConfig struct {
	Builder  func(row.Build) Rows // how to write what nobody else writes to; default: as consumers do
	Patience time.Duration        // how long to go on without progress when a dependency is away; default a minute
	Progress func(Progress)       // called from several goroutines; must not block; default: nothing
	NewID    func() uuid.UUID     // default uuid.New
}

// Progress tells how far the replay of one view has come.
type Progress struct {
	View       string
	Generation int64
	Phase      Phase
	Events     int64          // read in this run
	At         event.Position // how far in the log
	Note       error          // why nothing moves just now, or nil
}

// Phase is a step of a replay.
type Phase string

// The phases of a replay, in order.
const (
	PhaseBuild   Phase = "build"
	PhaseCatchUp Phase = "catch up"
	PhaseSwitch  Phase = "switch"
	PhaseDone    Phase = "done"
)

const (
	chunkEvents = 16384
	chunkBytes  = 16 << 20
	cacheStates = 20000
	renewLease  = 3 * time.Second
)

// NewReplay returns a Replay, for one Run.
func NewReplay(model Model, log Log, cfg ReplayConfig) *Replay {
	if cfg.Builder == nil {
		cfg.Builder = func(row.Build) Rows { return model }
	}
	if cfg.Patience == 0 {
		cfg.Patience = time.Minute
	}
	if cfg.Progress == nil {
		cfg.Progress = func(Progress) {}
	}
	if cfg.NewID == nil {
		cfg.NewID = uuid.New
	}
	return &Replay{model: model, log: log, cfg: cfg, token: cfg.NewID().String(), chunkEvents: chunkEvents, cacheStates: cacheStates, renewEvery: renewLease}
}

// chunk is a stretch of the log: what of it concerns any of the views, and where it ends.
type chunk struct {
	arrivals []arrival
	events   int64
	end      event.Position
}

// build is the replay of one view.
type build struct {
	row.Build
	view    *view.View
	phase   Phase
	applier *Applier
	at      event.Position
	events  int64
	chunks  chan chunk // of the pass under way

	switching atomic.Bool
}

// Run replays views, reading the log for all of them at once. It returns when all are switched, or on the first error;
// another Run resumes. While another process replays one of the views, it is row.ErrBusy.
func (r *Replay) Run(ctx context.Context, views []*view.View) (err error) {
	var builds []*build
	defer func() {
		if err != nil {
			r.leave(ctx, builds)
		}
	}()
	for _, v := range views {
		b, err := r.begin(ctx, v)
		if err != nil {
			return err
		}
		builds = append(builds, b)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go r.renew(ctx, builds, cancel)
	if err := r.pass(ctx, builds); err != nil {
		return cause(ctx, err)
	}
	for _, b := range builds {
		if err := r.open(ctx, b); err != nil {
			return cause(ctx, err)
		}
	}
	if err := r.pass(ctx, builds); err != nil {
		return cause(ctx, err)
	}
	for _, b := range builds {
		if err := r.switchTo(ctx, b); err != nil {
			return cause(ctx, err)
		}
	}
	var drops errgroup.Group // each waits until no reader can be left in what it removes
	for _, b := range builds {
		drops.Go(func() error { return r.drop(ctx, b) })
	}
	return drops.Wait()
}

// cause says why ctx ended, where that is what stopped the work.
func cause(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	return err
}

func (r *Replay) begin(ctx context.Context, v *view.View) (*build, error) {
	b := &build{view: v, phase: PhaseBuild}
	err := r.insist(ctx, b, func() (err error) {
		b.Build, err = r.model.Begin(ctx, v.Name, v.Version, r.token)
		return err
	})
	if err != nil {
		return nil, err
	}
	started := b.Build
	b.at, b.phase = started.Built, PhaseCatchUp
	var rows Rows = r.model
	if !started.Open {
		b.phase, rows = PhaseBuild, r.cfg.Builder(started)
	}
	if b.applier, err = r.applier(v, started.Generation, rows); err != nil {
		return nil, err
	}
	b.applier.alone = started.Fresh
	r.tell(b, nil)
	return b, nil
}

func (r *Replay) applier(v *view.View, g row.Generation, rows Rows) (*Applier, error) {
	a := NewApplier(v, g, rows, r.log)
	var err error
	a.cache, err = lru.New[string, cachedState](r.cacheStates)
	return a, err
}

// open ends the build phase: from here on, others write to the generation too.
func (r *Replay) open(ctx context.Context, b *build) error {
	if b.Open {
		return nil
	}
	err := r.insist(ctx, b, func() error { return r.model.OpenBuild(ctx, b.Generation, r.token) })
	if err != nil {
		return fmt.Errorf("replay %s: %w", b.view.Name, err)
	}
	b.phase = PhaseCatchUp
	b.applier, err = r.applier(b.view, b.Generation, r.model)
	return err
}

func (r *Replay) switchTo(ctx context.Context, b *build) error {
	b.phase = PhaseSwitch
	b.switching.Store(true)
	if err := r.insist(ctx, b, func() error { return r.model.Switch(ctx, b.Generation, r.token) }); err != nil {
		return fmt.Errorf("replay %s: %w", b.view.Name, err)
	}
	return nil
}

// drop removes what the switch has made superfluous.
func (r *Replay) drop(ctx context.Context, b *build) error {
	if err := r.insist(ctx, b, func() error { return r.model.DropGarbage(ctx, b.view.Name) }); err != nil {
		return fmt.Errorf("replay %s: the new generation is live, but old ones could not be removed: %w", b.view.Name, err)
	}
	b.phase = PhaseDone
	r.tell(b, nil)
	return nil
}

func (r *Replay) tell(b *build, note error) {
	r.cfg.Progress(Progress{View: b.view.Name, Generation: b.Number, Phase: b.phase, Events: b.events, At: b.at, Note: note})
}

// renew keeps the leases; when one is lost, all the work stops.
func (r *Replay) renew(ctx context.Context, builds []*build, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(r.renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		for _, b := range builds {
			// The switch ends the lease, and says itself whether it had been lost before.
			if err := r.model.Renew(ctx, b.Generation, r.token); errors.Is(err, row.ErrLost) && !b.switching.Load() {
				cancel(err)
				return
			}
		}
	}
}

// leave lets go of the leases, so that whoever resumes need not wait for them to end.
func (r *Replay) leave(ctx context.Context, builds []*build) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	for _, b := range builds {
		_ = r.model.Leave(ctx, b.Generation, r.token) // else it ends by itself
	}
}

// pass reads the log once for all builds, from where each stands to the log's present end.
func (r *Replay) pass(ctx context.Context, builds []*build) error {
	for _, b := range builds {
		b.chunks = make(chan chunk, 1)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.read(ctx, builds) })
	for _, b := range builds {
		g.Go(func() error { return r.land(ctx, b) })
	}
	return g.Wait()
}

// read cuts the log into chunks for all builds, from the earliest checkpoint among them to the end of the log. Events
// are decoded here, once for all views.
func (r *Replay) read(ctx context.Context, builds []*build) error {
	defer func() {
		for _, b := range builds {
			close(b.chunks)
		}
	}()
	from := builds[0].at
	for _, b := range builds {
		if b.at.Compare(from) < 0 {
			from = b.at
		}
	}
	var c chunk
	size := 0
	send := func() error {
		for _, b := range builds {
			select {
			case b.chunks <- c:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		c, size = chunk{end: c.end}, 0
		return nil
	}
	for e, err := range r.readAll(ctx, from) {
		if err != nil {
			return err
		}
		c.end = e.Position
		c.events++
		if a, wanted, err := decode(builds, e); err != nil {
			return err
		} else if wanted {
			c.arrivals = append(c.arrivals, a)
			size += len(e.Data)
		}
		if c.events >= int64(r.chunkEvents) || size >= chunkBytes {
			if err := send(); err != nil {
				return err
			}
		}
	}
	if c.events > 0 {
		return send()
	}
	return ctx.Err()
}

func decode(builds []*build, e event.Recorded) (arrival, bool, error) {
	for _, b := range builds {
		if source, ok := b.view.Source(e.Stream); ok {
			decoded, err := source.Decode(e)
			return arrival{Recorded: e, decoded: decoded}, true, err
		}
	}
	return arrival{}, false, nil
}

// readAll reads on after interruptions, from the last event it saw.
func (r *Replay) readAll(ctx context.Context, after event.Position) func(func(event.Recorded, error) bool) {
	return func(yield func(event.Recorded, error) bool) {
		patience := r.newPatience()
		for {
			var failed error
			for e, err := range r.log.ReadAll(ctx, after) {
				if err != nil {
					failed = err
					break
				}
				patience.renew()
				after = e.Position
				if !yield(e, nil) {
					return
				}
			}
			if failed == nil {
				return
			}
			if err := patience.wait(ctx, failed); err != nil {
				yield(event.Recorded{}, fmt.Errorf("read the log: %w", err))
				return
			}
		}
	}
}

// land lands the chunks of a pass in one build.
func (r *Replay) land(ctx context.Context, b *build) error {
	for c := range b.chunks {
		if c.end.Compare(b.at) > 0 {
			if err := r.insist(ctx, b, func() error { return r.landChunk(ctx, b, c) }); err != nil {
				return fmt.Errorf("replay %s: %w", b.view.Name, err)
			}
		}
		b.events += c.events
		r.tell(b, nil)
	}
	return ctx.Err()
}

func (r *Replay) landChunk(ctx context.Context, b *build, c chunk) error {
	fresh := c.arrivals
	for len(fresh) > 0 && fresh[0].Position.Compare(b.at) <= 0 {
		fresh = fresh[1:]
	}
	if _, err := b.applier.apply(ctx, fresh); err != nil {
		return err
	}
	if err := r.model.Built(ctx, b.Generation, r.token, c.end); err != nil {
		return err
	}
	b.at = c.end
	if len(fresh) > 0 {
		return r.model.Advance(ctx, b.Generation, fresh[len(fresh)-1].Recorded)
	}
	return nil
}

// insist repeats a step while what it needs is away, as long as patience lasts.
func (r *Replay) insist(ctx context.Context, b *build, step func() error) error {
	patience := r.newPatience()
	for {
		err := step()
		if err == nil {
			return nil
		}
		r.tell(b, err)
		if err := patience.wait(ctx, err); err != nil {
			return err
		}
	}
}
