package eventstore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"jangbu/domain/event"
)

var (
	errClosed   = fmt.Errorf("%w: the client is closed", event.ErrUnavailable)
	errStalled  = errors.New("no answer in time")
	errReplaced = errors.New("the connection was given up")
)

// translate gives a failure of the esdb client its name in the vocabulary of package event. A failure it has no name
// for (access denied, say) comes back as it is. ctx is the caller's: when it has been cancelled, that is the reason.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	name := classify(err)
	if name == nil || errors.Is(err, name) {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", name, ctx.Err())
	}
	return fmt.Errorf("%w: %w", name, err)
}

func classify(err error) error {
	if errors.Is(err, event.ErrUnavailable) || errors.Is(err, io.EOF) || errors.Is(err, errStalled) || errors.Is(err, errReplaced) ||
		errors.Is(err, context.DeadlineExceeded) {
		return event.ErrUnavailable
	}
	var failure *esdb.Error
	if errors.As(err, &failure) {
		switch failure.Code() {
		case esdb.ErrorCodeWrongExpectedVersion:
			return event.ErrConflict
		case esdb.ErrorCodeResourceNotFound, esdb.ErrorCodeStreamDeleted:
			return event.ErrStreamNotFound
		case esdb.ErrorUnavailable, esdb.ErrorCodeDeadlineExceeded, esdb.ErrorCodeConnectionClosed, esdb.ErrorAborted,
			esdb.ErrorCodeNotLeader:
			return event.ErrUnavailable
		}
	}
	// A code the client has no name for, and errors that did not pass through the client's own table.
	switch s, ok := status.FromError(err); {
	case !ok:
		return nil
	default:
		switch s.Code() {
		case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted, codes.Internal, codes.Unknown:
			return event.ErrUnavailable
		}
	}
	return nil
}

// breaks reports whether an error says that the connection is of no more use. The client itself, on Unavailable, gives up the
// connection and dials another at the next call; the other codes it keeps for itself.
func breaks(err error) bool {
	var failure *esdb.Error
	if errors.As(err, &failure) {
		switch failure.Code() {
		case esdb.ErrorUnavailable, esdb.ErrorCodeConnectionClosed, esdb.ErrorCodeNotLeader:
			return true
		}
	}
	return status.Code(err) == codes.Unavailable
}

// timedOut reports whether an error says that no answer came in time.
func timedOut(err error) bool {
	var failure *esdb.Error
	if errors.As(err, &failure) && failure.Code() == esdb.ErrorCodeDeadlineExceeded {
		return true
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errStalled) || status.Code(err) == codes.DeadlineExceeded
}

// tooLarge reports whether the server said that a well-formed append is over its limit: InvalidArgument with the exception
// maximum-append-size-exceeded, which the client drops, or ResourceExhausted from gRPC itself.
func tooLarge(err error) bool {
	code := status.Code(err)
	return code == codes.InvalidArgument || code == codes.ResourceExhausted
}
