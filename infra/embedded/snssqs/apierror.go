package snssqs

import (
	"fmt"
	"net/http"
)

// apiError is a refusal in AWS's words. Code is the name of the error's shape; legacy is the code that the query protocol
// and the x-amzn-query-error header use where it differs.
type apiError struct {
	code    string
	legacy  string
	status  int
	message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func (e *apiError) queryCode() string {
	if e.legacy != "" {
		return e.legacy
	}
	return e.code
}

// sender reports whether the fault is the client's, in which case a retry is useless.
func (e *apiError) sender() bool { return e.status < 500 }

func (e *apiError) faultName() string {
	if e.sender() {
		return "Sender"
	}
	return "Receiver"
}

func refuse(code, format string, args ...any) *apiError {
	return &apiError{code: code, status: http.StatusBadRequest, message: fmt.Sprintf(format, args...)}
}

// refuseSQS is refuse for the codes whose older form carries the service's name.
func refuseSQS(code, format string, args ...any) *apiError {
	e := refuse(code, format, args...)
	e.legacy = "AWS.SimpleQueueService." + code
	return e
}

func errNoQueue() *apiError {
	return &apiError{code: "QueueDoesNotExist", legacy: "AWS.SimpleQueueService.NonExistentQueue", status: http.StatusBadRequest,
		message: "The specified queue does not exist."}
}

func errNoTopic() *apiError {
	return &apiError{code: "NotFound", status: http.StatusNotFound, message: "Topic does not exist"}
}

func errNoSubscription() *apiError {
	return &apiError{code: "NotFound", status: http.StatusNotFound, message: "Subscription does not exist"}
}

// errInjected is what a fault answers: a failure of the service, which a client may retry.
func errInjected() *apiError {
	return &apiError{code: "InternalError", status: http.StatusInternalServerError, message: "injected fault"}
}

func errMissing(parameter string) *apiError {
	return refuse("MissingParameter", "The request must contain the parameter %s.", parameter)
}
