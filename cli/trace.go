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
	"jangbu/query/row"
	"jangbu/query/view"
)

type traceMode struct {
	shopAccess
	Stream string `arg:"" help:"The stream, such as order-10248."`
	JSON   bool   `name:"json" help:"Print JSON, for a script." env:"JANGBU_JSON"`
}

func (traceMode) Help() string {
	return `
Each event of the stream; then, for each view that reads it, whether the event has arrived there, and when: the moment at which the view's state that holds it was saved. The last four savings of a stream are known; of an older event only that it was there "by" then. Missing: it has not landed yet. Parked: the view's code cannot land it (jangbu parked show).

Examples:

    jangbu trace order-10248
    jangbu trace member-ada --json | jq '.views[] | select(.missing > 0) | .view'
`
}

// trace is where a stream has got to.
type trace struct {
	Stream string        `json:"stream"`
	Events []tracedEvent `json:"events"`
	Views  []tracedView  `json:"views"` // those that read it
}

type tracedEvent struct {
	Revision    int64     `json:"revision"`
	Type        string    `json:"type"`
	Recorded    time.Time `json:"recorded"`
	Command     string    `json:"command,omitempty"`
	Correlation string    `json:"correlation,omitempty"`
}

// tracedView is how far one view has come.
type tracedView struct {
	View       string        `json:"view"`
	Generation int64         `json:"generation"` // 0: not built yet
	Revision   int64         `json:"revision"`   // landed up to here; -1: nothing has
	Missing    int           `json:"missing"`
	Parked     *parkedStream `json:"parked,omitempty"`
	Arrivals   []arrival     `json:"arrivals"` // of each event
}

type arrival struct {
	Revision int64      `json:"revision"`
	State    string     `json:"state"`        // arrived, missing, parked or skipped
	At       *time.Time `json:"at,omitempty"` // when it arrived
	By       *time.Time `json:"by,omitempty"` // when it had arrived at the latest, where no more is known
}

const (
	arrived = "arrived"
	missing = "missing"
	parked  = "parked"
	skipped = "skipped" // left out by an operator
)

// Run prints the trace.
func (m *traceMode) Run(ctx context.Context, a *app) (err error) {
	if m.Stream == "" {
		return &failure{exitUsage, errors.New("trace: name a stream, such as order-10248; see jangbu trace --help")}
	}
	store, model, closeBoth, err := m.openBoth(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBoth()) }()
	events, err := streamOf(ctx, store, m.Stream)
	if err != nil {
		return err
	}
	t := trace{Stream: m.Stream, Views: []tracedView{}}
	for _, e := range events {
		meta := e.Meta()
		t.Events = append(t.Events, tracedEvent{e.Revision, e.Type, e.Time, meta.CommandID, meta.CorrelationID})
	}
	for _, v := range view.All() {
		if _, reads := v.Source(m.Stream); !reads {
			continue
		}
		traced, err := traceIn(ctx, model, v, m.Stream, events)
		if err != nil {
			return redisAway(err)
		}
		t.Views = append(t.Views, traced)
	}
	if m.JSON {
		return json.NewEncoder(a.stdout).Encode(t)
	}
	return t.print(a, time.Now())
}

func streamOf(ctx context.Context, store *eventstore.Store, stream string) (events []event.Recorded, err error) {
	for e, err := range store.ReadStream(ctx, stream, 0) {
		switch {
		case errors.Is(err, event.ErrStreamNotFound):
			return nil, fmt.Errorf("there is no stream %s in the event store: a stream is named category-id, such as order-10248", stream)
		case err != nil:
			return nil, storeAway(err)
		}
		events = append(events, e)
	}
	return events, nil
}

func traceIn(ctx context.Context, model *readmodel.Store, v *view.View, stream string, events []event.Recorded) (tracedView, error) {
	registry, err := model.Peek(ctx, v.Name)
	if err != nil {
		return tracedView{}, err
	}
	t := tracedView{View: v.Name, Generation: registry.Live.Number, Revision: event.NoStream}
	state := row.State{Revision: event.NoStream}
	var leftOut row.Skips
	if registry.Live.Number > 0 {
		states, err := model.States(ctx, registry.Live, []string{stream})
		if err != nil {
			return tracedView{}, err
		}
		skips, err := model.Skipped(ctx, v.Name)
		if err != nil {
			return tracedView{}, err
		}
		leftOut = skips[stream]
		all, err := model.ParkedIn(ctx, registry.Live)
		if err != nil {
			return tracedView{}, err
		}
		for _, p := range all {
			if p.Stream == stream {
				t.Parked = parkedAs(registry.Live, p)
			}
		}
		state, t.Revision = states[0], states[0].Revision
	}
	for _, e := range events {
		arrival := arrivalOf(e.Revision, state)
		switch {
		case leftOut.Has(e):
			arrival.State, arrival.At, arrival.By = skipped, nil, nil
		case arrival.State == missing && t.Parked != nil && t.Parked.Revision == e.Revision:
			arrival.State = parked
		case arrival.State == missing:
			t.Missing++
		}
		t.Arrivals = append(t.Arrivals, arrival)
	}
	return t, nil
}

// arrivalOf finds the first of the known savings that held the event. Before the oldest of them there may have been others.
func arrivalOf(revision int64, state row.State) arrival {
	a := arrival{Revision: revision, State: arrived}
	if revision > state.Revision {
		a.State = missing
		return a
	}
	for i, saved := range state.Saved {
		switch {
		case saved.Revision < revision:
			return a
		case i == len(state.Saved)-1 && saved.Revision > revision:
			a.At, a.By = nil, &saved.Time
		default:
			a.At = &saved.Time
		}
	}
	return a
}

// print writes the events, then where each has arrived.
func (t trace) print(a *app, now time.Time) error {
	events := term.NewTable("REVISION>", "TYPE", "RECORDED", "COMMAND", "CORRELATION")
	headings := []string{"REVISION>"}
	for _, v := range t.Views {
		headings = append(headings, v.View)
	}
	arrivals := term.NewTable(headings...)
	for i, e := range t.Events {
		events.Row(fmt.Sprint(e.Revision), e.Type, moment(e.Recorded, now), e.Command, e.Correlation)
		cells := []string{fmt.Sprint(e.Revision)}
		for _, v := range t.Views {
			cells = append(cells, v.Arrivals[i].cell(now))
		}
		arrivals.Row(cells...)
	}
	if _, err := events.WriteTo(a.stdout); err != nil {
		return err
	}
	if len(t.Views) == 0 {
		_, err := fmt.Fprintf(a.stdout, "\nno view reads the streams of category %s\n", event.Category(t.Stream))
		return err
	}
	fmt.Fprintln(a.stdout)
	if _, err := arrivals.WriteTo(a.stdout); err != nil {
		return err
	}
	for _, v := range t.Views {
		switch {
		case v.Generation == 0:
			fmt.Fprintf(a.stdout, "%s has not been built yet\n", v.View)
		case v.Parked != nil:
			fmt.Fprintf(a.stdout, "parked in %s since %s: %s (jangbu parked show %s %s)\n", v.View, clock(v.Parked.Since, now), oneLine(errors.New(v.Parked.Reason)), v.View, t.Stream)
		}
	}
	return nil
}

func (a arrival) cell(now time.Time) string {
	switch {
	case a.At != nil:
		return moment(*a.At, now)
	case a.By != nil:
		return "by " + moment(*a.By, now)
	}
	return a.State
}

// moment is clock with milliseconds.
func moment(at, now time.Time) string { return clock(at, now) + at.Format(".000") }
