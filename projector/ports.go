package projector

import (
	"context"
	"iter"
	"time"

	"jangbu/domain/event"
	"jangbu/query/row"
)

// Rows is where rows land: one generation of one view at a time. All of it is safe for concurrent use by any number
// of processes, and every call may be repeated. Errors that a retry may cure wrap event.ErrUnavailable; after any
// error a call may have happened in part.
type Rows interface {
	States(ctx context.Context, g row.Generation, streams []string) ([]row.State, error)
	Refer(ctx context.Context, g row.Generation, docs map[string][]string) error
	Referrers(ctx context.Context, g row.Generation, streams []string) iter.Seq2[[]row.Ref, error]
	SharedParts(ctx context.Context, g row.Generation, streams []string) (map[string]row.Sourced, error)
	Land(ctx context.Context, g row.Generation, landings []row.Landing) ([]row.Document, error)
	Compose(ctx context.Context, g row.Generation, docs []row.Document, compositions [][]byte) ([]row.Document, error)
	SaveStates(ctx context.Context, g row.Generation, states []row.State) error
	Parking
}

// Builder writes a generation that nobody else writes to: as Rows, or, where the generation was fresh when the Builder was made for it,
// by Put alone, which compares nothing. Held gives documents as they were put last, with version 0 where there is none, and with their
// first and last keys where ends is set. A Builder is for one goroutine. Put is row.ErrRestarted when Redis may have lost what was put
// before, and panics with a *row.FormError, having written nothing, where something in the batch has no JSON form. Any call that writes
// is row.ErrAstray when it may be carried out later than it returns: it may then overwrite whatever is written after it.
type Builder interface {
	Rows
	Put(ctx context.Context, g row.Generation, batch row.Batch) error
	Held(ctx context.Context, g row.Generation, docs []string, ends bool) ([]row.Document, error)
}

// Registry knows which generations a view has. Its changes are atomic and seen by every later read. Building one is
// for the holder of a lease, named by a token: Begin and Revive take it (row.ErrBusy while another holds it), every further
// step renews it, or is row.ErrLost when it has passed to another. Advance, Built, OpenBuild, Switch, DropGarbage, SaveStates of Rows and
// Unpark of Parking rest on what was read or written before them: they are row.ErrRestarted when Redis may have lost that since. Swept calls
// a view silent only if it has Heard of no message since heard, which is when the last came as the Registry told the sweep.
type Registry interface {
	Registry(ctx context.Context, view string) (row.Registry, error)
	Advance(ctx context.Context, g row.Generation, at event.Recorded) error
	Heard(ctx context.Context, g row.Generation) error
	Swept(ctx context.Context, g row.Generation, healed int64, silent bool, heard time.Time) error
	Begin(ctx context.Context, view string, version int, token string) (row.Build, error)
	Revive(ctx context.Context, view string, version int, token string) (row.Build, error)
	Renew(ctx context.Context, g row.Generation, token string) error
	Built(ctx context.Context, g row.Generation, token string, to event.Position) error
	OpenBuild(ctx context.Context, g row.Generation, token string) error
	Switch(ctx context.Context, g row.Generation, token string) error
	Leave(ctx context.Context, g row.Generation, token string) error
	Abandon(ctx context.Context, g row.Generation, token string) error
	Forget(ctx context.Context, g row.Generation) error
	Intact(ctx context.Context, g row.Generation) error
	DropGarbage(ctx context.Context, view string) error
}

// Parking keeps the streams that a view's code failed on, by generation, and tells which events an operator left out of a view.
type Parking interface {
	Park(ctx context.Context, g row.Generation, parked []row.Parked) error
	Unpark(ctx context.Context, g row.Generation, streams []string) error
	ParkedIn(ctx context.Context, g row.Generation) ([]row.Parked, error)
	Skipped(ctx context.Context, view string) (row.Skipped, error)
}

// Contents reads a generation as a whole, in batches and in no order. A body is nil where readers find nothing. A document's
// version is another after every change that Rows make, and never one it had before; "" where nothing has landed.
type Contents interface {
	Contents(ctx context.Context, g row.Generation, composed bool) iter.Seq2[[]row.Content, error]
	Bodies(ctx context.Context, g row.Generation, composed bool, docs []string) ([][]byte, error)
	Versions(ctx context.Context, g row.Generation, docs []string) ([]string, error)
	Sources(ctx context.Context, g row.Generation, doc string) ([]string, error)
}

// Leases elects one holder a name, for a term that the holder renews.
type Leases interface {
	Lease(ctx context.Context, name, token string, term time.Duration) (held bool, err error)
	Release(ctx context.Context, name, token string) error
}

// Model is the whole read model.
type Model interface {
	Rows
	Registry
	Contents
	Leases
}

// StreamReader reads one stream forwards, from a revision on; event.ErrStreamNotFound if it has no events.
type StreamReader interface {
	ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error]
}

// Log is the whole log, in order, up to its present end; what the store writes for itself is left out.
type Log interface {
	StreamReader
	HeadReader
	ReadAll(ctx context.Context, after event.Position) iter.Seq2[event.Recorded, error]
}

// HeadReader tells where the log ends: its last event, or event.ErrStreamNotFound while it has none.
type HeadReader interface {
	Head(ctx context.Context) (event.Recorded, error)
}

// Feed follows the log for ever, and keeps the relay's checkpoint in it. Subscribe yields an error for each
// interruption and goes on by itself; an event with an empty Type is a checkpoint.
type Feed interface {
	HeadReader
	Subscribe(ctx context.Context, after event.Position, prefixes []string) iter.Seq2[event.Recorded, error]
	Last(ctx context.Context, stream string) (event.Recorded, error)
	Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error)
	SetMaxCount(ctx context.Context, stream string, n int) error
}

// Publisher sends events to every view's queue that wants them. The answer holds an error for each event that was not
// accepted, in their order; an accepted event is delivered at least once, or lost with the bus. All errors of one answer are
// event.ErrNotProvisioned while there is no topic.
type Publisher interface {
	Publish(ctx context.Context, events []event.Recorded) []error
}

// Queue is one view's queue. A delivery that is neither deleted nor hidden again comes back after its visibility
// timeout, and goes to the dead-letter queue when it has come back too often. Errors wrap event.ErrUnavailable,
// event.ErrNotProvisioned among them while there is no such queue.
type Queue interface {
	Receive(ctx context.Context, max int, wait time.Duration) ([]event.Delivery, error)
	Delete(ctx context.Context, deliveries []event.Delivery) error
	Hide(ctx context.Context, deliveries []event.Delivery, d time.Duration) error
}

// Report tells the health page how a loop is doing; nil is well. It must be cheap and safe for concurrent use.
type Report func(loop string, err error)
