package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"jangbu/cli/term"
	"jangbu/domain/event"
	"jangbu/infra/eventstore"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
	"jangbu/query/view"
)

// parkedMode is what an operator does about events that a view's code cannot land.
type parkedMode struct {
	List  parkedListMode  `cmd:"" help:"List the parked streams and why they are."`
	Show  parkedShowMode  `cmd:"" help:"Show one: the whole reason, and the event."`
	Retry parkedRetryMode `cmd:"" help:"Land streams again from the log."`
	Skip  parkedSkipMode  `cmd:"" help:"Leave the event out of the view for ever."`
}

func (parkedMode) Help() string {
	return `
When the code of a view cannot fold, load or compose an event of a stream, or panics, that stream is parked in that view: what came before the event has landed, the events after it wait, and all other streams go on. Mend the code and retry; or skip the event.

Examples:

    jangbu parked list
    jangbu parked show orders order-10248
    jangbu parked retry orders --all
    jangbu parked skip orders order-10248
`
}

// parkedStream is a stream that is parked in one generation of a view.
type parkedStream struct {
	View       string    `json:"view"`
	Generation int64     `json:"generation"`
	Stream     string    `json:"stream"`
	Revision   int64     `json:"revision"`
	Type       string    `json:"type"`
	Since      time.Time `json:"since"`
	Reason     string    `json:"reason"`
}

func parkedAs(g row.Generation, p row.Parked) *parkedStream {
	return &parkedStream{g.View, g.Number, p.Stream, p.Revision, p.Type, p.Since, p.Reason}
}

// parkedIn lists what is parked in the view, in its live generation and in one being built, by stream.
func parkedIn(ctx context.Context, model *readmodel.Store, v *view.View) ([]parkedStream, error) {
	registry, err := model.Peek(ctx, v.Name)
	if err != nil {
		return nil, redisAway(err)
	}
	var all []parkedStream
	for _, g := range []row.Generation{registry.Live, registry.Building} {
		if g.Number == 0 {
			continue
		}
		parked, err := model.ParkedIn(ctx, g)
		if err != nil {
			return nil, redisAway(err)
		}
		for _, p := range parked {
			all = append(all, *parkedAs(g, p))
		}
	}
	slices.SortStableFunc(all, func(a, b parkedStream) int { return cmp.Compare(a.Stream, b.Stream) })
	return all, nil
}

func redisAway(err error) error { return away(err, "Redis runs at --redis-url") }

// away adds to an error what to see to where somebody does not answer; whoever answers says by the error what is wrong.
func away(err error, see string) error {
	if !isAway(err) {
		return err
	}
	return fmt.Errorf("%w; see that %s", err, see)
}

func isAway(err error) bool {
	return errors.Is(err, event.ErrUnavailable) && !errors.Is(err, event.ErrNoRoom)
}

type parkedListMode struct {
	redisFlags
	shopFlags
	Views []viewArg `arg:"" optional:"" name:"view" help:"Views to look at; none: all."`
	JSON  bool      `name:"json" help:"Print JSON, for a script." env:"JANGBU_JSON"`
}

func (parkedListMode) Help() string {
	return `
A line a parked stream: the event that cannot be landed, since when, and the beginning of the reason. A generation that is being built has its own.

Examples:

    jangbu parked list
    jangbu parked list orders members
    jangbu parked list --json | jq -r .[].stream
`
}

const reasonWidth = 80

// Run prints the list.
func (m *parkedListMode) Run(ctx context.Context, a *app) (err error) {
	model, err := m.redisFlags.open(a, m.shopFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, model.Close()) }()
	all := []parkedStream{}
	for _, v := range view.All() {
		if len(m.Views) > 0 && !slices.Contains(m.Views, viewArg(v.Name)) {
			continue
		}
		parked, err := parkedIn(ctx, model, v)
		if err != nil {
			return err
		}
		all = append(all, parked...)
	}
	if m.JSON {
		return json.NewEncoder(a.stdout).Encode(all)
	}
	table := term.NewTable("VIEW", "GENERATION>", "STREAM", "REVISION>", "TYPE", "SINCE", "REASON")
	for _, p := range all {
		table.Row(p.View, fmt.Sprint(p.Generation), p.Stream, fmt.Sprint(p.Revision), p.Type, clock(p.Since, time.Now()),
			shortened(p.Reason, reasonWidth))
	}
	_, err = table.WriteTo(a.stdout)
	return err
}

func shortened(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}

type parkedShowMode struct {
	shopAccess
	View   viewArg `arg:"" help:"View in which the stream is parked."`
	Stream string  `arg:"" help:"The stream."`
	JSON   bool    `name:"json" help:"Print JSON, for a script." env:"JANGBU_JSON"`
}

func (parkedShowMode) Help() string {
	return `
Examples:

    jangbu parked show orders order-10248
    jangbu parked show orders order-10248 --json | jq .event
`
}

// parkedEvent is what show tells as JSON.
type parkedEvent struct {
	parkedStream
	Recorded time.Time       `json:"recorded"`
	Event    json.RawMessage `json:"event"`
	Metadata json.RawMessage `json:"metadata"`
}

// Run prints it.
func (m *parkedShowMode) Run(ctx context.Context, a *app) (err error) {
	store, model, closeBoth, err := m.openBoth(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBoth()) }()
	p, err := theParked(ctx, model, m.View.view(), m.Stream)
	if err != nil {
		return err
	}
	e, err := eventAt(ctx, store, p.Stream, p.Revision)
	if err != nil {
		return err
	}
	if m.JSON {
		return json.NewEncoder(a.stdout).Encode(parkedEvent{p, e.Time, asJSON(e.Data), asJSON(e.Metadata)})
	}
	now := time.Now()
	_, err = fmt.Fprintf(a.stdout, "view:      %s, generation %d\nstream:    %s\nrevision:  %d\ntype:      %s\nrecorded:  %s\n"+
		"parked:    %s\nreason:    %s\nevent:     %s\nmetadata:  %s\n",
		p.View, p.Generation, p.Stream, p.Revision, e.Type, clock(e.Time, now), clock(p.Since, now), p.Reason, asJSON(e.Data), asJSON(e.Metadata))
	return err
}

// theParked finds one stream among those parked, in the live generation rather than in one being built.
func theParked(ctx context.Context, model *readmodel.Store, v *view.View, stream string) (parkedStream, error) {
	all, err := parkedIn(ctx, model, v)
	if err != nil {
		return parkedStream{}, err
	}
	for _, p := range all {
		if p.Stream == stream {
			return p, nil
		}
	}
	return parkedStream{}, notParked(v, stream)
}

var errNotParked = errors.New("is not parked")

func notParked(v *view.View, stream string) error {
	return fmt.Errorf("%s %w in view %s: see jangbu parked list %s", stream, errNotParked, v.Name, v.Name)
}

func eventAt(ctx context.Context, store *eventstore.Store, stream string, revision int64) (event.Recorded, error) {
	for e, err := range store.ReadStream(ctx, stream, revision) {
		if errors.Is(err, event.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return event.Recorded{}, storeAway(err)
		}
		return e, nil
	}
	return event.Recorded{}, fmt.Errorf(
		"the event store has no event %d of %s: see that --eventstore-url is the store of this Redis, and that nobody has deleted the stream", revision, stream)
}

func storeAway(err error) error { return away(err, "the event store runs at --eventstore-url") }

// asJSON is a text of the log as JSON: what is none is a string.
func asJSON(text []byte) json.RawMessage {
	switch {
	case len(text) == 0:
		return json.RawMessage("null")
	case !json.Valid(text):
		return row.JSON(string(text))
	}
	return text
}
