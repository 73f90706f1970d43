package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/labstack/echo/v4"

	"jangbu/domain/email"
	"jangbu/domain/event"
	"jangbu/domain/member"
)

// That no two members have one e-mail address holds across streams: the stream of the address says whose it is, the stream
// of the member which address they have. A command that gives member M the address A, or takes it from them:
//
//  1. Load M, decide.
//  2. Append Reserved{M} to the stream of A, even if A is M's by now.
//     A crash leaves an address set aside for a member who does not have it. The same request again goes on from here. So
//     does M with any other; anybody else takes A over after reservationHolds.
//  3. Append M's event to the stream of M, at the revision of 1. A conflict: start again at 1.
//     A crash leaves M with A and, if they had another address, that one still reserved.
//  4. Append Released{M} to the stream of the address that M had.
//     Where a crash prevents it, whoever wants that address takes it over, since M does not have it.
//
// Member N takes over A, which is reserved for M and not fresh:
//
//  a. Read A at a revision r.
//  b. Load M. M has A: it is taken. If not, append EmailGivenUp to the stream of M at the revision it was loaded at, if
//     need be as its first event. A conflict: load M again.
//     A crash leaves an event that changes nothing.
//  c. Append Reserved{N} to A after r. A conflict: start again at a.
//
// Why M and N never both have A, however long either sleeps between two steps: if 2 comes before a, then 1 comes before b,
// and of 3 and b the later one finds the stream of M changed: M decides again and finds that A is N's, or N finds that M has
// A. If 2 comes after a, then of 2 and c the later one finds the stream of A changed. So every attempt reserves anew, and
// the age of a reservation only keeps those apart who are at work at the same time; nothing is wrong if clocks are.
//
// Why 4 takes nothing away that another command of M is about to get back: it is done only if A stands where it stood before
// M was loaded once more, and M moved on after that. A command that had loaded M before conflicts in 3; one that loads M
// later reserves anew in 2, and 4 conflicts, or 2 finds A free.

// reservationHolds is how old a reservation must be before the address may be taken from a member who does not have it.
const reservationHolds = 30 * time.Second

// withEmail is a command on a member after which they may have another address: its decision reserves it.
func (s *Service) withEmail(r request, id string, command member.Command) *operation {
	o := members.operation(r, id, command)
	_, registers := command.(member.Register)
	o.decide = func(ctx context.Context, state any, revision int64) ([]any, error) {
		events, err := member.Decide(state.(member.State), command)
		address := addressIn(events)
		if err != nil || address == "" {
			return events, err
		}
		if err := o.precondition(revision); err != nil {
			return nil, err // and nothing is reserved
		}
		if registers && revision == event.NoStream {
			// The stream of a new member is presumed empty. Nothing is reserved for one that is not new.
			state, err := current(ctx, s, members, id)
			if err != nil {
				return nil, err
			}
			if _, err = member.Decide(state, command); err != nil {
				return nil, err
			}
		}
		return events, s.reserveEmail(ctx, r, address, id)
	}
	return o
}

// addressIn is the address that events give to a member, "" for none.
func addressIn(events []any) string {
	for _, e := range events {
		switch e := e.(type) {
		case member.Registered:
			return e.Email
		case member.EmailChanged:
			return e.Email
		}
	}
	return ""
}

// runChangingEmail carries out a command of withEmail on a member who is there, and releases the address they had.
func (s *Service) runChangingEmail(c echo.Context, o *operation) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.cfg.Timeout)
	defer cancel()
	had, err := s.hadEmail(ctx, o.id)
	if err != nil {
		return problem(err)
	}
	if err := s.run(c, o); err != nil {
		return err
	}
	had.release(ctx, s, o.request)
	return nil
}

// hadEmail is the address a member has before a command.
type hadEmail struct {
	memberID string
	address  string // "": none, or none that is reserved for them
	held     heldEmail
	revision int64 // of the member, read after the address
}

func (s *Service) hadEmail(ctx context.Context, id string) (hadEmail, error) {
	state, _, err := readState(ctx, s, members, id)
	if err != nil || state.Email == "" {
		return hadEmail{}, err
	}
	had := hadEmail{memberID: id, address: state.Email}
	if had.held, err = s.readEmail(ctx, had.address); err != nil {
		return hadEmail{}, err
	}
	if state, had.revision, err = readState(ctx, s, members, id); err != nil || state.Email != had.address {
		return hadEmail{}, err
	}
	return had, nil
}

