package eventstoredb

import (
	"bytes"
	"strconv"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	chunkEvents = 512       // frames of one chunk
	chunkBytes  = 256 << 10 // after which a chunk takes no more
	chunkSearch = 8192      // events looked at for one chunk
	firstArena  = 4 << 10
	maxArena    = 128 << 10
)

// chunk is what one short transaction has read, copied out of the mapped file and ready to be sent.
type chunk struct {
	frames []frame
	events int // frames that are events
	room   int // events it may still take
	size   int
	arena  []byte
}

func newChunk(room uint64) *chunk {
	return &chunk{room: int(min(room, chunkEvents))}
}

func (c *chunk) full() bool { return c.room == 0 || c.size >= chunkBytes }

// event takes an event, which the chunk copies.
func (c *chunk) event(message []byte) {
	if len(message) > cap(c.arena)-len(c.arena) {
		next := max(firstArena, min(2*cap(c.arena), maxArena), len(message))
		c.arena = make([]byte, 0, next)
	}
	at := len(c.arena)
	c.arena = append(c.arena, message...)
	c.take(frame(c.arena[at:len(c.arena):len(c.arena)]))
}

// take takes an event that is the chunk's already.
func (c *chunk) take(f frame) {
	c.frames = append(c.frames, f)
	c.size += len(f)
	c.events++
	c.room--
}

// checkpoint marks how far the log has been searched.
func (c *chunk) checkpoint(position uint64) {
	c.frames = append(c.frames, checkpointFrame(position))
}

func (c *chunk) send(call streams.Streams_ReadServer) error {
	for _, f := range c.frames {
		if err := call.SendMsg(f); err != nil {
			return err
		}
	}
	return nil
}

func checkpointFrame(position uint64) frame {
	var at []byte
	at = protowire.AppendTag(at, 1, protowire.VarintType)
	at = protowire.AppendVarint(at, position)
	at = protowire.AppendTag(at, 2, protowire.VarintType)
	at = protowire.AppendVarint(at, position)
	return protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), at)
}

// form is how a reader wants its events.
type form struct {
	resolve   bool // follow $> links
	stringIDs bool
}

// emit adds a record to the chunk in the form asked for.
func (f form) emit(c *chunk, s *snapshot, r record, now time.Time) error {
	isLink := f.resolve && string(r.eventType()) == typeLink
	if !isLink && !f.stringIDs {
		c.event(r.message())
		return nil
	}
	own, position := r.recorded()
	if f.stringIDs {
		own = withStringID(own, r.id())
	}
	if !isLink {
		c.take(assemble(own, nil, position))
		return nil
	}
	target, err := s.follow(r.data(), now)
	if err != nil {
		return err
	}
	var event []byte
	if target != nil {
		event, _ = target.recorded()
		if f.stringIDs {
			event = withStringID(event, target.id())
		}
	}
	c.take(assemble(event, own, position))
	return nil
}

// follow finds the event a link points at ("revision@stream"); nil if it is not to be read any more.
func (s *snapshot) follow(link []byte, now time.Time) (record, error) {
	at, name, ok := bytes.Cut(link, []byte("@"))
	revision, err := strconv.ParseUint(string(at), 10, 63)
	if !ok || err != nil {
		return nil, nil
	}
	h, err := s.head(string(name))
	if err != nil || !h.visible() || h.tombstoned() {
		return nil, err
	}
	floor, err := s.floor(h, now)
	if err != nil || revision < floor || revision > uint64(h.last) {
		return nil, err
	}
	return s.record(h.number, revision)
}
