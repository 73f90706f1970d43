package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/eventstore"
)

// shopStore is an embedded event store on disk with a client.
type shopStore struct {
	*eventstore.Store
	server *eventstoredb.Server
	url    string
	data   string // its folder
}

func newShopStore(t *testing.T) *shopStore {
	t.Helper()
	s := &shopStore{data: t.TempDir()}
	s.start(t)
	return s
}

func (s *shopStore) start(t *testing.T) {
	t.Helper()
	var err error
	if s.server, err = eventstoredb.Start(eventstoredb.Config{Path: s.file(), NoSync: true}); err != nil {
		t.Fatal(err)
	}
	s.url = s.server.URL()
	if s.Store, err = eventstore.Open(s.url, eventstore.Config{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop(t) })
}

// stop closes both; again does nothing.
func (s *shopStore) stop(t *testing.T) {
	t.Helper()
	if err := errors.Join(s.Close(), s.server.Close()); err != nil {
		t.Error(err)
	}
}

func (s *shopStore) file() string { return filepath.Join(s.data, "events.db") }

func (s *shopStore) put(t *testing.T, stream string, expected int64, events ...event.Proposed) {
	t.Helper()
	if _, err := s.Append(t.Context(), stream, expected, events); err != nil {
		t.Fatal(err)
	}
}

