package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
)

// folder is how the events of a stream become a state: an aggregate, whatever the types of its states and commands. A
// state is never changed once it is made, so it may be shared.
type folder interface {
	// initial is the state of a stream without events.
	initial() any
	// fold is the state after one more event, as it stands in the log or is about to.
	fold(state any, name string, data []byte) (any, error)
	// format names the form of the state's JSON: a snapshot of another is of no use.
	format() string
	// unmarshal reads a state's JSON of that format.
	unmarshal(data []byte) (any, error)
}

func (a aggregate[S, C]) initial() any { return *new(S) }

func (a aggregate[S, C]) fold(state any, name string, data []byte) (any, error) {
	e, err := a.codec.Decode(name, data)
	if err != nil {
		return nil, err
	}
	return a.apply(state.(S), e), nil
}

func (a aggregate[S, C]) format() string { return snapshotFormat[S]() }

func (a aggregate[S, C]) unmarshal(data []byte) (any, error) {
	var state S
	err := json.Unmarshal(data, &state)
	return state, err
}

// known is what a stream adds up to at one of its revisions.
type known struct {
	state    any
	revision int64     // event.NoStream: the stream has no events
	last     uuid.UUID // the id of the event at that revision
	snapshot int64     // the revision of the newest snapshot heard of or tried; event.NoStream: none
	asked    time.Time // when the log was last asked
	behind   bool      // the stream has moved on: it must be read before this is of use
}

func nothing(f folder) known {
	return known{state: f.initial(), revision: event.NoStream, snapshot: event.NoStream}
}

// and is what is known with one more event, or still, if it cannot be folded.
func (k known) and(f folder, recorded event.Recorded) (known, error) {
	state, err := f.fold(k.state, recorded.Type, recorded.Data)
	if err != nil {
		return k, fmt.Errorf("fold %s@%d: %w", recorded.Stream, recorded.Revision, err)
	}
	return known{state: state, revision: recorded.Revision, last: recorded.ID, snapshot: k.snapshot, asked: k.asked}, nil
}

// fresh is what the stream adds up to at a moment after the call: what is known of it, and what is newer.
func (s *Service) fresh(ctx context.Context, stream string, f folder) (known, error) {
	asked := s.cfg.Now()
	if held, ok := s.cache.Get(stream); ok {
		k, ok, err := s.advance(ctx, stream, f, held)
		if err != nil {
			if k.revision > held.revision {
				s.moved(stream, k) // the next goes on from here
			}
			return known{}, err
		}
		if ok {
			k.asked, k.behind = asked, false
			s.remember(stream, f, k)
			return k, nil
		}
		s.cache.Remove(stream)
	}
	k, err := s.load(ctx, stream, f)
	k.asked = asked
	switch {
	case k.revision == event.NoStream:
	case err != nil:
		s.moved(stream, k)
	default:
		s.remember(stream, f, k)
	}
	return k, err
}

// peek is how many events a load reads before it asks whether there is a snapshot: about as many as can be read in the time of the
// question and of going on from what it finds. Most streams end sooner.
const peek = 32

// load is what the stream adds up to by the log alone. If it fails, that is what it has come to.
func (s *Service) load(ctx context.Context, stream string, f folder) (known, error) {
	k := nothing(f)
	read := 0
	for recorded, err := range s.store.ReadStream(ctx, stream, 0) {
		if errors.Is(err, event.ErrStreamNotFound) {
			return nothing(f), nil
		}
		if err != nil {
			return k, fmt.Errorf("load %s: %w", stream, err)
		}
		if k, err = k.and(f, recorded); err != nil {
			return k, err
		}
		if read++; read == peek {
			break
		}
	}
	if read < peek {
		return k, nil
	}
	return s.loadLong(ctx, stream, f, k)
}

// loadLong goes on from what the first events of a stream add up to, or from its snapshot.
func (s *Service) loadLong(ctx context.Context, stream string, f folder, k known) (known, error) {
	if taken, ok := s.readSnapshot(ctx, stream, f); ok && taken.revision > k.revision {
		if ahead, ok, err := s.advance(ctx, stream, f, taken); ok || err != nil {
			return ahead, err
		}
	}
	k, ok, err := s.advance(ctx, stream, f, k)
	if err == nil && !ok {
		k, err = nothing(f), fmt.Errorf("load %s, which was cut short meanwhile: %w", stream, event.ErrConflict)
	}
	return k, err
}

// advance adds what is newer in the stream. It is false when the event with which k ends does not stand there any more,
// so that k is of no use: the stream was deleted, cut short, or is that of another log. That is why it reads that event
// once more. If the log fails it, it returns what it has come to, which is nothing before that event.
func (s *Service) advance(ctx context.Context, stream string, f folder, k known) (known, bool, error) {
	at, stands := k.revision, false
	for recorded, err := range s.store.ReadStream(ctx, stream, at) {
		if errors.Is(err, event.ErrStreamNotFound) {
			return known{}, false, nil
		}
		if err != nil {
			if !stands {
				k = nothing(f)
			}
			return k, false, fmt.Errorf("load %s: %w", stream, err)
		}
		if !stands {
			if stands = recorded.Revision == at && recorded.ID == k.last; !stands {
				return known{}, false, nil
			}
			continue
		}
		if recorded.Revision != k.revision+1 { // cut short since the read began, and written again
			return known{}, false, nil
		}
		if k, err = k.and(f, recorded); err != nil {
			return k, false, err
		}
	}
	return k, stands, nil
}

// remember keeps what is known of a stream for the next command.
func (s *Service) remember(stream string, f folder, k known) {
	if held, ok := s.cache.Peek(stream); ok {
		k.snapshot = max(k.snapshot, held.snapshot)
		if held.revision > k.revision { // by somebody who read later
			return
		}
	}
	s.cache.Add(stream, k)
	s.considerSnapshot(stream, f, k)
}

// moved notes that the stream has more events than is known, since what they hold is not.
func (s *Service) moved(stream string, k known) {
	if k.revision == event.NoStream {
		s.cache.Remove(stream)
		return
	}
	k.behind = true
	s.cache.Add(stream, k)
}

// stateAt is the state of the stream at an earlier revision.
func (s *Service) stateAt(ctx context.Context, stream string, f folder, revision int64) (any, error) {
	if k, ok := s.cache.Peek(stream); ok && k.revision == revision {
		return k.state, nil
	}
	k := nothing(f)
	if revision >= peek { // of a shorter stream there is none, or what it saves is little
		if taken, ok := s.readSnapshot(ctx, stream, f); ok && taken.revision <= revision {
			k = taken
		}
	}
	for recorded, err := range s.store.ReadStream(ctx, stream, k.revision+1) {
		if errors.Is(err, event.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("load %s@%d: %w", stream, revision, err)
		}
		if recorded.Revision > revision {
			break
		}
		if k, err = k.and(f, recorded); err != nil {
			return nil, err
		}
	}
	return k.state, nil
}
