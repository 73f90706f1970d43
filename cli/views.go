package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"jangbu/cli/term"
)

type viewsMode struct {
	shopAccess
	busFlags
	Watch bool `help:"Look again each second until interrupted." env:"JANGBU_VIEWS_WATCH"`
	JSON  bool `name:"json" help:"Print JSON, for a script." env:"JANGBU_JSON"`
}

func (viewsMode) Help() string {
	return `
A line a view, and one for fulfilment:

GENERATION, VERSION: its live generation, and the version of the view's code that built it. DOCUMENTS: how many it has. VERIFIED UP TO: the position of the log up to which it is known to hold everything.

LAG, OLDEST: how many later events have not landed yet, and the age of the oldest of them. It is reckoned from the log, since SQS tells the age of its oldest message to CloudWatch alone.

QUEUE: messages that wait, and that a projector holds. DEAD: those in the dead-letter queue. Both are "-", with a note on stderr, when SQS does not answer.

PARKED: streams with an event that the view's code cannot land (jangbu parked list). HEALED: events that no message had brought and the sweep landed from the log.

STATUS: ok, or what is wrong. Building: a GET answers 503 until the first generation is whole. Silent: messages bring the view nothing any more; see that its queue is subscribed (jangbu provision) and that a projector runs. Stalled: the log goes on, and the verified position has not for 30 seconds. Version 1, code 2: the live generation was built by other code than this (jangbu replay). That a part of the generation is gone, or may be: a node of the Redis Cluster lost data, and a projector builds the view anew.

Of fulfilment, VERIFIED UP TO is the position of the log up to which each order has been dealt with, or put into its schedule; LAG counts the later events of orders; 0+ means that there are none among the first of many later events. Its STATUS is stalled when such an event, or the first of so many, is older than 30 seconds: see that jangbu fulfilment runs. Not run yet: there are orders, or many events, and none has been looked at. No queue yet: jangbu provision makes it, and jangbu fulfilment when it starts. What has no meaning for it is "-", and not in the JSON. Its dead letters: jangbu dlq list fulfilment.

The exit code is 0 whatever the status is, unless the event store or Redis cannot be read. For an alarm, poll /readyz of every service (jangbu health), and let jq judge what views prints, as below.

Examples:

    jangbu views
    jangbu views --watch --aws-endpoint-url http://127.0.0.1:4566
    jangbu views --json | jq -r '.[] | select(.status != "ok") | .view'
    jangbu views --json | jq -e 'all(.status == "ok" and (.queue.dead // 0) == 0)'
    jangbu views --redis-url redis://cache:6379 --eventstore-url 'esdb://store:2113?tls=false'
`
}

const watchInterval = time.Second

// Run prints the views, or goes on printing them until ctx ends.
func (m *viewsMode) Run(ctx context.Context, a *app) (err error) {
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
	o := &observer{store: store, model: model, due: due, limit: maxLag}
	b, noBus := m.busFlags.open(ctx, m.shopFlags)
	if noBus == nil {
		defer b.Close()
		o.queue = b.Queue
	}
	if m.Watch {
		return m.watch(ctx, a, o, noBus)
	}
	all, note, err := m.look(ctx, o, noBus)
	if err != nil {
		return err
	}
	if note != "" {
		fmt.Fprintln(a.stderr, note)
	}
	return m.print(a, all, "")
}

// look looks once, and words what goes wrong.
func (m *viewsMode) look(ctx context.Context, o *observer, noBus error) (all []statusLine, note string, err error) {
	all, missing, err := o.look(ctx)
	if err != nil {
		return nil, "", away(err, "Redis runs at --redis-url and the event store at --eventstore-url")
	}
	if noBus != nil {
		missing = noBus
	} else if missing != nil {
		missing = busAway(missing)
	}
	if missing != nil {
		note = "no figures of the queues: " + oneLine(missing)
	}
	return all, note, nil
}

// watch looks each second. On a terminal it draws over what it drew before; elsewhere it prints block after block. That
// something cannot be read is shown in the place of the table, and passes.
func (m *viewsMode) watch(ctx context.Context, a *app, o *observer, noBus error) error {
	o.limit = watchLag
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	said := ""
	for {
		all, note, err := m.look(ctx, o, noBus)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			note = "jangbu: " + oneLine(err)
		}
		if m.JSON {
			if note != said && note != "" {
				fmt.Fprintln(a.stderr, note)
			}
			said, note = note, ""
		}
		if err == nil || !m.JSON {
			if err := m.print(a, all, note); err != nil {
				return err
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// print writes one look, in one piece.
func (m *viewsMode) print(a *app, all []statusLine, note string) error {
	if m.JSON {
		return json.NewEncoder(a.stdout).Encode(all)
	}
	terminal := isTerminal(a.stdout)
	var block bytes.Buffer
	if all != nil {
		table := term.NewTable(headings...)
		for _, s := range all {
			table.Row(s.cells()...)
		}
		if _, err := table.WriteTo(&block); err != nil {
			return err
		}
	}
	text := block.String()
	if terminal {
		text = redden(text, func(line int) bool { return line > 0 && !all[line-1].well() })
	}
	if note != "" {
		text += note + "\n"
	}
	if m.Watch {
		text = frame(text, terminal)
	}
	_, err := fmt.Fprint(a.stdout, text)
	return err
}

// redden writes some of the lines in red.
func redden(text string, which func(line int) bool) string {
	var out strings.Builder
	n := 0
	for line := range strings.Lines(text) {
		if which(n) {
			line = "\x1b[31m" + strings.TrimSuffix(line, "\n") + "\x1b[0m\n"
		}
		out.WriteString(line)
		n++
	}
	return out.String()
}

// frame draws over the whole of a terminal, without wrapping lines; elsewhere it ends a block with an empty line.
func frame(text string, terminal bool) string {
	if !terminal {
		return text + "\n"
	}
	return "\x1b[?7l\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J\x1b[?7h"
}
