package eventstoredb

import (
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// query is a Read call, understood.
type query struct {
	stream    string // empty for $all
	backwards bool
	subscribe bool
	count     uint64 // of a plain read
	from      origin
	filter    *filter // of $all
	form      form
	// bounds asks for the messages that say where a stream begins and ends (compatibility 1 and above).
	bounds bool
}

// origin is where a read begins: at a revision or position, or at one of the ends.
type origin struct {
	kind originKind
	at   uint64
}

type originKind uint8

const (
	fromStart originKind = iota
	fromEnd
	fromPlace
)

// fromNumber reads a revision or position that older clients use to say "the end".
func fromNumber(n uint64) origin {
	if n > tombstoneRevision {
		return origin{kind: fromEnd}
	}
	return origin{fromPlace, n}
}

func parseQuery(req *streams.ReadReq) (*query, error) {
	o := req.GetOptions()
	q := &query{
		backwards: o.GetReadDirection() == streams.ReadReq_Options_Backwards,
		bounds:    o.GetControlOption().GetCompatibility() >= 1,
	}
	q.form.resolve = o.GetResolveLinks()
	if _, ok := o.GetUuidOption().GetContent().(*streams.ReadReq_Options_UUIDOption_String_); ok {
		q.form.stringIDs = true
	}
	switch c := o.GetCountOption().(type) {
	case *streams.ReadReq_Options_Count:
		q.count = c.Count
	case *streams.ReadReq_Options_Subscription:
		q.subscribe = true
	default:
		return nil, invalidArgument("a read needs a count or a subscription")
	}
	if q.subscribe && q.backwards {
		return nil, invalidArgument("a subscription cannot read backwards")
	}
	if err := q.parseSource(o); err != nil {
		return nil, err
	}
	if f, ok := o.GetFilterOption().(*streams.ReadReq_Options_Filter); ok {
		if q.stream != "" {
			return nil, invalidArgument("only $all can be filtered")
		}
		var err error
		q.filter, err = parseFilter(f.Filter, q.subscribe)
		return q, err
	}
	return q, nil
}

func (q *query) parseSource(o *streams.ReadReq_Options) error {
	switch source := o.GetStreamOption().(type) {
	case *streams.ReadReq_Options_Stream:
		q.stream = string(source.Stream.GetStreamIdentifier().GetStreamName())
		if q.stream == "" || len(q.stream) > maxNameBytes {
			return invalidArgument("a stream name is required, of at most 32 KiB")
		}
		switch at := source.Stream.GetRevisionOption().(type) {
		case *streams.ReadReq_Options_StreamOptions_Revision:
			q.from = fromNumber(at.Revision)
		case *streams.ReadReq_Options_StreamOptions_End:
			q.from.kind = fromEnd
		}
	case *streams.ReadReq_Options_All:
		switch at := source.All.GetAllOption().(type) {
		case *streams.ReadReq_Options_AllOptions_Position:
			if at.Position.GetCommitPosition() < at.Position.GetPreparePosition() {
				return invalidArgument("the commit position must not be below the prepare position")
			}
			q.from = fromNumber(at.Position.GetCommitPosition())
		case *streams.ReadReq_Options_AllOptions_End:
			q.from.kind = fromEnd
		}
	default:
		return invalidArgument("a read needs a stream or $all")
	}
	return nil
}

// Read serves reads and subscriptions, of a stream or of $all.
func (s *service) Read(req *streams.ReadReq, call streams.Streams_ReadServer) error {
	q, err := parseQuery(req)
	if err == nil {
		if q.subscribe {
			err = s.subscribe(q, call)
		} else {
			err = s.read(q, call)
		}
	}
	return trailed(call, err)
}

// read serves a plain read: it ends where the stream or the log ended when it began.
func (s *service) read(q *query, call streams.Streams_ReadServer) error {
	if q.stream == "" {
		return s.readAll(q, call)
	}
	scan := &streamScan{query: q, now: s.now}
	sent := uint64(0)
	for first, more := true, true; more && (first || sent < q.count); first = false {
		c := newChunk(q.count - sent)
		var err error
		if more, err = scan.chunk(s.store, c); err != nil {
			return err
		}
		if first && !scan.found {
			return call.Send(streamNotFound(q.stream))
		}
		if first && q.bounds && !q.backwards && scan.truncated {
			if err := call.Send(firstPositionOf(scan.floor)); err != nil {
				return err
			}
		}
		if err := c.send(call); err != nil {
			return err
		}
		sent += uint64(c.events)
	}
	if q.bounds {
		return call.Send(lastPositionOf(scan.last))
	}
	return nil
}

func (s *service) readAll(q *query, call streams.Streams_ReadServer) error {
	scan := &allScan{query: q, now: s.now}
	sent := uint64(0)
	for more := true; more && sent < q.count; {
		c := newChunk(q.count - sent)
		var err error
		if more, err = scan.chunk(s.store, c); err != nil {
			return err
		}
		if err := c.send(call); err != nil {
			return err
		}
		if err := call.Context().Err(); err != nil { // a filter may let nothing through for long
			return err
		}
		sent += uint64(c.events)
	}
	return nil
}

func streamNotFound(stream string) *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_StreamNotFound_{
		StreamNotFound: &streams.ReadResp_StreamNotFound{
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)},
		},
	}}
}

func firstPositionOf(revision uint64) *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_FirstStreamPosition{FirstStreamPosition: revision}}
}

func lastPositionOf(revision uint64) *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_LastStreamPosition{LastStreamPosition: revision}}
}
