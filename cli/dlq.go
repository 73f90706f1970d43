package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"jangbu/cli/term"
	"jangbu/domain/event"
	"jangbu/infra/bus"
	"jangbu/infra/eventstore"
	"jangbu/infra/readmodel"
	"jangbu/infra/schedule"
	"jangbu/query/view"
)

// dlqMode is what an operator does about the dead-letter queue of a view, or of fulfilment.
type dlqMode struct {
	List    dlqListMode    `cmd:"" help:"Show the messages in a dead-letter queue."`
	Redrive dlqRedriveMode `cmd:"" help:"Deal with what they tell, from the log, and delete them."`
	Purge   dlqPurgeMode   `cmd:"" help:"Delete them all."`
}

func (dlqMode) Help() string {
	return `
A message that was received ten times and not dealt with goes to the dead-letter queue of its view, or of fulfilment: mostly one that is no event at all. Nothing is lost with it: what the log has and a view or an order has not, the sweep brings.

Examples:

    jangbu dlq list orders
    jangbu dlq redrive orders
    jangbu dlq purge orders
    jangbu dlq list fulfilment
`
}

// queueArg names whose queue it is: a view's, or fulfilment's.
type queueArg string

// Decode implements kong.MapperValue.
func (a *queueArg) Decode(ctx *kong.DecodeContext) error {
	var name string
	if err := ctx.Scan.PopValueInto("view", &name); err != nil {
		return err
	}
	if _, ok := view.Named(name); !ok && name != fulfilmentQueue {
		return fmt.Errorf("there is no view %q: choose from %s, or %s", name, strings.Join(viewNames(), ", "), fulfilmentQueue)
	}
	*a = queueArg(name)
	return nil
}

// busAway says what to do about a queue that cannot be reached, or used.
func busAway(err error) error {
	switch {
	case errors.Is(err, event.ErrNotProvisioned):
		return fmt.Errorf("%w; see --topic and --aws-endpoint-url, or create it with jangbu provision", err)
	case errors.Is(err, bus.ErrPurging):
		return fmt.Errorf("%w; run it again in a minute", err)
	case bus.Denied(err):
		return fmt.Errorf("%w; see the credentials of AWS, what they may do, and --aws-endpoint-url", err)
	}
	return away(err, "SQS runs at --aws-endpoint-url")
}

type dlqListMode struct {
	busFlags
	shopFlags
	View  queueArg `arg:"" help:"The view, or fulfilment."`
	Limit int      `help:"How many messages to show." default:"100" env:"JANGBU_DLQ_LIMIT" placeholder:"N"`
	JSON  bool     `name:"json" help:"Print JSON, for a script." env:"JANGBU_JSON"`
}

func (dlqListMode) Help() string {
	return `
A line a message: the event in it, or why it is none and how it begins. Looking takes nothing away, though SQS counts it as a receive. A message that somebody else looks at just now is not shown.

Examples:

    jangbu dlq list orders
    jangbu dlq list orders --limit 1000 --json
`
}

// Validate implements kong.Validatable.
func (m *dlqListMode) Validate() error {
	if m.Limit < 1 {
		return fmt.Errorf("--limit must be at least 1, not %d", m.Limit)
	}
	return nil
}

// deadLetter is a message in a dead-letter queue.
type deadLetter struct {
	ID       string    `json:"id"`
	Stream   string    `json:"stream,omitempty"`
	Revision int64     `json:"revision"`
	Type     string    `json:"type,omitempty"`
	Receives int       `json:"receives"`
	Sent     time.Time `json:"sent"`
	Problem  string    `json:"problem,omitempty"` // why it is no event
	Begins   string    `json:"begins,omitempty"`  // how the body of one that is none begins
}

const beginsWidth = 40

func deadLetterOf(l bus.Letter) deadLetter {
	d := deadLetter{ID: l.ID, Stream: l.Event.Stream, Revision: l.Event.Revision, Type: l.Event.Type, Receives: l.Receives, Sent: l.Sent}
	if l.Err != nil {
		d.Problem, d.Begins = l.Err.Error(), shortened(l.Body, beginsWidth)
	}
	return d
}

