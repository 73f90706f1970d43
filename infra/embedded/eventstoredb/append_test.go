package eventstoredb

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func TestAppendedEventIsReadBackWhole(t *testing.T) {
	before := time.Now()
	c := connected(t)
	for name, event := range map[string]esdb.EventData{
		"json":        newEvent("order.placed.v1", `{"a":1}`),
		"binary":      {EventID: newEvent("", "").EventID, EventType: "blob", ContentType: esdb.ContentTypeBinary, Data: bytes.Repeat([]byte{0, 255}, 5000)},
		"no data":     {EventID: newEvent("", "").EventID, EventType: "bare", ContentType: esdb.ContentTypeJson},
		"unicode":     newEvent("주문", `"장부"`),
		"long type":   newEvent(string(bytes.Repeat([]byte("t"), 5000)), `{}`),
		"large event": newEvent("large", `"`+string(bytes.Repeat([]byte("x"), 400_000))+`"`),
	} {
		t.Run(name, func(t *testing.T) {
			stream := "stream-" + name
			w := mustAppend(t, c, stream, noStream, event)
			got := mustRead(t, c, stream)[0].Event
			want := esdb.RecordedEvent{
				EventID: event.EventID, EventType: event.EventType, StreamID: stream, EventNumber: 0,
				Position: esdb.Position{Commit: w.CommitPosition, Prepare: w.PreparePosition},
			}
			if got.EventID != want.EventID || got.EventType != want.EventType || got.StreamID != want.StreamID ||
				got.EventNumber != 0 || got.Position != want.Position ||
				!bytes.Equal(got.Data, event.Data) || !bytes.Equal(got.UserMetadata, event.Metadata) {
				t.Fatalf("read back %+v, want %+v", got, want)
			}
			if got.CreatedDate.Before(before.Truncate(time.Microsecond)) || got.CreatedDate.After(time.Now()) {
				t.Errorf("created %v is not between %v and now", got.CreatedDate, before)
			}
			wantType := "application/json"
			if event.ContentType == esdb.ContentTypeBinary {
				wantType = "application/octet-stream"
			}
			if got.ContentType != wantType {
				t.Errorf("content type %q, want %q", got.ContentType, wantType)
			}
		})
	}
}

func TestExpectedRevisions(t *testing.T) {
	c := connected(t)
	tests := []struct {
		name    string
		already int // events in the stream
		expect  esdb.AppendToStreamOptions
		code    esdb.ErrorCode // of the refusal
		refused bool
	}{
		{name: "any on a new stream", expect: anyRevision},
		{name: "any on a stream", already: 2, expect: anyRevision},
		{name: "no stream on a new stream", expect: noStream},
		{name: "no stream on a stream", already: 1, expect: noStream, refused: true, code: esdb.ErrorCodeWrongExpectedVersion},
		{name: "exists on a stream", already: 1, expect: streamExists},
		{name: "exists on a new stream", expect: streamExists, refused: true, code: esdb.ErrorCodeWrongExpectedVersion},
		{name: "the revision", already: 3, expect: exactly(2)},
		{name: "a lower revision", already: 3, expect: exactly(1), refused: true, code: esdb.ErrorCodeWrongExpectedVersion},
		{name: "a higher revision", already: 3, expect: exactly(3), refused: true, code: esdb.ErrorCodeWrongExpectedVersion},
		{name: "a revision of a new stream", expect: exactly(0), refused: true, code: esdb.ErrorCodeWrongExpectedVersion},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			stream := fmt.Sprintf("expected-%d", i)
			if test.already > 0 {
				mustAppend(t, c, stream, noStream, numbered(test.already)...)
			}
			r, err := c.AppendToStream(patient(t), stream, test.expect, numbered(2)...)
			if test.refused {
				if err == nil || errorCode(err) != test.code {
					t.Fatalf("error %v, want code %v", err, test.code)
				}
				if got, _ := readStream(t, c, stream, esdb.ReadStreamOptions{}, 100); len(got) != test.already {
					t.Errorf("a refused append left %d events, want %d", len(got), test.already)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := uint64(test.already + 1); r.NextExpectedVersion != want {
				t.Errorf("revision %d, want %d", r.NextExpectedVersion, want)
			}
			if got := len(mustRead(t, c, stream)); got != test.already+2 {
				t.Errorf("%d events, want %d", got, test.already+2)
			}
		})
	}
}

func TestRepeatedAppend(t *testing.T) {
	c := connected(t)
	events := numbered(3)
	other := numbered(1)[0]
	tests := []struct {
		name    string
		expect  esdb.AppendToStreamOptions // of both appends
		first   []esdb.EventData
		again   []esdb.EventData
		refused bool
	}{
		{name: "no stream, the same", expect: noStream, first: events, again: events},
		{name: "no stream, the beginning of it", expect: noStream, first: events, again: events[:2]},
		{name: "no stream, more than there is", expect: noStream, first: events[:2], again: events, refused: true},
		{name: "no stream, one differs", expect: noStream, first: events, again: []esdb.EventData{events[0], other, events[2]}, refused: true},
		{name: "no stream, all differ", expect: noStream, first: events, again: []esdb.EventData{other}, refused: true},
		{name: "exact, the same", expect: exactly(0), first: events, again: events},
		{name: "exact, partly", expect: exactly(0), first: events, again: []esdb.EventData{events[0], other}, refused: true},
		{name: "any, the same", expect: anyRevision, first: events, again: events},
		{name: "any, partly", expect: anyRevision, first: events, again: []esdb.EventData{events[0], other}, refused: true},
		{name: "exists, the same", expect: streamExists, first: events, again: events},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			stream, before := fmt.Sprintf("repeated-%d", i), 0
			if test.expect != noStream {
				mustAppend(t, c, stream, noStream, numbered(1)...)
				before = 1
			}
			first := mustAppend(t, c, stream, test.expect, test.first...)
			again, err := c.AppendToStream(patient(t), stream, test.expect, test.again...)
			if test.refused {
				if errorCode(err) != esdb.ErrorCodeWrongExpectedVersion {
					t.Fatalf("error %v, want a wrong expected version", err)
				}
			} else {
				if err != nil {
					t.Fatal(err)
				}
				if want := uint64(before + len(test.again) - 1); again.NextExpectedVersion != want {
					t.Errorf("revision %d, want the original's %d", again.NextExpectedVersion, want)
				}
				if len(test.again) == len(test.first) && *again != *first {
					t.Errorf("the repetition answered %+v, the original %+v", again, first)
				}
			}
			if got := len(mustRead(t, c, stream)); got != before+len(test.first) {
				t.Errorf("%d events, want %d", got, before+len(test.first))
			}
		})
	}
}

