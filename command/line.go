package command

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"

	"jangbu/domain/event"
)

// lines is the commands in flight, by the stream they are for. Those of one stream are taken from its line in rows: while one
// row is decided and appended, the next gathers. Nobody waits for company: the first in an empty line is a row.
type lines struct {
	mu   sync.Mutex
	of   map[string][]*turn // a stream has a line, be it an empty one, while its rows are being served
	last uint64             // place given
}

// turn is a command standing in a line.
type turn struct {
	ctx   context.Context // of whoever waits for it; a row does not end with it
	o     *operation
	place uint64
	twins []*turn // others of the same command id, which wait for what this one is answered

	// What earlier attempts have left.
	attempts int
	again    bool  // the claim must be read, and the log looked through for the command's own events
	claim    claim // as far as it is known
	alone    bool  // the row it was in was too large to be appended

	// What the row has decided, until it is answered.
	events  []event.Proposed
	onBase  []any // what a command with a key causes on the row's base
	refusal error

	done     chan struct{} // closed when the rest is set
	revision int64         // after the command
	state    any           // at that revision; nil: not wanted, or not known by heart
	err      error
}

// join puts a turn into the line of its stream, and serves the line if nobody does. Who has been in line before gets the
// old place.
func (s *Service) join(t *turn) {
	s.lines.mu.Lock()
	defer s.lines.mu.Unlock()
	if t.place == 0 {
		s.lines.last++
		t.place = s.lines.last
	}
	line, served := s.lines.of[t.o.stream]
	at, _ := slices.BinarySearchFunc(line, t.place, func(t *turn, place uint64) int { return cmp.Compare(t.place, place) })
	s.lines.of[t.o.stream] = slices.Insert(line, at, t)
	if !served {
		// Not the goroutine of the one who came first: it may leave, and the others not with it.
		go s.serve(t.o.stream)
	}
}

// serve takes rows from a stream's line until it is empty.
func (s *Service) serve(stream string) {
	for {
		turns := s.take(stream)
		if turns == nil {
			return
		}
		s.runRow(stream, turns)
	}
}

// take is the next row: the first in line. Of several with one command id, which are requests for the same thing under the
// same key, one goes, and the others wait for its answer.
func (s *Service) take(stream string) []*turn {
	s.lines.mu.Lock()
	defer s.lines.mu.Unlock()
	line := s.lines.of[stream]
	if len(line) == 0 {
		delete(s.lines.of, stream)
		return nil
	}
	var row, rest []*turn
	first := map[uuid.UUID]*turn{}
	for _, t := range line {
		twin := first[t.o.commandID]
		switch {
		case twin != nil:
			twin.twins = append(twin.twins, t)
		case len(row) >= s.cfg.MaxRow || len(row) > 0 && (t.alone || row[0].alone):
			rest = append(rest, t)
		default:
			first[t.o.commandID] = t
			row = append(row, t)
		}
	}
	s.lines.of[stream] = rest
	return row
}

// finish answers a turn. Its twins have the same answer if it stands for good; what else they get, they find out by
// themselves.
func (s *Service) finish(t *turn, revision int64, state any, err error) {
	twins := t.twins
	t.twins = nil
	t.revision, t.state, t.err = revision, state, err
	close(t.done)
	for _, twin := range twins {
		if err == nil && t.o.keyed && twin.o.hash == t.o.hash {
			s.finish(twin, revision, state, nil)
			continue
		}
		twin.again = true
		s.join(twin)
	}
}

// lose puts a turn back in line that has to be decided again, unless that has happened often enough.
func (s *Service) lose(t *turn, why error) {
	t.again = true
	if t.attempts++; t.attempts >= s.cfg.MaxAttempts {
		s.finish(t, 0, nil, fmt.Errorf("decide %d times: %w", t.attempts, why))
		return
	}
	s.join(t)
}
