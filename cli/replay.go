package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"jangbu/cli/term"
	"jangbu/domain/event"
	"jangbu/projector"
	"jangbu/query/row"
	"jangbu/query/view"
)

type replayMode struct {
	storeFlags
	redisFlags
	shopFlags
	Views    []string      `arg:"" optional:"" name:"view" help:"Views to rebuild."`
	Patience time.Duration `help:"How long a dependency may be away before the replay stops." default:"1m" env:"JANGBU_REPLAY_PATIENCE" placeholder:"TIME"`
	All      bool          `help:"Rebuild every view." env:"JANGBU_REPLAY_ALL"`
}

// Help is the detailed help.
func (replayMode) Help() string {
	return `
Each view's next generation is built from the log beside the live one and caught up; then one pointer is switched. Queries never notice, and nothing is published or commanded.

A replay that was interrupted is resumed by running it again.

Examples:

    jangbu replay --all
    jangbu replay orders members
`
}

// Validate implements kong.Validatable.
func (m *replayMode) Validate() error {
	if m.All == (len(m.Views) > 0) {
		return errors.New("name the views to replay, or say --all")
	}
	return nil
}

// Run replays until all is switched or ctx ends, with a bar a view on stderr and a table on stdout.
func (m *replayMode) Run(ctx context.Context, a *app) (err error) {
	views, err := m.chosen()
	if err != nil {
		return err
	}
	store, model, closeBoth, err := openBoth(a, m.storeFlags, m.redisFlags, m.shopFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBoth()) }()
	head, err := store.Head(ctx)
	if err != nil && !errors.Is(err, event.ErrStreamNotFound) {
		return fmt.Errorf("%w; see that the event store runs at --eventstore-url", err)
	}
	bars := newReplayBars(a, views, head.Position)
	replay := projector.NewReplay(model, store, projector.ReplayConfig{Builder: builder(model), Patience: m.Patience, Progress: bars.show})
	stop := bars.start(ctx)
	err = replay.Run(ctx, views)
	if drawn := stop(); err == nil {
		err = drawn
	}
	switch {
	case err == nil:
		return bars.print(a)
	case ctx.Err() != nil:
		return &failure{exitInterrupted, errors.New("interrupted; the live views are as they were: run the same replay again to resume")}
	case errors.Is(err, row.ErrBusy):
		return fmt.Errorf("%w; wait for it, or run this again then", err)
	}
	return fmt.Errorf("%w; the live views are as they were: run the same replay again to resume", err)
}

func (m *replayMode) chosen() ([]*view.View, error) {
	if m.All {
		return view.All(), nil
	}
	var views []*view.View
	for _, name := range m.Views {
		v, ok := view.Named(name)
		if !ok {
			return nil, &failure{exitUsage, fmt.Errorf("there is no view %q: choose from %s", name, strings.Join(viewNames(), ", "))}
		}
		if !slices.Contains(views, v) {
			views = append(views, v)
		}
	}
	return views, nil
}

func viewNames() []string {
	var names []string
	for _, v := range view.All() {
		names = append(names, v.Name)
	}
	return names
}

// replayBars shows a replay. Nobody knows how many events the log holds until it has been read, so the total is
// reckoned from positions; those only compare, which makes it a picture, not a measure.
type replayBars struct {
	progress *term.Progress
	bars     map[string]*term.Bar
	head     event.Position
	began    time.Time

	mu   sync.Mutex
	last map[string]projector.Progress
}

func newReplayBars(a *app, views []*view.View, head event.Position) *replayBars {
	b := &replayBars{
		progress: term.NewProgress(a.stderr, term.Options{Terminal: isTerminal(a.stderr)}),
		bars:     map[string]*term.Bar{}, head: head, began: time.Now(), last: map[string]projector.Progress{},
	}
	for _, v := range views {
		b.bars[v.Name] = b.progress.Bar(v.Name, 0)
	}
	return b
}

// start draws until the function it returns is called.
func (b *replayBars) start(ctx context.Context) (stop func() error) {
	drawing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	drawn := make(chan error, 1)
	go func() { drawn <- b.progress.Run(drawing) }()
	return func() error {
		cancel()
		return <-drawn
	}
}

func (b *replayBars) show(p projector.Progress) {
	b.mu.Lock()
	b.last[p.View] = p
	b.mu.Unlock()
	bar := b.bars[p.View]
	phase := string(p.Phase)
	if p.Note != nil {
		phase += " (waiting: " + p.Note.Error() + ")"
	}
	bar.Phase(phase)
	bar.Set(p.Events)
	switch {
	case p.Phase == projector.PhaseSwitch || p.Phase == projector.PhaseDone:
		bar.Total(p.Events)
	case p.At.Commit > 0 && p.At.Commit < b.head.Commit:
		bar.Total(int64(float64(p.Events) * float64(b.head.Commit) / float64(p.At.Commit)))
	}
}

// print tells on stdout what was done.
func (b *replayBars) print(a *app) error {
	table := term.NewTable("VIEW", "GENERATION>", "EVENTS>")
	for _, v := range view.All() {
		if p, ok := b.last[v.Name]; ok {
			table.Row(v.Name, fmt.Sprint(p.Generation), term.Count(p.Events))
		}
	}
	if _, err := table.WriteTo(a.stdout); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	_, err := fmt.Fprintf(a.stdout, "in %s; the views above are live\n", term.Duration(time.Since(b.began)))
	return err
}
