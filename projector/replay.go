package projector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"jangbu/domain/event"
	"jangbu/infra/backoff"
	"jangbu/query/row"
	"jangbu/query/view"
)

// Replay builds the next generation of views from the log, beside the live ones, and switches to it.
//
//	build      read the log from its start to its present end; only this replay writes, which makes it fast
//	catch up   open the generation to consumers, who write to it from now on, before the live one; then read the log
//	           from where build left off to what is now its end
//	verify     compare it with the live generation, document by document; what differs for good is drift, and ends here
//	switch     one pointer moves; queries follow
//	drop       what nobody reads any more is removed
//
// An event is either in the log before the opening, and so is read by build or catch up; or a consumer receives it after
// the opening, and lands it in the new generation before the live one. So at the switch the new generation holds all
// that the live one does, and a query never sees the past. (A message that was lost meanwhile a sweep may have landed in the
// live generation alone; so the log is read to its end once more right before the switch, well within a sweep's margin.)
//
// A fresh generation is assembled (see assembler), which is fast, and of no use before it is complete: what a replay that was killed, or a
// Redis that was restarted, leaves of it is given up, and built anew. A replay that is interrupted, or cannot read the log on, completes
// it as far as it has read, and lets its lease go; the next one resumes from its checkpoint, in the same generation, with a Builder that
// compares. One that is killed leaves a lease behind: until it ends the next replay is row.ErrBusy; after that it resumes if the
// generation was open, and starts a new one if not. When Redis is restarted meanwhile, the replay itself begins again, in what was open
// from what Redis still knows to be built. So it does when Redis leaves a write unanswered that compares nothing: it might come late, over newer
// ones, so what is not open is given up. When Redis has no room for it, it waits for none, and what it has built is given up.
// A replay only reads the event store, and publishes nothing.
type Replay struct {
	model   Model
	log     Log
	cfg     ReplayConfig
	token   string
	limiter *rate.Limiter // nil: none
	slots   chan struct{} // one for each view that works
	chunks  atomic.Int64  // landed

	chunkEvents int           // of the log, that land at once
	cacheStates int           // of streams, that each view's applier remembers
	room        room          // of each view's assembler
	grace       time.Duration // for landing what has been read, when the replay is to end
	hurried     atomic.Bool   // it is to end: no use in waiting for what is away
	renewEvery  time.Duration
	settleFor   time.Duration // how long a document that differs may take to stand still
	maxSuspects int           // documents that may differ before they are settled
	now         func() time.Time
	sleep       func(context.Context, time.Duration) error
}

// ReplayConfig is what a Replay may be told. Zero fields get the defaults named here.
type ReplayConfig struct {
	Builder    func() Builder // how to write what nobody else writes to; default: as consumers do
	Patience   time.Duration  // how long to go on without progress when a dependency is away; default a minute
	Workers    int            // views that land or verify at once; default: the number of CPUs
	Rate       float64        // most events read from the log in a second; default: no limit
	NoSwitch   bool           // leave the verified generation open, for a later replay to switch to
	AllowDrift bool           // switch whatever the verification finds
	Restart    bool           // discard what an interrupted replay left, and build from the start
	Progress   func(Progress) // called from several goroutines; must not block; default: nothing
}

func (c ReplayConfig) withDefaults() ReplayConfig {
	c.Patience = cmp.Or(c.Patience, time.Minute)
	c.Workers = cmp.Or(c.Workers, runtime.NumCPU())
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	return c
}

// Progress tells how far the replay of one view has come.
type Progress struct {
	View       string
	Generation int64
	Phase      Phase
	Events     int64          // read in this run
	At         event.Position // how far in the log
	Verified   int64          // documents compared
	Note       error          // why nothing moves just now, or nil
}

// Phase is a step of a replay.
type Phase string

// The phases of a replay, in order.
const (
	PhaseBuild   Phase = "build"
	PhaseCatchUp Phase = "catch up"
	PhaseVerify  Phase = "verify"
	PhaseSwitch  Phase = "switch"
	PhaseDone    Phase = "done"
)

// Result is what came of one view.
type Result struct {
	View       string
	Generation int64
	Events     int64  // read in this run
	Verified   int64  // documents compared with the live generation
	Unverified string // why none were, or not all, or ""
	Restless   int    // documents that changed too often to be compared
	Drift      *DriftError
	Switched   bool
	Parked     int // streams that the view's code failed on
}

