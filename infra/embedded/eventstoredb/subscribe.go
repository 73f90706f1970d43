package eventstoredb

import (
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
)

// subscribe serves a subscription. It always reads from the file, never from what the writer holds, so catching up
// and live are the same walk: a subscriber that has reached the end sleeps until its bell rings, then walks on from
// where it was. Nothing can be missed, doubled or reordered in a switch, since there is none.
func (s *service) subscribe(q *query, call streams.Streams_ReadServer) error {
	bell := s.hub.hang(q.stream)
	defer s.hub.take(bell)

	scan := s.scanOf(q)
	// The beginning is fixed before the confirmation: whoever has the confirmation receives what is appended after.
	c := newChunk(math.MaxUint64)
	more, err := scan.chunk(s.store, c)
	if err != nil {
		return err
	}
	if err := call.Send(confirmation()); err != nil {
		return err
	}
	for caughtUp := false; ; {
		if err := c.send(call); err != nil {
			return err
		}
		if err := call.Context().Err(); err != nil { // a filter may let nothing through for long
			return err
		}
		if !more {
			if !caughtUp {
				caughtUp = true
				if err := catchUp(call, q, scan.reachEnd()); err != nil {
					return err
				}
			}
			select {
			case <-bell.rung:
			case <-call.Context().Done():
				return call.Context().Err()
			}
		}
		c = newChunk(math.MaxUint64)
		if more, err = scan.chunk(s.store, c); err != nil {
			return err
		}
	}
}

// scan is the walk of a subscription. reachEnd is called once, when it has first come to the end, and says how far
// $all has been searched.
type scan interface {
	chunk(*store, *chunk) (more bool, err error)
	reachEnd() (searched uint64)
}

func (s *service) scanOf(q *query) scan {
	if q.stream == "" {
		return &allScan{query: q, now: s.now}
	}
	return &streamScan{query: q, now: s.now}
}

// catchUp says that all there was has been sent, and, to a filtered subscription, up to where.
func catchUp(call streams.Streams_ReadServer, q *query, searched uint64) error {
	if q.filter != nil && searched > 0 {
		if err := call.SendMsg(checkpointFrame(searched)); err != nil {
			return err
		}
	}
	return call.Send(&streams.ReadResp{Content: &streams.ReadResp_CaughtUp_{CaughtUp: &streams.ReadResp_CaughtUp{}}})
}

func confirmation() *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_Confirmation{
		Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: uuid.NewString()},
	}}
}
