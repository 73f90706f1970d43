package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"jangbu/cli/term"
	"jangbu/infra/eventstore"
	"jangbu/infra/readmodel"
	"jangbu/projector"
	"jangbu/query/row"
	"jangbu/query/view"
)

type parkedRetryMode struct {
	shopAccess
	View    viewArg  `arg:"" help:"View in which the streams are parked."`
	Streams []string `arg:"" optional:"" name:"stream" help:"Streams to land."`
	All     bool     `help:"All that are parked in the view." env:"JANGBU_PARKED_ALL"`
	JSON    bool     `name:"json" help:"Print JSON, for a script." env:"JANGBU_JSON"`
}

func (parkedRetryMode) Help() string {
	return `
Lands the streams from the log with the code of this program, so run it with the release that has the code mended. A stream whose event fails again stays parked; then the exit code is 1.

Examples:

    jangbu parked retry orders order-10248
    jangbu parked retry orders --all
`
}

// Validate implements kong.Validatable.
func (m *parkedRetryMode) Validate() error {
	if m.All == (len(m.Streams) > 0) {
		return errors.New("name the streams to retry, or say --all")
	}
	return nil
}

// retried is what became of one stream.
type retried struct {
	Stream string        `json:"stream"`
	Parked *parkedStream `json:"parked,omitempty"` // it still is
}

// Run lands what is parked.
func (m *parkedRetryMode) Run(ctx context.Context, a *app) (err error) {
	store, model, closeBoth, err := m.openBoth(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBoth()) }()
	v := m.View.view()
	streams, err := m.chosen(ctx, model, v)
	if err != nil {
		return err
	}
	all := []retried{}
	still := 0
	for _, stream := range streams {
		p, err := landFromLog(ctx, store, model, v, stream, runAgain)
		if err != nil && len(all) > 0 {
			return errors.Join(err, m.print(a, all)) // what has landed so far has
		}
		if err != nil {
			return err
		}
		if p != nil {
			still++
		}
		all = append(all, retried{stream, p})
	}
	if err := m.print(a, all); err != nil {
		return err
	}
	if still > 0 {
		return fmt.Errorf("%d of %d streams cannot be landed: jangbu parked show %s STREAM says why", still, len(all), v.Name)
	}
	return nil
}

func (m *parkedRetryMode) chosen(ctx context.Context, model *readmodel.Store, v *view.View) ([]string, error) {
	parked, err := parkedIn(ctx, model, v)
	if err != nil {
		return nil, err
	}
	var there []string
	for _, p := range parked {
		there = append(there, p.Stream)
	}
	there = slices.Compact(there) // by stream; two generations may both have it
	if m.All {
		return there, nil
	}
	for _, stream := range m.Streams {
		if !slices.Contains(there, stream) {
			return nil, notParked(v, stream)
		}
	}
	return m.Streams, nil
}

func (m *parkedRetryMode) print(a *app, all []retried) error {
	if m.JSON {
		return json.NewEncoder(a.stdout).Encode(all)
	}
	table := term.NewTable("STREAM", "OUTCOME")
	for _, r := range all {
		table.Row(r.Stream, r.Parked.outcome())
	}
	_, err := table.WriteTo(a.stdout)
	return err
}

// outcome says what landing a stream came to; nil has landed.
func (p *parkedStream) outcome() string {
	if p == nil {
		return "landed"
	}
	return fmt.Sprintf("parked at revision %d: %s", p.Revision, shortened(p.Reason, reasonWidth))
}

// runAgain is what to do when landing failed in passing, but for who has noted a skip.
const runAgain = "run the same again"

// landFromLog lands all of a stream, and returns where it is parked if it cannot be landed whole. again is what the operator
// is told to do when it fails in passing.
func landFromLog(
	ctx context.Context, store *eventstore.Store, model *readmodel.Store, v *view.View, stream, again string,
) (*parkedStream, error) {
	err := projector.Land(ctx, model, store, v, stream)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, &failure{exitInterrupted, fmt.Errorf("interrupted before %s had landed; %s", stream, again)}
	case isAway(err):
		return nil, fmt.Errorf("land %s: %w; see that the event store and Redis run, then %s", stream, err, again)
	case err != nil:
		return nil, fmt.Errorf("land %s: %w", stream, err)
	}
	p, err := theParked(ctx, model, v, stream)
	if errors.Is(err, errNotParked) {
		return nil, nil
	}
	return &p, err
}

type parkedSkipMode struct {
	shopAccess
	yesFlags
	View   viewArg `arg:"" help:"View in which the stream is parked."`
	Stream string  `arg:"" help:"The stream."`
	JSON   bool    `name:"json" help:"Print JSON, for a script." env:"JANGBU_JSON"`
}

func (parkedSkipMode) Help() string {
	return `
Leaves the event at which the stream is parked out of the view, and lands the rest of the stream. The log keeps the event; this view goes without it, in every later replay, too, even when the code could take it by then; the note is kept in Redis. It cannot be taken back, so it asks.

Examples:

    jangbu parked skip orders order-10248
    jangbu parked skip orders order-10248 --yes
`
}

// Run skips one event.
func (m *parkedSkipMode) Run(ctx context.Context, a *app) (err error) {
	store, model, closeBoth, err := m.openBoth(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBoth()) }()
	v := m.View.view()
	p, err := theParked(ctx, model, v, m.Stream)
	if err != nil {
		return err
	}
	e, err := eventAt(ctx, store, p.Stream, p.Revision)
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Leave event %d (%s) of %s out of view %s for ever?", p.Revision, e.Type, p.Stream, p.View)
	if err := m.confirm(ctx, a, question); err != nil {
		return err
	}
	if err := model.Skip(ctx, v.Name, p.Stream, row.Skip{Revision: e.Revision, ID: e.ID}); err != nil {
		return redisAway(err)
	}
	// The same again would be about the event at which the stream is parked by then.
	next, err := landFromLog(ctx, store, model, v, p.Stream, "run that")
	if err != nil {
		return fmt.Errorf("event %d of %s is left out of view %s, jangbu parked retry %s %s lands the rest: %w",
			p.Revision, p.Stream, p.View, p.View, p.Stream, err)
	}
	if m.JSON {
		return json.NewEncoder(a.stdout).Encode(struct {
			Skipped parkedStream  `json:"skipped"`
			Parked  *parkedStream `json:"parked,omitempty"` // at a later event
		}{p, next})
	}
	_, err = fmt.Fprintf(a.stdout, "event %d of %s is left out of view %s; the stream is %s\n",
		p.Revision, p.Stream, p.View, next.outcome())
	return err
}