// Run prints the list.
func (m *dlqListMode) Run(ctx context.Context, a *app) error {
	b, err := m.open(ctx, m.shopFlags)
	if err != nil {
		return err
	}
	defer b.Close()
	all := []deadLetter{}
	more := false
	for letters, err := range b.DeadLetters(string(m.View)).Letters(ctx) {
		if err != nil {
			return busAway(err)
		}
		for _, l := range letters {
			all = append(all, deadLetterOf(l))
		}
		if more = len(all) >= m.Limit; more {
			all = all[:m.Limit]
			break
		}
	}
	if more {
		fmt.Fprintf(a.stderr, "these are the first %d; see more with --limit\n", m.Limit)
	}
	if m.JSON {
		return json.NewEncoder(a.stdout).Encode(all)
	}
	table := term.NewTable("STREAM", "REVISION>", "TYPE", "RECEIVES>", "SENT", "NO EVENT")
	for _, d := range all {
		stream, revision, problem := d.Stream, fmt.Sprint(d.Revision), ""
		if d.Problem != "" {
			stream, revision, problem = "-", "-", fmt.Sprintf("%q: %s", d.Begins, d.Problem)
		}
		table.Row(stream, revision, d.Type, fmt.Sprint(d.Receives), clock(d.Sent, time.Now()), problem)
	}
	_, err = table.WriteTo(a.stdout)
	return err
}

type dlqRedriveMode struct {
	shopAccess
	busFlags
	View queueArg `arg:"" help:"The view, or fulfilment."`
	JSON bool     `name:"json" help:"Print JSON, for a script." env:"JANGBU_JSON"`
}

func (dlqRedriveMode) Help() string {
	return `
For each message, its stream is landed in the view from the log; then the message is deleted. A stream whose event the view's code cannot land is parked (jangbu parked list), which deals with the message, too. Messages that are no events stay, and so do those whose event this event store does not have; for the latter the exit code is 1.

Of fulfilment, the message's order is put into the schedule as due now, instead of landed: a running jangbu fulfilment looks at it within the second, by the log.

Examples:

    jangbu dlq redrive orders
    jangbu dlq redrive fulfilment
    jangbu dlq redrive orders --json
`
}

// redriven counts messages.
type redriven struct {
	View     string `json:"view"`
	Landed   int    `json:"landed"`     // or, of fulfilment, due now; and deleted
	Parked   int    `json:"parked"`     // their streams are, and they are deleted
	NoEvents int    `json:"no_events"`  // they stay
	NotInLog int    `json:"not_in_log"` // they stay
}

// Run redrives all that lies there.
func (m *dlqRedriveMode) Run(ctx context.Context, a *app) (err error) {
	store, model, closeBoth, err := m.openBoth(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBoth()) }()
	due, err := m.openSchedule(m.shopFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, due.Close()) }()
	b, err := m.busFlags.open(ctx, m.shopFlags)
	if err != nil {
		return err
	}
	defer b.Close()
	r := redriven{View: string(m.View)}
	settle := func(e event.Recorded) (fate, error) { return makeDue(ctx, store, due, e) }
	if v, ok := view.Named(string(m.View)); ok {
		settle = func(e event.Recorded) (fate, error) { return land(ctx, store, model, v, e) }
	}
	failed := redrive(ctx, b.DeadLetters(string(m.View)), settle, &r)
	if failed == nil && r.NotInLog > 0 {
		failed = fmt.Errorf("the event store does not have the events of %d messages: see that --eventstore-url is the store that this bus carries, or jangbu dlq purge %s", r.NotInLog, m.View)
	}
	return errors.Join(r.print(a, m.JSON), failed)
}

// fate is what became of a message.
type fate int

const (
	fateLanded   fate = iota // or due now; the message can go
	fateParked               // its stream is; the message can go
	fateNotInLog             // the message stays
)

