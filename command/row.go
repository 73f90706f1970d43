package command

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/google/uuid"

	"jangbu/domain/event"
)

// The bounds of a row.
const (
	// maxRow is the most commands of a row.
	maxRow = 256

	// window is the most events of a row, unless its one command has more. It is part of the protocol: a command's first event
	// stands among the window events after the revision its claim names. It may be lowered, never raised.
	window = 1024

	// maxRowBytes is the most that the events of a row weigh, unless its one command weighs more: less than any event
	// store takes in one append (1 MiB up to 24.10).
	maxRowBytes = 768 << 10
)

// row is some commands of one stream that are decided one after the other, each on the state that those before it lead to, and
// appended together. Its methods are the steps of the package's doc.
type row struct {
	s      *Service
	stream string
	folder folder
	turns  []*turn // those that have neither been answered nor left
	base   known
	read   bool // base has been read from the log since the row began
	end    known
}

// runRow sees to every turn: it is answered, or in line again. What a row panics with is the answer to all of it.
func (s *Service) runRow(stream string, turns []*turn) {
	r := &row{s: s, stream: stream, folder: turns[0].o.folder, turns: turns}
	defer func() {
		if v := recover(); v != nil {
			r.fail(panicked(v))
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Timeout)
	defer cancel()
	attempts := 0
	for _, t := range turns {
		attempts = max(attempts, t.attempts)
	}
	if err := pause(ctx, attempts); err != nil {
		r.fail(err)
		return
	}
	if err := r.prepare(ctx); err != nil {
		r.fail(err)
		return
	}
	for len(r.turns) > 0 {
		r.decide(ctx)
		if r.reserve(ctx) && r.settle(ctx) {
			return
		}
	}
}

func panicked(v any) error { return fmt.Errorf("panic: %v\n%s", v, debug.Stack()) }

// recovered, deferred, makes a panic the error.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = panicked(v)
	}
}

// keep leaves in the row the turns for which stay says so.
func (r *row) keep(stay func(*turn) bool) {
	var kept []*turn
	for _, t := range r.turns {
		if stay(t) {
			kept = append(kept, t)
		}
	}
	r.turns = kept
}

// fail answers all that are left with an error.
func (r *row) fail(err error) {
	turns := r.turns
	r.turns = nil
	for _, t := range turns {
		r.s.finish(t, 0, nil, err)
	}
}

// each runs a step for every turn at once. A turn for which it fails leaves the row: one whose claim has moved on goes
// back in line.
func (r *row) each(step func(*turn) error) {
	failures := make([]error, len(r.turns))
	try := func(i int) {
		defer recovered(&failures[i])
		failures[i] = step(r.turns[i])
	}
	if len(r.turns) == 1 {
		try(0)
	} else {
		var all sync.WaitGroup
		for i := range r.turns {
			all.Go(func() { try(i) })
		}
		all.Wait()
	}
	i := 0
	r.keep(func(t *turn) bool {
		err := failures[i]
		i++
		switch {
		case errors.Is(err, event.ErrConflict):
			r.s.lose(t, err)
		case err != nil:
			r.s.finish(t, 0, nil, err)
		}
		return err == nil
	})
}

// prepare does steps 1 to 3: the claims of those who have been here before, what the commands refer to, the base, and the
// effects that stand there already.
func (r *row) prepare(ctx context.Context) error {
	r.keep(func(t *turn) bool {
		err := t.ctx.Err()
		if err != nil {
			r.s.finish(t, 0, nil, err)
		}
		return err == nil
	})
	base, presumed := r.presume()
	r.each(func(t *turn) error { return r.s.prepareTurn(ctx, t) })
	r.keep(func(t *turn) bool {
		if t.claim.answer != nil {
			r.s.finish(t, *t.claim.answer, nil, nil)
		}
		return t.claim.answer == nil
	})
	if len(r.turns) == 0 {
		return nil
	}
	if r.base = base; !presumed {
		var err error
		if r.base, err = r.s.fresh(ctx, r.stream, r.folder); err != nil {
			return err
		}
		r.read = true
	}
	return r.findEffects(ctx)
}

// presume is the base as far as it is known without asking the log, if that is enough: nobody in the row has been here
// before. A thing about to be made is presumed not to be there.
func (r *row) presume() (known, bool) {
	for _, t := range r.turns {
		if t.again {
			return known{}, false
		}
	}
	if k, ok := r.s.cache.Get(r.stream); ok {
		return k, !k.behind && r.s.cfg.Now().Sub(k.asked) < Trust
	}
	empty := nothing(r.folder)
	empty.asked = r.s.cfg.Now()
	return empty, len(r.turns) > 0 && r.turns[0].o.creates
}

// prepareTurn reads what one command needs besides the base.
func (s *Service) prepareTurn(ctx context.Context, t *turn) error {
	claimed := make(chan error, 1)
	if t.o.keyed && t.again {
		go func() {
			var err error
			t.claim, err = s.readClaim(ctx, t.o)
			claimed <- err
		}()
	} else {
		claimed <- nil
	}
	var err error
	if t.o.prepare != nil {
		err = t.o.prepare(ctx)
	}
	if lost := <-claimed; lost != nil { // it comes before a refusal: the key may be another request's
		return lost
	}
	return err
}

