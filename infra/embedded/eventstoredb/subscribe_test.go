package eventstoredb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
)

// follow reads a subscription until stop says it has seen enough.
func follow(t *testing.T, sub *esdb.Subscription, err error, stop func(*esdb.SubscriptionEvent) bool) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for {
		e := sub.Recv()
		if e.SubscriptionDropped != nil {
			t.Fatalf("subscription dropped: %v", e.SubscriptionDropped.Error)
		}
		if stop(e) {
			return
		}
	}
}

// appeared is the ids of the first n events that a subscription delivers.
func appeared(t *testing.T, sub *esdb.Subscription, err error, n int) (ids []uuid.UUID) {
	t.Helper()
	follow(t, sub, err, func(e *esdb.SubscriptionEvent) bool {
		if e.EventAppeared != nil {
			ids = append(ids, e.EventAppeared.Event.EventID)
		}
		return len(ids) == n
	})
	return ids
}

func TestSubscriptionFromCatchUpToLive(t *testing.T) {
	const before, writers, each = 3000, 8, 150
	tests := map[string]func(*testing.T, *esdb.Client) (*esdb.Subscription, error){
		"stream": func(t *testing.T, c *esdb.Client) (*esdb.Subscription, error) {
			return c.SubscribeToStream(patient(t), "flow", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
		},
		"all": func(t *testing.T, c *esdb.Client) (*esdb.Subscription, error) {
			return c.SubscribeToAll(patient(t), esdb.SubscribeToAllOptions{From: esdb.Start{}})
		},
		"all, filtered": func(t *testing.T, c *esdb.Client) (*esdb.Subscription, error) {
			return c.SubscribeToAll(patient(t), esdb.SubscribeToAllOptions{
				From:   esdb.Start{},
				Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"flow"}},
			})
		},
	}
	for name, subscribe := range tests {
		t.Run(name, func(t *testing.T) {
			c := connected(t)
			for range before / 100 {
				mustAppend(t, c, "flow", anyRevision, numbered(100)...)
			}
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for range each {
						_, err := c.AppendToStream(patient(t), "flow", anyRevision, newEvent("live", `{}`))
						if err == nil {
							_, err = c.AppendToStream(patient(t), fmt.Sprintf("noise-%d", w), anyRevision, newEvent("noise", `{}`))
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			next, caughtUp := uint64(0), false
			sub, err := subscribe(t, c)
			follow(t, sub, err, func(e *esdb.SubscriptionEvent) bool {
				caughtUp = caughtUp || e.CaughtUp != nil
				if e.EventAppeared == nil || e.EventAppeared.Event.StreamID != "flow" {
					return next == before+writers*each && caughtUp
				}
				if got := e.EventAppeared.Event.EventNumber; got != next {
					t.Fatalf("revision %d came where %d was due", got, next)
				}
				next++
				return next == before+writers*each && caughtUp
			})
			wg.Wait()
		})
	}
}

func TestSubscriptionOrigins(t *testing.T) {
	c := connected(t)
	events := numbered(5)
	var at []esdb.Position
	for i := range events {
		w := mustAppend(t, c, "s", anyRevision, events[i])
		at = append(at, esdb.Position{Commit: w.CommitPosition, Prepare: w.PreparePosition})
	}
	stream, all := subscribersOf(c)
	tests := []struct {
		name      string
		subscribe subscriber
		want      []uuid.UUID // before the caught-up message
	}{
		{"stream from the start", stream("s", esdb.Start{}), idsOf(events)},
		{"stream after a revision", stream("s", esdb.Revision(1)), idsOf(events[2:])},
		{"stream from the end", stream("s", esdb.End{}), nil},
		{"stream that does not exist", stream("absent", esdb.Start{}), nil},
		{"all from the start", all(esdb.Start{}), idsOf(events)},
		{"all after a position", all(at[2]), idsOf(events[3:])},
		{"all from the end", all(esdb.End{}), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sub, err := test.subscribe(patient(t))
			var got []uuid.UUID
			follow(t, sub, err, func(e *esdb.SubscriptionEvent) bool {
				if e.EventAppeared != nil {
					got = append(got, e.EventAppeared.Event.EventID)
				}
				return e.CaughtUp != nil
			})
			if !slices.Equal(got, test.want) {
				t.Fatalf("caught up with %v, want %v", got, test.want)
			}
		})
	}
}

type subscriber = func(context.Context) (*esdb.Subscription, error)

func subscribersOf(c *esdb.Client) (stream func(string, esdb.StreamPosition) subscriber, all func(esdb.AllPosition) subscriber) {
	stream = func(name string, from esdb.StreamPosition) subscriber {
		return func(ctx context.Context) (*esdb.Subscription, error) {
			return c.SubscribeToStream(ctx, name, esdb.SubscribeToStreamOptions{From: from})
		}
	}
	all = func(from esdb.AllPosition) subscriber {
		return func(ctx context.Context) (*esdb.Subscription, error) {
			return c.SubscribeToAll(ctx, esdb.SubscribeToAllOptions{From: from})
		}
	}
	return stream, all
}

func TestWhatIsAppendedAfterTheConfirmationComes(t *testing.T) {
	c := connected(t)
	mustAppend(t, c, "s", noStream, numbered(5)...)
	mustAppend(t, c, "short", noStream, numbered(5)...)
	stream, all := subscribersOf(c)
	for name, test := range map[string]struct {
		subscribe subscriber
		target    string
	}{
		"a new stream":     {stream("new", esdb.Start{}), "new"},
		"a stream's end":   {stream("s", esdb.End{}), "s"},
		"the log's end":    {all(esdb.End{}), "s"},
		"beyond the end":   {stream("short", esdb.Revision(5)), ""},
		"a new stream end": {stream("newer", esdb.End{}), "newer"},
	} {
		t.Run(name, func(t *testing.T) {
			sub, err := test.subscribe(patient(t))
			late := numbered(2)
			if test.target == "" { // revision 5, which the subscription leaves out, then revision 6
				mustAppend(t, c, "short", exactly(4), late[0])
				late, test.target = late[1:], "short"
			}
			mustAppend(t, c, test.target, anyRevision, late...)
			if got := appeared(t, sub, err, len(late)); !slices.Equal(got, idsOf(late)) {
				t.Errorf("events %v, want those appended after the confirmation, %v", got, idsOf(late))
			}
		})
	}
}

