package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"jangbu/cli/term"
	"jangbu/domain/event"
	"jangbu/infra/eventstore"
	"jangbu/infra/readmodel"
	"jangbu/projector"
	"jangbu/query/view"
)

type viewsMode struct {
	storeFlags
	redisFlags
	shopFlags
	JSON bool `name:"json" help:"Print JSON, for a script." env:"JANGBU_JSON"`
}

// Help is the detailed help.
func (viewsMode) Help() string {
	return `
A table with a line a view: its live generation, how many documents it has, up to which position of the log it is verified to hold everything, how many events the sweep had to land because their messages were lost, and how many later events have not landed yet.

Examples:

    jangbu views
    jangbu views --redis-url redis://cache:6379 --eventstore-url 'esdb://store:2113?tls=false'
`
}

// viewStatus is a line of the table.
type viewStatus struct {
	View       string  `json:"view"`
	Generation int64   `json:"generation"` // 0: not built yet
	Version    int     `json:"version"`    // of the view's code that built it
	Building   int64   `json:"building,omitempty"`
	Documents  int64   `json:"documents"`
	Position   string  `json:"position"`   // verified: everything up to here has landed
	Healed     int64   `json:"healed"`     // events that no message had brought
	LagEvents  int64   `json:"lag_events"` // recorded after the position and not landed, counted up to maxLag
	LagSeconds float64 `json:"lag_seconds"`
}

// maxLag bounds how far lag is counted.
const maxLag = 10000

// Run prints the table.
func (m *viewsMode) Run(ctx context.Context, a *app) (err error) {
	store, model, closeBoth, err := openBoth(a, m.storeFlags, m.redisFlags, m.shopFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBoth()) }()
	var all []viewStatus
	for _, v := range view.All() {
		s, err := statusOf(ctx, v, store, model)
		if err != nil {
			return fmt.Errorf("%w; see that Redis runs at --redis-url and the event store at --eventstore-url", err)
		}
		all = append(all, s)
	}
	if m.JSON {
		return json.NewEncoder(a.stdout).Encode(all)
	}
	table := term.NewTable("VIEW", "GENERATION>", "DOCUMENTS>", "VERIFIED UP TO>", "HEALED>", "LAG>", "BEHIND>")
	for _, s := range all {
		table.Row(s.cells()...)
	}
	_, err = table.WriteTo(a.stdout)
	return err
}

func statusOf(ctx context.Context, v *view.View, store *eventstore.Store, model *readmodel.Store) (viewStatus, error) {
	registry, err := model.Registry(ctx, v.Name)
	if err != nil {
		return viewStatus{}, err
	}
	s := viewStatus{
		View: v.Name, Generation: registry.Live.Number, Version: registry.Version, Building: registry.Building.Number,
		Position: registry.At.String(), Healed: registry.Healed,
	}
	if registry.Live.Number > 0 {
		if s.Documents, err = model.Documents(ctx, registry.Live, v.Compose != nil); err != nil {
			return viewStatus{}, err
		}
	}
	lag, err := projector.LagOf(ctx, store, model, v, registry, maxLag)
	if err != nil && !errors.Is(err, event.ErrStreamNotFound) {
		return viewStatus{}, err
	}
	s.LagEvents = lag.Events
	if !lag.Since.IsZero() {
		s.LagSeconds = time.Since(lag.Since).Seconds()
	}
	return s, nil
}

func (s viewStatus) cells() []string {
	generation, lag, behind := fmt.Sprint(s.Generation), term.Count(s.LagEvents), "-"
	if s.Generation == 0 {
		generation = "none yet"
	}
	if s.Building > 0 {
		generation += fmt.Sprintf(" (building %d)", s.Building)
	}
	if s.LagEvents >= maxLag {
		lag = term.Count(maxLag) + "+"
	}
	if s.LagEvents > 0 {
		behind = term.Duration(time.Duration(s.LagSeconds * float64(time.Second)))
	}
	return []string{s.View, generation, term.Count(s.Documents), s.Position, term.Count(s.Healed), lag, behind}
}
