package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jangbu/command"
	"jangbu/domain/event"
	"jangbu/infra/eventstore"
	"jangbu/infra/web"
	"jangbu/test/servers"
)

const demo = "../test/testdata/shop"

// dev starts everything on free ports and returns its address and its event store.
func dev(t *testing.T) (url string, store *eventstore.Store) {
	t.Helper()
	p := start(t, "dev", "--data", t.TempDir(), "--http", "0", "--eventstore", "0", "--aws", "0", "--redis", "0", "--log-level", "warn")
	t.Cleanup(func() {
		p.stop()
		if code := p.end(t); code != 0 {
			t.Errorf("dev ended with %d: %s", code, p.stderr.String())
		}
	})
	url = p.wait(t, &p.stdout, "ready ")
	store, err := eventstore.Open(p.wait(t, &p.stderr, "EVENTSTORE_URL="), eventstore.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return url, store
}

// waitHealthy asks for the health of a service until it is good, which may come some time after it serves.
func waitHealthy(t *testing.T, url string) {
	t.Helper()
	servers.Until(t, url+" is healthy", func() error {
		if code, stdout, stderr := run(t, "health", url); code != 0 || stdout != "ready\n" {
			return fmt.Errorf("code %d, %s", code, stderr)
		}
		return nil
	})
}

// shopEvents is every event of the shop's own streams that clients have caused, by stream.
func shopEvents(t *testing.T, store *eventstore.Store) map[string][]event.Recorded {
	t.Helper()
	out := map[string][]event.Recorded{}
	for e, err := range store.ReadAll(t.Context(), event.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		switch category := event.Category(e.Stream); {
		case e.Meta().Actor == command.FulfilmentActor: // it goes on while nobody imports
		case category == "member", category == "product", category == "order":
			out[e.Stream] = append(out[e.Stream], e)
		}
	}
	return out
}

func wantRow(t *testing.T, table string, cells ...string) {
	t.Helper()
	for line := range strings.Lines(table) {
		if slices.Equal(strings.Fields(line), cells) {
			return
		}
	}
	t.Errorf("no row %v in\n%s", cells, table)
}

func TestImportIntoTheRunningProgram(t *testing.T) {
	url, store := dev(t)
	code, stdout, stderr := run(t, "import", demo, "--url", url)
	if code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	wantRow(t, stdout, "members", "5", "5")
	wantRow(t, stdout, "orders", "25", "25")
	if !strings.Contains(stderr, "orders        25/25  100%") {
		t.Errorf("no plain progress line in %q", stderr)
	}
	first := shopEvents(t, store)
	var placed struct{ Lines []struct{ UnitPrice int64 } }
	data := strings.ReplaceAll(string(first["order-1010"][0].Data), "_", "")
	if err := json.Unmarshal([]byte(data), &placed); err != nil || len(placed.Lines) != 1 || placed.Lines[0].UnitPrice != 1250 {
		t.Errorf("order 1010 stands as %s (%v)", first["order-1010"][0].Data, err)
	}
	if code, _, stderr := run(t, "import", demo, "--url", url); code != 0 {
		t.Fatalf("second import: code %d: %s", code, stderr)
	}
	second := shopEvents(t, store)
	if len(first) != 5+8+25 || len(second) != len(first) {
		t.Errorf("%d streams after the first import, %d after the second", len(first), len(second))
	}
	for stream, events := range second {
		if len(events) != len(first[stream]) {
			t.Errorf("%s had %d events, and has %d after the second import", stream, len(first[stream]), len(events))
		}
	}
}

func TestServicesApart(t *testing.T) {
	stack := start(t, "stack", "--data", t.TempDir(), "--eventstore", "0", "--aws", "0", "--redis", "0", "--log-level", "warn")
	command := start(t, "command", "--http", "0", "--log-level", "warn",
		"--eventstore-url", stack.wait(t, &stack.stderr, "EVENTSTORE_URL="))
	url := command.wait(t, &command.stdout, "ready ")
	waitHealthy(t, url)
	servers := []string{"--http", "0", "--log-level", "warn", "--eventstore-url", stack.wait(t, &stack.stderr, "EVENTSTORE_URL="),
		"--redis-url", stack.wait(t, &stack.stderr, "REDIS_URL="), "--aws-endpoint-url", stack.wait(t, &stack.stderr, "AWS_ENDPOINT_URL=")}
	projector := start(t, append([]string{"projector"}, servers...)...)
	fulfilment := start(t, append([]string{"fulfilment"}, servers...)...)
	waitHealthy(t, projector.wait(t, &projector.stdout, "ready "))
	waitHealthy(t, fulfilment.wait(t, &fulfilment.stdout, "ready "))
	if code, _, stderr := run(t, "import", demo, "--url", url); code != 0 {
		t.Errorf("import: code %d, %s", code, stderr)
	}
	for _, p := range []*program{fulfilment, projector, command, stack} {
		p.stop()
		if code := p.end(t); code != 0 {
			t.Errorf("code %d, %s", code, p.stderr.String())
		}
	}
}

func TestImportOfABadFolder(t *testing.T) {
	url, _ := dev(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(demo)); err != nil {
		t.Fatal(err)
	}
	lines := filepath.Join(dir, "lines.csv")
	data, err := os.ReadFile(lines)
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(data), "1001,P-1,4.99,10,0", "1001,P-1,4.99,ten,0", 1)
	if err := os.WriteFile(lines, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := run(t, "import", dir, "--url", url)
	if code != 1 {
		t.Errorf("code %d", code)
	}
	wantRow(t, stdout, "orders", "24", "24")
	for _, want := range []string{lines + `:2: quantity: "ten" is not`, "order 1001 is left out because of " + lines + ":2", "jangbu: 2 problems, listed above"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr does not say %q:\n%s", want, stderr)
		}
	}
	if err := os.WriteFile(lines, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, "import", dir, "--url", url); code != 0 {
		t.Errorf("corrected: code %d, %s", code, stderr)
	}
}

