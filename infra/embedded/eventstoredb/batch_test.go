package eventstoredb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
)

func textUUID(id uuid.UUID) *shared.UUID {
	return &shared.UUID{Value: &shared.UUID_String_{String_: id.String()}}
}

func batchOf(stream string, expect func(*streams.BatchAppendReq_Options), sizes ...int) *streams.BatchAppendReq {
	r := &streams.BatchAppendReq{
		CorrelationId: textUUID(uuid.New()),
		Options:       &streams.BatchAppendReq_Options{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)}},
		IsFinal:       true,
	}
	expect(r.Options)
	for _, size := range sizes {
		r.ProposedMessages = append(r.ProposedMessages, &streams.BatchAppendReq_ProposedMessage{
			Id:       textUUID(uuid.New()),
			Metadata: map[string]string{"type": "batched", "content-type": contentJSON},
			Data:     bytes.Repeat([]byte("1"), size),
		})
	}
	return r
}

func batchAny(o *streams.BatchAppendReq_Options) {
	o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_Any{Any: &emptypb.Empty{}}
}

func batchNoStream(o *streams.BatchAppendReq_Options) {
	o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_NoStream{NoStream: &emptypb.Empty{}}
}

func batchAt(revision uint64) func(*streams.BatchAppendReq_Options) {
	return func(o *streams.BatchAppendReq_Options) {
		o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: revision}
	}
}

// batches sends requests over one call and returns the answers by correlation id.
func batches(t *testing.T, s *Server, requests ...*streams.BatchAppendReq) map[string]*streams.BatchAppendResp {
	t.Helper()
	call, err := raw(t, s).BatchAppend(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		if err := call.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := call.CloseSend(); err != nil {
		t.Fatal(err)
	}
	answers := map[string]*streams.BatchAppendResp{}
	for {
		a, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return answers
		}
		if err != nil {
			t.Fatal(err)
		}
		answers[a.CorrelationId.GetString_()] = a
	}
}

func TestBatchesKeepTheirOrder(t *testing.T) {
	s := serve(t, Config{})
	var requests []*streams.BatchAppendReq
	expect := batchNoStream
	for i := range 200 {
		requests = append(requests, batchOf("s", expect, 10, 10))
		expect = batchAt(uint64(2*i + 1))
	}
	answers := batches(t, s, requests...)
	for i, r := range requests {
		a := answers[r.CorrelationId.GetString_()]
		if got := a.GetSuccess().GetCurrentRevision(); a.GetSuccess() == nil || got != uint64(2*i+1) {
			t.Fatalf("batch %d: %v", i, a)
		}
		if a.GetSuccess().GetPosition().GetCommitPosition() == 0 || string(a.GetStreamIdentifier().GetStreamName()) != "s" {
			t.Fatalf("batch %d: %v lacks its position or stream", i, a)
		}
	}
	if got := revisions(mustRead(t, dial(t, s.URL()), "s")); !slices.Equal(got, upTo(0, 399)) {
		t.Errorf("%d events", len(got))
	}
}

// unread is a call whose client sends batches without end and reads no answer.
type unread struct {
	streams.Streams_BatchAppendServer
	ctx  context.Context
	sent atomic.Int64
}

func (u *unread) Context() context.Context { return u.ctx }

func (u *unread) Recv() (*streams.BatchAppendReq, error) {
	if u.ctx.Err() != nil {
		return nil, u.ctx.Err()
	}
	u.sent.Add(1)
	return batchOf("s", batchAny, 1), nil
}

func (u *unread) Send(*streams.BatchAppendResp) error {
	<-u.ctx.Done()
	return u.ctx.Err()
}

