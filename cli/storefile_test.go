package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"jangbu/cli/term"
	"jangbu/domain/event"
)

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// leftover reports whether a file that was not whole lies beside path.
func leftover(t *testing.T, path string) bool {
	t.Helper()
	found, err := filepath.Glob(partial(path))
	if err != nil {
		t.Fatal(err)
	}
	return len(found) > 0
}

// damaged is a copy of a store's file with a bit of an event flipped.
func damaged(t *testing.T, file string) string {
	t.Helper()
	text := contents(t, file)
	at := strings.LastIndex(text, `{"flip":"me"}`)
	if at < 0 {
		t.Fatal("there is nothing to flip")
	}
	path := filepath.Join(t.TempDir(), "damaged.db")
	write(t, path, text[:at]+`{"flip":"ME"}`+text[at+13:])
	return path
}

// stopped is a store's file that no server has open, with what damaged looks for.
func stopped(t *testing.T) *shopStore {
	t.Helper()
	s := newShopStore(t)
	s.fill(t, 50)
	s.put(t, "order-flip", event.NoStream, proposed(`{"flip":"me"}`, ""))
	s.stop(t)
	return s
}

func TestVerify(t *testing.T) {
	s := stopped(t)
	out := mustRun(t, "store", "verify", "--data", s.data)
	wantRow(t, out, "FILE", "EVENTS", "STREAMS", "LAST", "POSITION", "BYTES", "VERDICT")
	if !strings.Contains(out, " sound\n") {
		t.Error(out)
	}
	var v verification
	if err := json.Unmarshal([]byte(mustRun(t, "store", "verify", s.file(), "--json")), &v); err != nil || !v.Sound ||
		v.Events != 62 || v.Bytes == 0 || v.Problems == nil {
		t.Errorf("%+v, %v", v, err)
	}
	bad := damaged(t, s.file())
	code, stdout, stderr := quiet(t, "store", "verify", bad)
	if lines := strings.Split(stderr, "\n"); code != 3 || !strings.Contains(stdout, " damaged\n") || len(lines) != 3 ||
		!strings.Contains(lines[0], "position ") || !strings.Contains(lines[1], "restore a backup") {
		t.Errorf("damaged: code %d, %s, %s", code, stdout, stderr)
	}
	code, stdout, _ = quiet(t, "store", "verify", bad, "--json")
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != 3 || v.Sound || len(v.Problems) != 1 {
		t.Errorf("damaged: code %d, %s", code, stdout)
	}
	letter := filepath.Join(t.TempDir(), "letter")
	write(t, letter, strings.Repeat("Dear Sir", 4096))
	s.start(t)
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"a file of something else": {[]string{letter}, 3, "is damaged"},
		"no file":                  {[]string{letter + "2"}, 2, "no such file"},
		"a file in use":            {[]string{"--data", s.data}, 1, "stop it first"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := quiet(t, append([]string{"store", "verify"}, tt.args...)...)
			if code != tt.code {
				t.Errorf("code %d", code)
			}
			wantOneLine(t, stderr, tt.want)
		})
	}
}