// findEffects answers the commands whose own events stand in the stream: they have been carried out. An attempt can have
// left them only among the window events after a revision at which it meant to append.
func (r *row) findEffects(ctx context.Context) error {
	places := map[int64]map[uuid.UUID]*turn{}
	for _, t := range r.turns {
		for _, expected := range t.claim.expected {
			if expected >= r.base.revision {
				continue
			}
			if places[expected] == nil {
				places[expected] = map[uuid.UUID]*turn{}
			}
			places[expected][t.o.eventID(0)] = t
		}
	}
	found := map[*turn]event.Recorded{}
	for expected, sought := range places {
		if err := r.search(ctx, expected, sought, found); err != nil {
			return err
		}
	}
	r.keep(func(t *turn) bool {
		last, ok := found[t]
		switch {
		case ok && t.o.keyed && last.Meta().RequestHash != t.o.hash:
			r.s.finish(t, 0, nil, keyReused())
		case ok:
			r.s.finish(t, last.Revision, nil, nil)
		}
		return !ok
	})
	return nil
}

// search looks for the commands sought in one window, and notes the last event of each that is there.
func (r *row) search(ctx context.Context, after int64, sought map[uuid.UUID]*turn, found map[*turn]event.Recorded) error {
	seen, missing := 0, len(sought)
	var current *turn
	own := 0 // of the current one's events
	for recorded, err := range r.s.store.ReadStream(ctx, r.stream, after+1) {
		if errors.Is(err, event.ErrStreamNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look in %s for what was done: %w", r.stream, err)
		}
		seen++
		if current != nil && recorded.ID == current.o.eventID(own) {
			found[current] = recorded
			own++
			continue
		}
		if seen > window || missing == 0 {
			return nil
		}
		if current, own = sought[recorded.ID], 1; current != nil {
			found[current] = recorded
			missing--
		}
	}
	return nil
}

// settle does step 6 and 7: it appends what was decided, or makes sure that there was nothing to append. It is false when the row has
// to be decided again.
func (r *row) settle(ctx context.Context) bool {
	var events []event.Proposed
	for _, t := range r.turns {
		events = append(events, t.events...)
	}
	if len(events) == 0 {
		return r.confirm(ctx)
	}
	if err := r.s.append(ctx, r.stream, r.base.revision, events); err != nil {
		r.lost(err)
		return true
	}
	r.landed()
	r.answer()
	return true
}

// landed keeps what the stream now adds up to, if that is certain. Where every event has an id that another attempt gives it as well,
// the log may hold that attempt's events, and have taken the append for its repetition. They are as good, but may say something
// else: another time, another price.
func (r *row) landed() {
	for _, t := range r.turns {
		if len(t.events) > 0 && t.o.fresh {
			r.s.remember(r.stream, r.folder, r.end)
			return
		}
	}
	r.s.moved(r.stream, r.base)
	for _, t := range r.turns {
		t.state = nil
	}
}

// confirm answers if the base, on which nobody had an effect, is what the stream adds up to.
func (r *row) confirm(ctx context.Context) bool {
	if !r.read {
		now, err := r.s.fresh(ctx, r.stream, r.folder)
		if err != nil {
			r.fail(err)
			return true
		}
		moved := now.revision != r.base.revision || now.last != r.base.last
		if r.base, r.read = now, true; moved {
			// By an attempt of the same key, perhaps, which found its reservation made.
			if err := r.findEffects(ctx); err != nil {
				r.fail(err)
				return true
			}
			return false
		}
	}
	r.answer()
	return true
}

// lost deals with a row that was not appended.
func (r *row) lost(err error) {
	turns := r.turns
	r.turns = nil
	effects := 0
	for _, t := range turns {
		if len(t.events) > 0 {
			effects++
		}
	}
	for _, t := range turns {
		switch {
		case errors.Is(err, event.ErrConflict):
			r.s.lose(t, err)
		case errors.Is(err, event.ErrTooLarge) && effects > 1:
			// One of them is: each goes alone.
			t.alone = true
			r.s.join(t)
		case len(t.events) > 0:
			r.s.finish(t, 0, nil, err)
		default:
			// It was decided on what may not be so; it is not part of what failed.
			r.s.lose(t, err)
		}
	}
}

// answer tells everybody what became of the commands, once that is certain. Those whose key has to be looked up or written for it
// do not keep the next row waiting.
func (r *row) answer() {
	turns := r.turns
	r.turns = nil
	for _, t := range turns {
		switch {
		case len(t.events) == 0 && t.o.keyed:
			go r.s.answerKeyed(t)
		case t.refusal != nil:
			r.s.finish(t, 0, nil, t.refusal)
		default:
			r.s.finish(t, t.revision, t.state, nil)
		}
	}
}

// answerKeyed records that a command changed nothing, or was refused on account of something besides its stream: whoever had read the
// claim before has no effect any more. A refusal by the stream is not recorded, as the exact revision keeps them from it; that the command
// has not been carried out meanwhile its claim says, if it is what it was before the command was decided.
func (s *Service) answerKeyed(t *turn) {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Timeout)
	defer cancel()
	var err error
	switch {
	case t.refusal == nil:
		err = s.recordAnswer(ctx, t.o, t.claim, t.revision)
	case t.o.elsewhere:
		err = s.appendClaim(ctx, t.o, t.claim, refused{InARow: t.claim.refusals + 1})
	default:
		var held claim
		if held, err = s.readClaim(ctx, t.o); err == nil && held.revision != t.claim.revision {
			err = event.ErrConflict
		}
	}
	if err == nil {
		err = t.refusal
	}
	switch {
	case errors.Is(err, event.ErrConflict):
		s.lose(t, err)
	case err != nil:
		s.finish(t, 0, nil, err)
	default:
		s.finish(t, t.revision, t.state, nil)
	}
}