// redrive deals with each message by settle, and counts in r what became of it.
func redrive(ctx context.Context, queue *bus.Queue, settle func(event.Recorded) (fate, error), r *redriven) error {
	for letters, err := range queue.Letters(ctx) {
		switch {
		case err != nil && ctx.Err() != nil:
			return &failure{exitInterrupted, errors.New("interrupted; run the same again")}
		case err != nil:
			return busAway(err)
		}
		for _, l := range letters {
			if l.Err != nil {
				r.NoEvents++
				continue
			}
			became, err := settle(l.Event)
			if err != nil {
				return err
			}
			if became == fateNotInLog {
				r.NotInLog++
				continue
			}
			if err := queue.Delete(ctx, []event.Delivery{l.Delivery}); err != nil {
				return busAway(err)
			}
			if became == fateParked {
				r.Parked++
			} else {
				r.Landed++
			}
		}
	}
	return nil
}

// land lands an event's stream, and says what became of the message.
func land(ctx context.Context, store *eventstore.Store, model *readmodel.Store, v *view.View, e event.Recorded) (fate, error) {
	p, err := landFromLog(ctx, store, model, v, e.Stream, runAgain)
	if err != nil {
		return 0, err
	}
	if p != nil && p.Revision <= e.Revision {
		return fateParked, nil
	}
	registry, err := model.Peek(ctx, v.Name)
	if err != nil {
		return 0, redisAway(err)
	}
	for _, g := range registry.Writable(v.Version) { // in which it has landed: no other release's
		states, err := model.States(ctx, g, []string{e.Stream})
		if err != nil {
			return 0, redisAway(err)
		}
		if states[0].Revision < e.Revision {
			return fateNotInLog, nil
		}
	}
	return fateLanded, nil
}

// makeDue has fulfilment look at an event's order, and says what became of the message.
func makeDue(ctx context.Context, store *eventstore.Store, due *schedule.Schedule, e event.Recorded) (fate, error) {
	switch last, err := store.Last(ctx, e.Stream); {
	case errors.Is(err, event.ErrStreamNotFound), err == nil && last.Revision < e.Revision:
		return fateNotInLog, nil
	case err != nil:
		return 0, storeAway(err)
	}
	if err := due.Note(ctx, event.StreamID(e.Stream), time.Now()); err != nil {
		return 0, redisAway(err)
	}
	return fateLanded, nil
}

func (r redriven) print(a *app, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(a.stdout).Encode(r)
	}
	table := term.NewTable("VIEW", "LANDED>", "PARKED>", "NO EVENTS, LEFT>", "NOT IN THE LOG, LEFT>")
	table.Row(r.View, fmt.Sprint(r.Landed), fmt.Sprint(r.Parked), fmt.Sprint(r.NoEvents), fmt.Sprint(r.NotInLog))
	_, err := table.WriteTo(a.stdout)
	return err
}

type dlqPurgeMode struct {
	busFlags
	shopFlags
	yesFlags
	View queueArg `arg:"" help:"The view, or fulfilment."`
	JSON bool     `name:"json" help:"Print JSON, for a script." env:"JANGBU_JSON"`
}

func (dlqPurgeMode) Help() string {
	return `
Deletes every message in the dead-letter queue. It cannot be taken back, so it asks. SQS allows it once a minute, and may take a minute for it.

Examples:

    jangbu dlq purge orders
    jangbu dlq purge orders --yes
`
}

// Run purges the queue.
func (m *dlqPurgeMode) Run(ctx context.Context, a *app) error {
	b, err := m.open(ctx, m.shopFlags)
	if err != nil {
		return err
	}
	defer b.Close()
	queue := b.DeadLetters(string(m.View))
	depth, err := queue.Depth(ctx)
	if err != nil {
		return busAway(err)
	}
	n := depth.Visible + depth.InFlight + depth.Delayed
	if err := m.confirm(ctx, a, fmt.Sprintf("Delete all messages (now %d) of %s for ever?", n, queue.Name())); err != nil {
		return err
	}
	if err := queue.Purge(ctx); err != nil {
		return busAway(err)
	}
	if m.JSON {
		return json.NewEncoder(a.stdout).Encode(map[string]any{"view": m.View, "purged": n})
	}
	_, err = fmt.Fprintf(a.stdout, "%d messages of %s deleted\n", n, queue.Name())
	return err
}
