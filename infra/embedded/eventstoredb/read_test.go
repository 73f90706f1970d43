package eventstoredb

import (
	"fmt"
	"slices"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"
)

// raw connects the generated stubs, for what the official client never asks.
func raw(t testing.TB, s *Server) streams.StreamsClient {
	t.Helper()
	return dialRaw(t, s.Addr())
}

func upTo(from, to uint64) []uint64 {
	var out []uint64
	for r := from; r <= to; r++ {
		out = append(out, r)
	}
	return out
}

func reversed(s []uint64) []uint64 {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}

func TestReadStream(t *testing.T) {
	const n = 1300 // more than two chunks
	c := connected(t)
	for i := range n / 100 {
		mustAppend(t, c, "s", anyRevision, numbered(100)...)
		mustAppend(t, c, fmt.Sprintf("between-%d", i), anyRevision, numbered(3)...)
	}
	tests := []struct {
		name  string
		opts  esdb.ReadStreamOptions
		count uint64
		want  []uint64
	}{
		{"all of it", esdb.ReadStreamOptions{From: esdb.Start{}}, 1 << 50, upTo(0, n-1)},
		{"the first", esdb.ReadStreamOptions{From: esdb.Start{}}, 1, upTo(0, 0)},
		{"none", esdb.ReadStreamOptions{From: esdb.Start{}}, 0, nil},
		{"from a revision", esdb.ReadStreamOptions{From: esdb.Revision(700)}, 600, upTo(700, n-1)},
		{"from a revision, some", esdb.ReadStreamOptions{From: esdb.Revision(510)}, 10, upTo(510, 519)},
		{"from beyond the end", esdb.ReadStreamOptions{From: esdb.Revision(n)}, 10, nil},
		{"forwards from the end", esdb.ReadStreamOptions{From: esdb.End{}}, 10, nil},
		{"backwards, all of it", esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, 1 << 50, reversed(upTo(0, n-1))},
		{"backwards, the last", esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, 1, upTo(n-1, n-1)},
		{"backwards from a revision", esdb.ReadStreamOptions{From: esdb.Revision(5), Direction: esdb.Backwards}, 10, reversed(upTo(0, 5))},
		{"backwards from beyond the end", esdb.ReadStreamOptions{From: esdb.Revision(n + 50), Direction: esdb.Backwards}, 2, []uint64{n - 1, n - 2}},
		{"backwards from the start", esdb.ReadStreamOptions{From: esdb.Start{}, Direction: esdb.Backwards}, 10, []uint64{0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			events, err := readStream(t, c, "s", test.opts, test.count)
			if err != nil {
				t.Fatal(err)
			}
			if got := revisions(events); !slices.Equal(got, test.want) {
				t.Fatalf("%d revisions %.100v, want %d %.100v", len(got), got, len(test.want), test.want)
			}
		})
	}
	if _, err := readStream(t, c, "absent", esdb.ReadStreamOptions{}, 1); errorCode(err) != esdb.ErrorCodeResourceNotFound {
		t.Errorf("an absent stream read as %v", err)
	}
}

