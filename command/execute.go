package command

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/web"
)

// operation is one command on its way: who asks, what for, and how it is decided.
type operation struct {
	request
	id      string
	stream  string
	creates bool // the command makes the stream; it can only have an effect where there is none
	codec   *event.Codec
	// check says what is wrong with the command by itself; nil: decide says it. A creation has one, since its key
	// is reserved beside the decision, and a key must not be bound to a body that can never have an effect.
	check func() error
	// decide folds the stream's events and decides. It may run several times.
	decide func(ctx context.Context, history []event.Recorded) ([]any, error)
}

// execute runs the operation to its end and returns the stream's revision after it. An attempt that loses a race
// (event.ErrConflict) is made again, from what is then in the log.
func (s *Service) execute(ctx context.Context, o *operation) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	for attempt := range s.cfg.MaxAttempts {
		if err := pause(ctx, attempt); err != nil {
			return 0, err
		}
		revision, err := s.attempt(ctx, o, attempt == 0)
		if !errors.Is(err, event.ErrConflict) {
			if err == nil {
				s.hint(o)
			}
			return revision, err
		}
	}
	return 0, fmt.Errorf("decide %d times: %w", s.cfg.MaxAttempts, event.ErrConflict)
}

// The pauses between attempts: up to 2 ms, doubling, never over 50 ms, at random so that rivals part.
const (
	firstPause = 2 * time.Millisecond
	maxPause   = 50 * time.Millisecond
)

func pause(ctx context.Context, attempt int) error {
	if attempt == 0 {
		return ctx.Err()
	}
	longest := min(maxPause, firstPause<<min(attempt-1, 10))
	timer := time.NewTimer(rand.N(longest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attempt follows the protocol of the package's doc, whose steps it names.
func (s *Service) attempt(ctx context.Context, o *operation, first bool) (int64, error) {
	held := unclaimed
	if first && o.check != nil {
		if err := o.check(); err != nil {
			return s.refuse(ctx, o, err)
		}
	}
	if o.keyed && !first { // step 1
		var err error
		if held, err = s.readClaim(ctx, o); err != nil {
			return 0, err
		}
		if held.answer != nil {
			return *held.answer, nil
		}
	}
	var history []event.Recorded
	if !o.creates || !first { // step 2; a new thing's stream is presumed empty, and the append finds out
		var err error
		if history, err = s.load(ctx, o.stream); err != nil {
			return 0, err
		}
	}
	if revision, done, err := o.effect(history); done || err != nil { // step 3
		return revision, err
	}
	revision := int64(len(history)) - 1
	if len(history) > 0 {
		revision = history[len(history)-1].Revision
	}
	events, claimed, err := s.decide(ctx, o, held, history, revision) // steps 4 and 5
	if err != nil {
		if first && !claimed && !errors.Is(err, event.ErrConflict) {
			return s.refuse(ctx, o, err)
		}
		return 0, err
	}
	if len(events) == 0 {
		if o.keyed {
			return revision, s.recordAnswer(ctx, o, held, revision) // step 6
		}
		return revision, nil
	}
	proposed, err := o.propose(o.codec, events)
	if err != nil {
		return 0, err
	}
	if err := s.append(ctx, o.stream, revision, proposed); err != nil { // step 7
		return 0, err
	}
	return revision + int64(len(events)), nil
}

// decide judges the condition, decides, and reserves the key for what was decided. A creation can be reserved for
// beforehand, since an empty stream is the only place for its effect: then the reservation and the reading of what
// the command refers to go on together. claimed says that the key is known to be this request's.
func (s *Service) decide(ctx context.Context, o *operation, held claim, history []event.Recorded, revision int64) (events []any, claimed bool, err error) {
	if err := o.precondition(revision); err != nil {
		return nil, held.revision != event.NoStream, err
	}
	if o.keyed && o.creates && revision == event.NoStream {
		reservation := make(chan error, 1)
		go func() { reservation <- s.reserve(ctx, o, held, revision) }()
		events, err = o.decide(ctx, history)
		if lost := <-reservation; lost != nil { // it comes before a refusal: the key may be another request's
			return nil, false, lost
		}
		return events, true, err
	}
	events, err = o.decide(ctx, history)
	if err != nil || len(events) == 0 || !o.keyed {
		return events, held.revision != event.NoStream, err
	}
	return events, true, s.reserve(ctx, o, held, revision)
}

// refuse answers with a refusal, unless the request carries a key whose claim, not read so far, says otherwise: the key
// may be another request's, or this one may have been answered before.
func (s *Service) refuse(ctx context.Context, o *operation, refusal error) (int64, error) {
	if !o.keyed {
		return 0, refusal
	}
	held, err := s.readClaim(ctx, o)
	switch {
	case err != nil:
		return 0, err
	case held.answer != nil:
		return *held.answer, nil
	}
	return 0, refusal
}

// effect looks for the command's own events in the stream: it has been carried out if they are there.
func (o *operation) effect(history []event.Recorded) (revision int64, done bool, err error) {
	own := o.eventID(0)
	for i, recorded := range history {
		if recorded.ID != own {
			continue
		}
		if o.keyed && recorded.Meta().RequestHash != o.hash {
			return 0, false, keyReused()
		}
		last := i
		for last+1 < len(history) && history[last+1].ID == o.eventID(last+1-i) {
			last++
		}
		return history[last].Revision, true, nil
	}
	return 0, false, nil
}

// precondition judges If-Match. Of a thing that is not there the decision says so itself.
func (o *operation) precondition(revision int64) error {
	if !o.match.Present || (revision == event.NoStream && !o.creates) {
		return nil
	}
	if revision == event.NoStream {
		return web.NewProblem(http.StatusPreconditionFailed, "revision-mismatch", "If-Match names a revision of a thing that is yet to be made.")
	}
	etag := web.ETag(revision)
	if o.match.Strong(etag) {
		return nil
	}
	return web.NewProblem(http.StatusPreconditionFailed, "revision-mismatch",
		fmt.Sprintf("%s is at revision %s, which If-Match does not name.", o.stream, etag)).With(web.HeaderETag, etag)
}

// load reads a whole stream; one without events is empty.
func (s *Service) load(ctx context.Context, stream string) ([]event.Recorded, error) {
	var history []event.Recorded
	for recorded, err := range s.store.ReadStream(ctx, stream, 0) {
		if errors.Is(err, event.ErrStreamNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", stream, err)
		}
		history = append(history, recorded)
	}
	return history, nil
}

// appendTries is how often an append is sent whose outcome is unknown. Its event ids make the repetition harmless.
const appendTries = 3

func (s *Service) append(ctx context.Context, stream string, expected int64, events []event.Proposed) error {
	var err error
	for try := range appendTries {
		if waiting := pause(ctx, try); waiting != nil {
			return errors.Join(err, waiting)
		}
		if _, err = s.store.Append(ctx, stream, expected, events); !errors.Is(err, event.ErrUnavailable) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("append to %s: %w", stream, err)
	}
	return nil
}

// fold reads a stream's events into a state.
func fold[S any](codec *event.Codec, apply func(S, any) S, history []event.Recorded) (S, error) {
	var state S
	for _, recorded := range history {
		e, err := codec.Decode(recorded.Type, recorded.Data)
		if err != nil {
			return state, fmt.Errorf("fold %s@%d: %w", recorded.Stream, recorded.Revision, err)
		}
		state = apply(state, e)
	}
	return state, nil
}
