package fulfilment

import (
	"context"
	"sync"
	"time"

	"jangbu/infra/backoff"
)

const (
	scheduleInterval = 500 * time.Millisecond
	scheduleHold     = 30 * time.Second // how long a taken order is left to its taker
)

// runSchedule drives the orders that are due, until ctx ends: the deadlines, and the steps that failed.
func (m *Manager) runSchedule(ctx context.Context) {
	var retry backoff.Backoff
	for ctx.Err() == nil {
		n, err := m.driveDue(ctx)
		m.tryStuck(ctx)
		if ctx.Err() != nil {
			return
		}
		m.cfg.Report(LoopSchedule, err)
		switch {
		case err != nil:
			retry.Wait(ctx)
		case n == 0:
			retry.Reset()
			_ = backoff.Sleep(ctx, scheduleInterval)
		}
	}
}

// driveDue drives some orders that are due and returns how many there were.
func (m *Manager) driveDue(ctx context.Context) (int, error) {
	now := m.cfg.Now()
	until := now.Add(scheduleHold).Truncate(time.Millisecond)
	ids, err := m.schedule.Take(ctx, now, until, 2*m.cfg.Workers)
	if err != nil {
		return 0, err
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			if result, _ := m.attend(ctx, id); result != settled {
				return // it is noted anew, or due again when the hold ends
			}
			failed := m.schedule.Done(ctx, id, until)
			mu.Lock()
			defer mu.Unlock()
			if failed != nil {
				err = failed
			}
		})
	}
	all.Wait()
	return len(ids), err
}