func TestReadAll(t *testing.T) {
	c := connected(t)
	var want []uint64
	for i := range 900 {
		w := mustAppend(t, c, fmt.Sprintf("s-%d", i%7), anyRevision, numbered(1)...)
		want = append(want, w.CommitPosition)
	}
	if !slices.IsSorted(want) || want[0] == 0 || len(slices.Compact(slices.Clone(want))) != len(want) {
		t.Fatal("positions do not strictly increase from above 0")
	}
	at := func(p uint64) esdb.Position { return esdb.Position{Commit: p, Prepare: p} }
	tests := []struct {
		name  string
		opts  esdb.ReadAllOptions
		count uint64
		want  []uint64
	}{
		{"all of it", esdb.ReadAllOptions{From: esdb.Start{}}, 1 << 50, want},
		{"the first", esdb.ReadAllOptions{From: esdb.Start{}}, 3, want[:3]},
		{"from a position", esdb.ReadAllOptions{From: at(want[600])}, 1 << 50, want[600:]},
		{"from between positions", esdb.ReadAllOptions{From: at(want[600] + 1)}, 2, want[601:603]},
		{"forwards from the end", esdb.ReadAllOptions{From: esdb.End{}}, 10, nil},
		{"backwards, all of it", esdb.ReadAllOptions{From: esdb.End{}, Direction: esdb.Backwards}, 1 << 50, reversed(want)},
		{"backwards from a position, which it leaves out", esdb.ReadAllOptions{From: at(want[4]), Direction: esdb.Backwards}, 10, reversed(want[:4])},
		{"backwards from the start", esdb.ReadAllOptions{From: esdb.Start{}, Direction: esdb.Backwards}, 10, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []uint64
			for _, e := range mustReadAll(t, c, test.opts, test.count) {
				got = append(got, e.Event.Position.Commit)
			}
			if !slices.Equal(got, test.want) {
				t.Fatalf("%d positions %.100v, want %d %.100v", len(got), got, len(test.want), test.want)
			}
		})
	}
}

func TestLinksAreResolved(t *testing.T) {
	c := connected(t)
	target := numbered(2)
	mustAppend(t, c, "target", noStream, target...)
	mustAppend(t, c, "gone", noStream, numbered(1)...)
	link := func(data string) esdb.EventData {
		e := newEvent("$>", data)
		e.ContentType = esdb.ContentTypeBinary
		return e
	}
	links := []esdb.EventData{link("1@target"), link("0@gone"), link("7@target"), link("0@absent"), link("nonsense")}
	mustAppend(t, c, "links", noStream, links...)
	if _, err := c.DeleteStream(patient(t), "gone", esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}}); err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, events []*esdb.ResolvedEvent) {
		t.Helper()
		if len(events) != len(links) {
			t.Fatalf("%d events, want %d", len(events), len(links))
		}
		for i, e := range events {
			if e.Link == nil || e.Link.EventID != links[i].EventID || e.OriginalEvent() != e.Link {
				t.Errorf("event %d does not say through which link it came", i)
			}
			if i == 0 {
				if e.Event == nil || e.Event.EventID != target[1].EventID || e.Event.StreamID != "target" {
					t.Errorf("link resolved to %+v", e.Event)
				}
			} else if e.Event != nil {
				t.Errorf("link %d resolved to an event that is not there", i)
			}
		}
	}
	events, err := readStream(t, c, "links", esdb.ReadStreamOptions{ResolveLinkTos: true}, 10)
	if err != nil {
		t.Fatal(err)
	}
	check(t, events)
	var subscribed []*esdb.ResolvedEvent
	sub, err := c.SubscribeToStream(patient(t), "links", esdb.SubscribeToStreamOptions{From: esdb.Start{}, ResolveLinkTos: true})
	follow(t, sub, err, func(e *esdb.SubscriptionEvent) bool {
		if e.EventAppeared != nil {
			subscribed = append(subscribed, e.EventAppeared)
		}
		return e.CaughtUp != nil
	})
	check(t, subscribed)
	if plain := mustRead(t, c, "links"); plain[0].Link != nil || plain[0].Event.EventType != "$>" {
		t.Error("a link was resolved unasked")
	}
}

