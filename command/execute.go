package command

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"jangbu/domain/event"
)

// operation is one command on its way: who asks, what for, and how it is decided.
type operation struct {
	request
	id      string
	stream  string
	creates bool // the command makes the stream; it can only have an effect where there is none
	codec   *event.Codec
	folder  folder
	// elsewhere: the command may be refused on account of something besides the request and the stream, and be so at one time
	// and not at another though the stream stands still.
	elsewhere bool
	// check says what is wrong with the command by itself, before it takes anybody's time; nil: decide says it.
	check func() error
	// prepare reads what the decision needs besides the stream's state; nil: nothing. It is called before each decision,
	// beside the other commands of a row, and never for two decisions of one operation at once.
	prepare func(ctx context.Context) error
	// decide says which events the command causes in the state that the stream has at the revision, event.NoStream
	// for one without events. It may run several times, and on a state that comes to nothing; every other command of
	// the row waits for it.
	decide func(ctx context.Context, state any, revision int64) ([]any, error)
	// resume changes events that another attempt has decided on, and this one carries out; nil: they stay as they are.
	resume func(events []any)

	wantsState bool
	state      any // of the stream at the revision that execute returned, if it is wanted
}

// execute runs the operation to its end and returns the stream's revision after it. One that is not done in time is
// event.ErrUnavailable, whatever took so long.
func (s *Service) execute(ctx context.Context, o *operation) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	revision, err := s.executeIn(ctx, o)
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, event.ErrUnavailable) {
		err = fmt.Errorf("command on %s: %w: %w", o.stream, event.ErrUnavailable, err)
	}
	return revision, err
}

// executeIn has the operation decided together with the other commands that are in flight for the stream, in a row.
func (s *Service) executeIn(ctx context.Context, o *operation) (int64, error) {
	t := &turn{ctx: ctx, o: o, claim: unclaimed, done: make(chan struct{})}
	if err := s.checkAlone(ctx, t); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.join(t)
	select {
	case <-t.done:
	case <-ctx.Done():
		select {
		case <-t.done:
		default:
			return 0, ctx.Err() // the row goes on without anybody waiting for this command
		}
	}
	if t.err != nil {
		return 0, t.err
	}
	s.hint(o)
	if !o.wantsState {
		return t.revision, nil
	}
	if o.state = t.state; o.state == nil {
		var err error
		if o.state, err = s.stateAt(ctx, o.stream, o.folder, t.revision); err != nil {
			return 0, err
		}
	}
	return t.revision, nil
}

// checkAlone refuses a command that is wrong by itself, before it takes anybody's time. Even then the key comes first:
// it may be another request's, or this one may have been carried out when the rules were others.
func (s *Service) checkAlone(ctx context.Context, t *turn) error {
	if t.o.check == nil {
		return nil
	}
	refusal := t.o.check()
	if refusal == nil || !t.o.keyed {
		return refusal
	}
	var err error
	if t.claim, err = s.readClaim(ctx, t.o); err != nil {
		return err
	}
	if t.claim.hash == "" {
		return refusal
	}
	t.again = true
	return nil
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

// appendTries is how often an append is sent whose outcome is unknown. Its event ids make the repetition harmless.
const appendTries = 3

// append writes events. After event.ErrConflict none of them stands there, even if an earlier try had no answer: the log
// would have known their ids.
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