func TestBackupWhileAppendsGoOn(t *testing.T) {
	s := newShopStore(t)
	s.fill(t, 2000)
	began, stop := make(chan struct{}), make(chan struct{})
	var appending sync.WaitGroup
	appending.Go(func() {
		for n := int64(0); ; n++ {
			if _, err := s.Append(t.Context(), "count-1", n-1, []event.Proposed{proposed(fmt.Sprint(n), "")}); err != nil {
				t.Error(err)
				return
			}
			if n == 10 {
				close(began)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	<-began
	path := filepath.Join(t.TempDir(), "shop.db")
	out := mustRun(t, "store", "backup", path, "--eventstore-url", s.url)
	close(stop)
	appending.Wait()
	if !strings.Contains(out, path+": ") || !strings.Contains(out, ", checked\n") || leftover(t, path) {
		t.Errorf("it says %q", out)
	}
	mustRun(t, "store", "verify", path)
	code, _, stderr := quiet(t, "store", "backup", path, "--eventstore-url", s.url)
	if code != 1 {
		t.Errorf("code %d", code)
	}
	wantOneLine(t, stderr, "exists", "--force")

	restored := &shopStore{data: filepath.Join(t.TempDir(), "deep")}
	mustRun(t, "store", "restore", path, "--data", restored.data)
	restored.start(t)
	was, is := restored.all(t), s.all(t)
	if len(was) < 2019 || !slices.EqualFunc(was, is[:len(was)], func(a, b event.Recorded) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Errorf("the %d events of the backup are not the first of the store's %d", len(was), len(is))
	}
	if out := mustRun(t, "store", "backup", path, "--force", "--no-verify", "--eventstore-url", s.url); !strings.Contains(out, "not checked") {
		t.Errorf("it says %q", out)
	}
	if out := mustRun(t, "store", "verify", path); !strings.Contains(out, term.Count(int64(len(is)+1))) {
		t.Errorf("the second backup does not hold %d events and a system event: %s", len(is), out)
	}
}

// answering is the connection string of an HTTP server that gives one answer to everything.
func answering(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(answer)
	t.Cleanup(srv.Close)
	return "esdb://" + srv.Listener.Addr().String() + "?tls=false"
}

func bytesOf(b string, length int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", fmt.Sprint(length))
		if _, err := w.Write([]byte(b)); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

func TestBackupFails(t *testing.T) {
	bad := contents(t, damaged(t, stopped(t).file()))
	tests := map[string]struct {
		url  string
		code int
		want string
	}{
		"of a KurrentDB":        {answering(t, http.NotFound), 1, "back up KurrentDB by its own means, or use jangbu store export"},
		"of a web page":         {answering(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }), 1, "by its own means"},
		"of a store that fails": {answering(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "the disk is gone", 500) }), 1, "the disk is gone"},
		"of nothing":            {"esdb://127.0.0.1:1?tls=false", 1, "see that the event store runs"},
		"of a cluster":          {"esdb://a:2113,b:2113", 2, "does not name one embedded event store"},
		"cut off":               {answering(t, bytesOf(bad, len(bad)+1)), 1, "run the same backup again"},
		"damaged on the way":    {answering(t, bytesOf(bad, len(bad))), 3, "the copy was removed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "shop.db")
			code, stdout, stderr := quiet(t, "store", "backup", path, "--eventstore-url", tt.url)
			if code != tt.code || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("code %d, %q: %s", code, stdout, stderr)
			}
			if exists(path) || leftover(t, path) {
				t.Error("it has left a file")
			}
		})
	}
}

func TestAnInterruptedBackupLeavesNothing(t *testing.T) {
	sent := make(chan struct{})
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		bytesOf("some", 100)(w, r)
		w.(http.Flusher).Flush()
		close(sent)
		<-r.Context().Done()
	})
	path := filepath.Join(t.TempDir(), "shop.db")
	p := start(t, "store", "backup", path, "--eventstore-url", url)
	<-sent
	p.stop()
	if code := p.end(t); code != 130 || !strings.Contains(p.stderr.String(), "run the same backup again") || exists(path) || leftover(t, path) {
		t.Errorf("code %d: %s", code, p.stderr.String())
	}
}

