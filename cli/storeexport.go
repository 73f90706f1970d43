package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"jangbu/cli/term"
	"jangbu/domain/event"
)

type storeExportMode struct {
	File string `arg:"" optional:"" default:"-" type:"path" help:"File to write; -, the default, is stdout."`
	storeFlags
	patienceFlags
	Resume bool `help:"Continue FILE after its last whole line." env:"JANGBU_STORE_RESUME"`
	Force  bool `help:"Overwrite FILE, once there is something to write." env:"JANGBU_STORE_FORCE"`
}

func (storeExportMode) Help() string {
	return `
One event a line, in the order of the log, up to its end: {"id", "stream", "revision", "position", "type", "created", "data", "metadata"}. Data and metadata stand there byte for byte; what is not JSON on one line is "data_base64" or "metadata_base64". System events, the relays' checkpoints and the snapshots of streams are left out: they mean nothing in another store, or come about by themselves. So is what a store keeps about a stream ($maxCount, deletion).

An export that was interrupted, or is to be brought up to date, is continued with --resume.

Examples:

    jangbu store export shop.ndjson
    jangbu store export shop.ndjson --resume
    jangbu store export shop.ndjson --force
    jangbu store export | gzip > shop.ndjson.gz
`
}

// Validate implements kong.Validatable.
func (m *storeExportMode) Validate() error {
	switch {
	case m.Resume && m.File == "-":
		return errors.New("--resume needs a FILE to continue")
	case m.Resume && m.Force:
		return errors.New("either continue the file with --resume or overwrite it with --force")
	}
	return nil
}

// Run writes until the log's end or ctx ends.
func (m *storeExportMode) Run(ctx context.Context, a *app) (err error) {
	store, err := m.storeFlags.open(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if m.File == "-" {
		e := exporter{w: a.stdout, read: store.ReadAll, head: store.Head, patience: m.Patience}
		return m.ended(ctx, a, &e, e.run(ctx, a))
	}
	if err := mustBeNew(m.File, m.Resume || m.Force, "continue it with --resume, or overwrite it with --force"); err != nil {
		return err
	}
	f, err := os.OpenFile(m.File, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return orMakeFolder(err)
	}
	e := exporter{w: f, read: store.ReadAll, head: store.Head, patience: m.Patience}
	if m.Force {
		e.w = &overwriter{f: f}
	}
	if m.Resume {
		e.last, err = lastWholeLine(f)
		if err == nil && e.last.Type != "" {
			err = holds(ctx, store.ReadStream, e.last)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("continue %s: %w; export anew with --force", m.File, err), f.Close())
		}
	}
	err = e.run(ctx, a)
	if err == nil && m.Force && e.written == 0 {
		err = mustBeEmpty(f)
	}
	return m.ended(ctx, a, &e, errors.Join(err, f.Sync(), f.Close()))
}

