package eventstoredb

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// Delete hides a stream's events; the stream may be written to again, and its numbering goes on.
func (s *service) Delete(ctx context.Context, req *streams.DeleteReq) (*streams.DeleteResp, error) {
	o := req.GetOptions()
	e := expectation{kind: expectUnset}
	switch v := o.GetExpectedStreamRevision().(type) {
	case *streams.DeleteReq_Options_Revision:
		e = expectation{expectRevision, v.Revision}
	case *streams.DeleteReq_Options_NoStream:
		e.kind = expectNoStream
	case *streams.DeleteReq_Options_Any:
		e.kind = expectAny
	case *streams.DeleteReq_Options_StreamExists:
		e.kind = expectExists
	}
	position, err := s.remove(ctx, writeDelete, string(o.GetStreamIdentifier().GetStreamName()), e)
	if err != nil {
		return nil, err
	}
	return &streams.DeleteResp{PositionOption: &streams.DeleteResp_Position_{
		Position: &streams.DeleteResp_Position{CommitPosition: position, PreparePosition: position},
	}}, nil
}

// Tombstone ends a stream for good.
func (s *service) Tombstone(ctx context.Context, req *streams.TombstoneReq) (*streams.TombstoneResp, error) {
	o := req.GetOptions()
	e := expectation{kind: expectUnset}
	switch v := o.GetExpectedStreamRevision().(type) {
	case *streams.TombstoneReq_Options_Revision:
		e = expectation{expectRevision, v.Revision}
	case *streams.TombstoneReq_Options_NoStream:
		e.kind = expectNoStream
	case *streams.TombstoneReq_Options_Any:
		e.kind = expectAny
	case *streams.TombstoneReq_Options_StreamExists:
		e.kind = expectExists
	}
	position, err := s.remove(ctx, writeTombstone, string(o.GetStreamIdentifier().GetStreamName()), e)
	if err != nil {
		return nil, err
	}
	return &streams.TombstoneResp{PositionOption: &streams.TombstoneResp_Position_{
		Position: &streams.TombstoneResp_Position{CommitPosition: position, PreparePosition: position},
	}}, nil
}

func (s *service) remove(ctx context.Context, kind writeKind, stream string, e expectation) (uint64, error) {
	call := unaryTrailers{ctx}
	if err := checkTarget(stream, e); err != nil {
		return 0, trailed(call, err)
	}
	if _, ok := metaOwner(stream); ok {
		return 0, trailed(call, invalidArgument("a metadata stream cannot be deleted"))
	}
	o := s.writer.submit(&request{ctx: ctx, kind: kind, stream: stream, expect: e})
	switch {
	case o.err != nil:
		return 0, trailed(call, o.err)
	case o.verdict == deleted:
		return 0, trailed(call, streamDeleted(stream))
	case o.verdict == conflict:
		return 0, trailed(call, wrongVersion(stream, e, o.last))
	}
	return o.position, nil
}
