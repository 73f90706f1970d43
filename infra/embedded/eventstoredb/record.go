package eventstoredb

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protowire"
)

// A record is one event as it lies in the log: a fixed header, then the event as the complete ReadResp message of
// EventStoreDB's protocol, with a structured UUID. A read of an event is therefore a copy of bytes: nothing is
// decoded or encoded. What the server itself needs to know (to filter, to truncate, to find a repeated append)
// stands in the header.
//
//	 0  u32  CRC-32C of everything after it
//	 4  u8   format, 1
//	 5  u8   flags
//	 6  u16  offset of the stream's name in the message
//	 8  u64  number of the stream
//	16  u64  revision
//	24  i64  created, in ticks of 100 ns since the Unix epoch
//	32  [16] event id
//	48  u32  length of the stream's name
//	52  u32  offset of the event's type in the message
//	56  u32  length of the event's type
//	60       the message
//
// Integers are little-endian. Records are immutable once written.
type record []byte

const (
	recordHeader = 60
	recordFormat = 1
	ticks        = 100 * time.Nanosecond

	flagJSON = 1 << 0

	// tombstoneRevision is the revision of the event that ends a stream for good; it is also the $tb of a
	// stream that was deleted and may be recreated.
	tombstoneRevision = uint64(1<<63 - 1)

	typeMetadata  = "$metadata"
	typeTombstone = "$streamDeleted"
	typeLink      = "$>"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (r record) sum() uint32          { return binary.LittleEndian.Uint32(r) }
func (r record) streamNumber() uint64 { return binary.LittleEndian.Uint64(r[8:]) }
func (r record) revision() uint64     { return binary.LittleEndian.Uint64(r[16:]) }
func (r record) created() int64       { return int64(binary.LittleEndian.Uint64(r[24:])) }
func (r record) id() eventID          { return eventID(r[32:48]) }
func (r record) message() []byte      { return r[recordHeader:] }

// stream is the name of the record's stream, in place.
func (r record) stream() []byte {
	off := recordHeader + int(binary.LittleEndian.Uint16(r[6:]))
	return r[off : off+int(binary.LittleEndian.Uint32(r[48:]))]
}

// eventType is the event's type, in place.
func (r record) eventType() []byte {
	off := recordHeader + int(binary.LittleEndian.Uint32(r[52:]))
	return r[off : off+int(binary.LittleEndian.Uint32(r[56:]))]
}

// check reports damage. Every other method relies on a record that has passed it.
func (r record) check() error {
	switch {
	case len(r) < recordHeader:
		return fmt.Errorf("%w: record of %d bytes", ErrDamaged, len(r))
	case crc32.Checksum(r[4:], castagnoli) != r.sum():
		return fmt.Errorf("%w: checksum of an event does not match", ErrDamaged)
	case r[4] != recordFormat:
		return fmt.Errorf("%w: record format %d is not known", ErrDamaged, r[4])
	}
	return nil
}

// recorded returns the RecordedEvent inside the record's message, and what follows it in the ReadEvent: the
// commit position.
func (r record) recorded() (event, position []byte) {
	_, _, n := protowire.ConsumeTag(r.message())
	read, _ := protowire.ConsumeBytes(r.message()[n:])
	_, _, n = protowire.ConsumeTag(read)
	event, m := protowire.ConsumeBytes(read[n:])
	return event, read[n+m:]
}

// is reports whether a record is a revision of a stream.
func (r record) is(stream, revision uint64) bool {
	return r.streamNumber() == stream && r.revision() == revision
}

// position is where the record says it lies.
func (r record) position() uint64 {
	_, rest := r.recorded()
	_, _, n := protowire.ConsumeTag(rest)
	position, _ := protowire.ConsumeVarint(rest[n:])
	return position
}

// data is the event's data, in place.
func (r record) data() []byte {
	event, _ := r.recorded()
	var data []byte
	// A record that has passed check was encoded by place and cannot be malformed.
	_ = fields(event, func(num protowire.Number, _ protowire.Type, _ uint64, s []byte) error {
		if num == 8 {
			data = s
		}
		return nil
	})
	return data
}

// eventID is a UUID in its big-endian byte order.
type eventID [16]byte

func (id eventID) halves() (most, least int64) {
	return int64(binary.BigEndian.Uint64(id[:8])), int64(binary.BigEndian.Uint64(id[8:]))
}

func idFromHalves(most, least int64) (id eventID) {
	binary.BigEndian.PutUint64(id[:8], uint64(most))
	binary.BigEndian.PutUint64(id[8:], uint64(least))
	return id
}

// proposal is an event to append, encoded as far as that is possible before its place in the log is known. It is
// built on the caller's goroutine, so that the single writer has little left to do.
type proposal struct {
	id      eventID
	typ     string
	json    bool
	size    int // counted against the limit of an append, as EventStoreDB counts it
	data    []byte
	buf     []byte // room for header and lengths, the encoded part, room for the rest
	encoded int    // end of the encoded part in buf
	nameLen int
	nameAt  int // in buf
	typeAt  int // in buf
}

// newInternal proposes an event of the store's own: metadata or a tombstone.
func newInternal(stream, typ string, data []byte) *proposal {
	p := &proposal{id: eventID(uuid.New()), typ: typ, json: typ == typeMetadata, data: data}
	p.encode(stream, nil)
	return p
}

const (
	contentJSON   = "application/json"
	contentBinary = "application/octet-stream"

	// lengths is the room before the RecordedEvent: twice a tag and a length of at most 5 bytes.
	lengths = 2 * (1 + 5)
	// placing is the room after the encoded part: revision, two positions, the created entry, the commit position.
	placing = 4*(1+10) + 2 + 2 + 7 + 2 + 20
)

// encode fills p.buf with all of the event that does not depend on its place in the log.
func (p *proposal) encode(stream string, metadata []byte) {
	content := contentBinary
	if p.json {
		content = contentJSON
	}
	room := recordHeader + lengths + len(stream) + len(p.typ) + len(metadata) + len(p.data) + 128 + placing
	b := make([]byte, recordHeader+lengths, room)
	b = appendUUID(b, 1, p.id)

	b = protowire.AppendTag(b, 2, protowire.BytesType) // stream_identifier
	b = protowire.AppendVarint(b, uint64(1+protowire.SizeBytes(len(stream))))
	b = protowire.AppendTag(b, 3, protowire.BytesType) // stream_name
	b = protowire.AppendString(b, stream)
	p.nameLen, p.nameAt = len(stream), len(b)-len(stream)

	b = appendEntry(b, 6, "type", p.typ)
	p.typeAt = len(b) - len(p.typ)
	b = appendEntry(b, 6, "content-type", content)
	if len(metadata) > 0 {
		b = protowire.AppendTag(b, 7, protowire.BytesType)
		b = protowire.AppendBytes(b, metadata)
	}
	if len(p.data) > 0 {
		b = protowire.AppendTag(b, 8, protowire.BytesType)
		b = protowire.AppendBytes(b, p.data)
		p.data = b[len(b)-len(p.data):]
	}
	p.buf, p.encoded = b, len(b)
	p.size = len(p.data) + len(metadata) + 2*len(p.typ)
}

// place finishes the event for its place in the log and returns the record. It may be called again with another
// place when the transaction of the first was rolled back; the earlier record is then overwritten.
func (p *proposal) place(stream, revision, position uint64, created int64) record {
	b := p.buf[:p.encoded]
	b = protowire.AppendTag(b, 3, protowire.VarintType)
	b = protowire.AppendVarint(b, revision)
	b = protowire.AppendTag(b, 4, protowire.VarintType)
	b = protowire.AppendVarint(b, position)
	b = protowire.AppendTag(b, 5, protowire.VarintType)
	b = protowire.AppendVarint(b, position)
	var digits [20]byte
	b = appendEntry(b, 6, "created", string(strconv.AppendInt(digits[:0], created, 10)))

	// The lengths stand before what they measure, so they are written backwards into the room left for them.
	at := recordHeader + lengths
	at = putLength(b, at, uint64(len(b)-at)) // event = 1
	b = protowire.AppendTag(b, 3, protowire.VarintType)
	b = protowire.AppendVarint(b, position)
	at = putLength(b, at, uint64(len(b)-at)) // event = 1

	start := at - recordHeader
	r := record(b[start:])
	r[4], r[5] = recordFormat, 0
	if p.json {
		r[5] = flagJSON
	}
	binary.LittleEndian.PutUint16(r[6:], uint16(p.nameAt-at))
	binary.LittleEndian.PutUint64(r[8:], stream)
	binary.LittleEndian.PutUint64(r[16:], revision)
	binary.LittleEndian.PutUint64(r[24:], uint64(created))
	copy(r[32:48], p.id[:])
	binary.LittleEndian.PutUint32(r[48:], uint32(p.nameLen))
	binary.LittleEndian.PutUint32(r[52:], uint32(p.typeAt-at))
	binary.LittleEndian.PutUint32(r[56:], uint32(len(p.typ)))
	binary.LittleEndian.PutUint32(r, crc32.Checksum(r[4:], castagnoli))
	p.buf = b[:p.encoded]
	return r
}

// putLength writes the tag of field 1 and a length so that they end at b[at], and returns where they begin.
func putLength(b []byte, at int, length uint64) int {
	n := protowire.SizeVarint(length)
	at -= n + 1
	b[at] = byte(protowire.EncodeTag(1, protowire.BytesType))
	protowire.AppendVarint(b[at+1:at+1:at+1+n], length)
	return at
}

// appendUUID appends a shared.UUID in structured form as field num.
func appendUUID(b []byte, num protowire.Number, id eventID) []byte {
	most, least := id.halves()
	inner := 0
	if most != 0 {
		inner += 1 + protowire.SizeVarint(uint64(most))
	}
	if least != 0 {
		inner += 1 + protowire.SizeVarint(uint64(least))
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(1+protowire.SizeBytes(inner)))
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner))
	if most != 0 {
		b = protowire.AppendTag(b, 1, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(most))
	}
	if least != 0 {
		b = protowire.AppendTag(b, 2, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(least))
	}
	return b
}

// appendEntry appends an entry of a map<string, string>.
func appendEntry(b []byte, num protowire.Number, key, value string) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(2+protowire.SizeBytes(len(key))+protowire.SizeBytes(len(value))))
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendString(b, key)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return protowire.AppendString(b, value)
}