func TestConcurrentWritersOfOneStream(t *testing.T) {
	const writers, each = 64, 20
	c := connected(t)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range each {
				if _, err := c.AppendToStream(patient(t), "hot", anyRevision, newEvent(fmt.Sprint(w), `{}`), newEvent(fmt.Sprint(w), `{}`)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	events := mustRead(t, c, "hot")
	if len(events) != writers*each*2 {
		t.Fatalf("%d events, want %d", len(events), writers*each*2)
	}
	for i, e := range events {
		if e.Event.EventNumber != uint64(i) {
			t.Fatalf("event %d has revision %d", i, e.Event.EventNumber)
		}
		if i%2 == 1 && e.Event.EventType != events[i-1].Event.EventType {
			t.Fatalf("the two events of one append were parted at revision %d", i)
		}
	}
	if !slices.IsSortedFunc(events, func(a, b *esdb.ResolvedEvent) int {
		return int(a.Event.Position.Commit) - int(b.Event.Position.Commit)
	}) {
		t.Error("positions do not ascend with revisions")
	}
}

func TestOneOfManyWinsAnExactRevision(t *testing.T) {
	c := connected(t)
	mustAppend(t, c, "race", noStream, numbered(1)...)
	for round := range uint64(20) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 16 {
			wg.Go(func() {
				_, err := c.AppendToStream(patient(t), "race", exactly(round), newEvent("raced", `{}`))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if errorCode(err) != esdb.ErrorCodeWrongExpectedVersion {
					t.Errorf("error %v, want a wrong expected version", err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("round %d: %d appends at one revision succeeded", round, won)
		}
	}
}

func TestAppendRefusals(t *testing.T) {
	c := connected(t)
	big := newEvent("big", `"`+string(bytes.Repeat([]byte("x"), 700_000))+`"`)
	tests := []struct {
		name   string
		stream string
		events []esdb.EventData
		code   codes.Code
	}{
		{name: "above the limit of an append", stream: "s", events: []esdb.EventData{big, big}, code: codes.InvalidArgument},
		{name: "far above it", stream: "s", events: slices.Repeat([]esdb.EventData{big}, 20), code: codes.InvalidArgument},
		{name: "no stream name", stream: "", events: numbered(1), code: codes.InvalidArgument},
		{name: "no event type", stream: "s", events: []esdb.EventData{newEvent("", "{}")}, code: codes.InvalidArgument},
		{name: "$all", stream: "$all", events: numbered(1), code: codes.PermissionDenied},
		{name: "a stream name that is not UTF-8", stream: "s\xff", events: numbered(1), code: codes.InvalidArgument},
		{name: "a stream name of 33 KiB", stream: string(bytes.Repeat([]byte("n"), 33<<10)), events: numbered(1), code: codes.InvalidArgument},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := c.AppendToStream(patient(t), test.stream, anyRevision, test.events...)
			if rpcCode(err) != test.code {
				t.Fatalf("error %v (%v), want code %v", err, rpcCode(err), test.code)
			}
		})
	}
	if got := mustReadAll(t, c, esdb.ReadAllOptions{}, 100); len(got) != 0 {
		t.Errorf("refused appends left %d events", len(got))
	}
}

// TestTypesAreUTF8: a type that no protobuf client could read back, as a client that does not check sends it.
func TestTypesAreUTF8(t *testing.T) {
	s := serve(t, Config{})
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	spoiled := func(m proto.Message) frame {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.ReplaceAll(b, []byte("batched"), []byte("batche\xff"))
	}
	options := &streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
		StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte("s")},
		ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: &shared.Empty{}},
	}}}
	for method, test := range map[string]struct {
		frames []frame
		answer proto.Message
		code   codes.Code
	}{
		"Append":      {[]frame{spoiled(options), spoiled(proposalOf(uuid.New(), "batched", "{}"))}, &streams.AppendResp{}, codes.InvalidArgument},
		"BatchAppend": {[]frame{spoiled(batchOf("s", batchAny, 1))}, &streams.BatchAppendResp{}, codes.Internal}, // gRPC's own refusal
	} {
		call, err := conn.NewStream(patient(t), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
			"/event_store.client.streams.Streams/"+method, grpc.ForceCodecV2(newCodec()))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range test.frames {
			if err := call.SendMsg(f); err != nil {
				t.Fatal(err)
			}
		}
		if err := call.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if err := call.RecvMsg(test.answer); status.Code(err) != test.code {
			t.Errorf("%s: %v, want code %v", method, err, test.code)
		}
	}
	if got := mustReadAll(t, dial(t, s.URL()), esdb.ReadAllOptions{}, 100); len(got) != 0 {
		t.Errorf("refused appends left %d events", len(got))
	}
}
