package eventstoredb

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// codec is gRPC's protobuf codec, except that messages on the hot paths go as bytes: an outgoing frame is sent as
// it is, and an incoming append is parsed without an intermediate message.
type codec struct {
	encoding.CodecV2
}

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// frame is an encoded ReadResp. Its bytes must not change after it was sent.
type frame []byte

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(frame); ok {
		return mem.BufferSlice{mem.SliceBuffer(f)}, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(*appendMessage); ok {
		buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
		defer buf.Free()
		return m.parse(buf.ReadOnlyData())
	}
	return c.CodecV2.Unmarshal(data, v)
}

// appendMessage is one message of the Append call: its options, or one proposed event.
type appendMessage struct {
	options bool
	stream  string
	expect  expectation

	// The proposed event is encoded for the log at once, while its bytes are at hand; that needs the stream's
	// name, which the caller carries over from the first message.
	into     string
	proposal *proposal
	err      error // the proposal is not acceptable; the connection is sound
}

var errMalformed = errors.New("malformed message")

// fields calls f for each field of a message, with the field's varint or bytes.
func fields(b []byte, f func(num protowire.Number, typ protowire.Type, v uint64, s []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errMalformed
		}
		b = b[n:]
		var v uint64
		var s []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			s, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return errMalformed
		}
		b = b[n:]
		if err := f(num, typ, v, s); err != nil {
			return err
		}
	}
	return nil
}

func (m *appendMessage) parse(b []byte) error {
	return fields(b, func(num protowire.Number, _ protowire.Type, _ uint64, s []byte) error {
		switch num {
		case 1:
			m.options, m.expect = true, expectation{kind: expectUnset}
			return m.parseOptions(s)
		case 2:
			return m.parseProposal(s)
		}
		return nil
	})
}

func (m *appendMessage) parseOptions(b []byte) error {
	return fields(b, func(num protowire.Number, _ protowire.Type, v uint64, s []byte) error {
		switch num {
		case 1:
			return fields(s, func(num protowire.Number, _ protowire.Type, _ uint64, s []byte) error {
				if num == 3 {
					m.stream = string(s)
				}
				return nil
			})
		case 2:
			m.expect = expectation{kind: expectRevision, revision: v}
		case 3:
			m.expect = expectation{kind: expectNoStream}
		case 4:
			m.expect = expectation{kind: expectAny}
		case 5:
			m.expect = expectation{kind: expectExists}
		}
		return nil
	})
}

func (m *appendMessage) parseProposal(b []byte) error {
	p := &proposal{}
	var metadata []byte
	var idGiven, typeGiven, contentGiven bool
	err := fields(b, func(num protowire.Number, _ protowire.Type, _ uint64, s []byte) error {
		switch num {
		case 1:
			var err error
			p.id, err = parseUUID(s)
			idGiven = true
			return err
		case 2:
			key, value, err := parseEntry(s)
			switch string(key) {
			case "type":
				p.typ, typeGiven = string(value), true
			case "content-type":
				p.json, contentGiven = string(value) == contentJSON, true
			}
			return err
		case 3:
			metadata = s
		case 4:
			p.data = s
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.proposal, p.size = p, len(b) // encode knows better, if it comes to that
	if m.err = p.complete(idGiven, typeGiven, contentGiven); m.err == nil {
		p.encode(m.into, metadata)
	}
	return nil
}

// errType: nobody could read an event of such a type, since protobuf refuses the whole message that it comes in.
var errType = invalidArgument("the type of an event is not UTF-8")

// complete says what is wrong with a proposed event.
func (p *proposal) complete(id, typ, content bool) error {
	switch {
	case !id:
		return invalidArgument("a proposed event has no id")
	case !typ || p.typ == "" || !content:
		return missingMetadata()
	case !utf8.ValidString(p.typ):
		return errType
	}
	return nil
}

func parseEntry(b []byte) (key, value []byte, err error) {
	err = fields(b, func(num protowire.Number, _ protowire.Type, _ uint64, s []byte) error {
		switch num {
		case 1:
			key = s
		case 2:
			value = s
		}
		return nil
	})
	return key, value, err
}

// parseUUID reads a shared.UUID in either of its forms.
func parseUUID(b []byte) (id eventID, err error) {
	err = fields(b, func(num protowire.Number, _ protowire.Type, _ uint64, s []byte) error {
		switch num {
		case 1:
			var most, least uint64
			err := fields(s, func(num protowire.Number, _ protowire.Type, v uint64, _ []byte) error {
				switch num {
				case 1:
					most = v
				case 2:
					least = v
				}
				return nil
			})
			id = idFromHalves(int64(most), int64(least))
			return err
		case 2:
			id, err = parseID(string(s))
			return err
		}
		return nil
	})
	return id, err
}

// parseID reads the textual form of a UUID, with or without dashes; uuid.Parse would take others, too.
func parseID(s string) (eventID, error) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 && len(s) != 32 {
		return eventID{}, invalidArgument(fmt.Sprintf("%q is not a UUID", s))
	}
	return eventID(id), nil
}

// String is the canonical text of the UUID.
func (id eventID) String() string { return uuid.UUID(id).String() }

// withStringID is a RecordedEvent with its id as text instead of two integers.
func withStringID(event []byte, id eventID) []byte {
	_, _, tag := protowire.ConsumeTag(event) // the id is the first field
	rest := event[tag+protowire.ConsumeFieldValue(1, protowire.BytesType, event[tag:]):]
	b := make([]byte, 0, len(rest)+42)
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendVarint(b, 38)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendString(b, id.String())
	return append(b, rest...)
}

// assemble makes a ReadResp of an event, the link that led to it, and the position of whichever of the two was
// read. Either may be nil.
func assemble(event, link, position []byte) frame {
	size := len(position)
	if event != nil {
		size += 1 + protowire.SizeBytes(len(event))
	}
	if link != nil {
		size += 1 + protowire.SizeBytes(len(link))
	}
	b := make([]byte, 0, size+8)
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	if event != nil {
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendBytes(b, event)
	}
	if link != nil {
		b = protowire.AppendTag(b, 2, protowire.BytesType)
		b = protowire.AppendBytes(b, link)
	}
	return append(b, position...)
}