const (
	chunkEvents = 1024
	chunkBytes  = 2 << 20
	chunksAhead = 8 // that wait for each view, so that none starves while the reader waits for a processor
	cacheStates = 5000
	grace       = 20 * time.Second
	renewLease  = 3 * time.Second
	settleFor   = 30 * time.Second
	maxSuspects = 10000
)

// NewReplay returns a Replay, for one Run, Rollback or Audit.
func NewReplay(model Model, log Log, cfg ReplayConfig) *Replay {
	cfg = cfg.withDefaults()
	r := &Replay{
		model: model, log: log, cfg: cfg, token: uuid.NewString(), slots: make(chan struct{}, cfg.Workers),
		chunkEvents: chunkEvents, cacheStates: cacheStates, grace: grace,
		room:       room{hold: 2048, remember: 32768, bulk: 500, putDocs: 1000, putRows: 4096},
		renewEvery: renewLease, settleFor: settleFor, maxSuspects: maxSuspects,
		now: time.Now, sleep: backoff.Sleep,
	}
	if cfg.Rate > 0 {
		r.limiter = rate.NewLimiter(rate.Limit(cfg.Rate), 1)
	}
	return r
}

// job is what sets a replay, a rollback and an audit apart.
type job struct {
	begin    func(ctx context.Context, view string, version int, token string) (row.Build, error)
	verify   bool
	switches func(Result) bool // whether a build becomes live, by what its verification found
	abandon  bool              // drop what does not; else it is left open
	revives  bool              // the build was there before
}

// build is the replay of one view.
type build struct {
	row.Build
	view    *view.View
	phase   Phase
	applier *Applier
	at      event.Position

	assembler *assembler     // while a fresh generation is built; else nil
	assembled bool           // what is not open yet was assembled: when Redis may have lost some of it, all of it is of no use
	astray    bool           // some write may still come: what is not open yet is of no use
	unsettled bool           // some of it is in memory only
	careful   bool           // the view cannot compose some document, so nothing is assembled
	level     event.Position // up to here every writable generation holds the log
	chunks    chan chunk     // of the pass under way
	result    Result
	begun     bool
	held      bool // begun in this attempt
	done      bool

	ending atomic.Bool // the lease is given up on purpose
}

// Run replays views, reading the log for all of them at once. It returns when all are switched, or on the first error;
// another Run resumes. Views are verified and switched each for itself: those that drifted are left as *DriftError says, joined
// into the error. A view that another process replays is left to that, and is row.ErrBusy in the end, when the others are done. The
// results hold what has been done, also beside an error.
func (r *Replay) Run(ctx context.Context, views []*view.View) ([]Result, error) {
	return r.run(ctx, views, job{
		begin: r.model.Begin, verify: true,
		switches: func(found Result) bool { return !r.cfg.NoSwitch && (found.Drift == nil || r.cfg.AllowDrift) },
	})
}

// run does a job, again from its beginning when Redis was restarted, or left a write unanswered, meanwhile.
func (r *Replay) run(ctx context.Context, views []*view.View, j job) ([]Result, error) {
	builds := make([]*build, len(views))
	for i, v := range views {
		builds[i] = &build{view: v, result: Result{View: v.Name}}
	}
	patience := r.newPatience()
	var err error
	for {
		landed := r.chunks.Load()
		err = r.attempt(ctx, builds, j)
		if uncomposable(err) {
			continue
		}
		if !beginAgain(err) {
			break
		}
		if r.chunks.Load() > landed {
			patience.renew()
		}
		if patience.wait(ctx, err) != nil {
			break
		}
	}
	errs := []error{err}
	results := make([]Result, len(builds))
	for i, b := range builds {
		results[i] = b.result
		if drift := b.result.Drift; (err == nil || errors.Is(err, row.ErrBusy)) && drift != nil && !b.result.Switched && !r.cfg.AllowDrift {
			errs = append(errs, drift)
		}
	}
	return results, errors.Join(errs...)
}

