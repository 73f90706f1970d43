package eventstoredb

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// maxInFlight bounds the batches of one call whose answers are still to be sent, and those of which only parts have come.
const maxInFlight = 1024

// batch is one append of a BatchAppend call, which may come in several messages and is known by its correlation id.
type batch struct {
	*request
	correlation *shared.UUID
	options     *streams.BatchAppendReq_Options
	refused     error
	cancel      context.CancelFunc
}

// batchCall is a running BatchAppend call.
type batchCall struct {
	*service
	call     streams.Streams_BatchAppendServer
	partial  map[eventID]*batch
	inFlight chan struct{}
	waiting  sync.WaitGroup
	sending  sync.Mutex
}

// BatchAppend carries many appends over one call, in the order of their last messages, and answers each when it is
// on disk.
func (s *service) BatchAppend(call streams.Streams_BatchAppendServer) error {
	b := &batchCall{
		service: s, call: call,
		partial:  make(map[eventID]*batch),
		inFlight: make(chan struct{}, maxInFlight),
	}
	defer b.waiting.Wait()
	defer func() {
		for _, unfinished := range b.partial {
			unfinished.cancel()
		}
	}()
	for {
		req, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = b.receive(req)
		}
		if err != nil {
			return trailed(call, err)
		}
	}
}

// receive takes one message of a batch.
func (b *batchCall) receive(req *streams.BatchAppendReq) error {
	id, err := uuidOf(req.GetCorrelationId())
	if err != nil {
		return err
	}
	part := b.partial[id]
	if part == nil {
		if req.GetOptions() == nil {
			return invalidArgument("the first message of a batch must carry its options")
		}
		if len(b.partial) == maxInFlight {
			return status.Error(codes.ResourceExhausted, "too many unfinished batches in one call")
		}
		part = b.begin(req)
		b.partial[id] = part
	}
	for _, m := range req.GetProposedMessages() {
		if part.refused == nil {
			part.refused = b.propose(part, m)
		}
	}
	if !req.GetIsFinal() {
		return nil
	}
	delete(b.partial, id)
	return b.finish(part)
}

func (b *batchCall) begin(req *streams.BatchAppendReq) *batch {
	o := req.GetOptions()
	part := &batch{correlation: req.GetCorrelationId(), options: o, request: &request{
		kind: writeEvents, stream: string(o.GetStreamIdentifier().GetStreamName()),
	}}
	switch e := o.GetExpectedStreamPosition().(type) {
	case *streams.BatchAppendReq_Options_StreamPosition:
		part.expect = expectation{expectRevision, e.StreamPosition}
	case *streams.BatchAppendReq_Options_NoStream:
		part.expect.kind = expectNoStream
	case *streams.BatchAppendReq_Options_Any:
		part.expect.kind = expectAny
	case *streams.BatchAppendReq_Options_StreamExists:
		part.expect.kind = expectExists
	}
	part.refused = checkTarget(part.stream, part.expect)
	// Deadlines are the clock's own business and not the store's: events are not dated by them.
	switch d := o.GetDeadlineOption().(type) {
	case *streams.BatchAppendReq_Options_Deadline:
		part.ctx, part.cancel = context.WithTimeout(b.call.Context(), d.Deadline.AsDuration())
	case *streams.BatchAppendReq_Options_Deadline_21_10_0:
		part.ctx, part.cancel = context.WithDeadline(b.call.Context(), d.Deadline_21_10_0.AsTime())
	default:
		part.ctx, part.cancel = context.WithTimeout(b.call.Context(), defaultDeadline)
	}
	return part
}

const defaultDeadline = 10 * time.Second

func (b *batchCall) propose(part *batch, m *streams.BatchAppendReq_ProposedMessage) error {
	id, err := uuidOf(m.GetId())
	if err != nil {
		return err
	}
	typ, typeGiven := m.GetMetadata()["type"]
	content, contentGiven := m.GetMetadata()["content-type"]
	p := &proposal{id: id, typ: typ, json: content == contentJSON, data: m.GetData()}
	if err := p.complete(true, typeGiven, contentGiven); err != nil {
		return err
	}
	p.encode(part.stream, m.GetCustomMetadata())
	return part.add(p, nil)
}

// finish hands a whole batch to the writer and has it answered.
func (b *batchCall) finish(part *batch) error {
	if part.refused == nil {
		part.refused = b.writer.enqueue(part.request)
	}
	if part.refused != nil {
		defer part.cancel()
		return b.answer(part, outcome{err: part.refused})
	}
	select {
	case b.inFlight <- struct{}{}:
	case <-b.call.Context().Done():
		part.cancel()
		return b.call.Context().Err()
	}
	b.waiting.Go(func() {
		defer part.cancel()
		// A call whose answers cannot be sent is over, which its Recv finds out too.
		_ = b.answer(part, b.writer.await(part.request))
		<-b.inFlight
	})
	return nil
}

