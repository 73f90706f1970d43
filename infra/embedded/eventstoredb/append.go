package eventstoredb

import (
	"errors"
	"io"
	"unicode/utf8"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// drainLimit bounds how much of a refused append is still read, so that its caller, who is still sending, comes to
// read the reason.
const drainLimit = 64 << 20

// Append takes the options, then the events, and writes them all or none.
func (s *service) Append(call streams.Streams_AppendServer) error {
	r, err := s.receive(call)
	if err != nil {
		return trailed(call, err)
	}
	o := s.writer.submit(r)
	if o.err != nil {
		return trailed(call, o.err)
	}
	if o.verdict == deleted {
		return trailed(call, streamDeleted(r.stream))
	}
	return call.SendAndClose(appendResponse(r.expect, o, len(r.proposals)))
}

// receive reads a whole Append call.
func (s *service) receive(call streams.Streams_AppendServer) (*request, error) {
	var m appendMessage
	if err := call.RecvMsg(&m); err != nil {
		return nil, err
	}
	if !m.options {
		return nil, invalidArgument("the first message of an append must be its options")
	}
	r := &request{ctx: call.Context(), kind: writeEvents, stream: m.stream, expect: m.expect}
	refused, drained := checkTarget(m.stream, m.expect), 0
	for {
		m = appendMessage{into: r.stream}
		err := call.RecvMsg(&m)
		switch {
		case errors.Is(err, io.EOF):
			return r, refused
		case err != nil:
			return nil, err
		case m.proposal == nil:
			return nil, invalidArgument("only proposed events may follow the options of an append")
		}
		drained += m.proposal.size
		if refused == nil {
			refused = r.add(m.proposal, m.err)
		}
		if refused != nil {
			r.proposals = nil
			if drained > drainLimit {
				return nil, refused
			}
		}
	}
}

// add takes an event into the request, within the limit.
func (r *request) add(p *proposal, flaw error) error {
	if flaw != nil {
		return flaw
	}
	r.proposals = append(r.proposals, p)
	if r.size += p.size; r.size > maxAppend {
		return appendTooLarge()
	}
	return nil
}

// checkTarget refuses a write whose stream or expected revision makes no sense.
func checkTarget(stream string, e expectation) error {
	switch {
	case stream == "" || stream == metaPrefix:
		return invalidArgument("a stream name is required")
	case !utf8.ValidString(stream):
		return invalidArgument("the stream name is not UTF-8")
	case len(stream) > maxNameBytes-len(metaPrefix):
		return invalidArgument("the stream name is too long")
	case stream == "$all":
		return status.Error(codes.PermissionDenied, "$all cannot be written to")
	case e.kind == expectUnset:
		return invalidArgument("an expected stream revision is required")
	case e.kind == expectRevision && e.revision >= tombstoneRevision:
		return invalidArgument("the expected stream revision is out of range")
	}
	return nil
}

func appendResponse(e expectation, o outcome, events int) *streams.AppendResp {
	if o.verdict == conflict {
		return &streams.AppendResp{Result: &streams.AppendResp_WrongExpectedVersion_{
			WrongExpectedVersion: wrongExpected(e, o.last),
		}}
	}
	ok := &streams.AppendResp_Success{
		CurrentRevisionOption: &streams.AppendResp_Success_NoStream{NoStream: &shared.Empty{}},
		PositionOption:        &streams.AppendResp_Success_NoPosition{NoPosition: &shared.Empty{}},
	}
	if o.last != noRevision {
		ok.CurrentRevisionOption = &streams.AppendResp_Success_CurrentRevision{CurrentRevision: uint64(o.last)}
	}
	if events > 0 {
		ok.PositionOption = &streams.AppendResp_Success_Position{
			Position: &streams.AppendResp_Position{CommitPosition: o.position, PreparePosition: o.position},
		}
	}
	return &streams.AppendResp{Result: &streams.AppendResp_Success_{Success: ok}}
}

// wrongExpected fills both generations of the fields, since clients read either.
func wrongExpected(e expectation, current int64) *streams.AppendResp_WrongExpectedVersion {
	w := &streams.AppendResp_WrongExpectedVersion{}
	if current == noRevision {
		w.CurrentRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_NoStream_20_6_0{NoStream_20_6_0: &shared.Empty{}}
		w.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentNoStream{CurrentNoStream: &shared.Empty{}}
	} else {
		c := uint64(current)
		w.CurrentRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_CurrentRevision_20_6_0{CurrentRevision_20_6_0: c}
		w.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentRevision{CurrentRevision: c}
	}
	switch e.kind {
	case expectAny:
		w.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_Any_20_6_0{Any_20_6_0: &shared.Empty{}}
		w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedAny{ExpectedAny: &shared.Empty{}}
	case expectExists:
		w.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_StreamExists_20_6_0{StreamExists_20_6_0: &shared.Empty{}}
		w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedStreamExists{ExpectedStreamExists: &shared.Empty{}}
	case expectNoStream:
		w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: &shared.Empty{}}
	default:
		w.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision_20_6_0{ExpectedRevision_20_6_0: e.revision}
		w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision{ExpectedRevision: e.revision}
	}
	return w
}
