package fulfilment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/order"
)

// stuck is the orders with which this process cannot go on, and which no retry cures: an event that its code cannot read or
// fold, a rule that panics, a step that the gateway rejects. They are tried again all the same, since the next try may be by
// other code; until one succeeds, the health page names them. It is safe for concurrent use.
type stuck struct {
	report func(error)

	mu     sync.Mutex
	orders map[string]*stuckOrder
}

type stuckOrder struct {
	id    string
	since time.Time
	due   time.Time // when it is tried again, by whoever takes it from the schedule
	err   error
}

const (
	stuckMax   = 1000 // orders that are remembered; one more is, once there is room
	stuckShown = 10   // orders that the health page names
	stuckText  = 300  // bytes of an error that the health page shows
)

// passing reports whether a retry may cure an error, as Shop and Gateway class them.
func passing(err error) bool {
	return errors.Is(err, event.ErrUnavailable) || errors.Is(err, event.ErrConflict)
}

// failed notes that an order could not be gone on with at now, and when it is tried again.
func (s *stuck) failed(id string, err error, now, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[id]
	switch {
	case o != nil:
		o.due = due
	case passing(err), len(s.orders) == stuckMax:
		return
	default:
		o = &stuckOrder{id: id, since: now, due: due}
		s.orders[id] = o
	}
	if passing(err) {
		return // whether it can be gone on with is not known
	}
	o.err = err
	s.tell()
}

// settled notes that an order has been gone on with.
func (s *stuck) settled(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orders[id] == nil {
		return
	}
	delete(s.orders, id)
	s.tell()
}

// overdue returns orders that were to be tried before a moment and, as far as is known here, were not: another process has
// taken them from the schedule, and perhaps can deal with them. They are due again at now.
func (s *stuck) overdue(before, now time.Time, limit int) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, o := range s.orders {
		if len(ids) == limit {
			break
		}
		if o.due.Before(before) {
			o.due = now
			ids = append(ids, id)
		}
	}
	return ids
}

// tell reports of the orders, the one that has been stuck longest in full. The caller holds the lock, so that the last
// word is the newest.
func (s *stuck) tell() {
	if len(s.orders) == 0 {
		s.report(nil)
		return
	}
	all := make([]*stuckOrder, 0, len(s.orders))
	for _, o := range s.orders {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *stuckOrder) int { return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.id, b.id)) })
	first := all[0]
	text := fmt.Sprintf("order %s has been stuck since %s: %s. See jangbu trace %s, and mend what it says, or run a release of jangbu that can deal with it; the order is tried again by itself, within %s.",
		first.id, first.since.UTC().Format(time.RFC3339), brief(first.err), order.Stream(first.id), retryMost)
	if rest := all[1:]; len(rest) > 0 {
		var others []string
		for _, o := range rest[:min(len(rest), stuckShown-1)] {
			others = append(others, o.id)
		}
		if more := len(rest) - len(others); more > 0 {
			others = append(others, "…")
		}
		text += fmt.Sprintf(" Likewise %d more: %s.", len(rest), strings.Join(others, ", "))
	}
	s.report(errors.New(text))
}

// brief is the first line of an error; behind it may stand where a panic happened.
func brief(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	if len(line) > stuckText {
		line = strings.ToValidUTF8(line[:stuckText], "") + "…"
	}
	return line
}

// guarded makes an error of a panic. A panic over one order is no reason to leave all others.
func guarded(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return do()
}

// tryStuck drives the orders that are stuck here and that somebody else has seen to.
func (m *Manager) tryStuck(ctx context.Context) {
	now := m.cfg.Now()
	var all sync.WaitGroup
	for _, id := range m.stuck.overdue(now.Add(-scheduleHold), now, m.cfg.Workers) {
		all.Go(func() { m.attend(ctx, id) })
	}
	all.Wait()
}
