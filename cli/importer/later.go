package importer

import (
	"container/heap"
	"errors"
	"time"
)

// putOff is a step that was answered to come later. It has not ended, so what waits for it goes on waiting.
type putOff struct {
	step  int
	due   time.Time // when it is tried again
	since time.Time // when it was first put off
	tries int
}

// later puts a step off, for longer each time. The error is ErrStopped when nothing else has been answered for too long.
func (r *runner) later(i int, a answer) error {
	p := r.putOff[i]
	if p == nil {
		p = &putOff{step: i, since: time.Now()}
		r.putOff[i] = p
	}
	// Those that are due at about the same time are due at the same time, so that they share a batch.
	beat := r.cfg.Backoff
	p.due = r.client.began.Add((time.Since(r.client.began) + r.client.jitter(p.tries)).Truncate(beat) + beat)
	p.tries++
	heap.Push(&r.asleep, p)
	return r.client.silent(p.since, max(r.cfg.Patience, r.cfg.Confirm), errors.New(a.text()))
}

// wake makes ready what is due. Where more is put off, next is a channel that tells when some of it is due.
func (r *runner) wake() (next <-chan time.Time) {
	for len(r.asleep) > 0 {
		if wait := time.Until(r.asleep[0].due); wait > 0 {
			return time.After(wait)
		}
		heap.Push(&r.ready, heap.Pop(&r.asleep).(*putOff).step)
	}
	return nil
}

// dueHeap is steps that are put off, the first due first.
type dueHeap []*putOff

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(*putOff)) }
func (h *dueHeap) Pop() any {
	old := *h
	n := len(old) - 1
	last := old[n]
	*h = old[:n]
	return last
}
