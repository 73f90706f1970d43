package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"time"

	"jangbu/cli/term"
	"jangbu/domain/event"
)

type storeStatsMode struct {
	storeFlags
	patienceFlags
	JSON bool `name:"json" help:"Print JSON, for a script." env:"JANGBU_JSON"`
}

func (storeStatsMode) Help() string {
	return `
Reads the whole log and counts, in all and for each category (the part of a stream's name before the first dash): events, streams, and bytes of data and metadata. System events are left out; events that their stream hides ($maxCount, deletion) count until the store has scavenged them.

Examples:

    jangbu store stats
    jangbu store stats --json | jq .events
`
}

// tally counts events.
type tally struct {
	Category string `json:"category,omitempty"` // empty: all
	Events   int64  `json:"events"`
	Streams  int64  `json:"streams"`
	Bytes    int64  `json:"bytes"` // of data and metadata
}

// storeStats is the result as JSON.
type storeStats struct {
	tally
	Categories []tally `json:"categories"` // by name
}

// Run prints the table.
func (m *storeStatsMode) Run(ctx context.Context, a *app) (err error) {
	store, err := m.storeFlags.open(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	c := &counter{categories: map[string]*tally{}, streams: map[uint64]struct{}{}, seed: maphash.MakeSeed()}
	head, err := awaitHead(ctx, m.Patience, store.Head)
	switch {
	case errors.Is(err, event.ErrStreamNotFound): // an empty store
		err = nil
	case err == nil:
		draw := drawProgress
		if !isTerminal(a.stderr) {
			draw = drawNothing
		}
		err = draw(ctx, a, func(p *term.Progress) error {
			return c.count(ctx, store.ReadAll, m.Patience, logBar{bar: p.Bar("events", 0), head: head.Position})
		})
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return &failure{exitInterrupted, errors.New("interrupted before all was counted: run it again")}
	case err != nil:
		return err
	}
	return c.stats().print(a, m.JSON)
}

// counter counts the events of a log. It knows streams by a hash of 64 bits, so that a million of them fit into some
// tens of megabytes; that two share one is as likely as one in thirty million.
type counter struct {
	all        tally
	categories map[string]*tally
	streams    map[uint64]struct{}
	seed       maphash.Seed
	at         event.Position
}

func (c *counter) count(ctx context.Context, read func(context.Context, event.Position) iter.Seq2[event.Recorded, error], patience time.Duration, bar logBar) error {
	err := patiently(ctx, patience, func() (bool, error) {
		before := c.all.Events
		for e, err := range read(ctx, c.at) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return c.all.Events > before, err
			}
			c.add(e)
			bar.at(c.all.Events, e.Position)
		}
		return true, nil
	})
	if err == nil {
		bar.end(c.all.Events)
	}
	return err
}

func (c *counter) add(e event.Recorded) {
	c.at = e.Position
	category := c.categories[event.Category(e.Stream)]
	if category == nil {
		category = &tally{Category: event.Category(e.Stream)}
		c.categories[category.Category] = category
	}
	stream := maphash.String(c.seed, e.Stream)
	_, known := c.streams[stream]
	c.streams[stream] = struct{}{}
	for _, t := range []*tally{&c.all, category} {
		t.Events++
		t.Bytes += int64(len(e.Data) + len(e.Metadata))
		if !known {
			t.Streams++
		}
	}
}

func (c *counter) stats() storeStats {
	s := storeStats{tally: c.all, Categories: []tally{}}
	for _, t := range c.categories {
		s.Categories = append(s.Categories, *t)
	}
	slices.SortFunc(s.Categories, func(a, b tally) int { return strings.Compare(a.Category, b.Category) })
	return s
}

func (s storeStats) print(a *app, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(a.stdout).Encode(s)
	}
	table := term.NewTable("CATEGORY", "EVENTS>", "STREAMS>", "BYTES>")
	s.tally.Category = "all"
	for _, t := range append(s.Categories, s.tally) {
		table.Row(t.Category, term.Count(t.Events), term.Count(t.Streams), term.Count(t.Bytes))
	}
	if _, err := table.WriteTo(a.stdout); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}
