package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"jangbu/cli/term"
)

type storeBackupMode struct {
	File string `arg:"" type:"path" help:"File to write."`
	storeFlags
	Force    bool `help:"Overwrite FILE." env:"JANGBU_STORE_FORCE"`
	NoVerify bool `help:"Do not check the copy." env:"JANGBU_STORE_NO_VERIFY"`
}

func (storeBackupMode) Help() string {
	return `
A consistent copy of an embedded event store (jangbu dev, jangbu stack) as it is when the backup begins, while it goes on serving. The copy is written beside FILE, synced, checked like "jangbu store verify" does, and only then gets its name. It is a store like any other: put it back with "jangbu store restore".

A KurrentDB has backups of its own; of it, use those, or "jangbu store export".

Examples:

    jangbu store backup shop.db
    jangbu store backup "/backup/shop-$(date +%F).db" --eventstore-url 'esdb://10.0.0.7:2113?tls=false'
`
}

// backupStall is how long a server may send nothing.
const backupStall = 30 * time.Second

// Run copies until all is there or ctx ends.
func (m *storeBackupMode) Run(ctx context.Context, a *app) error {
	if err := mustBeNew(m.File, m.Force, "choose another file, or overwrite it with --force"); err != nil {
		return err
	}
	source, err := backupURL(m.EventstoreURL)
	if err != nil {
		return wrongURL(err, "--eventstore-url (EVENTSTORE_URL)")
	}
	began := time.Now()
	var size int64
	err = writeWhole(m.File, m.Force,
		func(f *os.File) (err error) {
			size, err = copyBackup(ctx, a, source, f)
			return err
		},
		func(path string) error {
			if m.NoVerify {
				return nil
			}
			_, err := verified(ctx, a, path, "so the copy was removed; check the store itself once it is stopped (jangbu store verify)")
			return err
		})
	switch {
	case ctx.Err() != nil && err != nil:
		return &failure{exitInterrupted, fmt.Errorf("interrupted; nothing was written to %s: run the same backup again", m.File)}
	case err != nil:
		return fmt.Errorf("back up to %s: %w", m.File, err)
	}
	checked := ", checked"
	if m.NoVerify {
		checked = ", not checked"
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %s bytes in %s%s\n", m.File, term.Count(size), term.Duration(time.Since(began)), checked)
	return err
}

var errBackupURL = errors.New("the URL does not name one embedded event store such as esdb://127.0.0.1:2113?tls=false, " +
	"with what is no letter or digit in a password percent-encoded (% is %25, / is %2F, @ is %40)")

// backupURL is where the server behind a connection string gives a copy of itself. Its error shows nothing of the password.
func backupURL(connection string) (string, error) {
	_, rest, found := strings.Cut(connection, "://")
	u, err := url.Parse("http://" + rest)
	if !found || err != nil || u.Host == "" || strings.Contains(u.Host, ",") ||
		strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") { // the host is half of the credentials
		return "", errBackupURL
	}
	query := u.Query()
	for name := range query {
		if strings.EqualFold(name, "tls") && !strings.EqualFold(query.Get(name), "false") {
			u.Scheme = "https" // a proxy before it, since it speaks no TLS itself
		}
	}
	if u.Port() == "" {
		u.Host += ":2113"
	}
	return (&url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host, Path: "/backup"}).String(), nil
}

// copyBackup writes what the server sends, and shows how far it is.
func copyBackup(ctx context.Context, a *app, source string, w io.Writer) (n int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(backupStall, func() { cancel(fmt.Errorf("the event store has sent nothing for %s", backupStall)) })
	defer stalled.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("%w; see that the event store runs at --eventstore-url", reason(ctx, err))
	}
	defer resp.Body.Close() // only read
	if err := isBackup(resp); err != nil {
		return 0, err
	}
	err = drawProgress(ctx, a, func(p *term.Progress) error {
		bar := p.Bar("bytes", resp.ContentLength)
		n, err = io.Copy(io.MultiWriter(w, progressWriter(func(k int) {
			stalled.Reset(backupStall)
			bar.Add(int64(k))
		})), resp.Body)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("after %s of %s bytes: %w; run the same backup again", term.Count(n), term.Count(resp.ContentLength), reason(ctx, err))
	}
	return n, nil
}

// reason is why a request ended, where it was ended on this side.
func reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// isBackup tells the answer of an embedded store from any other.
func isBackup(resp *http.Response) error {
	const maxText = 500
	kind := resp.Header.Get("Content-Type")
	switch {
	case resp.StatusCode == http.StatusOK && kind == "application/octet-stream" && resp.ContentLength > 0:
		return nil
	case resp.StatusCode >= http.StatusInternalServerError:
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxText))
		return errors.Join(fmt.Errorf("the event store answers %s: %s", resp.Status, strings.TrimSpace(string(text))), err)
	}
	return fmt.Errorf("what runs there is not jangbu's embedded event store (GET /backup answers %s): back up KurrentDB by its own means, or use jangbu store export", resp.Status)
}

// progressWriter counts what is written.
type progressWriter func(n int)

func (w progressWriter) Write(p []byte) (int, error) {
	w(len(p))
	return len(p), nil
}
