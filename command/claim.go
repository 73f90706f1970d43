package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"jangbu/domain/event"
	"jangbu/infra/web"
)

// claimCategory names the streams that bind an Idempotency-Key to its request: idempotency-<command id>.
const claimCategory = "idempotency"

// reserved: an attempt of the keyed request is about to append to Stream after the revision Expected. The first one
// binds the key to the request.
type reserved struct {
	RequestHash string `json:"request_hash"`
	Stream      string `json:"stream"`
	Expected    int64  `json:"expected"`
}

// answered: the keyed request changed nothing, and was answered with this revision.
type answered struct {
	Revision int64 `json:"revision"`
}

var claimCodec = event.NewCodec(
	event.Of[reserved]("idempotency.reserved.v1"),
	event.Of[answered]("idempotency.answered.v1"),
)

// claim is what a claim stream adds up to.
type claim struct {
	revision int64 // event.NoStream: nobody has claimed the key
	hash     string
	stream   string
	expected []int64 // after which attempts have meant to append, the latest last
	answer   *int64
}

var unclaimed = claim{revision: event.NoStream}

func (o *operation) claimStream() string {
	return event.StreamName(claimCategory, o.commandID.String())
}

// readClaim reads the claim of the operation's key and fails with a problem if another request holds it.
func (s *Service) readClaim(ctx context.Context, o *operation) (claim, error) {
	c := unclaimed
	for recorded, err := range s.store.ReadStream(ctx, o.claimStream(), 0) {
		if errors.Is(err, event.ErrStreamNotFound) {
			return unclaimed, nil
		}
		if err != nil {
			return claim{}, fmt.Errorf("read claim of key: %w", err)
		}
		e, err := claimCodec.Decode(recorded.Type, recorded.Data)
		if err != nil {
			return claim{}, fmt.Errorf("read claim of key: %w", err)
		}
		switch e := e.(type) {
		case reserved:
			if c.revision == event.NoStream {
				c.hash, c.stream = e.RequestHash, e.Stream
			}
			c.expected = append(c.expected, e.Expected)
		case answered:
			c.answer = &e.Revision
		}
		c.revision = recorded.Revision
	}
	if c.revision != event.NoStream && (c.hash != o.hash || c.stream != o.stream) {
		return claim{}, keyReused()
	}
	return c, nil
}

// reserve records that the turn's command is about to append after the revision, unless the claim says so already, and
// notes in the turn what the claim then says. event.ErrConflict: the claim has moved on.
func (s *Service) reserve(ctx context.Context, t *turn, revision int64) error {
	c := t.claim
	if n := len(c.expected); n > 0 && c.expected[n-1] == revision {
		return nil
	}
	if err := s.appendClaim(ctx, t.o, c, reserved{RequestHash: t.o.hash, Stream: t.o.stream, Expected: revision}); err != nil {
		return err
	}
	t.claim = claim{revision: c.revision + 1, hash: t.o.hash, stream: t.o.stream, expected: append(c.expected, revision)}
	return nil
}

// recordAnswer records for good that the operation changed nothing at the revision. event.ErrConflict: the claim has
// moved on.
func (s *Service) recordAnswer(ctx context.Context, o *operation, c claim, revision int64) error {
	if c.revision == event.NoStream {
		return s.appendClaim(ctx, o, c,
			reserved{RequestHash: o.hash, Stream: o.stream, Expected: revision}, answered{Revision: revision})
	}
	return s.appendClaim(ctx, o, c, answered{Revision: revision})
}

func (s *Service) appendClaim(ctx context.Context, o *operation, c claim, events ...any) error {
	// Fresh event ids: two attempts of one request must not pass for one another, since exactly one may win here.
	fresh := o.request
	fresh.commandID = s.cfg.NewID()
	proposed, err := fresh.propose(claimCodec, events)
	if err != nil {
		return err
	}
	if err := s.append(ctx, o.claimStream(), c.revision, proposed); err != nil {
		return fmt.Errorf("claim key: %w", err)
	}
	return nil
}

func keyReused() *web.Problem {
	return web.NewProblem(http.StatusUnprocessableEntity, "idempotency-key-reused",
		"This Idempotency-Key belongs to another request: one with another body, path or id.")
}
