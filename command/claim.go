package command

import (
	"context"
	"encoding/json"
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
	RequestHash string    `json:"request_hash"`
	Stream      string    `json:"stream"`
	Expected    int64     `json:"expected"`
	Events      []decided `json:"events,omitempty"` // what the command causes there; none before an answer, and in what older releases wrote
}

// decided is an event before it is in the log.
type decided struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// refused: the keyed request was refused, on account of other streams or the clock; or the claim begins anew. It binds nothing; whoever had
// read the claim before must read it again.
type refused struct {
	InARow int `json:"in_a_row"` // how many of them the claim ends with, this one included; 0: it is not said
}

// answered: the keyed request changed nothing, and was answered with this revision.
type answered struct {
	Revision int64 `json:"revision"`
}

var claimCodec = event.NewCodec(
	event.Of[reserved]("idempotency.reserved.v1"),
	event.Of[refused]("idempotency.refused.v1"),
	event.Of[answered]("idempotency.answered.v1"),
)

// claim is what a claim stream adds up to.
type claim struct {
	revision int64  // event.NoStream: nobody has used the key
	empty    bool   // so it was read, not presumed
	hash     string // "": it is bound to no request
	stream   string
	expected []int64   // after which attempts have meant to append, the latest last
	events   []decided // what the latest meant to append
	refusals int       // that it ends with
	answer   *int64
}

var unclaimed = claim{revision: event.NoStream}

func (o *operation) claimStream() string {
	return event.StreamName(claimCategory, o.commandID.String())
}

// readClaim reads the claim of the operation's key and fails with a problem if another request holds it. Who is refused asks again and
// again: the refusals with which the claim ends are not read, but for the last.
func (s *Service) readClaim(ctx context.Context, o *operation) (claim, error) {
	last, err := s.store.Last(ctx, o.claimStream())
	if errors.Is(err, event.ErrStreamNotFound) {
		return claim{revision: event.NoStream, empty: true}, nil
	}
	if err != nil {
		return claim{}, fmt.Errorf("read claim of key: %w", err)
	}
	c := claim{}
	if err := c.add(last); err != nil {
		return claim{}, err
	}
	if before := last.Revision - int64(max(c.refusals, 1)); before >= 0 {
		if c, err = s.readClaimUpTo(ctx, o, before); err != nil {
			return claim{}, err
		}
		if err := c.add(last); err != nil {
			return claim{}, err
		}
	}
	if c.hash != "" && (c.hash != o.hash || c.stream != o.stream) {
		return claim{}, keyReused()
	}
	return c, nil
}

func (s *Service) readClaimUpTo(ctx context.Context, o *operation, revision int64) (claim, error) {
	c := unclaimed
	for recorded, err := range s.store.ReadStream(ctx, o.claimStream(), 0) {
		if errors.Is(err, event.ErrStreamNotFound) || err == nil && recorded.Revision > revision {
			break
		}
		if err != nil {
			return claim{}, fmt.Errorf("read claim of key: %w", err)
		}
		if err := c.add(recorded); err != nil {
			return claim{}, err
		}
	}
	return c, nil
}

// add adds what the claim says next.
func (c *claim) add(recorded event.Recorded) error {
	e, err := claimCodec.Decode(recorded.Type, recorded.Data)
	if err != nil {
		return fmt.Errorf("read claim of key: %w", err)
	}
	c.revision, c.refusals = recorded.Revision, 0
	switch e := e.(type) {
	case reserved:
		if c.hash == "" {
			c.hash, c.stream = e.RequestHash, e.Stream
		}
		c.expected, c.events = append(c.expected, e.Expected), e.Events
	case refused:
		c.refusals = e.InARow
	case answered:
		if c.hash != "" { // else the request that it answers is no longer known
			c.answer = &e.Revision
		}
	}
	return nil
}

// reservedAt is what an attempt was about to append after the revision, and may append yet; nil if none was.
func (c claim) reservedAt(revision int64) []decided {
	if n := len(c.expected); n > 0 && c.expected[n-1] == revision {
		return c.events
	}
	return nil
}

// reserve records that the turn's command is about to append its effect after the revision, unless the claim says so already, and
// notes in the turn what the claim then says. event.ErrConflict: the claim has moved on.
func (s *Service) reserve(ctx context.Context, t *turn, revision int64) error {
	c := t.claim
	if c.reservedAt(revision) != nil {
		return nil
	}
	events, err := encode(t.o.codec, t.onBase)
	if err != nil {
		return err
	}
	if err := s.appendClaim(ctx, t.o, c, reserved{RequestHash: t.o.hash, Stream: t.o.stream, Expected: revision, Events: events}); err != nil {
		return err
	}
	t.claim = claim{revision: c.revision + 1, hash: t.o.hash, stream: t.o.stream, expected: append(c.expected, revision), events: events}
	return nil
}

func encode(codec *event.Codec, events []any) ([]decided, error) {
	encoded := make([]decided, len(events))
	for i, e := range events {
		name, data, err := codec.Encode(e)
		if err != nil {
			return nil, err
		}
		encoded[i] = decided{Type: name, Data: data}
	}
	return encoded, nil
}

func decode(codec *event.Codec, encoded []decided) ([]any, error) {
	events := make([]any, len(encoded))
	for i, e := range encoded {
		var err error
		if events[i], err = codec.Decode(e.Type, e.Data); err != nil {
			return nil, fmt.Errorf("read claim of key: %w", err)
		}
	}
	return events, nil
}

// recordAnswer records for good that the operation changed nothing at the revision. event.ErrConflict: the claim has
// moved on.
func (s *Service) recordAnswer(ctx context.Context, o *operation, c claim, revision int64) error {
	if c.hash == "" {
		return s.appendClaim(ctx, o, c,
			reserved{RequestHash: o.hash, Stream: o.stream, Expected: revision}, answered{Revision: revision})
	}
	return s.appendClaim(ctx, o, c, answered{Revision: revision})
}

func (s *Service) appendClaim(ctx context.Context, o *operation, c claim, events ...any) error {
	// Fresh event ids: two attempts of one request must not pass for one another, since exactly one may win here.
	fresh := o.request
	fresh.commandID = newID()
	proposed, err := fresh.propose(claimCodec, events)
	if err != nil {
		return err
	}
	err = s.append(ctx, o.claimStream(), c.revision, proposed)
	if c.empty && errors.Is(err, event.ErrConflict) {
		err = errors.Join(err, s.beginAnew(ctx, o))
	}
	if err != nil {
		return fmt.Errorf("claim key: %w", err)
	}
	return nil
}

// beginAnew gives a claim an event to be read by. Where all that it held has aged out, the store goes on with its numbers and tells nobody where
// they are, so no append at an exact revision could follow. The event binds nothing, wherever it comes to stand: if it was a rival's
// that the caller's append met, it only has those who had read the claim read it again.
func (s *Service) beginAnew(ctx context.Context, o *operation) error {
	fresh := o.request
	fresh.commandID = newID()
	proposed, err := fresh.propose(claimCodec, []any{refused{}})
	if err != nil {
		return err
	}
	return s.append(ctx, o.claimStream(), event.Any, proposed)
}

func keyReused() *web.Problem {
	return web.NewProblem(http.StatusUnprocessableEntity, "idempotency-key-reused",
		"This Idempotency-Key belongs to another request: one with another body, path or id.")
}