// TestOverlappingBackups: a second backup to the same name begins and ends while the first has half of its bytes.
func TestOverlappingBackups(t *testing.T) {
	whole, other := contents(t, stopped(t).file()), contents(t, stopped(t).file())
	half, release := make(chan struct{}), make(chan struct{})
	slow := answering(t, func(w http.ResponseWriter, r *http.Request) {
		bytesOf(other[:len(other)/2], len(other))(w, r)
		w.(http.Flusher).Flush()
		close(half)
		<-release
		if _, err := w.Write([]byte(other[len(other)/2:])); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(t.TempDir(), "shop.db")
	p := start(t, "store", "backup", path, "--eventstore-url", slow)
	<-half
	mustRun(t, "store", "backup", path, "--eventstore-url", answering(t, bytesOf(whole, len(whole))))
	close(release)
	if code := p.end(t); code != 1 || !strings.Contains(p.stderr.String(), "exists: another made it meanwhile") {
		t.Errorf("code %d: %s", code, p.stderr.String())
	}
	if contents(t, path) != whole || leftover(t, path) {
		t.Error("the file is not that of the backup which was first")
	}
}

// TestWritersOfOneFile: a second writer begins and ends within the first, as it does when the first is held up.
func TestWritersOfOneFile(t *testing.T) {
	writing := func(text string) func(*os.File) error {
		return func(f *os.File) error {
			_, err := f.WriteString(text)
			return err
		}
	}
	ready := func(string) error { return nil }
	for force, want := range map[bool]string{false: "second", true: "the first"} {
		path := filepath.Join(t.TempDir(), "events.db")
		err := writeWhole(path, force, func(f *os.File) error {
			return errors.Join(writing("the ")(f), writeWhole(path, force, writing("second"), ready), writing("first")(f))
		}, ready)
		if got := contents(t, path); got != want || (err == nil) != force || leftover(t, path) {
			t.Errorf("with force %t: %q, %v", force, got, err)
		}
	}
}

func TestBackupURL(t *testing.T) {
	for connection, want := range map[string]string{
		"esdb://127.0.0.1:2113?tls=false":         "http://127.0.0.1:2113/backup",
		"kurrentdb+discover://shop?Tls=False&x=1": "http://shop:2113/backup",
		"esdb://u:p@[::1]:9/?tls=true":            "https://u:p@[::1]:9/backup",
	} {
		if got, err := backupURL(connection); err != nil || got != want {
			t.Errorf("%s: %s, %v", connection, got, err)
		}
	}
}

// What cannot be read is not quoted, since it holds the password, or is taken for the address.
func TestBackupKeepsThePasswordToItself(t *testing.T) {
	for _, connection := range []string{
		"esdb://admin:31qx@n1:2113,n2:2113?tls=true",
		"esdb://admin:31%qx@db:2113",
		"esdb://admin:31/qx@db:2113",
		"esdb://admin:qx/31@db:2113",
		"esdb://admin:31#qx@db:2113",
		"esdb://admin:31?qx@db:2113",
		"esdb:admin:31qx@db:2113",
	} {
		code, stdout, stderr := quiet(t, "store", "backup", filepath.Join(t.TempDir(), "shop.db"), "--eventstore-url", connection)
		if code != 2 || stdout != "" || strings.Contains(stderr, "31") || strings.Contains(stderr, "qx") {
			t.Errorf("%s: code %d, %q: %s", connection, code, stdout, stderr)
		}
		wantOneLine(t, stderr, "percent-encoded", "EVENTSTORE_URL")
	}
}

// TestForceReplacesFilesOnly: what a path leads to is a file, or is left alone; a link stays what it is.
func TestForceReplacesFilesOnly(t *testing.T) {
	good := stopped(t)
	s := newShopStore(t)
	s.fill(t, 50)
	for what, make := range map[string]func(path, elsewhere string) error{
		"a pipe":   func(path, _ string) error { return syscall.Mkfifo(path, 0o600) },
		"a folder": func(path, _ string) error { return os.Mkdir(path, 0o700) },
		"a link to a pipe": func(path, elsewhere string) error {
			return errors.Join(syscall.Mkfifo(elsewhere, 0o600), os.Symlink(elsewhere, path))
		},
		"a link to nothing": func(path, elsewhere string) error { return os.Symlink(elsewhere, path) },
		"a link to a file": func(path, elsewhere string) error {
			return errors.Join(os.WriteFile(elsewhere, []byte("old"), 0o600), os.Symlink(elsewhere, path))
		},
	} {
		for _, command := range []string{"backup", "restore"} {
			t.Run(command+" "+what, func(t *testing.T) {
				data, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "shop.db")
				path := filepath.Join(data, "events.db")
				if err := make(path, elsewhere); err != nil {
					t.Fatal(err)
				}
				before, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				args := []string{"store", "backup", path, "--force", "--eventstore-url", s.url}
				if command == "restore" {
					args = []string{"store", "restore", good.file(), "--force", "--data", data}
				}
				code, _, stderr := quiet(t, args...)
				after, err := os.Lstat(path)
				if err != nil || !os.SameFile(before, after) {
					t.Errorf("%s is no longer what it was: %v", path, err)
				}
				if what == "a link to a file" {
					mustRun(t, "store", "verify", elsewhere)
				} else if code != 1 || !strings.Contains(stderr, "is no file") {
					t.Errorf("code %d: %s", code, stderr)
				}
				if leftover(t, path) || leftover(t, elsewhere) {
					t.Error("it has left a file")
				}
			})
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	good := stopped(t)
	running := newShopStore(t)
	running.put(t, "order-1", event.NoStream, proposed("{}", ""))
	closed := stopped(t)
	empty := t.TempDir()
	bad := damaged(t, good.file())
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"a store that is there":     {[]string{good.file(), "--data", closed.data}, 1, "exists: restore to another folder with --data, or replace it with --force"},
		"a running store":           {[]string{good.file(), "--data", running.data, "--force"}, 1, "stop it first"},
		"a damaged backup":          {[]string{bad, "--data", closed.data, "--force"}, 3, "restore another backup"},
		"a damaged backup to new":   {[]string{bad, "--data", empty}, 3, "restore another backup"},
		"the file of a running one": {[]string{running.file(), "--data", empty}, 1, "stop it first"},
		"no backup":                 {[]string{good.file() + "2", "--data", empty}, 2, "no such file"},
	}
	before := contents(t, closed.file())
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := quiet(t, append([]string{"store", "restore"}, tt.args...)...)
			if code != tt.code || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("code %d, %q: %s", code, stdout, stderr)
			}
		})
	}
	if contents(t, closed.file()) != before || exists(filepath.Join(empty, "events.db")) || leftover(t, closed.file()) {
		t.Error("a file has changed")
	}
	write(t, closed.file(), "what a broken disk has left")
	if out := mustRun(t, "store", "restore", good.file(), "--data", closed.data, "--force"); !strings.Contains(out, "holds the 62 events of events.db") {
		t.Errorf("it says %q", out)
	}
	if contents(t, closed.file()) != contents(t, good.file()) {
		t.Error("the restored file is not the backup")
	}
}