func (s *shopStore) all(t *testing.T) (events []event.Recorded) {
	t.Helper()
	for e, err := range s.ReadAll(t.Context(), event.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

func proposed(data, metadata string) event.Proposed {
	return event.Proposed{ID: uuid.New(), Type: "thing.done.v1", Data: []byte(data), Metadata: []byte(metadata)}
}

// fill writes events of every kind, n of them in a plain shape, and what an export leaves out.
func (s *shopStore) fill(t *testing.T, n int) {
	t.Helper()
	s.put(t, "odd-1", event.Any, proposed(`{"a":1}`, ""), proposed("", ""), proposed("null", "null"), proposed("{\n \"a\": 1\n}", "{ }\n"),
		proposed("\x00\xff\"", `{"k":"<&> \u00e9 é 값"}`), proposed(` {"a":1.50e+2}`, "[]"), proposed("not json", "{"))
	s.put(t, `ödd "name"\`, event.Any, proposed("7", "7"))
	if err := s.SetMaxCount(t.Context(), "relay-shop", 1); err != nil {
		t.Fatal(err)
	}
	s.put(t, "relay-shop", event.Any, proposed(`{"position":"1/1"}`, ""))
	s.put(t, "snapshot-stock-a", event.Any, proposed(`{"revision":1}`, ""))
	for i := 0; i < n; {
		var batch []event.Proposed
		for range min(1+i%7, n-i) {
			batch = append(batch, proposed(fmt.Sprintf(`{"n":%d,"text":"%s"}`, i, strings.Repeat("x", 200)), `{"command_id":"c"}`))
			i++
		}
		s.put(t, fmt.Sprintf("%s-%d", []string{"order", "member"}[i%2], i%50), event.Any, batch...)
	}
}

// quiet runs a command line whose log is silent, so that stderr is what the mode itself says.
func quiet(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return run(t, append(args, "--log-level", "error")...)
}

func mustRun(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	code, stdout, stderr := quiet(t, args...)
	if code != 0 {
		t.Fatalf("%v: code %d, %s", args, code, stderr)
	}
	return stdout
}

// bare is the lines of an export without what is a store's own.
func bare(t *testing.T, path string) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(contents(t, path)) {
		before, rest, _ := strings.Cut(line, `,"position":`)
		_, middle, _ := strings.Cut(rest, `,"type":`)
		typ, rest, found := strings.Cut(middle, `,"created":"`)
		_, after, _ := strings.Cut(rest, `"`)
		if !found || !json.Valid([]byte(line)) {
			t.Fatalf("not an event: %s", line)
		}
		lines = append(lines, before+typ+after)
	}
	return lines
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// exported is a filled store and a whole export of it.
func exported(t *testing.T, n int) (s *shopStore, path string) {
	t.Helper()
	s, path = newShopStore(t), filepath.Join(t.TempDir(), "shop.ndjson")
	s.fill(t, n)
	if out := mustRun(t, "store", "export", path, "--eventstore-url", s.url); !strings.Contains(out, path+": ") {
		t.Errorf("it says %q", out)
	}
	return s, path
}

func TestExportIsAllButWhatIsAStoresOwn(t *testing.T) {
	s, path := exported(t, 300)
	var want []string
	for _, e := range s.all(t) {
		if c := event.Category(e.Stream); c != "relay" && c != "snapshot" {
			want = append(want, fmt.Sprint(e))
		}
	}
	var got []string
	for line := range strings.Lines(contents(t, path)) {
		e, err := parseLine([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(e))
	}
	if len(want) != 308 || !slices.Equal(got, want) {
		t.Errorf("%d lines for %d events, or they differ", len(got), len(want))
	}
	if stdout := mustRun(t, "store", "export", "--eventstore-url", s.url); stdout != contents(t, path) {
		t.Error("the export to stdout differs from that to the file")
	}
	if !strings.Contains(contents(t, path), `,"data":{"a":1},`) && !strings.Contains(contents(t, path), `,"data":{"a":1}}`) {
		t.Error("JSON does not stand there as it is")
	}
}

func TestExportResumes(t *testing.T) {
	s, path := exported(t, 400)
	whole := contents(t, path)
	lastLine := strings.LastIndex(strings.TrimSuffix(whole, "\n"), "\n") + 1
	middle := strings.Index(whole[len(whole)/2:], "\n") + len(whole)/2 + 1
	for name, cut := range map[string]int{"empty": 0, "in the first line": 5, "after a line": middle, "in a line": middle + 9,
		"in the last line": lastLine + 1, "without its last line break": len(whole) - 1, "whole": len(whole)} {
		write(t, path, whole[:cut])
		mustRun(t, "store", "export", path, "--resume", "--eventstore-url", s.url)
		if contents(t, path) != whole {
			t.Errorf("%s: the resumed export differs", name)
		}
	}
	s.put(t, "order-new", event.NoStream, proposed(`{}`, `{}`))
	mustRun(t, "store", "export", path, "--resume", "--eventstore-url", s.url)
	if now := contents(t, path); !strings.HasPrefix(now, whole) || !strings.Contains(now[len(whole):], "order-new") {
		t.Error("an export that is brought up to date does not hold the new event")
	}
}

func TestExportRefuses(t *testing.T) {
	s, path := exported(t, 5)
	other := newShopStore(t)
	other.fill(t, 5)
	imported := newShopStore(t) // of the same events, at its own positions
	mustRun(t, "store", "import", path, "--eventstore-url", imported.url)
	foreign, short := filepath.Join(t.TempDir(), "letter.txt"), filepath.Join(t.TempDir(), "short.txt")
	write(t, foreign, "Dear Sir,\nI write to you\nbecause")
	write(t, short, "Dear")
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"a file that exists":       {[]string{path, "--eventstore-url", s.url}, 1, "--resume, or overwrite it with --force"},
		"a file of another store":  {[]string{path, "--resume", "--eventstore-url", other.url}, 1, "is not in this store"},
		"a file imported here":     {[]string{path, "--resume", "--eventstore-url", imported.url}, 1, "stands at another position here, so the file was made of another store; export anew with --force"},
		"a file that is none":      {[]string{foreign, "--resume", "--eventstore-url", s.url}, 1, "its last line: not an event"},
		"a torn file that is none": {[]string{short, "--resume", "--eventstore-url", s.url}, 1, "not an export"},
		"resuming stdout":          {[]string{"-", "--resume"}, 2, "needs a FILE"},
		"both":                     {[]string{path, "--resume", "--force"}, 2, "either"},
		"a store that is away":     {[]string{"--eventstore-url", "esdb://127.0.0.1:1?tls=false", "--patience", "1ms"}, 1, "see that the event store runs"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := contents(t, path) + contents(t, foreign) + contents(t, short)
			code, _, stderr := quiet(t, append([]string{"store", "export"}, tt.args...)...)
			if code != tt.code {
				t.Errorf("code %d", code)
			}
			wantOneLine(t, stderr, tt.want)
			if before != contents(t, path)+contents(t, foreign)+contents(t, short) {
				t.Error("a file has changed")
			}
		})
	}
	whole := contents(t, path)
	empty := newShopStore(t)
	for url, want := range map[string]string{
		"esdb://127.0.0.1:1?tls=false": "was overwritten; run the same export again",
		empty.url:                      "has nothing to export",
	} {
		code, _, stderr := quiet(t, "store", "export", path, "--force", "--patience", "1ms", "--eventstore-url", url)
		if code != 1 || contents(t, path) != whole {
			t.Errorf("%s: code %d, or --force has not left the file as it was", url, code)
		}
		wantOneLine(t, stderr, want)
	}
	mustRun(t, "store", "export", filepath.Join(t.TempDir(), "new"), "--force", "--eventstore-url", empty.url)
	mustRun(t, "store", "export", path, "--force", "--eventstore-url", other.url)
	if n := len(bare(t, path)); n != len(strings.Split(strings.TrimSpace(mustRun(t, "store", "export", "--eventstore-url", other.url)), "\n")) {
		t.Errorf("--force has left %d lines", n)
	}
	if first := bare(t, path)[0]; strings.Contains(first, s.all(t)[0].ID.String()) {
		t.Error("--force has not overwritten the file")
	}
}

// spoilt is a read of the log that does something after some events.
func spoilt(read func(context.Context, event.Position) iter.Seq2[event.Recorded, error], after int, then func() error) func(context.Context, event.Position) iter.Seq2[event.Recorded, error] {
	n := 0
	return func(ctx context.Context, from event.Position) iter.Seq2[event.Recorded, error] {
		return func(yield func(event.Recorded, error) bool) {
			for e, err := range read(ctx, from) {
				if n++; n == after {
					if err := then(); err != nil {
						yield(event.Recorded{}, err)
						return
					}
				}
				if !yield(e, err) {
					return
				}
			}
		}
	}
}

func TestAnInterruptedExportLeavesWholeWork(t *testing.T) {
	s, path := exported(t, 400)
	whole := contents(t, path)
	export := func(after int, then func() error, ctx context.Context) (*exporter, error) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		e := &exporter{w: &overwriter{f: f}, read: spoilt(s.ReadAll, after, then), head: s.Head, patience: time.Minute}
		var stderr output
		return e, errors.Join(e.run(ctx, &app{stderr: &stderr}), f.Close())
	}
	ctx, interrupt := context.WithCancel(t.Context())
	e, err := export(250, func() error { interrupt(); return nil }, ctx)
	mode := &storeExportMode{File: path, Force: true}
	if err = mode.ended(ctx, nil, e, err); codeOf(err) != 130 || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("interrupted: %v", err)
	}
	if part := contents(t, path); e.written < 200 || int64(strings.Count(part, "\n")) != e.written || !strings.HasPrefix(whole, part) {
		t.Errorf("%d events, said to be %d", strings.Count(part, "\n"), e.written)
	}
	mustRun(t, "store", "export", path, "--resume", "--eventstore-url", s.url)
	if contents(t, path) != whole {
		t.Error("the resumed export differs")
	}
	if _, err := export(250, func() error { return event.ErrUnavailable }, t.Context()); err != nil || contents(t, path) != whole {
		t.Errorf("after a store that was away for a moment: %v, or the export differs", err)
	}
}

func TestStats(t *testing.T) {
	s := newShopStore(t)
	if out := mustRun(t, "store", "stats", "--eventstore-url", s.url); strings.Count(out, "\n") != 2 {
		t.Errorf("an empty store: %s", out)
	}
	s.put(t, "order-1", event.NoStream, proposed(`{"a":1}`, `{}`), proposed(`{"a":12}`, ``))
	s.put(t, "order-2", event.NoStream, proposed(`{}`, `{}`))
	s.put(t, "member-1", event.NoStream, proposed(`{}`, ``))
	out := mustRun(t, "store", "stats", "--eventstore-url", s.url)
	wantRow(t, out, "order", "3", "2", "21")
	wantRow(t, out, "member", "1", "1", "2")
	wantRow(t, out, "all", "4", "3", "23")
	out = mustRun(t, "store", "stats", "--json", "--eventstore-url", s.url)
	const want = `{"events":4,"streams":3,"bytes":23,"categories":[{"category":"member","events":1,"streams":1,"bytes":2},{"category":"order","events":3,"streams":2,"bytes":21}]}`
	if out != want+"\n" {
		t.Errorf("%s", out)
	}
}
