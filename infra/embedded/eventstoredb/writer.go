package eventstoredb

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	maxBatch      = 1024     // requests in one transaction
	maxBatchBytes = 16 << 20 // after which no further request is added to it
	cachedHeads   = 1 << 16
	recentEvents  = 1 << 16
	seedEvents    = 1 << 13 // how many of the newest events are remembered at start, for repetitions
	firstPosition = 64
	reviveEvery   = 500 * time.Millisecond // while the file cannot be reopened
)

var errClosed = status.Error(codes.Unavailable, "the event store is closed")

// request is one write, waiting for its turn.
type request struct {
	ctx       context.Context
	kind      writeKind
	stream    string
	expect    expectation
	proposals []*proposal
	size      int
	done      chan outcome // of capacity 1
}

type writeKind uint8

const (
	writeEvents writeKind = iota
	writeDelete
	writeTombstone
)

// outcome is what became of a request. Whatever it says is on disk.
type outcome struct {
	verdict  verdict
	last     int64  // accepted, repeated: revision of the last event; conflict: where the stream is
	position uint64 // of the last event; 0 when there is none
	err      error
}

// writer is the only one to write. It gathers the requests that have come in while the last commit was being
// synced into one transaction, so that many callers share one fsync, and answers each after the commit.
type writer struct {
	store  *store
	hub    *hub
	now    func() time.Time
	logger *slog.Logger

	requests chan *request
	stop     chan struct{}
	stopped  chan struct{}

	// What follows belongs to the goroutine of run. It mirrors committed state and the open transaction, and is
	// thrown away when a commit fails.
	heads   *headCache
	recent  *recentIDs
	newest  uint64 // position of the newest event
	next    uint64 // position of the next event
	touched []string

	failed string // why the last write could not be carried out, as it was logged; "" when one has been since
}

