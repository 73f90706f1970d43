package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"jangbu/domain/event"
	"jangbu/test/servers"
)

// export is the bare lines of a store's export, sorted unless the order of the log matters.
func (s *shopStore) export(t *testing.T, ordered bool) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "export.ndjson")
	mustRun(t, "store", "export", path, "--eventstore-url", s.url)
	lines := bare(t, path)
	if !ordered {
		slices.Sort(lines)
	}
	return lines
}

func TestImportOfAnExportIsTheSameStore(t *testing.T) {
	source, path := exported(t, 3000)
	for _, workers := range []int{1, 16} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			want := source.export(t, workers == 1)
			target := newShopStore(t)
			args := []string{"store", "import", path, "--eventstore-url", target.url, "--workers", fmt.Sprint(workers)}
			if out := mustRun(t, args...); !strings.Contains(out, "3,008 events are in the store") {
				t.Errorf("it says %q", out)
			}
			if !slices.Equal(target.export(t, workers == 1), want) {
				t.Error("the export of the target differs from that of the source")
			}
			head, err := target.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			mustRun(t, args...)
			if again, err := target.Head(t.Context()); err != nil || again.Position != head.Position {
				t.Errorf("importing again has written something: %v, %v", again, err)
			}
		})
	}
}

func TestAnInterruptedImportOfEventsResumes(t *testing.T) {
	source, path := exported(t, 3000)
	whole := contents(t, path)
	half := strings.Index(whole[len(whole)/2:], "\n") + len(whole)/2
	target := newShopStore(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "store", "import", pipe, "--eventstore-url", target.url, "--log-level", "error")
	f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(whole[:half+20]); err != nil { // and the writer stays
		t.Fatal(err)
	}
	servers.Until(t, "500 events are imported", func() error {
		if len(target.all(t)) < 500 {
			return errors.New(p.stderr.String())
		}
		return nil
	})
	p.stop()
	if code := p.end(t); code != 130 {
		t.Errorf("code %d", code)
	}
	lines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, "interrupted") || !strings.Contains(last, "same import again to resume") {
		t.Errorf("stderr: %s", p.stderr.String())
	}
	if n := len(target.all(t)); n >= 3008 {
		t.Fatalf("all %d events are there before the import is resumed", n)
	}
	mustRun(t, "store", "import", path, "--eventstore-url", target.url)
	if !slices.Equal(target.export(t, false), source.export(t, false)) {
		t.Error("the resumed import differs from the source")
	}
}

func TestAnImportGoesOnWhereAnOlderExportEnded(t *testing.T) {
	source := newShopStore(t)
	var events []event.Proposed
	for i := range 40 {
		events = append(events, proposed(fmt.Sprintf(`{"n":%d}`, i), `{}`))
	}
	source.put(t, "order-1", event.NoStream, events...)
	path := filepath.Join(t.TempDir(), "all.ndjson")
	mustRun(t, "store", "export", path, "--eventstore-url", source.url)
	target := newShopStore(t)
	target.put(t, "order-1", event.NoStream, events[:13]...) // what an older import has left: a part of a run
	mustRun(t, "store", "import", path, "--eventstore-url", target.url)
	if !slices.Equal(target.export(t, true), source.export(t, true)) {
		t.Error("the target differs")
	}
}

