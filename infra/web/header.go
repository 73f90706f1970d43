package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The request headers of both APIs.
const (
	HeaderIfMatch          = "If-Match"
	HeaderIfNoneMatch      = "If-None-Match"
	HeaderIdempotencyKey   = "Idempotency-Key"
	HeaderPrefer           = "Prefer"
	HeaderETag             = "ETag"
	HeaderConsistencyToken = "Consistency-Token"

	// HeaderPreferenceApplied says which preference an answer heeds.
	HeaderPreferenceApplied = "Preference-Applied"
)

// What Preferences.Return may be.
const (
	ReturnMinimal        = "minimal"
	ReturnRepresentation = "representation"
)

const maxIdempotencyKey = 255

// ETag is the strong entity tag of a revision.
func ETag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// ConsistencyToken says which revision of which stream a client has seen; it is opaque to clients.
func ConsistencyToken(stream string, revision int64) string {
	return stream + "@" + strconv.FormatInt(revision, 10)
}

var errToken = errors.New("is not a consistency token")

// ParseConsistencyToken reads what ConsistencyToken writes.
func ParseConsistencyToken(token string) (stream string, revision int64, err error) {
	at := strings.LastIndexByte(token, '@')
	if at < 1 {
		return "", 0, errToken
	}
	revision, err = strconv.ParseInt(token[at+1:], 10, 64)
	if err != nil || revision < 0 || ConsistencyToken(token[:at], revision) != token {
		return "", 0, errToken
	}
	return token[:at], revision, nil
}

// Match is the condition of an If-Match or If-None-Match header. The zero Match is an absent header.
type Match struct {
	Present bool
	any     bool
	tags    []entityTag
}

type entityTag struct {
	weak bool
	tag  string // with its quotes
}

// Strong reports whether the condition names the tag under strong comparison (If-Match): a weak tag never does, and
// "*" names every thing that exists.
func (m Match) Strong(etag string) bool {
	for _, t := range m.tags {
		if !t.weak && t.tag == etag {
			return true
		}
	}
	return m.any
}

// Weak reports whether the condition names the tag under weak comparison (If-None-Match).
func (m Match) Weak(etag string) bool {
	etag = strings.TrimPrefix(etag, "W/")
	for _, t := range m.tags {
		if t.tag == etag {
			return true
		}
	}
	return m.any
}

// ParseMatch reads the header of that name, If-Match or If-None-Match. A malformed one is a Problem.
func ParseMatch(h http.Header, name string) (Match, error) {
	values := h.Values(name)
	if len(values) == 0 {
		return Match{}, nil
	}
	m := Match{Present: true}
	rest := strings.Trim(strings.Join(values, ","), " \t")
	if rest == "*" {
		m.any = true
		return m, nil
	}
	for rest != "" {
		if rest[0] == ',' { // RFC 9110 5.6.1.2: empty elements of a list are ignored
			rest = strings.TrimLeft(rest[1:], " \t")
			continue
		}
		t, after, ok := cutEntityTag(rest)
		after = strings.TrimLeft(after, " \t")
		if !ok || (after != "" && after[0] != ',') {
			return Match{}, MalformedHeader(name, `must be * or a list of entity tags such as "3".`)
		}
		m.tags = append(m.tags, t)
		rest = after
	}
	if len(m.tags) == 0 {
		return Match{}, MalformedHeader(name, "must name at least one entity tag.")
	}
	return m, nil
}

func cutEntityTag(s string) (t entityTag, rest string, ok bool) {
	s, t.weak = strings.CutPrefix(s, "W/")
	if s == "" || s[0] != '"' {
		return t, s, false
	}
	end := strings.IndexByte(s[1:], '"')
	if end < 0 {
		return t, s, false
	}
	t.tag, rest = s[:end+2], s[end+2:]
	for i := 1; i <= end; i++ {
		if c := t.tag[i]; c <= ' ' || c == 0x7f {
			return t, rest, false
		}
	}
	return t, rest, true
}

// ParseIdempotencyKey reads the Idempotency-Key header, taken as it stands; ok is false when there is none. A key is
// 1 to 255 printable ASCII characters.
func ParseIdempotencyKey(h http.Header) (key string, ok bool, err error) {
	values := h.Values(HeaderIdempotencyKey)
	switch {
	case len(values) == 0:
		return "", false, nil
	case len(values) > 1:
		return "", false, MalformedHeader(HeaderIdempotencyKey, "must be sent once.")
	case values[0] == "" || len(values[0]) > maxIdempotencyKey || !Printable(values[0]):
		return "", false, MalformedHeader(HeaderIdempotencyKey, "must be 1 to 255 printable ASCII characters.")
	}
	return values[0], true, nil
}

// Printable reports whether s is printable ASCII, the space included.
func Printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Preferences is what the Prefer header (RFC 7240) asks for. As that RFC demands, what is not understood, a wait that
// is not a whole number of seconds included, counts as not asked for.
type Preferences struct {
	Wait    time.Duration // wait=N
	Lenient bool          // handling=lenient
	Return  string        // return=minimal or return=representation
}

const maxWaitSeconds = 1 << 30 // keeps Wait from overflowing; a server caps it far below

// ParsePrefer reads the Prefer header.
func ParsePrefer(h http.Header) Preferences {
	var p Preferences
	seen := map[string]bool{}
	for _, preference := range splitQuoted(strings.Join(h.Values(HeaderPrefer), ","), ',') {
		name, value, _ := strings.Cut(splitQuoted(preference, ';')[0], "=")
		name = strings.ToLower(strings.Trim(name, " \t"))
		value = strings.Trim(strings.Trim(value, " \t"), `"`)
		if seen[name] { // the first of a name counts
			continue
		}
		seen[name] = true
		switch {
		case name == "wait":
			if n, err := strconv.ParseUint(value, 10, 64); err == nil {
				p.Wait = time.Duration(min(n, maxWaitSeconds)) * time.Second
			}
		case name == "handling":
			p.Lenient = value == "lenient"
		case name == "return" && (value == ReturnMinimal || value == ReturnRepresentation):
			p.Return = value
		}
	}
	return p
}

// splitQuoted splits at sep where it stands outside a quoted string.
func splitQuoted(s string, sep byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts, start = append(parts, s[start:i]), i+1
		}
	}
	return append(parts, s[start:])
}
