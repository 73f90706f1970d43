package bus

import (
	"strconv"
	"strings"

	"github.com/google/uuid"

	"jangbu/domain/event"
)

// decodeOwn reads a message in the very form encode writes, in about a quarter of the time that reading any CloudEvents
// JSON takes. It reports false for every other message, which decode then reads the long way.
func decodeOwn(body string) (e event.Recorded, hollow, ok bool) {
	r := ownReader{rest: body}
	r.literal(`{"specversion":"` + specVersion + `","source":"` + source + `","id":"`)
	id := r.plain()
	r.literal(`,"type":"`)
	e.Type = strings.Clone(r.plain()) // not to keep the whole message alive
	r.literal(`,"subject":"`)
	e.Stream = strings.Clone(r.plain())
	r.literal(`,"time":"`)
	at := r.plain()
	r.literal(`,"revision":"`)
	revision := r.plain()
	r.literal(`,"position":"`)
	commit, prepare, _ := strings.Cut(r.plain(), "/")
	if r.optional(`,"traceparent":"`) {
		r.plain() // the metadata has it, too
	}
	if r.optional(`,"jangbumeta":"`) {
		e.Metadata = r.escaped()
	}
	if r.optional(`,"datacontenttype":"` + contentJSON + `","data":`) {
		e.Data = r.data()
	}
	hollow = r.optional(`,"hollow":true`)
	r.literal(`}`)
	if r.failed || r.rest != "" || e.Type == "" || e.Stream == "" {
		return event.Recorded{}, false, false
	}
	var errs [5]error
	e.ID, errs[0] = uuid.Parse(id)
	errs[1] = e.Time.UnmarshalText([]byte(at))
	e.Revision, errs[2] = strconv.ParseInt(revision, 10, 64)
	e.Position.Commit, errs[3] = strconv.ParseUint(commit, 10, 64)
	e.Position.Prepare, errs[4] = strconv.ParseUint(prepare, 10, 64)
	for _, err := range errs {
		if err != nil {
			return event.Recorded{}, false, false
		}
	}
	if e.ID == uuid.Nil || e.Revision < 0 {
		return event.Recorded{}, false, false
	}
	e.Time = e.Time.UTC()
	return e, hollow, true
}

// ownReader walks along a message. Once something is not as expected it has failed, and yields nothing more.
type ownReader struct {
	rest   string
	failed bool
}

func (r *ownReader) optional(s string) bool {
	rest, ok := strings.CutPrefix(r.rest, s)
	if ok && !r.failed {
		r.rest = rest
	}
	return ok && !r.failed
}

func (r *ownReader) literal(s string) {
	if !r.optional(s) {
		r.failed = true
	}
}

// plain reads to the end of a string without escapes.
func (r *ownReader) plain() string {
	for i := 0; i < len(r.rest) && !r.failed; i++ {
		switch c := r.rest[i]; {
		case c == '"':
			s := r.rest[:i]
			r.rest = r.rest[i+1:]
			return s
		case c < 0x20 || c == '\\':
			r.failed = true
		}
	}
	r.failed = true
	return ""
}

// escaped reads to the end of a string in which only quotes and backslashes are escaped.
func (r *ownReader) escaped() []byte {
	out := make([]byte, 0, len(r.rest)/2)
	for i := 0; i < len(r.rest) && !r.failed; i++ {
		c := r.rest[i]
		switch {
		case c == '"':
			r.rest = r.rest[i+1:]
			return out
		case c == '\\' && i+1 < len(r.rest) && (r.rest[i+1] == '"' || r.rest[i+1] == '\\'):
			i++
			out = append(out, r.rest[i])
		case c < 0x20 || c == '\\':
			r.failed = true
		default:
			out = append(out, c)
		}
	}
	r.failed = true
	return nil
}

// data takes everything up to the message's last brace.
func (r *ownReader) data() []byte {
	if r.failed || !strings.HasSuffix(r.rest, "}") {
		r.failed = true
		return nil
	}
	data := []byte(r.rest[:len(r.rest)-1])
	r.rest = "}"
	if !spliceable(data) {
		r.failed = true
	}
	return data
}