func TestImportThatCannotBegin(t *testing.T) {
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	tests := map[string]struct {
		args []string
		want []string
	}{
		"another service": {[]string{demo, "--url", other.URL}, []string{other.URL + " answers POST /batch with 404 Not Found: is that jangbu's command API? see --url"}},
		"no server":       {[]string{demo, "--url", away.URL, "--patience", "20ms"}, []string{"refused", "run the same import again to resume"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := run(t, append([]string{"import"}, tt.args...)...)
			if code != 1 || stdout != "" {
				t.Errorf("code %d, stdout %q", code, stdout)
			}
			wantOneLine(t, stderr, tt.want...)
		})
	}
}

func TestAnInterruptedImportSaysHowToResume(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil { // only then does the server notice that the client has gone
			t.Log(err)
		}
		interrupt()
		<-r.Context().Done()
	}))
	defer srv.Close()
	var stdout, stderr output
	if code := Run(ctx, []string{"import", demo, "--url", srv.URL}, &stdout, &stderr); code != 130 {
		t.Errorf("code %d", code)
	}
	wantOneLine(t, stderr.String(), "interrupted", "again to resume")
}

func TestHealthOfAServiceThatIsNotReady(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(503)
		w.Write([]byte("{\"checks\":\n  \"redis is away\"}"))
	}))
	defer srv.Close()
	code, _, stderr := run(t, "health", srv.URL+"/")
	if code != 1 {
		t.Errorf("code %d", code)
	}
	wantOneLine(t, stderr, "not ready", "503", "redis is away")
	srv.Close()
	if code, _, stderr = run(t, "health", srv.URL); code != 1 {
		t.Errorf("code %d", code)
	}
	wantOneLine(t, stderr, "not ready", "refused")
}

// TestHealthNamesEveryRedCheck, however long the answer is, and leaves out the green ones.
func TestHealthNamesEveryRedCheck(t *testing.T) {
	health := web.NewHealth(time.Now, slog.New(slog.DiscardHandler))
	srv := httptest.NewServer(web.New(web.Config{Health: health}))
	defer srv.Close()
	health.Set("generations", nil)
	var want []string
	for i := range 40 {
		name := fmt.Sprintf("queue %02d", i)
		health.Set(name, errors.New("it is away:\n"+strings.Repeat("x", 200)))
		want = append(want, "; "+name+" since ")
	}
	want[0] = srv.URL + "/readyz: queue 00 since "
	code, stdout, stderr := run(t, "health", srv.URL)
	if code != 1 || stdout != "" || strings.Contains(stderr, "generations") {
		t.Errorf("code %d, %q, %s", code, stdout, stderr)
	}
	wantOneLine(t, stderr, append(want, ": it is away")...)
}

func TestCommandStartsWithoutItsStore(t *testing.T) {
	p := start(t, "command", "--http", "0", "--eventstore-url", "esdb://127.0.0.1:1?tls=false", "--log-level", "error")
	url := p.wait(t, &p.stdout, "ready ")
	if code, _, stderr := run(t, "health", url); code != 1 || !strings.Contains(stderr, "eventstore") {
		t.Errorf("health: code %d, %s", code, stderr)
	}
	p.stop()
	if code := p.end(t); code != 0 {
		t.Errorf("code %d, %s", code, p.stderr.String())
	}
	code, _, stderr := run(t, "command", "--http", "0", "--eventstore-url", "postgres://x")
	if code != 2 {
		t.Errorf("code %d", code)
	}
	wantOneLine(t, stderr, "EVENTSTORE_URL")
}