// TestImportLeavesOutWhatIsWrong imports the lines of three streams, of which something is wrong with b.
func TestImportLeavesOutWhatIsWrong(t *testing.T) {
	const id = "00000000-0000-4000-8000-0000000000"
	line := func(n int, stream string, revision int) string {
		return fmt.Sprintf(`{"id":"%s%02d","stream":"%s","revision":%d,"position":"%d/%d","type":"t","created":"2020-01-01T00:00:00Z","data":{}}`, id, n, stream, revision, n, n)
	}
	good := []string{line(1, "a-1", 0), line(2, "b-1", 0), line(3, "c-1", 0), line(4, "b-1", 1), line(5, "a-1", 1), line(6, "b-1", 2)}
	client := func(s *shopStore) *esdb.Client {
		conf, err := esdb.ParseConnectionString(s.url)
		if err != nil {
			t.Fatal(err)
		}
		conf.Logger = func(esdb.LogLevel, string, ...any) {}
		c, err := esdb.NewClient(conf)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	deleted := func(t *testing.T, s *shopStore, remove func(*esdb.Client) error) {
		s.put(t, "b-1", event.NoStream, proposed("{}", ""))
		if err := remove(client(s)); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		at   int    // line that is replaced
		with string // by this
		prep func(t *testing.T, s *shopStore)
		want string // after the file's name
		left int    // events that a and c come to
	}{
		"torn":            {6, good[5][:60], nil, ":6: not an event: unexpected EOF", 3},
		"not JSON":        {2, "hello", nil, ":2: not an event", 3},
		"of another kind": {2, `{"id":"` + id + `02","order":1}`, nil, `:2: not an event: json: unknown field "order"`, 3},
		"two in one line": {2, good[1] + good[1], nil, ":2: not an event: there is something after it", 3},
		"no id":           {2, strings.Replace(good[1], id+"02", "00000000-0000-0000-0000-000000000000", 1), nil, ":2: the event has no id", 3},
		"no type":         {2, strings.Replace(good[1], `"t"`, `""`, 1), nil, ":2: the event has no stream or no type", 3},
		"system event":    {2, line(2, "$$b-1", 0), nil, ":2: t in $$b-1 is a system event", 3},
		"relay":           {2, line(2, "relay-shop", 0), nil, ":2: relay-shop holds what is of use in its own store only", 3},
		"snapshot":        {2, line(2, "snapshot-stock-a", 0), nil, ":2: snapshot-stock-a holds what is of use in its own store only", 3},
		"no revision":     {2, line(2, "b-1", -1), nil, ":2: -1 is not a revision", 3},
		"a gap":           {4, "", nil, ":6: revision 2 of b-1 cannot be written: the store does not hold the one before it", 3},
		"other events":    {0, "", func(t *testing.T, s *shopStore) { s.put(t, "b-1", event.NoStream, proposed("{}", "")) }, ":2: revision 0 of b-1 is event " + id + "02, but the store holds other events", 3},
		"too large":       {4, strings.Replace(good[3], `{}`, `"`+strings.Repeat("x", 1<<20)+`"`, 1), nil, ":4: the store takes no append as large as revision 1 of b-1", 3},
		"gone for good": {0, "", func(t *testing.T, s *shopStore) {
			deleted(t, s, func(c *esdb.Client) error {
				_, err := c.TombstoneStream(context.Background(), "b-1", esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}})
				return err
			})
		}, ":2: b-1 has been deleted from the store for good", 3},
		"deleted": {0, "", func(t *testing.T, s *shopStore) {
			deleted(t, s, func(c *esdb.Client) error {
				_, err := c.DeleteStream(context.Background(), "b-1", esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}})
				return err
			})
		}, ":2: revision 0 of b-1 is event " + id + "02, but the store holds other events: revision 1 is " + id + "02", 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			lines := slices.Clone(good)
			if tt.at > 0 {
				lines[tt.at-1] = tt.with
			}
			path := filepath.Join(t.TempDir(), "shop.ndjson")
			write(t, path, strings.Join(lines, "\n"))
			s := newShopStore(t)
			if tt.prep != nil {
				tt.prep(t, s)
			}
			code, stdout, stderr := quiet(t, "store", "import", path, "--eventstore-url", s.url)
			if code != 1 || stdout != "" || !strings.Contains(stderr, path+tt.want) || !strings.Contains(stderr, "; correct them and run the same import again") {
				t.Errorf("code %d, stdout %q: %s", code, stdout, stderr)
			}
			others := 0
			for _, e := range s.all(t) {
				if e.Stream != "b-1" {
					others++
				}
			}
			if others != tt.left {
				t.Errorf("%d events in the other streams, not %d", others, tt.left)
			}
		})
	}
}

func TestImportStops(t *testing.T) {
	s := newShopStore(t)
	garbage := filepath.Join(t.TempDir(), "garbage")
	write(t, garbage, strings.Repeat("x\n", 5000))
	_, path := exported(t, 3)
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"at too many problems":  {[]string{garbage, "--eventstore-url", s.url}, 1, "stopped after 100 problems"},
		"without a file":        {[]string{garbage + "2", "--eventstore-url", s.url}, 2, "no such file"},
		"without a store":       {[]string{path, "--eventstore-url", "esdb://127.0.0.1:1?tls=false", "--patience", "1ms"}, 1, "run the same import again"},
		"with no workers":       {[]string{path, "--workers", "0"}, 2, "--workers must be from 1"},
		"with a URL of nothing": {[]string{path, "--eventstore-url", "postgres://x"}, 2, "EVENTSTORE_URL"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := quiet(t, append([]string{"store", "import"}, tt.args...)...)
			lines := strings.SplitAfter(strings.TrimSuffix(stderr, "\n"), "\n")
			if last := lines[len(lines)-1]; code != tt.code || !strings.HasPrefix(last, "jangbu: ") || !strings.Contains(last, tt.want) || len(lines) > 102 {
				t.Errorf("code %d, %d lines: %s", code, len(lines), stderr)
			}
		})
	}
}
