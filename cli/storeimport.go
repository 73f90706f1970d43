package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"jangbu/cli/term"
)

type storeImportMode struct {
	File string `arg:"" type:"existingfile" help:"File to read; - is stdin."`
	storeFlags
	patienceFlags
	Workers int `help:"Appends in flight. With 1, the events of different streams keep the file's order too." default:"64" env:"JANGBU_STORE_WORKERS" placeholder:"N"`
}

func (storeImportMode) Help() string {
	return `
Appends what "jangbu store export" has written: the same ids, data and metadata, at the same revisions of the same streams. Position and created are the target's own; the file keeps the original ones. Events of one stream keep their order; --workers 1 keeps that of the whole log, and takes longer.

Importing again is safe at any time: after a kill it resumes, and when all is there it changes nothing. A stream that holds other events at those revisions is an error. A line that is wrong is reported with file and line, its stream is left out from there, the others go on, and the exit code is 1.

Examples:

    jangbu store import shop.ndjson --eventstore-url 'esdb://admin:changeit@kurrent:2113?tlsVerifyCert=false'
    gunzip < shop.ndjson.gz | jangbu store import -
    jangbu store export --eventstore-url "$OLD" | jangbu store import - --eventstore-url "$NEW"
`
}

// Validate implements kong.Validatable.
func (m *storeImportMode) Validate() error {
	if m.Workers < 1 || m.Workers > 1000 {
		return fmt.Errorf("--workers must be from 1 to 1000, not %d", m.Workers)
	}
	return nil
}

// Run imports until all is there or ctx ends.
func (m *storeImportMode) Run(ctx context.Context, a *app) (err error) {
	name, file, size := "stdin", os.Stdin, int64(0)
	if m.File != "-" {
		if file, err = os.Open(m.File); err != nil {
			return err
		}
		defer file.Close() // only read
		defer context.AfterFunc(ctx, func() {
			_ = file.Close() // ends a read that waits, of a pipe
		})()
		name = m.File
	}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	store, err := m.storeFlags.open(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	began := time.Now()
	im := newEventImporter(store, name, m.Workers, m.Patience)
	err = drawProgress(ctx, a, func(p *term.Progress) error {
		bar := importBar{bar: p.Bar("events", 0), size: size}
		im.show = bar.at
		return im.run(ctx, file)
	})
	return im.ended(ctx, a, err, time.Since(began))
}

// ended tells what was done and what to do next.
func (im *eventImporter) ended(ctx context.Context, a *app, err error, took time.Duration) error {
	problems := im.reported()
	for _, p := range problems {
		fmt.Fprintf(a.stderr, "%s:%d: %s\n", im.name, p.line, p.text)
	}
	done := term.Count(im.done.Load()) + " events are in the store"
	switch {
	case err != nil && ctx.Err() != nil:
		return &failure{exitInterrupted, fmt.Errorf("interrupted, %s: run the same import again to resume it", done)}
	case errors.Is(err, errTooManyProblems):
		return fmt.Errorf("%s: %w, listed above; correct them and run the same import again", done, err)
	case err != nil:
		return fmt.Errorf("%w, %s: run the same import again to resume it", err, done)
	case len(problems) > 0:
		return fmt.Errorf("%s, %s left out; problems listed above: %d; correct them and run the same import again",
			done, term.Count(im.leftOut.Load()), len(problems))
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %s, in %s\n", im.name, done, term.Duration(took))
	return err
}

// importBar reckons how many events a file holds from how many bytes those read so far have taken.
type importBar struct {
	bar  *term.Bar
	size int64 // 0: unknown
}

func (b importBar) at(done, read, bytes int64, all bool) {
	b.bar.Set(done)
	switch {
	case all:
		b.bar.Total(read)
	case b.size > 0 && bytes > 0:
		b.bar.Total(max(read+1, int64(float64(read)*float64(b.size)/float64(bytes))))
	}
}