// release is step 4. The command is done by then, so whatever goes wrong here leaves what a crash leaves.
func (h hadEmail) release(ctx context.Context, s *Service, r request) {
	if h.address == "" || h.held.MemberID != h.memberID {
		return
	}
	state, revision, err := readState(ctx, s, members, h.memberID)
	if err != nil || revision <= h.revision || state.Email == h.address {
		return
	}
	events, err := email.Decide(h.held.State, email.Release{MemberID: h.memberID})
	if err != nil || len(events) == 0 {
		return
	}
	_ = s.appendBeside(ctx, r, email.Stream(h.address), h.held.revision, email.Codec, events)
}

// reserveEmail is step 2, or a to c. It fails with a *domain.Refused if another member has the address or is about to.
func (s *Service) reserveEmail(ctx context.Context, r request, address, memberID string) error {
	return s.untilNoConflict(ctx, func() error {
		held, err := s.readEmail(ctx, address)
		if err != nil {
			return err
		}
		reserve := email.Reserve{MemberID: memberID}
		if other := held.MemberID; other != "" && other != memberID && s.cfg.Now().Sub(held.at) >= reservationHolds {
			if err := s.giveUpEmail(ctx, r, other, address); err != nil {
				return err
			}
			reserve.Abandoned = true
		}
		events, err := email.Decide(held.State, reserve)
		if err != nil {
			return err
		}
		return s.appendBeside(ctx, r, email.Stream(address), held.revision, email.Codec, events)
	})
}

// giveUpEmail is step b. It fails with a *domain.Refused if the member has the address.
func (s *Service) giveUpEmail(ctx context.Context, r request, memberID, address string) error {
	return s.untilNoConflict(ctx, func() error {
		state, revision, err := readState(ctx, s, members, memberID)
		if err != nil {
			return err
		}
		events, err := member.Decide(state, member.GiveUpEmail{ID: memberID, Email: address})
		if err != nil {
			return err
		}
		err = s.appendBeside(ctx, r, member.Stream(memberID), revision, member.Codec, events)
		if errors.Is(err, event.ErrStreamNotFound) {
			return nil // deleted for good: nothing can make the address theirs
		}
		return err
	})
}

func (s *Service) untilNoConflict(ctx context.Context, try func() error) error {
	for attempt := range s.cfg.MaxAttempts {
		if err := pause(ctx, attempt); err != nil {
			return err
		}
		if err := try(); !errors.Is(err, event.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("reserve e-mail: %w", event.ErrConflict)
}

// heldEmail is what the stream of an address says.
type heldEmail struct {
	email.State
	revision int64
	at       time.Time // when its last event was recorded
}

func (s *Service) readEmail(ctx context.Context, address string) (heldEmail, error) {
	held := heldEmail{revision: event.NoStream}
	for recorded, err := range s.store.ReadStream(ctx, email.Stream(address), 0) {
		if errors.Is(err, event.ErrStreamNotFound) {
			return held, nil
		}
		if err != nil {
			return held, fmt.Errorf("read e-mail: %w", err)
		}
		e, err := email.Codec.Decode(recorded.Type, recorded.Data)
		if err != nil {
			return held, fmt.Errorf("read e-mail: %w", err)
		}
		held.State, held.revision, held.at = email.Apply(held.State, e), recorded.Revision, recorded.Time
	}
	return held, nil
}

// readState is the state of a thing as of now, and its stream's revision; event.NoStream is that of one without events.
func readState[S, C any](ctx context.Context, s *Service, a aggregate[S, C], id string) (state S, revision int64, err error) {
	k, err := s.fresh(ctx, event.StreamName(a.category, id), a)
	if err != nil {
		return state, event.NoStream, fmt.Errorf("read %s %s: %w", a.category, id, err)
	}
	return k.state.(S), k.revision, nil
}

// appendBeside appends events of another stream than the command's own, under ids of their own: each attempt of a
// command does this anew.
func (s *Service) appendBeside(ctx context.Context, r request, stream string, revision int64, codec *event.Codec, events []any) error {
	r.commandID, r.hash = newID(), ""
	proposed, err := r.propose(codec, events)
	if err != nil {
		return err
	}
	return s.append(ctx, stream, revision, proposed)
}
