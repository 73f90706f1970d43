package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"jangbu/cli/term"
	"jangbu/command"
	"jangbu/domain/event"
	"jangbu/infra/backoff"
	"jangbu/infra/embedded/eventstoredb"
)

// storeMode is what an operator does to an event store.
type storeMode struct {
	Stats   storeStatsMode   `cmd:"" help:"Count events, streams and bytes of each category."`
	Verify  storeVerifyMode  `cmd:"" help:"Check every event of an embedded store's file."`
	Backup  storeBackupMode  `cmd:"" help:"Copy an embedded store while it serves."`
	Restore storeRestoreMode `cmd:"" help:"Put a backup in the place of an embedded store's file."`
	Export  storeExportMode  `cmd:"" help:"Write every event of a store as NDJSON."`
	Import  storeImportMode  `cmd:"" help:"Append exported events to a store, with their ids and revisions."`
}

func (storeMode) Help() string {
	return `
verify, backup and restore are for the embedded event store (jangbu dev, jangbu stack) and its file. stats, export and import speak to any EventStoreDB or KurrentDB by --eventstore-url.

Examples:

    jangbu store backup shop.db                        # while it runs
    jangbu store verify shop.db
    jangbu store restore shop.db --data ./data         # while it does not
    jangbu store export shop.ndjson
    jangbu store import shop.ndjson --eventstore-url 'esdb://127.0.0.1:2114?tls=false'
    jangbu store stats
`
}

// verified checks a store's file that no server has open. Damage, of any part or of all, is exit code 3, and remedy says
// what to do about it.
func verified(ctx context.Context, a *app, path, remedy string) (eventstoredb.Report, error) {
	type outcome struct {
		report eventstoredb.Report
		err    error
	}
	found := make(chan outcome, 1)
	go func() {
		report, err := eventstoredb.Verify(path)
		found <- outcome{report, err}
	}()
	var o outcome
	select {
	case o = <-found:
	case <-ctx.Done(): // the check changes nothing, so it may be left to end with the process
		return eventstoredb.Report{}, &failure{exitInterrupted, fmt.Errorf("interrupted while checking %s: run it again", path)}
	}
	for _, problem := range o.report.Problems {
		fmt.Fprintln(a.stderr, problem)
	}
	switch {
	case errors.Is(o.err, eventstoredb.ErrDamaged):
		return o.report, &failure{exitDrift, fmt.Errorf("%w; %s", o.err, remedy)}
	case errors.Is(o.err, eventstoredb.ErrLocked):
		return o.report, fmt.Errorf("%w: stop it first, or check a backup of it (jangbu store backup)", o.err)
	case o.err != nil:
		return o.report, o.err
	case len(o.report.Problems) > 0:
		return o.report, &failure{exitDrift, fmt.Errorf("%s is damaged, as listed above; %s", path, remedy)}
	}
	return o.report, nil
}

// drawProgress shows bars on stderr while work runs.
func drawProgress(ctx context.Context, a *app, work func(*term.Progress) error) error {
	progress := term.NewProgress(a.stderr, term.Options{Terminal: isTerminal(a.stderr)})
	drawing, stop := context.WithCancel(context.WithoutCancel(ctx))
	drawn := make(chan error, 1)
	go func() { drawn <- progress.Run(drawing) }()
	err := work(progress)
	stop()
	return errors.Join(err, <-drawn)
}

// drawNothing is drawProgress for work whose output says enough.
func drawNothing(_ context.Context, _ *app, work func(*term.Progress) error) error {
	return work(term.NewProgress(io.Discard, term.Options{}))
}

// logBar shows how far a read of the log has come. Nobody knows how many events the log holds until it has been read, so
// the total is reckoned from positions; those only compare, which makes it a picture, not a measure.
type logBar struct {
	bar        *term.Bar
	from, head event.Position // where the read begins, and where the log ended then
}

func (b logBar) at(events int64, at event.Position) {
	b.bar.Set(events)
	if at.Commit > b.from.Commit && at.Commit < b.head.Commit {
		part := float64(at.Commit-b.from.Commit) / float64(b.head.Commit-b.from.Commit)
		b.bar.Total(max(events+1, int64(float64(events)/part)))
	}
}

func (b logBar) end(events int64) {
	b.bar.Set(events)
	b.bar.Total(events)
}

// patiently does an operation on the store again, from wherever it has come to, while the store is away for no longer
// than patience at a time. f reports whether it got any further.
func patiently(ctx context.Context, patience time.Duration, f func() (further bool, err error)) error {
	const pause = 100 * time.Millisecond
	var since time.Time
	for {
		further, err := f()
		if !errors.Is(err, event.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		if further || since.IsZero() {
			since = time.Now()
		}
		if time.Since(since)+pause > patience {
			return fmt.Errorf("%w; see that the event store runs at --eventstore-url", err)
		}
		if backoff.Sleep(ctx, pause) != nil {
			return err
		}
	}
}

// awaitHead reads the last event of the log, patiently. Its error is that of head: event.ErrStreamNotFound where there is none.
func awaitHead(ctx context.Context, patience time.Duration, head func(context.Context) (event.Recorded, error)) (last event.Recorded, err error) {
	err = patiently(ctx, patience, func() (_ bool, err error) {
		last, err = head(ctx)
		return false, err
	})
	return last, err
}

// patienceFlags bound the waiting for an event store.
type patienceFlags struct {
	Patience time.Duration `help:"How long the event store may be away before this stops." default:"30s" env:"JANGBU_STORE_PATIENCE" placeholder:"TIME"`
}

// relayCategory is the category of the relays' checkpoints: positions, which mean nothing in another store.
const relayCategory = "relay"

// leftOut reports whether the events of a stream stay out of an export: the relays' checkpoints, and the snapshots of the
// command API, which come about again by themselves.
func leftOut(stream string) bool {
	category := event.Category(stream)
	return category == relayCategory || category == command.SnapshotCategory
}
