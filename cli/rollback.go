package cli

import (
	"context"
	"errors"
	"fmt"

	"jangbu/projector"
	"jangbu/query/row"
	"jangbu/query/view"
)

type rollbackMode struct {
	rebuildFlags
	View viewArg `arg:"" help:"View to roll back."`
}

func (rollbackMode) Help() string {
	return `
Makes the generation that was live before live again. It is brought up to the end of the log first, so nothing is lost and queries never see the past; it is not compared with the one that is being left. That one is kept: another rollback undoes this. A generation that a replay has left open (--no-switch, or drift) is given up.

When the event store was put back to a backup, or is another one, a rollback would bring back what is gone; it is refused until the log has grown past that.

There is a previous generation after any replay that switched, until the next one switches. Only the version of the view's code that built it can go on with it: to go back to what an older release built, stop newer projectors, which with --auto-replay would build theirs again at once, run the rollback with that release, and run its projector.

Examples:

    jangbu rollback orders
    jangbu rollback orders --json
`
}

// Run rolls back until it is done or ctx ends.
func (m *rollbackMode) Run(ctx context.Context, a *app) error {
	v := m.View.view()
	err := m.rebuild(ctx, a, []*view.View{v}, projector.ReplayConfig{}, func(r *projector.Replay) ([]projector.Result, error) {
		result, err := r.Rollback(ctx, v)
		return []projector.Result{result}, err
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &failure{exitInterrupted, fmt.Errorf("interrupted; the live generation is as it was: run jangbu rollback %s again to resume", v.Name)}
	case errors.Is(err, row.ErrNoPrevious):
		return fmt.Errorf("%w; a release that has the version of its code can roll back to it, else run jangbu replay %s", err, v.Name)
	case errors.Is(err, projector.ErrAnotherLog):
		return err
	case errors.Is(err, row.ErrBusy):
		return fmt.Errorf("%w; wait for it, or run this again then", err)
	}
	return fmt.Errorf("%w; run jangbu rollback %s again to resume", err, v.Name)
}
