package projector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/backoff"
	"jangbu/query/row"
	"jangbu/query/view"
)

// watch looks at every view once a second: it says what is wrong with each, and builds the ones that have no live
// generation, as on a new shop and when Redis has lost them, or whose live one is to be replaced.
type watch struct {
	store Store
	model Model
	cfg   Config
	now   func() time.Time

	standing map[string]standing

	tries    tries
	mu       sync.Mutex
	building map[string]*Replay // of what is under way here, by view
}

// standing is where a view's verified position was first seen.
type standing struct {
	at    event.Position
	since time.Time
}

const (
	watchInterval = time.Second

	// buildRetryMost is how long a view may wait for its next build, when one has failed of what no waiting cures.
	buildRetryMost = time.Minute

	// fullRetryMost is that of one that Redis has no room for: the live views have none either, until it is given up.
	fullRetryMost = 15 * time.Minute

	// stalledAfter is how long a verified position may stand still while the log goes on.
	stalledAfter = 30 * time.Second
)

// Run watches until ctx ends, and returns nil.
func (w *watch) Run(ctx context.Context) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	ended := make(chan func())
	var running sync.WaitGroup
	defer running.Wait()
	for {
		missing, wanted, err := w.look(ctx)
		var begin []*view.View
		var idle bool
		if err == nil {
			begin, idle = w.pick(wanted)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			w.cfg.Report("generations", err)
		case len(wanted) > 0 && w.tries.failed != nil:
			w.cfg.Report("generations", fmt.Errorf("a build failed, and is tried again: %w", w.tries.failed))
		case len(missing) > 0:
			w.cfg.Report("generations", fmt.Errorf("being built: %s", strings.Join(missing, ", ")))
		case idle:
			w.cfg.Report("generations", nil)
		}
		if len(begin) > 0 {
			r := w.take(begin)
			running.Go(func() {
				results, err := r.Run(ctx, begin)
				select {
				case ended <- func() { w.note(r, begin, results, err) }:
				case <-ctx.Done():
				}
			})
		}
		select {
		case <-ticker.C:
		case note := <-ended:
			note()
		case <-ctx.Done():
			return nil
		}
	}
}

// pick gives the views to build now, of those that are wanted: all that are not being built here, so that none waits for another's build,
// and the log is read once for all that are wanted at once. What is wanted only since the last build failed does not wait as that has to:
// Redis was emptied, perhaps, and may have room. It says, too, whether nothing is being built here.
func (w *watch) pick(wanted []*view.View) (begin []*view.View, idle bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	idle = len(w.building) == 0
	wait := w.now().Before(w.tries.next)
	if wait && idle && slices.ContainsFunc(wanted, func(v *view.View) bool { return !slices.Contains(w.tries.wanted, v) }) {
		w.tries, wait = tries{}, false
	}
	if !wait {
		w.tries.wanted = wanted
	}
	switch {
	case wait:
		return nil, idle
	case len(wanted) == 0:
		if idle {
			w.tries = tries{}
		}
		return nil, idle
	case w.tries.alone:
		if idle {
			begin = append(begin, wanted[w.tries.failures%len(wanted)])
		}
		return begin, idle
	}
	for _, v := range wanted {
		if w.building[v.Name] == nil {
			begin = append(begin, v)
		}
	}
	return begin, idle
}

// take takes views as being built by the replay that it returns, until note; one that another process builds, not even so long.
func (w *watch) take(views []*view.View) *Replay {
	var r *Replay
	r = NewReplay(w.model, w.store, ReplayConfig{Builder: w.cfg.Builder, AllowDrift: true, Progress: func(p Progress) {
		if errors.Is(p.Note, row.ErrBusy) {
			w.release(r, p.View)
		}
	}})
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range views {
		w.building[v.Name] = r
	}
	return r
}

// note takes note of how a replay ended. Where another process builds some of its views, all others have been built, if there were any.
func (w *watch) note(r *Replay, views []*view.View, results []Result, err error) {
	for _, v := range views {
		w.release(r, v.Name)
	}
	if errors.Is(err, row.ErrBusy) && slices.ContainsFunc(results, func(r Result) bool { return r.Switched }) {
		err = nil
	}
	w.tries.note(err, w.now())
}

func (w *watch) release(r *Replay, view string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.building[view] == r {
		delete(w.building, view)
	}
}

// tries says when to build again after builds that have failed, and what.
type tries struct {
	failed   error        // of the last that ended by itself
	failures int          // in a row, of what a minute's waiting did not cure
	alone    bool         // Redis had no room for what was built: one view at a time
	next     time.Time    // not before this is another begun
	wanted   []*view.View // when one could be begun last
}

