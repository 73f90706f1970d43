package projector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"jangbu/domain/event"
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

	// stalledAfter is how long a verified position may stand still while the log goes on.
	stalledAfter = 30 * time.Second
)

// Run watches until ctx ends, and returns nil.
func (w *watch) Run(ctx context.Context) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var building chan error
	defer func() {
		if building != nil {
			<-building
		}
	}()
	var failed error // of the last build
	var failures int
	var next time.Time // not before this is another begun
	for {
		missing, wanted, err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			w.cfg.Report("generations", err)
		case len(wanted) > 0 && failed != nil:
			w.cfg.Report("generations", fmt.Errorf("a build failed, and is tried again: %w", failed))
		case len(missing) > 0:
			w.cfg.Report("generations", fmt.Errorf("being built: %s", strings.Join(missing, ", ")))
		case building == nil:
			w.cfg.Report("generations", nil)
		}
		if building == nil && len(wanted) > 0 && !w.now().Before(next) {
			building = make(chan error, 1)
			go func() { building <- w.build(ctx, wanted) }()
		}
		select {
		case <-ticker.C:
		case failed = <-building:
			building = nil
			if errors.Is(failed, row.ErrBusy) {
				failed = nil // another builds it
			}
			if failed == nil || errors.Is(failed, event.ErrUnavailable) {
				failures = 0
			} else {
				failures++
			}
			next = w.now().Add(jittered(min(watchInterval<<min(failures, 10), buildRetryMost)))
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *watch) build(ctx context.Context, views []*view.View) error {
	_, err := NewReplay(w.model, w.store, ReplayConfig{Builder: w.cfg.Builder, NewID: w.cfg.NewID, AllowDrift: true}).Run(ctx, views)
	return err
}

// look reports on every view. It returns which have no live generation, and which to build.
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
		if registry.Live.Number == 0 || errors.Is(fault, row.ErrHalf) {
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
	case errors.Is(fault, row.ErrHalf):
		return true, errors.Join(fault, w.model.Forget(ctx, r.Live))
	case errors.Is(fault, row.ErrDoubt) && (r.Version == v.Version || w.cfg.AutoReplay):
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
	end, ahead, err := Ahead(ctx, w.store, at, head)
	if err != nil || !ahead { // the error is one that others report
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
