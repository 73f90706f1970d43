package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"jangbu/projector"
	"jangbu/query/row"
	"jangbu/query/view"
)

type replayMode struct {
	rebuildFlags
	Views      []viewArg `arg:"" optional:"" name:"view" help:"Views to rebuild."`
	All        bool      `help:"Rebuild every view." env:"JANGBU_REPLAY_ALL"`
	Workers    int       `help:"Views that land or verify at once; 0: as many as there are CPUs." default:"0" env:"JANGBU_REPLAY_WORKERS" placeholder:"N"`
	Rate       float64   `help:"Most events to read from the event store in a second; 0: as many as it gives." default:"0" env:"JANGBU_REPLAY_RATE" placeholder:"N"`
	NoSwitch   bool      `help:"Build and verify, and leave the generation open for a later replay to switch to." env:"JANGBU_REPLAY_NO_SWITCH"`
	AllowDrift bool      `help:"Switch even if documents differ." env:"JANGBU_REPLAY_ALLOW_DRIFT"`
	Restart    bool      `help:"Discard what an interrupted replay has built." env:"JANGBU_REPLAY_RESTART"`
}

// rebuildFlags are what replay, rollback and audit share.
type rebuildFlags struct {
	shopAccess
	Patience time.Duration `help:"How long a dependency may be away before this stops." default:"1m" env:"JANGBU_REPLAY_PATIENCE" placeholder:"TIME"`
	JSON     bool          `name:"json" help:"Print JSON, for a script." env:"JANGBU_JSON"`
}

func (replayMode) Help() string {
	return `
Each view's next generation is built from the log beside the live one and caught up. It is then compared with the live one, document by document; then one pointer is switched. Queries never notice, and nothing is published or commanded. The generation that was live is kept: jangbu rollback goes back to it.

Where documents differ, the first ones are printed as a diff (- live, + new), the view stays as it is, and the exit code is 3. What was built stays open, so that nothing is lost: switch to it with --allow-drift, or build it anew with --restart. A live generation that another version of the view's code built is not compared.

A replay that was interrupted (Ctrl-C, SIGTERM) is resumed by running it again. After one that was killed, run it again 15 s later, when its lease has run out; what had caught up is resumed, what was still being built is built anew. So is what has come further than the log goes: the event store was put back to a backup. An event that the view's code cannot land parks its stream (jangbu parked list) and does not stop the replay.

Examples:

    jangbu replay --all
    jangbu replay orders members
    jangbu replay --all --rate 2000 --workers 1     # spare the store and Redis
    jangbu replay orders --no-switch                # now; and when it suits, without the option
    jangbu replay orders --allow-drift              # the diff is what was to be mended
    jangbu replay --all --json | jq -r '.[] | select(.switched | not) | .view'
`
}

// Validate implements kong.Validatable.
func (m *replayMode) Validate() error {
	switch {
	case !m.All && len(m.Views) == 0:
		return errors.New("name the views to replay, or say --all")
	case m.All && len(m.Views) > 0:
		return errors.New("name the views to replay, or say --all, not both")
	case m.Workers < 0:
		return errors.New("--workers must be 0 or more")
	case m.Rate < 0:
		return errors.New("--rate must be 0 or more")
	}
	return nil
}

// Run replays until all is switched or ctx ends.
func (m *replayMode) Run(ctx context.Context, a *app) error {
	cfg := projector.ReplayConfig{Workers: m.Workers, Rate: m.Rate, NoSwitch: m.NoSwitch, AllowDrift: m.AllowDrift, Restart: m.Restart}
	views := m.chosen()
	err := m.rebuild(ctx, a, views, cfg, func(r *projector.Replay) ([]projector.Result, error) { return r.Run(ctx, views) })
	var drift *projector.DriftError
	switch {
	case errors.As(err, &drift):
		return &failure{exitDrift, fmt.Errorf("%w; such a view is as it was: switch anyway with --allow-drift, or build anew with --restart", err)}
	case err != nil && ctx.Err() != nil:
		return &failure{exitInterrupted, errors.New("interrupted; what is not switched is as it was: run the same replay again to resume")}
	case errors.Is(err, row.ErrBusy):
		return fmt.Errorf("%w; wait for it, or run this again for that view then", err)
	case err != nil:
		return fmt.Errorf("%w; what is not switched is as it was: run the same replay again to resume", err)
	}
	return nil
}

func (m *replayMode) chosen() []*view.View {
	if m.All {
		return view.All()
	}
	var views []*view.View
	for _, name := range m.Views {
		if v := name.view(); !slices.Contains(views, v) {
			views = append(views, v)
		}
	}
	return views
}

func viewNames() []string {
	var names []string
	for _, v := range view.All() {
		names = append(names, v.Name)
	}
	return names
}