func TestStringIDs(t *testing.T) {
	s := serve(t, Config{})
	c := dial(t, s.URL())
	event := newEvent("e", `{"a":1}`)
	mustAppend(t, c, "s", noStream, event)
	call, err := raw(t, s).Read(patient(t), &streams.ReadReq{Options: &streams.ReadReq_Options{
		StreamOption: &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{}},
		CountOption:  &streams.ReadReq_Options_Count{Count: 10},
		UuidOption:   &streams.ReadReq_Options_UUIDOption{Content: &streams.ReadReq_Options_UUIDOption_String_{String_: &shared.Empty{}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := call.Recv()
	if err != nil {
		t.Fatal(err)
	}
	got := m.GetEvent().GetEvent()
	if got.GetId().GetString_() != event.EventID.String() {
		t.Errorf("id %v, want %s as text", got.GetId(), event.EventID)
	}
	if string(got.GetData()) != string(event.Data) || string(got.GetStreamIdentifier().GetStreamName()) != "s" || got.GetMetadata()["type"] != "e" {
		t.Errorf("the rest of the event was lost: %v", got)
	}
}

func TestStreamBoundsAreTold(t *testing.T) {
	s := serve(t, Config{})
	c := dial(t, s.URL())
	mustAppend(t, c, "s", noStream, numbered(10)...)
	meta := esdb.StreamMetadata{}
	meta.SetTruncateBefore(4)
	if _, err := c.SetStreamMetadata(patient(t), "s", anyRevision, meta); err != nil {
		t.Fatal(err)
	}
	call, err := raw(t, s).Read(patient(t), &streams.ReadReq{Options: &streams.ReadReq_Options{
		StreamOption: &streams.ReadReq_Options_Stream{Stream: &streams.ReadReq_Options_StreamOptions{
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte("s")},
		}},
		CountOption:   &streams.ReadReq_Options_Count{Count: 2},
		ControlOption: &streams.ReadReq_Options_ControlOption{Compatibility: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		m, err := call.Recv()
		if err != nil {
			break
		}
		switch v := m.Content.(type) {
		case *streams.ReadResp_FirstStreamPosition:
			got = append(got, fmt.Sprint("first ", v.FirstStreamPosition))
		case *streams.ReadResp_LastStreamPosition:
			got = append(got, fmt.Sprint("last ", v.LastStreamPosition))
		case *streams.ReadResp_Event:
			got = append(got, fmt.Sprint("event ", v.Event.Event.StreamRevision))
		}
	}
	if want := []string{"first 4", "event 4", "event 5", "last 9"}; !slices.Equal(got, want) {
		t.Errorf("messages %v, want %v", got, want)
	}
}

func TestReadRefusals(t *testing.T) {
	s := serve(t, Config{})
	all := &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{}}
	one := &streams.ReadReq_Options_Stream{Stream: &streams.ReadReq_Options_StreamOptions{
		StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte("s")},
	}}
	count := &streams.ReadReq_Options_Count{Count: 1}
	sub := &streams.ReadReq_Options_Subscription{Subscription: &streams.ReadReq_Options_SubscriptionOptions{}}
	filtered := &streams.ReadReq_Options_Filter{Filter: &streams.ReadReq_Options_FilterOptions{
		Filter: &streams.ReadReq_Options_FilterOptions_EventType{EventType: &streams.ReadReq_Options_FilterOptions_Expression{Prefix: []string{"x"}}},
	}}
	for name, o := range map[string]*streams.ReadReq_Options{
		"nothing":                   {},
		"no count":                  {StreamOption: all},
		"no source":                 {CountOption: count},
		"empty stream name":         {StreamOption: &streams.ReadReq_Options_Stream{}, CountOption: count},
		"filter on a stream":        {StreamOption: one, CountOption: count, FilterOption: filtered},
		"backwards subscription":    {StreamOption: all, CountOption: sub, ReadDirection: streams.ReadReq_Options_Backwards},
		"no checkpoint interval":    {StreamOption: all, CountOption: sub, FilterOption: filtered},
		"commit before its prepare": {CountOption: count, StreamOption: &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{AllOption: &streams.ReadReq_Options_AllOptions_Position{Position: &streams.ReadReq_Options_Position{CommitPosition: 1, PreparePosition: 2}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := raw(t, s).Read(patient(t), &streams.ReadReq{Options: o})
			if err == nil {
				_, err = call.Recv()
			}
			if rpcCode(err) != codes.InvalidArgument {
				t.Errorf("error %v, want InvalidArgument", err)
			}
		})
	}
}
