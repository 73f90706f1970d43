package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Errors of Start and Verify. They are wrapped with what was being done and to which file.
var (
	// ErrLocked: another process, or another Server of this one, has the file open.
	ErrLocked = errors.New("the event store is in use by another process")
	// ErrDamaged: the file is not an event store, or parts of it cannot be trusted.
	ErrDamaged = errors.New("the event store is damaged")
)

// refusal is an error as EventStoreDB's protocol carries it: a gRPC status, and trailers by which clients
// recognise what happened.
type refusal struct {
	code     codes.Code
	message  string
	trailers []string // key, value, …
	cause    error    // what errors.Is finds; may be nil
}

var errTooLarge = errors.New("append is above the limit")

func (r *refusal) Error() string              { return r.message }
func (r *refusal) Unwrap() error              { return r.cause }
func (r *refusal) GRPCStatus() *status.Status { return status.New(r.code, r.message) }

func invalidArgument(message string) error {
	return &refusal{code: codes.InvalidArgument, message: message}
}

func missingMetadata() error {
	return &refusal{
		code:    codes.InvalidArgument,
		message: "required metadata properties are missing: type, content-type",
		trailers: []string{
			"exception", "missing-required-metadata-property",
			"required-metadata-properties", "type,content-type",
		},
	}
}

func streamDeleted(stream string) error {
	return &refusal{
		code:     codes.FailedPrecondition,
		message:  "Event stream '" + stream + "' is deleted.",
		trailers: []string{"exception", "stream-deleted", "stream-name", trailerText(stream)},
	}
}

func appendTooLarge() error {
	return &refusal{
		code:    codes.InvalidArgument,
		message: "Maximum Append Size of " + strconv.Itoa(maxAppend) + " Exceeded.",
		trailers: []string{
			"exception", "maximum-append-size-exceeded",
			"maximum-append-size", strconv.Itoa(maxAppend),
		},
		cause: errTooLarge,
	}
}

func wrongVersion(stream string, expected expectation, current int64) error {
	e, c := strconv.FormatInt(expected.legacy(), 10), strconv.FormatInt(current, 10)
	return &refusal{
		code: codes.FailedPrecondition,
		message: "Append failed due to WrongExpectedVersion. Stream: " + stream +
			", Expected version: " + e + ", Actual version: " + c,
		trailers: []string{
			"exception", "wrong-expected-version",
			"stream-name", trailerText(stream),
			"expected-version", e,
			"actual-version", c,
		},
	}
}

// trailerText is a text with what a trailer may not hold, all but printable ASCII, percent-encoded: a control character in
// a trailer would make gRPC answer Internal instead of the refusal.
func trailerText(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// trailerSetter is what a call offers to attach trailers to.
type trailerSetter interface{ SetTrailer(metadata.MD) }

// unaryTrailers attaches trailers to a call that is not a stream.
type unaryTrailers struct{ ctx context.Context }

func (u unaryTrailers) SetTrailer(md metadata.MD) {
	// It fails only when the context is not a call's, which cannot be here.
	_ = grpc.SetTrailer(u.ctx, md)
}

// trailed attaches a refusal's trailers to a call and returns the error to end the call with.
func trailed(call trailerSetter, err error) error {
	var r *refusal
	if errors.As(err, &r) {
		if len(r.trailers) > 0 {
			call.SetTrailer(metadata.Pairs(r.trailers...))
		}
		return r
	}
	if errors.Is(err, ErrDamaged) {
		return status.Error(codes.DataLoss, err.Error())
	}
	return err
}