func newWriter(s *store, h *hub, now func() time.Time, logger *slog.Logger) (*writer, error) {
	w := &writer{
		store: s, hub: h, now: now, logger: logger,
		requests: make(chan *request, maxBatch),
		stop:     make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	return w, w.reset()
}

// reset takes the writer's state from the file.
func (w *writer) reset() error {
	w.heads, w.recent, w.newest, w.next = &headCache{newGenerations[string, *head](cachedHeads)}, &recentIDs{newGenerations[eventID, place](recentEvents)}, 0, firstPosition
	return w.store.view(func(s *snapshot) error {
		c := s.log.Cursor()
		k, v := c.Last()
		if k != nil {
			w.newest = binary.BigEndian.Uint64(k)
			w.next = w.newest + uint64(len(v))
		}
		for range seedEvents {
			if k == nil {
				break
			}
			r := record(v)
			if err := r.check(); err != nil {
				// Reads will say so to whom it concerns; the other events are still good.
				w.logger.Error("event store holds a damaged event", "position", binary.BigEndian.Uint64(k), "err", err)
				break
			}
			w.recent.add(r.id(), place{r.streamNumber(), r.revision()})
			k, v = c.Prev()
		}
		return nil
	})
}

// submit hands a request over and waits for its outcome. When its context ends first the outcome is unknown.
func (w *writer) submit(r *request) outcome {
	if err := w.enqueue(r); err != nil {
		return outcome{err: err}
	}
	return w.await(r)
}

// enqueue hands a request over. Requests are carried out in the order in which they were handed over.
func (w *writer) enqueue(r *request) error {
	r.done = make(chan outcome, 1)
	select {
	case w.requests <- r:
		return nil
	case <-r.ctx.Done():
		return status.FromContextError(r.ctx.Err()).Err()
	case <-w.stop:
		return errClosed
	}
}

func (w *writer) await(r *request) outcome {
	select {
	case o := <-r.done:
		return o
	case <-r.ctx.Done():
		return outcome{err: status.FromContextError(r.ctx.Err()).Err()}
	case <-w.stopped:
		return outcome{err: errClosed}
	}
}

// run serves requests until close. While the store is down it tries to revive it, and not only when a request comes:
// who cannot read will not write.
func (w *writer) run() {
	defer close(w.stopped)
	retry := time.NewTicker(reviveEvery)
	defer retry.Stop()
	batch := make([]*request, 0, maxBatch)
	for {
		select {
		case <-w.stop:
			return
		case <-retry.C:
			if w.store.down() && w.revive() == nil {
				w.logger.Info("event store is up again")
			}
		case r := <-w.requests:
			batch = w.gather(append(batch[:0], r))
			w.write(batch)
			clear(batch)
		}
	}
}

func (w *writer) close() {
	close(w.stop)
	<-w.stopped
}

func (w *writer) gather(batch []*request) []*request {
	size := batch[0].size
	for len(batch) < maxBatch && size < maxBatchBytes {
		select {
		case r := <-w.requests:
			batch = append(batch, r)
			size += r.size
		default:
			return batch
		}
	}
	return batch
}

// write carries a batch out in one transaction and answers it. A request that is refused leaves no trace in the
// transaction; an error spoils it for all, unless it is damage that was found before anything was put.
func (w *writer) write(batch []*request) {
	outcomes := make([]outcome, len(batch))
	w.touched = w.touched[:0]
	err := w.transact(func(tx *bbolt.Tx) (dirty bool, err error) {
		created := w.now().UnixNano() / int64(ticks)
		t := &transaction{writer: w, snapshot: newSnapshot(tx), created: created}
		t.log.FillPercent, t.index.FillPercent = 1, 0.9
		for i, r := range batch {
			if err := r.ctx.Err(); err != nil {
				outcomes[i].err = status.FromContextError(err).Err()
				continue
			}
			before := t.next
			if outcomes[i], err = t.perform(r); errors.Is(err, ErrDamaged) && t.next == before {
				outcomes[i].err = err
				continue
			}
			if err != nil {
				return false, err
			}
		}
		return t.dirty, nil
	})
	if err != nil {
		if said := err.Error(); said != w.failed { // once, not at every try of those who wait
			w.failed = said
			w.logger.Error("event store could not write", "err", err)
		}
		if err := w.revive(); err != nil {
			w.logger.Error("event store is down until it can be reopened", "err", err)
		}
		if !errors.Is(err, ErrDamaged) {
			err = status.Error(codes.Internal, "the event store could not write: "+err.Error()) // Unavailable would have clients dial again
		}
		for _, r := range batch {
			r.done <- outcome{err: err}
		}
		return
	}
	if len(w.touched) > 0 {
		if w.failed != "" {
			w.failed = ""
			w.logger.Info("event store can write again")
		}
		w.hub.ring(w.touched)
	}
	for i, r := range batch {
		r.done <- outcomes[i]
	}
}

// transact runs f in a write transaction and commits it, synced to disk, unless nothing was written.
func (w *writer) transact(f func(*bbolt.Tx) (bool, error)) (err error) {
	if w.store.down() {
		if err := w.revive(); err != nil {
			return err
		}
	}
	w.store.mu.RLock()
	defer w.store.mu.RUnlock()
	tx, err := w.store.db.Begin(true)
	if err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed {
			defer recoverDamage(&err)
			// The transaction is being given up for err, which says why.
			_ = tx.Rollback()
		}
	}()
	defer recoverDamage(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	dirty, err := f(tx)
	if err != nil || !dirty {
		return err
	}
	// A crash up to here leaves nothing. bbolt then writes the changed pages to free places and syncs them, and only
	// then writes and syncs one of its two root pages: a crash in between leaves the other root, and with it the log
	// as it was before the batch. A crash after that leaves the whole batch, though no caller has heard of it yet; a
	// caller that repeats its append finds its events there.
	if err := tx.Commit(); err != nil {
		return err
	}
	committed = true
	return nil
}

// revive reopens the store, or leaves it down. Everybody is woken: a commit that failed may be in the file.
func (w *writer) revive() error {
	if err := w.store.reopen(); err != nil {
		return err
	}
	if err := w.reset(); err != nil {
		w.store.takeDown()
		return err
	}
	w.hub.ringAll()
	return nil
}
