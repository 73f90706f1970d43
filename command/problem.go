package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"jangbu/domain"
	"jangbu/domain/event"
	"jangbu/infra/web"
)

// problem is the one table from what a command can fail with to what its client sees. An error it does not know is the
// server's own and stays as it is: 500.
func problem(err error) error {
	var (
		known   *web.Problem
		invalid *domain.Invalid
		missing *domain.Missing
		refused *domain.Refused
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &invalid):
		p := web.NewProblem(http.StatusUnprocessableEntity, "invalid-fields", "Some fields of the command are wrong.")
		for _, f := range invalid.Fields {
			p.Errors = append(p.Errors, web.FieldError(f))
		}
		return p
	case errors.As(err, &missing):
		return web.NotFound(missing.Kind, missing.ID)
	case errors.As(err, &refused):
		return web.NewProblem(http.StatusConflict, refused.Code, refused.Detail)
	case errors.Is(err, event.ErrConflict):
		return web.NewProblem(http.StatusConflict, "concurrent-change",
			"Too many other commands changed the same thing at the same moment; nothing was done.").RetryAfter(time.Second).Because(err)
	case errors.Is(err, event.ErrStreamNotFound):
		// Reads take a stream that is not there for an empty one; only an append to a tombstone comes here.
		return web.NewProblem(http.StatusConflict, "id-retired",
			"What had this id was deleted from the event store for good; the id cannot be used again.").Because(err)
	case errors.Is(err, event.ErrTooLarge):
		return web.NewProblem(http.StatusRequestEntityTooLarge, "event-too-large",
			"The command causes an event that is too large for the event store.").Because(err)
	case errors.Is(err, event.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return web.Unavailable("The event store does not answer in time. Send the command again with the same Idempotency-Key: it is then done once, whatever became of this attempt.", err)
	}
	return fmt.Errorf("run command: %w", err)
}
