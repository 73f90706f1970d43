package fulfilment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2"

	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/infra/backoff"
)

// sweep is what remains when queue, schedule and hints fail. It follows the events of orders, folds them, and drives
// those that still need something some seconds later. The checkpoint stands before the first event whose order may need
// something that nobody has noted; so after a crash nothing is missed. It is kept where the schedule is: emptied
// together, they are rebuilt together, from the log's beginning.
//
// Any number of sweeps may run. They do the same, and whoever is further says so.
type sweep struct {
	m          *Manager
	log        Log
	checkpoint Checkpoint

	mu      sync.Mutex
	states  *lru.Cache[string, folded] // as far as they are remembered
	pending map[string]*pending
	line    []*pending     // in the order of the log; those that are over are taken off at the front
	seen    event.Position // everything up to here has been folded
	known   event.Position // the furthest checkpoint that is known to be kept
	fault   error          // of following the log
	breaks  int            // in following it

	head    event.Position // the log's last event when it was last asked for; with the next two, rounds' own
	asked   event.Position // for the sake of this position
	checked int            // the breaks after which it was
}

// folded is an order as the sweep knows it. One of which it missed the beginning must be looked at.
type folded struct {
	state    order.State
	revision int64
	partial  bool
}

// pending is an order that may need something since an event.
type pending struct {
	id       string
	before   event.Position // everything before that event
	due      time.Time      // when it is looked at
	revision int64          // of its last event seen
	needs    bool
	busy     bool
	over     bool
	failures int
}

const (
	statesMax     = 20_000
	sweepInterval = time.Second
	lineSlack     = 1000 // how many orders that are over may stand in line behind one that is not
)

// errEmptied: what was noted may be lost.
var errEmptied = errors.New("the schedule has been emptied, is an older one, or may have lost its last notes")

// errShorter: the log ends before what has been read of it.
var errShorter = errors.New("the event store was put back to a backup, or is another one")

func newSweep(m *Manager, log Log, checkpoint Checkpoint) *sweep {
	states, err := lru.New[string, folded](statesMax)
	if err != nil {
		panic(err) // only of a size below one
	}
	return &sweep{m: m, log: log, checkpoint: checkpoint, states: states}
}

// run sweeps until ctx ends.
func (s *sweep) run(ctx context.Context) {
	for ctx.Err() == nil && s.begin(ctx) {
		term, end := context.WithCancel(ctx)
		var follower sync.WaitGroup
		follower.Go(func() { s.follow(term) })
		s.rounds(term)
		end()
		follower.Wait()
	}
}

// begin starts from the checkpoint. Where nobody can tell it, from the beginning of the log: what was noted is then out of
// reach, too. So it does where the log ends before the checkpoint, which is then that of another log, and is forgotten, since this one may grow
// past it. It is false when ctx ended.
func (s *sweep) begin(ctx context.Context) bool {
	var retry backoff.Backoff
	var at event.Position
	var err error
	for range 4 {
		if at, err = s.from(ctx); err == nil {
			break
		}
		if !retry.Wait(ctx) {
			return false
		}
	}
	s.m.cfg.Report(LoopSweep, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states.Purge()
	s.pending, s.line, s.fault = map[string]*pending{}, nil, nil
	s.seen, s.known, s.head, s.asked = at, at, at, at
	return true
}

func (s *sweep) from(ctx context.Context) (event.Position, error) {
	at, err := s.checkpoint.Checkpoint(ctx)
	if err != nil || at == (event.Position{}) {
		return event.Position{}, err
	}
	end, err := s.logEnd(ctx)
	if err != nil {
		return event.Position{}, err
	}
	if end.Compare(at) < 0 {
		s.m.cfg.Logger.Warn("the log ends before the checkpoint of fulfilment, which is that of another one: it is looked through from its beginning",
			"end", end, "checkpoint", at)
		return event.Position{}, s.checkpoint.Forget(ctx, at)
	}
	return at, nil
}

// logEnd is the position of the log's last event, zero while there is none.
func (s *sweep) logEnd(ctx context.Context) (event.Position, error) {
	head, err := s.log.Head(ctx)
	if err != nil && !errors.Is(err, event.ErrStreamNotFound) {
		return event.Position{}, err
	}
	return head.Position, nil
}

func (s *sweep) follow(ctx context.Context) {
	for e, err := range s.log.Subscribe(ctx, s.start(), []string{order.Category + "-"}) {
		s.mu.Lock()
		if s.fault = err; err == nil {
			s.see(e)
		} else {
			s.breaks++
		}
		s.mu.Unlock()
	}
}

func (s *sweep) start() event.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// see folds an event. The caller holds the lock.
func (s *sweep) see(e event.Recorded) {
	before := s.seen
	s.seen = e.Position
	if e.Type == "" {
		return
	}
	id := event.StreamID(e.Stream)
	known, found := s.states.Get(id)
	if found && e.Revision <= known.revision {
		return
	}
	next, needs := s.learn(known, found, e)
	s.states.Add(id, next)
	p := s.pending[id]
	if p == nil {
		if !needs {
			return
		}
		p = &pending{id: id, before: before, due: s.m.cfg.Now().Add(s.m.cfg.Margin)}
		s.pending[id] = p
		s.line = append(s.line, p)
	}
	p.revision, p.needs = e.Revision, needs
	if !needs && !p.busy {
		s.end(p)
	}
}

// learn is an order after one more event, and whether it needs something, or has to be driven to find that out.
func (s *sweep) learn(known folded, found bool, e event.Recorded) (next folded, needs bool) {
	err := guarded(func() error {
		next = known.fold(found, e)
		needs = next.partial || s.m.next(next.state).Kind != order.StepNone
		return nil
	})
	if err != nil {
		return folded{revision: e.Revision, partial: true}, true // driving it says what is wrong
	}
	return next, needs
}

func (f folded) fold(found bool, e event.Recorded) folded {
	if !found && e.Revision != 0 || found && (f.partial || e.Revision != f.revision+1) {
		return folded{revision: e.Revision, partial: true}
	}
	decoded, err := order.Codec.Decode(e.Type, e.Data)
	if err != nil {
		return folded{revision: e.Revision, partial: true} // driving it says what is wrong
	}
	return folded{state: order.Apply(f.state, decoded), revision: e.Revision}
}

// end takes an order off. The caller holds the lock.
func (s *sweep) end(p *pending) {
	p.over = true
	delete(s.pending, p.id)
}

// rounds drives what is due and moves the checkpoint, until ctx ends, the checkpoint says that notes are lost, or the log turns out to be another.
func (s *sweep) rounds(ctx context.Context) {
	var drives sync.WaitGroup
	defer drives.Wait()
	ticker := time.NewTicker(min(sweepInterval, s.m.cfg.Margin))
	defer ticker.Stop()
	driven := make(chan struct{}, 1)
	for {
		for _, p := range s.take() {
			drives.Go(func() {
				s.drive(ctx, p)
				select {
				case driven <- struct{}{}:
				default:
				}
			})
		}
		select {
		case <-driven: // there is room for more
			continue
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		err := s.advance(ctx)
		if ctx.Err() != nil || errors.Is(err, errShorter) {
			return
		}
		s.m.cfg.Report(LoopSweep, err)
		if errors.Is(err, errEmptied) {
			s.m.cfg.Logger.Warn("the fulfilment schedule is rebuilt from the log", "err", err)
			return
		}
	}
}

// take picks orders that are due, as many as can be at work.
func (s *sweep) take() []*pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.line) > lineSlack+2*len(s.pending) {
		s.line = slices.DeleteFunc(s.line, func(p *pending) bool { return p.over })
	}
	now, free := s.m.cfg.Now(), 4*s.m.cfg.Workers
	var due []*pending
	for _, p := range s.line {
		if p.busy {
			free--
		}
		if free <= 0 {
			break
		}
		if !p.over && !p.busy && !p.due.After(now) {
			p.busy = true
			due = append(due, p)
			free--
		}
	}
	return due
}