func (m *storeExportMode) ended(ctx context.Context, a *app, e *exporter, err error) error {
	again := "run the same export again with --resume (and without --force) to go on"
	switch {
	case m.File == "-":
		again = "export to a FILE to be able to resume"
	case m.Force && e.written == 0:
		again = "nothing in " + m.File + " was overwritten; run the same export again"
	}
	done := term.Count(e.written) + " events written"
	switch {
	case err != nil && ctx.Err() != nil:
		return &failure{exitInterrupted, fmt.Errorf("interrupted, %s: %s", done, again)}
	case err != nil:
		return fmt.Errorf("%w, %s: %s", err, done, again)
	case m.File == "-":
		return nil
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %s\n", m.File, done)
	return err
}

// overwriter empties the file right before the first write, so that a store that does not answer leaves what the file holds.
type overwriter struct {
	f     *os.File
	begun bool
}

func (w *overwriter) Write(p []byte) (int, error) {
	if !w.begun {
		if err := w.f.Truncate(0); err != nil {
			return 0, err
		}
		w.begun = true
	}
	return w.f.Write(p)
}

// mustBeEmpty refuses to take a file that holds something for the export of an empty store.
func mustBeEmpty(f *os.File) error {
	info, err := f.Stat()
	if err == nil && info.Size() > 0 {
		err = errors.New("the event store has nothing to export (see that --eventstore-url names the right one, or remove the file)")
	}
	return err
}

// holds checks that the store has the last event of a file, where the file says: one that was made of another store cannot be
// continued from this, not even where this one was filled with it, since positions are a store's own.
func holds(ctx context.Context, read func(context.Context, string, int64) iter.Seq2[event.Recorded, error], e event.Recorded) error {
	for found, err := range read(ctx, e.Stream, e.Revision) {
		switch {
		case errors.Is(err, event.ErrStreamNotFound):
		case err != nil:
			return err
		case found.ID == e.ID && found.Revision == e.Revision:
			if found.Position == e.Position || found.Position == (event.Position{}) { // which an older server does not tell
				return nil
			}
			return fmt.Errorf("its last event, revision %d of %s, stands at another position here, so the file was made of another store", e.Revision, e.Stream)
		}
		break
	}
	return fmt.Errorf("its last event, revision %d of %s, is not in this store", e.Revision, e.Stream)
}

// exporter writes the log as lines.
type exporter struct {
	w        io.Writer
	read     func(context.Context, event.Position) iter.Seq2[event.Recorded, error]
	head     func(context.Context) (event.Recorded, error)
	patience time.Duration
	last     event.Recorded // the newest event that the file has; begin after it
	written  int64          // events, in this run
}

const exportBuffer = 256 << 10

// run writes whatever the log has after the last event. What it counts as written is on its way to the file even with an error.
func (e *exporter) run(ctx context.Context, a *app) error {
	head, err := awaitHead(ctx, e.patience, e.head)
	if errors.Is(err, event.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(e.w, exportBuffer)
	err = drawProgress(ctx, a, func(p *term.Progress) error {
		bar := logBar{bar: p.Bar("events", 0), head: head.Position, from: e.last.Position}
		err := patiently(ctx, e.patience, func() (bool, error) {
			before := e.written
			err := e.copy(ctx, out, bar)
			return e.written > before, err
		})
		if err == nil {
			bar.end(e.written)
		}
		return err
	})
	return errors.Join(err, out.Flush())
}

func (e *exporter) copy(ctx context.Context, out *bufio.Writer, bar logBar) error {
	var line []byte
	for r, err := range e.read(ctx, e.last.Position) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		e.last = event.Recorded{Position: r.Position}
		if leftOut(r.Stream) {
			continue
		}
		line = appendLine(line[:0], r)
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("write event: %w", err)
		}
		e.written++
		bar.at(e.written, r.Position)
	}
	return nil
}

// lastWholeLine finds the event of the file's last whole line, cuts off what follows it, and leaves the file at its end. In
// a file without a whole line it is the zero event. A file that is no export is left as it is.
func lastWholeLine(f *os.File) (event.Recorded, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return event.Recorded{}, err
	}
	end, err := lineEndBefore(f, size)
	if err != nil {
		return event.Recorded{}, err
	}
	var last event.Recorded
	if end > 0 {
		last, err = lineThatEnds(f, end)
	} else {
		err = beginsLine(f, size)
	}
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	return last, err
}

func lineThatEnds(f io.ReaderAt, end int64) (event.Recorded, error) {
	start, err := lineEndBefore(f, end-1)
	if err != nil {
		return event.Recorded{}, err
	}
	line := make([]byte, end-start)
	if _, err := f.ReadAt(line, start); err != nil {
		return event.Recorded{}, err
	}
	e, err := parseLine(line)
	if err != nil {
		return event.Recorded{}, fmt.Errorf("its last line: %w", err)
	}
	return e, nil
}

// beginsLine reports whether a file of one torn line may be an export's.
func beginsLine(f io.ReaderAt, size int64) error {
	const start = `{"id":"`
	b := make([]byte, min(size, int64(len(start))))
	if _, err := f.ReadAt(b, 0); err != nil {
		return err
	}
	if !strings.HasPrefix(start, string(b)) {
		return errors.New("it is not an export")
	}
	return nil
}

// lineEndBefore is the offset after the last line break before an offset, or 0.
func lineEndBefore(f io.ReaderAt, offset int64) (int64, error) {
	block := make([]byte, 64<<10)
	for offset > 0 {
		n := min(offset, int64(len(block)))
		if _, err := f.ReadAt(block[:n], offset-n); err != nil {
			return 0, err
		}
		for i := n - 1; i >= 0; i-- {
			if block[i] == '\n' {
				return offset - n + i + 1, nil
			}
		}
		offset -= n
	}
	return 0, nil
}