// attempt does what is left to do of a job. It is row.ErrBusy when all is done but what others are at.
func (r *Replay) attempt(ctx context.Context, all []*build, j job) (err error) {
	var builds []*build
	defer func(ctx context.Context) {
		if !beginAgain(err) && !uncomposable(err) {
			r.leave(ctx, builds, errors.Is(err, event.ErrNoRoom) && !j.revives)
		}
	}(ctx)
	var busy []error
	for _, b := range all {
		if b.begun && !b.done {
			if err := r.heed(ctx, b); err != nil {
				return err
			}
		}
		if b.done {
			continue
		}
		switch err := r.begin(ctx, b, j); {
		case errors.Is(err, row.ErrBusy):
			busy = append(busy, err)
		case err != nil:
			return err
		default:
			builds = append(builds, b)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx)) // also while what has been read is landed
	defer stop()
	go r.renew(renewing, builds, cancel)
	if err := r.work(ctx, builds, j); err != nil {
		return cause(ctx, err)
	}
	return errors.Join(busy...)
}

// work takes builds that have begun through the rest of their phases.
func (r *Replay) work(ctx context.Context, builds []*build, j job) error {
	if err := r.pass(ctx, builds); err != nil {
		return err
	}
	for _, b := range builds {
		if err := r.open(ctx, b); err != nil {
			return err
		}
		if err := r.leaveOut(ctx, b); err != nil {
			return err
		}
	}
	if err := r.pass(ctx, builds); err != nil {
		return err
	}
	g, running := errgroup.WithContext(ctx)
	for _, b := range builds {
		g.Go(func() error {
			if err := r.finish(running, b, j); err != nil {
				return fmt.Errorf("replay %s: %w", b.view.Name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// cause says why ctx ended, where that is what stopped the work.
func cause(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	return err
}

// finish takes a build that has caught up to its end: verified, then live, dropped, or left open.
func (r *Replay) finish(ctx context.Context, b *build, j job) error {
	b.applier = nil // and what it remembers
	if err := r.insist(ctx, b, func() error { return r.beginLevel(ctx, b) }); err != nil {
		return err
	}
	if j.verify {
		b.phase = PhaseVerify
		if err := r.working(ctx, func() error { return r.verify(ctx, b) }); err != nil {
			return err
		}
	}
	err := r.insist(ctx, b, func() error {
		parked, err := r.model.ParkedIn(ctx, b.Generation)
		b.result.Parked = len(parked)
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case j.switches(b.result):
		err = r.switchTo(ctx, b)
	case j.abandon:
		b.ending.Store(true)
		asked := false
		err = r.insist(ctx, b, func() error {
			err := r.model.Abandon(ctx, b.Generation, r.token)
			if errors.Is(err, row.ErrLost) && asked {
				return nil // it was heard the first time
			}
			asked = true
			return err
		})
	default:
		b.done = true
		return nil
	}
	if err != nil {
		return err
	}
	b.done = true
	return r.drop(ctx, b)
}

func (r *Replay) switchTo(ctx context.Context, b *build) error {
	b.phase = PhaseSwitch
	r.tell(b, nil)
	if err := r.bringLevel(ctx, b); err != nil {
		return err
	}
	b.ending.Store(true)
	if err := r.insist(ctx, b, func() error { return r.model.Switch(ctx, b.Generation, r.token) }); err != nil {
		return err
	}
	b.result.Switched = true
	return nil
}

// drop removes what the job has made superfluous.
func (r *Replay) drop(ctx context.Context, b *build) error {
	if err := r.insist(ctx, b, func() error { return r.model.DropGarbage(ctx, b.view.Name) }); err != nil {
		return fmt.Errorf("it is done, but what nobody reads any more could not be removed: %w", err)
	}
	b.phase = PhaseDone
	r.tell(b, nil)
	return nil
}

func (r *Replay) tell(b *build, note error) {
	r.cfg.Progress(Progress{
		View: b.view.Name, Generation: b.Number, Phase: b.phase, Events: b.result.Events, At: b.at, Verified: b.result.Verified, Note: note,
	})
}

// working runs f as one of the views that work at once.
func (r *Replay) working(ctx context.Context, f func() error) error {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.slots }()
	return f()
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
			// What ends the lease says itself whether it had been lost before.
			if err := r.model.Renew(ctx, b.Generation, r.token); errors.Is(err, row.ErrLost) && !b.ending.Load() {
				cancel(err)
				return
			}
		}
	}
}
