package bus

import (
	"errors"
	"fmt"

	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"jangbu/domain/event"
)

// ErrPurging: the queue is being purged, or was less than a minute ago. It wraps event.ErrUnavailable.
var ErrPurging = fmt.Errorf("purged less than a minute ago: %w", event.ErrUnavailable)

// ErrRefused: the service will never take this request. Retrying it is useless.
var ErrRefused = errors.New("refused by the message service")

// Denied reports whether the service answered that it will not do this for this caller or in this form, such as for want of
// rights: it runs.
func Denied(err error) bool {
	var answer *smithyhttp.ResponseError
	return errors.As(err, &answer) && answer.HTTPStatusCode()/100 == 4
}

// classify puts an error of the SDK into the words callers know. Whatever is not certainly in vain may be retried:
// expired credentials and missing rights are mended by an operator while the caller waits.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case isGone(err):
		return fmt.Errorf("%w: %w", event.ErrNotProvisioned, err)
	case isPurging(err):
		return fmt.Errorf("%w: %w", ErrPurging, err)
	}
	var api smithy.APIError
	if errors.As(err, &api) && refusedForEver(api.ErrorCode()) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", event.ErrUnavailable, err)
}

func isGone(err error) bool {
	var (
		noTopic *snstypes.NotFoundException
		noQueue *sqstypes.QueueDoesNotExist
	)
	if errors.As(err, &noTopic) || errors.As(err, &noQueue) {
		return true
	}
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "AWS.SimpleQueueService.NonExistentQueue" // its older name
}

func isPurging(err error) bool {
	var purging *sqstypes.PurgeQueueInProgress
	return errors.As(err, &purging)
}

// refusedForEver knows the codes that blame the message itself.
func refusedForEver(code string) bool {
	switch code {
	case "InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "InvalidMessageContents",
		"InvalidAttributeName", "InvalidAttributeValue", "BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong":
		return true
	}
	return false
}