// note counts a build that has ended. A view that another process builds says nothing about what this one could not.
func (t *tries) note(err error, now time.Time) {
	if !errors.Is(err, row.ErrBusy) {
		t.failed = err
		full := errors.Is(err, event.ErrNoRoom)
		t.alone = t.alone || full
		if t.failures++; err == nil || errors.Is(err, event.ErrUnavailable) && !full {
			t.failures = 0
		}
	}
	most := buildRetryMost
	if t.alone {
		most = fullRetryMost
	}
	t.next = now.Add(backoff.Jittered(min(watchInterval<<min(t.failures, 10), most)))
}

// look reports on every view, and forgets a live generation of which a part is gone. It returns which have no live generation, and which to build.
func (w *watch) look(ctx context.Context) (missing []string, wanted []*view.View, err error) {
	head, err := w.store.Head(ctx)
	known := err == nil || errors.Is(err, event.ErrStreamNotFound)
	if !known {
		head = event.Recorded{} // of that others report; a view that is read can be well
	}
	for _, v := range w.cfg.Views {
		registry, err := w.model.Registry(ctx, v.Name)
		if err != nil {
			return nil, nil, err
		}
		build, fault := w.judge(ctx, v, registry, head.Position)
		half := errors.Is(fault, row.ErrHalf)
		if half { // nobody is to read it any more
			fault = errors.Join(fault, w.model.Forget(ctx, registry.Live))
		}
		if half || registry.Live.Number == 0 {
			missing = append(missing, v.Name)
		}
		if build {
			wanted = append(wanted, v)
		}
		if fault == nil && known {
			fault = w.ahead(ctx, v, registry.At, head.Position)
		}
		w.cfg.Report("view "+v.Name, fault)
	}
	return missing, wanted, nil
}

// judge says what is wrong with a view, and whether to build it.
func (w *watch) judge(ctx context.Context, v *view.View, r row.Registry, head event.Position) (build bool, fault error) {
	if r.Live.Number == 0 {
		return true, errNoGeneration
	}
	if r.Version > v.Version { // whatever else is wrong, it would be put back to the old code
		return false, fmt.Errorf("version %d of its code built what is live, this projector has version %d: upgrade or stop it", r.Version, v.Version)
	}
	switch fault = w.model.Intact(ctx, r.Live); {
	case errors.Is(fault, row.ErrHalf), errors.Is(fault, row.ErrDoubt) && (r.Version == v.Version || w.cfg.AutoReplay):
		return true, fault
	case errors.Is(fault, row.ErrDoubt):
		return false, fmt.Errorf("%w: run `jangbu replay %s`", fault, v.Name)
	case fault != nil:
		return false, fault
	}
	switch {
	case r.Version < v.Version && w.cfg.AutoReplay:
		return true, fmt.Errorf("version %d of its code built what is live; version %d is being built", r.Version, v.Version)
	case r.Version < v.Version:
		return false, fmt.Errorf("version %d of its code built what is live, this projector has version %d: run `jangbu replay %s`, or start it with --auto-replay",
			r.Version, v.Version, v.Name)
	case !r.Silent.IsZero():
		return false, fmt.Errorf("silent since %s: no message brings its events, the sweep lands them from the log; see that its queue is subscribed (jangbu provision)",
			r.Silent.Format(time.RFC3339))
	}
	return false, w.stalled(v, r.At, head)
}

// ahead tells that a view is ahead of the log. It is not for a replay begun by itself to throw away what Redis alone still knows.
func (w *watch) ahead(ctx context.Context, v *view.View, at, head event.Position) error {
	if at.Compare(head) <= 0 {
		return nil
	}
	end, ahead, err := Ahead(ctx, w.store, at) // the log may have grown since head was read
	if err != nil || !ahead {                  // the error is one that others report
		return nil
	}
	return fmt.Errorf("verified up to %s, and the log ends at %s: it is another log than the view was made of, or one restored from a backup; run `jangbu replay %s --allow-drift`",
		at, end, v.Name)
}

// stalled tells that the verified position stands still while the log goes on.
func (w *watch) stalled(v *view.View, at, head event.Position) error {
	now := w.now()
	s, seen := w.standing[v.Name]
	if !seen || s.at != at || at.Compare(head) >= 0 {
		w.standing[v.Name] = standing{at, now}
		return nil
	}
	if now.Sub(s.since) < stalledAfter {
		return nil
	}
	return fmt.Errorf("verified only up to %s since %s, while the log goes on: see check sweep of every projector", at, s.since.UTC().Format(time.RFC3339))
}
