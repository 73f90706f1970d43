package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MediaTypeProblem is the media type of every answer that is not a success.
const MediaTypeProblem = "application/problem+json"

const problemType = "urn:jangbu:problem:"

// Problem is an RFC 9457 problem, and the error by which a handler answers with it. The Type is stable for ever and
// is what a client may depend on; docs/problems.md lists every one. Make it with NewProblem.
type Problem struct {
	Type     string       `json:"type"`
	Title    string       `json:"title"`
	Status   int          `json:"status"`
	Detail   string       `json:"detail,omitempty"`
	Instance string       `json:"instance,omitempty"`
	Errors   []FieldError `json:"errors,omitempty"`

	Header http.Header `json:"-"` // sent with the answer
	Cause  error       `json:"-"` // for the log; never sent
}

// FieldError is one wrong field: a JSON Pointer (RFC 6901) into the body and what is wrong there. The pointer of the
// whole body is the empty string.
type FieldError struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// NewProblem makes the problem of a code such as "order-not-found": its type is urn:jangbu:problem:<code> and its
// title the code in words, so that one code always has one title. The detail is about this occurrence.
func NewProblem(status int, code, detail string) *Problem {
	return &Problem{Type: problemType + code, Title: titleOf(code), Status: status, Detail: detail}
}

func titleOf(code string) string {
	words := strings.ReplaceAll(code, "-", " ")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// Error makes a Problem an error.
func (p *Problem) Error() string {
	text := fmt.Sprintf("%d %s", p.Status, p.Code())
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	if p.Cause != nil {
		text += ": " + p.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Code is the last part of the type.
func (p *Problem) Code() string { return strings.TrimPrefix(p.Type, problemType) }

// With adds a header to the answer.
func (p *Problem) With(header, value string) *Problem {
	if p.Header == nil {
		p.Header = http.Header{}
	}
	p.Header.Set(header, value)
	return p
}

// RetryAfter asks the client to come back after d, rounded up to whole seconds.
func (p *Problem) RetryAfter(d time.Duration) *Problem {
	seconds := max(1, int64((d+time.Second-1)/time.Second))
	return p.With("Retry-After", strconv.FormatInt(seconds, 10))
}

// Because notes the error behind the problem, for the log.
func (p *Problem) Because(err error) *Problem {
	p.Cause = err
	return p
}

// NotFound is the problem of a thing that does not exist: 404 <kind>-not-found.
func NotFound(kind, id string) *Problem {
	return NewProblem(http.StatusNotFound, kind+"-not-found", fmt.Sprintf("There is no %s %s.", kind, id))
}

// Unavailable is the problem of a dependency that does not answer: 503 with Retry-After.
func Unavailable(detail string, cause error) *Problem {
	return NewProblem(http.StatusServiceUnavailable, "unavailable", detail).RetryAfter(time.Second).Because(cause)
}

// MalformedHeader is the problem of a request header that cannot be read: 400.
func MalformedHeader(name, detail string) *Problem {
	return NewProblem(http.StatusBadRequest, "malformed-header", name+" "+detail)
}

// MalformedParameter is the problem of a query parameter that cannot be read: 400.
func MalformedParameter(name, detail string) *Problem {
	return NewProblem(http.StatusBadRequest, "malformed-parameter", name+" "+detail)
}

func malformedBody(detail string, fields ...FieldError) *Problem {
	p := NewProblem(http.StatusBadRequest, "malformed-body", detail)
	p.Errors = fields
	return p
}

// write sends the problem; extra is a struct that embeds *Problem, or nil.
func (p *Problem) write(w http.ResponseWriter, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode problem: %w", err)
	}
	h := w.Header()
	for name, values := range p.Header {
		h[name] = values
	}
	h.Set("Content-Type", MediaTypeProblem)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_, err = w.Write(data)
	return err
}
