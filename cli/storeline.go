package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"jangbu/domain/event"
)

// eventLine is an event as a line of an export. Data and metadata stand in it byte for byte: as they are if they are
// JSON on one line, else in base 64.
type eventLine struct {
	ID             uuid.UUID       `json:"id"`
	Stream         string          `json:"stream"`
	Revision       int64           `json:"revision"`
	Position       string          `json:"position"` // in the store it comes from
	Type           string          `json:"type"`
	Created        time.Time       `json:"created"` // likewise
	Data           json.RawMessage `json:"data"`
	DataBase64     []byte          `json:"data_base64"`
	Metadata       json.RawMessage `json:"metadata"`
	MetadataBase64 []byte          `json:"metadata_base64"`
}

// appendLine appends the event as a line. It is written by hand because json.Marshal would reformat the data.
func appendLine(b []byte, e event.Recorded) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, e.ID.String()...)
	b = append(b, `","stream":`...)
	b = appendText(b, e.Stream)
	b = fmt.Appendf(b, `,"revision":%d,"position":"%s","type":`, e.Revision, e.Position)
	b = appendText(b, e.Type)
	b = append(b, `,"created":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = appendBlob(b, "data", e.Data)
	b = appendBlob(b, "metadata", e.Metadata)
	return append(b, "}\n"...)
}

func appendText(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic("cli: a string has no JSON: " + err.Error()) // json.Marshal never refuses one
	}
	return append(b, text...)
}

// appendBlob appends a member that is JSON itself, or base 64; none if it is empty.
func appendBlob(b []byte, name string, blob []byte) []byte {
	switch {
	case len(blob) == 0:
		return b
	case verbatim(blob):
		b = fmt.Appendf(b, `,"%s":`, name)
		return append(b, blob...)
	}
	b = fmt.Appendf(b, `,"%s_base64":"`, name)
	b = base64.StdEncoding.AppendEncode(b, blob)
	return append(b, '"')
}

// verbatim reports whether a JSON value comes back as it was, byte for byte, when it stands within a line of JSON.
func verbatim(blob []byte) bool {
	return !bytes.ContainsAny(blob, "\r\n") && len(bytes.TrimSpace(blob)) == len(blob) && utf8.Valid(blob) && json.Valid(blob)
}

// parseLine reads what appendLine writes. Its errors say what is wrong with the line.
func parseLine(line []byte) (event.Recorded, error) {
	var l eventLine
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return event.Recorded{}, fmt.Errorf("not an event: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return event.Recorded{}, errors.New("not an event: there is something after it")
	}
	position, err := event.ParsePosition(l.Position)
	switch {
	case err != nil:
		return event.Recorded{}, err
	case l.ID == uuid.Nil:
		return event.Recorded{}, errors.New("the event has no id")
	case l.Stream == "" || l.Type == "":
		return event.Recorded{}, errors.New("the event has no stream or no type")
	case strings.HasPrefix(l.Stream, "$") || strings.HasPrefix(l.Type, "$"):
		return event.Recorded{}, fmt.Errorf("%s in %s is a system event, which every store writes for itself", l.Type, l.Stream)
	case leftOut(l.Stream):
		return event.Recorded{}, fmt.Errorf("%s holds what is of use in its own store only", l.Stream)
	case l.Revision < 0:
		return event.Recorded{}, fmt.Errorf("%d is not a revision", l.Revision)
	case len(l.Data) > 0 && len(l.DataBase64) > 0, len(l.Metadata) > 0 && len(l.MetadataBase64) > 0:
		return event.Recorded{}, errors.New("the event has its data or metadata twice")
	}
	return event.Recorded{
		ID: l.ID, Stream: l.Stream, Revision: l.Revision, Position: position, Type: l.Type, Time: l.Created,
		Data: append(l.DataBase64, l.Data...), Metadata: append(l.MetadataBase64, l.Metadata...),
	}, nil
}