// drive attends to a pending order. It is over when it needs nothing as of its last event, or is noted: the schedule then
// has it. One that is not there, since its stream was deleted, needs nothing, unless it is written again.
func (s *sweep) drive(ctx context.Context, p *pending) {
	s.mu.Lock()
	seen := p.revision
	s.mu.Unlock()
	result, j := s.m.attend(ctx, p.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.busy = false
	gone := result == settled && j.cause.Stream == ""
	if known, found := s.states.Get(p.id); result == settled && !gone && (!found || known.partial || known.revision < j.cause.Revision) {
		s.states.Add(p.id, folded{state: j.state, revision: j.cause.Revision})
	}
	switch {
	case result == noted, gone && p.revision == seen, !gone && result == settled && j.cause.Revision >= p.revision, !p.needs:
		s.end(p)
	case result == settled: // more has come since
		p.due = s.m.cfg.Now().Add(s.m.cfg.Margin)
	default:
		p.due = s.m.cfg.Now().Add(pauseAfter(p.failures))
		p.failures++
	}
}

// advance keeps how far everything is done or noted.
func (s *sweep) advance(ctx context.Context) error {
	s.mu.Lock()
	for len(s.line) > 0 && s.line[0].over {
		s.line = s.line[1:]
	}
	to, known, fault, breaks := s.seen, s.known, s.fault, s.breaks
	read := known
	if breaks != s.checked {
		read = s.seen
	}
	if len(s.line) > 0 {
		to = s.line[0].before
	}
	s.mu.Unlock()
	if fault == nil && (breaks != s.checked || known.Compare(s.head) > 0) {
		if err := s.sameLog(ctx, read); err != nil {
			return fmt.Errorf("keep the checkpoint: %w", err)
		}
		s.checked = breaks
	}
	to, err := s.withinLog(ctx, to)
	if err != nil {
		return errors.Join(fmt.Errorf("keep the checkpoint: %w", err), fault)
	}
	held, lost, err := s.checkpoint.Advance(ctx, known, to)
	if err != nil {
		return errors.Join(fmt.Errorf("keep the checkpoint: %w", err), fault)
	}
	if lost {
		return fmt.Errorf("%w: its checkpoint was to move on from %s", errEmptied, known)
	}
	s.mu.Lock()
	s.known = held
	s.mu.Unlock()
	return fault
}

// sameLog is errShorter where the log ends before a position that was read in it: a store that was put back to a backup while it was away
// does, and nothing would be heard of it until it has grown past that. One that writes events of its own at the end may, too: there, to begin
// from the checkpoint once more does no harm.
func (s *sweep) sameLog(ctx context.Context, read event.Position) error {
	end, err := s.logEnd(ctx)
	if err != nil {
		return err
	}
	s.head = end
	if read.Compare(s.head) > 0 {
		return errShorter
	}
	return nil
}

// withinLog is a position, or the log's last event if that comes before it: a subscription's checkpoints go beyond events of the store's own,
// which Head passes over, and who begins from there would take the log for another one.
func (s *sweep) withinLog(ctx context.Context, at event.Position) (event.Position, error) {
	if at.Compare(s.head) > 0 && at != s.asked {
		end, err := s.logEnd(ctx)
		if err != nil {
			return event.Position{}, err
		}
		s.head, s.asked = end, at
	}
	if at.Compare(s.head) > 0 {
		return s.head, nil
	}
	return at, nil
}