// Who does not read the answers is not listened to any longer, once there are so many.
func TestBatchAnswersThatNobodyReadsAreBounded(t *testing.T) {
	s := serve(t, Config{})
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	call := &unread{ctx: ctx}
	ended := make(chan error, 1)
	go func() {
		ended <- (&service{store: s.store, writer: s.writer}).BatchAppend(call)
	}()
	c := dial(t, s.URL())
	for last := uint64(maxInFlight); ; { // the revision of the first batch that has to wait for an answer to be read
		if events, err := readStream(t, c, "s", esdb.ReadStreamOptions{From: esdb.Revision(last)}, 1); err == nil && len(events) == 1 {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("the batches are not appended")
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the call ended with %v", err)
	}
	if sent := call.sent.Load(); sent != maxInFlight+1 {
		t.Errorf("%d batches were taken", sent)
	}
}

func TestBatchInParts(t *testing.T) {
	s := serve(t, Config{})
	whole := batchOf("s", batchNoStream, 10, 11, 12, 13)
	var parts []*streams.BatchAppendReq
	for i, m := range whole.ProposedMessages {
		part := &streams.BatchAppendReq{CorrelationId: whole.CorrelationId, ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{m}}
		if i == 0 {
			part.Options = whole.Options
		}
		parts = append(parts, part)
	}
	between := batchOf("other", batchAny, 5)
	unfinished := batchOf("s", batchAny, 5)
	unfinished.IsFinal = false
	parts = append(parts, between, unfinished, &streams.BatchAppendReq{CorrelationId: whole.CorrelationId, IsFinal: true})
	answers := batches(t, s, parts...)
	if len(answers) != 2 {
		t.Fatalf("%d answers for two finished batches", len(answers))
	}
	if got := answers[whole.CorrelationId.GetString_()].GetSuccess().GetCurrentRevision(); got != 3 {
		t.Errorf("revision %d, want 3", got)
	}
	if got := len(mustRead(t, dial(t, s.URL()), "s")); got != 4 {
		t.Errorf("%d events, want the 4 of the finished batch", got)
	}
}

func TestBatchRefusals(t *testing.T) {
	s := serve(t, Config{})
	c := dial(t, s.URL())
	mustAppend(t, c, "s", noStream, numbered(1)...)
	mustTombstone(t, c, "dead")
	late := batchOf("s", batchAny, 5)
	late.Options.DeadlineOption = &streams.BatchAppendReq_Options_Deadline{Deadline: &durationpb.Duration{Seconds: -1}}
	bad := batchOf("s", batchAny, 5)
	bad.ProposedMessages[0].Metadata = nil
	tests := []struct {
		name   string
		req    *streams.BatchAppendReq
		code   codes.Code
		detail string
	}{
		{"a conflict", batchOf("s", batchNoStream, 5), codes.FailedPrecondition, "WrongExpectedVersion"},
		{"a tombstone", batchOf("dead", batchAny, 5), codes.FailedPrecondition, "StreamDeleted"},
		{"too large", batchOf("s", batchAny, maxAppend, 1), codes.InvalidArgument, "MaximumAppendSizeExceeded"},
		{"past its deadline", late, codes.Aborted, "Timeout"},
		{"no event type", bad, codes.InvalidArgument, "BadRequest"},
		{"no stream", batchOf("", batchAny, 5), codes.InvalidArgument, "BadRequest"},
		{"no expectation", batchOf("s", func(*streams.BatchAppendReq_Options) {}, 5), codes.InvalidArgument, "BadRequest"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			good := batchOf(fmt.Sprint("beside ", test.name), batchNoStream, 5)
			answers := batches(t, s, test.req, good)
			e := answers[test.req.CorrelationId.GetString_()].GetError()
			if e == nil || codes.Code(e.Code) != test.code || len(e.Details) != 1 ||
				string(e.Details[0].MessageName()) != "event_store.client."+test.detail {
				t.Errorf("answer %v, want %v with %s", e, test.code, test.detail)
			}
			if answers[good.CorrelationId.GetString_()].GetSuccess() == nil {
				t.Error("the batch beside it was refused too")
			}
		})
	}
	if got := len(mustRead(t, c, "s")); got != 1 {
		t.Errorf("refused batches left %d events", got-1)
	}
}
