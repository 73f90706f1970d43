package command

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"jangbu/domain/event"
	"jangbu/infra/web"
)

// The request headers that only the command API reads.
const (
	HeaderActor         = "X-Actor"          // who commands; an Idempotency-Key is that actor's own
	HeaderCorrelationID = "X-Correlation-Id" // goes into the metadata of every event
	HeaderTraceparent   = "Traceparent"      // W3C Trace Context, likewise
)

const anonymous = "anonymous"

// keyNamespace is the UUIDv5 namespace of the command ids made from Idempotency-Keys. It never changes: the keys
// used so far are known by it.
var keyNamespace = uuid.MustParse("6d1c8f1e-52a3-4b57-9f6b-0b9f6c7f2a11")

// request is what a command brings besides its body.
type request struct {
	commandID   uuid.UUID
	keyed       bool   // it carried an Idempotency-Key
	fresh       bool   // no other attempt has this command id
	hash        string // of method, path and body
	correlation string
	actor       string
	step        bool   // it is a step of fulfilment
	causation   string // what caused the command; empty: the command is its own cause
	traceparent string
	match       web.Match
}

// readRequest reads the headers; body is the decoded body, before any defaults.
func readRequest(c echo.Context, body any) (request, error) {
	h := c.Request().Header
	r := request{traceparent: traceparent(h)}
	var err error
	if r.actor, err = label(h, HeaderActor, anonymous); err != nil {
		return request{}, err
	}
	key, keyed, err := web.ParseIdempotencyKey(h)
	if err != nil {
		return request{}, err
	}
	if r.match, err = web.ParseMatch(h, web.HeaderIfMatch); err != nil {
		return request{}, err
	}
	if keyed {
		// Neither part can hold a zero byte, so no two pairs make one name.
		r.keyed, r.commandID = true, uuid.NewSHA1(keyNamespace, []byte(r.actor+"\x00"+key))
		if r.hash, err = hashRequest(c.Request(), body); err != nil {
			return request{}, err
		}
	} else {
		r.fresh, r.commandID = true, newID()
	}
	if r.correlation, err = label(h, HeaderCorrelationID, r.commandID.String()); err != nil {
		return request{}, err
	}
	return r, nil
}

// label reads an optional header that stands for somebody or something: 1 to 128 printable ASCII characters. Of two it takes neither: one
// may be the client's, and the other that of a gateway which should have replaced it.
func label(h http.Header, name, otherwise string) (string, error) {
	values := h.Values(name)
	switch {
	case len(values) == 0:
		return otherwise, nil
	case len(values) > 1:
		return "", web.MalformedHeader(name, "must be sent once.")
	case values[0] == "" || len(values[0]) > 128 || !web.Printable(values[0]):
		return "", web.MalformedHeader(name, "must be 1 to 128 printable ASCII characters.")
	}
	return values[0], nil
}

var wellFormedTraceparent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{1,128})?$`)

// traceparent is the header if it is well-formed; the standard wants a malformed one ignored.
func traceparent(h http.Header) string {
	value := h.Get(HeaderTraceparent)
	if len(h.Values(HeaderTraceparent)) != 1 || !wellFormedTraceparent.MatchString(value) {
		return ""
	}
	version, trace, parent := value[:2], value[3:35], value[36:52]
	if version == "ff" || (version == "00" && len(value) != 55) || strings.Trim(trace, "0") == "" || strings.Trim(parent, "0") == "" {
		return ""
	}
	return value
}

// hashRequest tells one request from another under the same key: the order of fields and white space do not count.
func hashRequest(r *http.Request, body any) (string, error) {
	canonical, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("hash request: %w", err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n%s", r.Method, r.URL.Path, canonical)
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// newID is a fresh id of a thing or a command: a UUIDv7, so that they sort by time.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// newThingID is the id of a thing whose client gave it none. With a key it is the same each time.
func newThingID(r request) string {
	if r.keyed {
		return uuid.NewSHA1(r.commandID, []byte("id")).String()
	}
	return newID().String()
}

// eventID is the id of the command's event of that index: the same each time the command is decided.
func (r request) eventID(index int) uuid.UUID {
	return uuid.NewSHA1(r.commandID, []byte(strconv.Itoa(index)))
}

func (r request) metadata() event.Metadata {
	return event.Metadata{
		CommandID: r.commandID.String(), RequestHash: r.hash, CorrelationID: r.correlation,
		CausationID: cmp.Or(r.causation, r.commandID.String()), Actor: r.actor, Traceparent: r.traceparent,
	}
}

// propose encodes events for the log under the command's own event ids.
func (r request) propose(codec *event.Codec, events []any) ([]event.Proposed, error) {
	metadata, err := json.Marshal(r.metadata())
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	proposed := make([]event.Proposed, len(events))
	for i, e := range events {
		name, data, err := codec.Encode(e)
		if err != nil {
			return nil, err
		}
		proposed[i] = event.Proposed{ID: r.eventID(i), Type: name, Data: data, Metadata: metadata}
	}
	return proposed, nil
}