func (b *batchCall) answer(part *batch, o outcome) error {
	resp := &streams.BatchAppendResp{
		CorrelationId:    part.correlation,
		StreamIdentifier: part.options.GetStreamIdentifier(),
	}
	switch e := part.options.GetExpectedStreamPosition().(type) {
	case *streams.BatchAppendReq_Options_StreamPosition:
		resp.ExpectedStreamPosition = &streams.BatchAppendResp_StreamPosition{StreamPosition: e.StreamPosition}
	case *streams.BatchAppendReq_Options_NoStream:
		resp.ExpectedStreamPosition = &streams.BatchAppendResp_NoStream{NoStream: e.NoStream}
	case *streams.BatchAppendReq_Options_Any:
		resp.ExpectedStreamPosition = &streams.BatchAppendResp_Any{Any: e.Any}
	case *streams.BatchAppendReq_Options_StreamExists:
		resp.ExpectedStreamPosition = &streams.BatchAppendResp_StreamExists{StreamExists: e.StreamExists}
	}
	if failure := b.failure(part, o); failure != nil {
		resp.Result = &streams.BatchAppendResp_Error{Error: failure}
	} else {
		resp.Result = &streams.BatchAppendResp_Success_{Success: batchSuccess(part, o)}
	}
	b.sending.Lock()
	defer b.sending.Unlock()
	return b.call.Send(resp)
}

func batchSuccess(part *batch, o outcome) *streams.BatchAppendResp_Success {
	ok := &streams.BatchAppendResp_Success{
		CurrentRevisionOption: &streams.BatchAppendResp_Success_NoStream{NoStream: &emptypb.Empty{}},
		PositionOption:        &streams.BatchAppendResp_Success_NoPosition{NoPosition: &emptypb.Empty{}},
	}
	if o.last != noRevision {
		ok.CurrentRevisionOption = &streams.BatchAppendResp_Success_CurrentRevision{CurrentRevision: uint64(o.last)}
	}
	if len(part.proposals) > 0 {
		ok.PositionOption = &streams.BatchAppendResp_Success_Position{
			Position: &shared.AllStreamPosition{CommitPosition: o.position, PreparePosition: o.position},
		}
	}
	return ok
}

// failure is the status that tells why a batch was not written; nil if it was.
func (b *batchCall) failure(part *batch, o outcome) *rpcstatus.Status {
	switch {
	case o.err == nil && o.verdict == conflict:
		return detailed(codes.FailedPrecondition, "WrongExpectedVersion", batchConflict(part.expect, o.last))
	case o.err == nil && o.verdict == deleted:
		return detailed(codes.FailedPrecondition, "StreamDeleted", &shared.StreamDeleted{
			StreamIdentifier: part.options.GetStreamIdentifier(),
		})
	case o.err == nil:
		return nil
	case errors.Is(o.err, errTooLarge):
		return detailed(codes.InvalidArgument, o.err.Error(), &shared.MaximumAppendSizeExceeded{
			MaxAppendSize: maxAppend,
		})
	}
	switch status.Code(o.err) {
	case codes.DeadlineExceeded, codes.Canceled:
		return detailed(codes.Aborted, "Timeout", &shared.Timeout{})
	case codes.InvalidArgument:
		return detailed(codes.InvalidArgument, o.err.Error(), &shared.BadRequest{Message: o.err.Error()})
	case codes.PermissionDenied:
		return detailed(codes.PermissionDenied, o.err.Error(), &shared.AccessDenied{})
	}
	return detailed(codes.Unknown, o.err.Error(), &shared.Unknown{})
}

func batchConflict(e expectation, current int64) *shared.WrongExpectedVersion {
	w := &shared.WrongExpectedVersion{
		CurrentStreamRevisionOption: &shared.WrongExpectedVersion_CurrentNoStream{CurrentNoStream: &emptypb.Empty{}},
	}
	if current != noRevision {
		w.CurrentStreamRevisionOption = &shared.WrongExpectedVersion_CurrentStreamRevision{CurrentStreamRevision: uint64(current)}
	}
	switch e.kind {
	case expectAny:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedAny{ExpectedAny: &emptypb.Empty{}}
	case expectExists:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedStreamExists{ExpectedStreamExists: &emptypb.Empty{}}
	case expectNoStream:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: &emptypb.Empty{}}
	default:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedStreamPosition{ExpectedStreamPosition: e.revision}
	}
	return w
}

func detailed(c codes.Code, message string, detail proto.Message) *rpcstatus.Status {
	s := &rpcstatus.Status{Code: int32(c), Message: message}
	// The details are the server's own messages, which always marshal; without them clients still have the code.
	if any, err := anypb.New(detail); err == nil {
		s.Details = []*anypb.Any{any}
	}
	return s
}

// uuidOf reads either form of a UUID.
func uuidOf(u *shared.UUID) (eventID, error) {
	switch v := u.GetValue().(type) {
	case *shared.UUID_Structured_:
		return idFromHalves(v.Structured.GetMostSignificantBits(), v.Structured.GetLeastSignificantBits()), nil
	case *shared.UUID_String_:
		return parseID(v.String_)
	}
	return eventID{}, invalidArgument("a UUID is missing")
}
