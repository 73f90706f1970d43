package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"jangbu/cli/term"
	"jangbu/infra/embedded/eventstoredb"
)

type storeRestoreMode struct {
	File string `arg:"" type:"existingfile" help:"Backup to restore."`
	dataFlags
	Force bool `help:"Replace the store that is there." env:"JANGBU_STORE_FORCE"`
}

func (storeRestoreMode) Help() string {
	return `
Checks FILE, copies it beside the store's file in --data, syncs it, and puts it in the file's place, all or nothing. No server may be running on that folder.

Views in a Redis that outlives the store (not that of jangbu dev) may know events that the backup does not: rebuild them with "jangbu replay --all --allow-drift", when the services run again (docs/operations.md, Restore).

Examples:

    jangbu store restore shop.db
    jangbu store restore shop.db --data /var/lib/jangbu --force
`
}

// Run restores the backup or leaves all as it was.
func (m *storeRestoreMode) Run(ctx context.Context, a *app) error {
	target := m.file()
	err := mustBeNew(target, m.Force, "restore to another folder with --data, or replace it with --force")
	if err == nil {
		err = mustBeFree(target)
	}
	if err != nil {
		return err
	}
	report, err := verified(ctx, a, m.File, "restore another backup")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.Data, 0o750); err != nil {
		return err
	}
	err = writeWhole(target, m.Force,
		func(f *os.File) error { return m.copyTo(ctx, a, f, report.FileBytes) },
		func(string) error { return mustBeFree(target) }) // a server may have been started meanwhile
	switch {
	case ctx.Err() != nil && err != nil:
		return &failure{exitInterrupted, fmt.Errorf("interrupted; %s is as it was: run the same restore again", target)}
	case err != nil:
		return fmt.Errorf("restore %s: %w", target, err)
	}
	_, err = fmt.Fprintf(a.stdout, "%s holds the %s events of %s\n", target, term.Count(int64(report.Events)), filepath.Base(m.File))
	return err
}

func (m *storeRestoreMode) copyTo(ctx context.Context, a *app, w io.Writer, size int64) error {
	from, err := os.Open(m.File)
	if err != nil {
		return err
	}
	defer from.Close() // only read
	return drawProgress(ctx, a, func(p *term.Progress) error {
		bar := p.Bar("bytes", size)
		n, err := io.Copy(io.MultiWriter(w, progressWriter(func(k int) { bar.Add(int64(k)) })), untilDone{ctx, from})
		if err == nil && n != size {
			err = fmt.Errorf("%s has changed while it was copied: it has %d bytes and had %d", m.File, n, size)
		}
		return err
	})
}

// untilDone reads until the context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// mustBeFree refuses a store that a server has open. One that is damaged is free: that is what restores are for.
func mustBeFree(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, err := range eventstoredb.Export(path) { // opens the file; its first event tells enough
		if errors.Is(err, eventstoredb.ErrLocked) {
			return fmt.Errorf("%w: stop it first", err)
		}
		break
	}
	return nil
}
