package bus

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"jangbu/domain/event"
)

// The JSON of a message. The names are CloudEvents 1.0's; revision, position, traceparent, jangbumeta and hollow are
// extensions. revision is a string, since an integer of CloudEvents has 32 bits. jangbumeta is the event's metadata as
// a string, since an extension cannot be an object. Data that is not JSON travels as data_base64.
const (
	specVersion = "1.0"
	source      = "/jangbu"
	contentJSON = "application/json"
)

// cloudEvent is the message as it is read.
type cloudEvent struct {
	SpecVersion string          `json:"specversion"`
	ID          uuid.UUID       `json:"id"`
	Type        string          `json:"type"`
	Subject     string          `json:"subject"`
	Time        time.Time       `json:"time"`
	Revision    string          `json:"revision"`
	Position    string          `json:"position"`
	Metadata    string          `json:"jangbumeta"`
	MetadataRaw []byte          `json:"jangbumetab64"`
	Hollow      bool            `json:"hollow"`
	Data        json.RawMessage `json:"data"`
	DataRaw     []byte          `json:"data_base64"`
}

// encode appends the message of an event to dst. A hollow one leaves out data and metadata.
func encode(dst []byte, e event.Recorded, hollow bool) []byte {
	dst = append(dst, `{"specversion":"`+specVersion+`","source":"`+source+`","id":"`...)
	dst = append(dst, e.ID.String()...)
	dst = append(dst, `","type":`...)
	dst = appendString(dst, e.Type)
	dst = append(dst, `,"subject":`...)
	dst = appendString(dst, e.Stream)
	dst = append(dst, `,"time":"`...)
	dst = e.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","revision":"`...)
	dst = strconv.AppendInt(dst, e.Revision, 10)
	dst = append(dst, `","position":"`...)
	dst = strconv.AppendUint(dst, e.Position.Commit, 10)
	dst = append(dst, '/')
	dst = strconv.AppendUint(dst, e.Position.Prepare, 10)
	dst = append(dst, '"')
	if parent := traceparent(e.Metadata); parent != "" {
		dst = append(dst, `,"traceparent":`...)
		dst = appendString(dst, parent)
	}
	if hollow {
		return append(dst, `,"hollow":true}`...)
	}
	dst = appendMetadata(dst, e.Metadata)
	dst = appendData(dst, e.Data)
	return append(dst, '}')
}

func appendMetadata(dst, metadata []byte) []byte {
	switch {
	case len(metadata) == 0:
		return dst
	case utf8.Valid(metadata):
		dst = append(dst, `,"jangbumeta":`...)
		return appendString(dst, string(metadata))
	}
	return appendBase64(dst, "jangbumetab64", metadata)
}

func appendData(dst, data []byte) []byte {
	switch {
	case len(data) == 0:
		return dst
	case spliceable(data):
		dst = append(dst, `,"datacontenttype":"`+contentJSON+`","data":`...)
		return append(dst, data...)
	}
	return appendBase64(dst, "data_base64", data)
}

func appendBase64(dst []byte, name string, raw []byte) []byte {
	dst = append(dst, `,"`+name+`":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, raw)
	return append(dst, '"')
}

// spliceable reports whether data can stand inside the message as it is, and be found there again byte for byte.
func spliceable(data []byte) bool {
	return json.Valid(data) && len(bytes.TrimSpace(data)) == len(data) && !bytes.Equal(data, []byte("null")) &&
		utf8.Valid(data) && !bytes.Contains(data, nonCharacterE) && !bytes.Contains(data, nonCharacterF)
}

// U+FFFE and U+FFFF are UTF-8, but SQS takes no message that holds them.
var (
	nonCharacterE = []byte("\uFFFE")
	nonCharacterF = []byte("\uFFFF")
)

// traceparent is looked for only where its name occurs: most of the time it saves reading the metadata.
func traceparent(metadata []byte) string {
	if !bytes.Contains(metadata, []byte(`"traceparent"`)) {
		return ""
	}
	return event.Recorded{Metadata: metadata}.Meta().Traceparent
}

// appendString appends s as a JSON string. It leaves every character alone that JSON and SQS allow.
func appendString(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == 0xFFFE || r == 0xFFFF || r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
				start = i + size
			}
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		if c == '"' || c == '\\' {
			dst = append(dst, '\\', c)
		} else {
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// decode reads a message. An error says that it is not an event, and never will be one.
func decode(body string) (e event.Recorded, hollow bool, err error) {
	if e, hollow, ok := decodeOwn(body); ok {
		return e, hollow, nil
	}
	return decodeAny(body)
}

// decodeAny reads whatever CloudEvents JSON says an event, with members in any order and unknown extensions.
func decodeAny(body string) (e event.Recorded, hollow bool, err error) {
	var c cloudEvent
	if err := json.Unmarshal([]byte(body), &c); err != nil {
		return event.Recorded{}, false, fmt.Errorf("read message: %w", err)
	}
	if c.SpecVersion != specVersion {
		return event.Recorded{}, false, fmt.Errorf("read message: CloudEvents version %q is not %s", c.SpecVersion, specVersion)
	}
	if c.ID == uuid.Nil || c.Type == "" || c.Subject == "" {
		return event.Recorded{}, false, errors.New("read message: id, type or subject is missing")
	}
	revision, err := strconv.ParseInt(c.Revision, 10, 64)
	if err != nil || revision < 0 {
		return event.Recorded{}, false, fmt.Errorf("read message: revision %q", c.Revision)
	}
	position, err := event.ParsePosition(c.Position)
	if err != nil {
		return event.Recorded{}, false, fmt.Errorf("read message: %w", err)
	}
	e = event.Recorded{ID: c.ID, Stream: c.Subject, Revision: revision, Position: position, Type: c.Type, Time: c.Time.UTC(),
		Data: c.Data, Metadata: c.MetadataRaw}
	if len(c.DataRaw) > 0 {
		e.Data = c.DataRaw
	}
	if c.Metadata != "" {
		e.Metadata = []byte(c.Metadata)
	}
	return e, c.Hollow, nil
}