func TestSubscriptionFromTheEndOfAnEmptyStore(t *testing.T) {
	for name, filter := range map[string]*esdb.SubscriptionFilter{
		"all": nil, "filtered": {Type: esdb.StreamFilterType, Prefixes: []string{"s"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := connected(t)
			events := numbered(3)
			sub, err := c.SubscribeToAll(patient(t), esdb.SubscribeToAllOptions{From: esdb.End{}, Filter: filter})
			mustAppend(t, c, "s", noStream, events...)
			if got := appeared(t, sub, err, len(events)); !slices.Equal(got, idsOf(events)) {
				t.Errorf("events %v, want %v", got, idsOf(events))
			}
		})
	}
}

func TestFilters(t *testing.T) {
	c := connected(t)
	for _, stream := range []string{"order-1", "member-1", "orders", "$sys", "order-2"} {
		for _, typ := range []string{"placed", "shipped", "$link", "placed.v2"} {
			mustAppend(t, c, stream, anyRevision, newEvent(typ, `{}`))
		}
	}
	prefix := func(typ esdb.FilterType, p ...string) *esdb.SubscriptionFilter {
		return &esdb.SubscriptionFilter{Type: typ, Prefixes: p}
	}
	regex := func(typ esdb.FilterType, r string) *esdb.SubscriptionFilter {
		return &esdb.SubscriptionFilter{Type: typ, Regex: r}
	}
	tests := []struct {
		name   string
		filter *esdb.SubscriptionFilter
		want   func(stream, typ string) bool
	}{
		{"stream prefix", prefix(esdb.StreamFilterType, "order-"), func(s, _ string) bool { return strings.HasPrefix(s, "order-") }},
		{"stream prefixes", prefix(esdb.StreamFilterType, "order-1", "member-"), func(s, _ string) bool { return s == "order-1" || s == "member-1" }},
		{"type prefix", prefix(esdb.EventFilterType, "placed"), func(_, e string) bool { return strings.HasPrefix(e, "placed") }},
		{"stream regex", regex(esdb.StreamFilterType, `^order-\d$`), func(s, _ string) bool { return strings.HasPrefix(s, "order-") }},
		{"type regex", regex(esdb.EventFilterType, `v2$`), func(_, e string) bool { return e == "placed.v2" }},
		{"no system events", esdb.ExcludeSystemEventsFilter(), func(_, e string) bool { return e[0] != '$' }},
		{"nothing passes", prefix(esdb.StreamFilterType, "absent"), func(_, _ string) bool { return false }},
	}
	all := mustReadAll(t, c, esdb.ReadAllOptions{}, 1000)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var want, got []uuid.UUID
			for _, e := range all {
				if test.want(e.Event.StreamID, e.Event.EventType) {
					want = append(want, e.Event.EventID)
				}
			}
			sub, err := c.SubscribeToAll(patient(t), esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: test.filter})
			var searched esdb.Position
			follow(t, sub, err, func(e *esdb.SubscriptionEvent) bool {
				switch {
				case e.EventAppeared != nil:
					got = append(got, e.EventAppeared.Event.EventID)
				case e.CheckPointReached != nil:
					searched = *e.CheckPointReached
				}
				return e.CaughtUp != nil
			})
			if !slices.Equal(got, want) {
				t.Fatalf("%d events, want %d", len(got), len(want))
			}
			if end := all[len(all)-1].Event.Position; searched != end {
				t.Errorf("checkpoint on catching up at %v, want the end of the log, %v", searched, end)
			}
		})
	}
	_, err := c.SubscribeToAll(patient(t), esdb.SubscribeToAllOptions{Filter: regex(esdb.EventFilterType, `(?!\$)`)})
	if err == nil {
		t.Error("a regular expression with look-ahead was not refused")
	}
}

func TestCheckpointsByWindow(t *testing.T) {
	c := connected(t)
	mustAppend(t, c, "s", anyRevision, numbered(100)...)
	sub, err := c.SubscribeToAll(patient(t), esdb.SubscribeToAllOptions{
		From: esdb.Start{}, MaxSearchWindow: 10, CheckpointInterval: 3,
		Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"absent"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	var got []uint64
	take := func(until func(*esdb.SubscriptionEvent) bool) {
		for {
			e := sub.Recv()
			if e.SubscriptionDropped != nil {
				t.Fatal(e.SubscriptionDropped.Error)
			}
			if e.CheckPointReached != nil {
				got = append(got, e.CheckPointReached.Commit)
			}
			if until(e) {
				return
			}
		}
	}
	take(func(e *esdb.SubscriptionEvent) bool { return e.CaughtUp != nil })
	mustAppend(t, c, "s", anyRevision, numbered(50)...) // live: two more intervals are passed
	take(func(*esdb.SubscriptionEvent) bool { return len(got) == 6 })
	all := mustReadAll(t, c, esdb.ReadAllOptions{}, 1000)
	var want []uint64
	for _, n := range []int{30, 60, 90, 100, 120, 150} {
		want = append(want, all[n-1].Event.Position.Commit)
	}
	if !slices.Equal(got, want) {
		t.Errorf("checkpoints at %v, want %v", got, want)
	}
}
