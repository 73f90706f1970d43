// Package conformance runs the tests of EventStoreDB's official Go client, unchanged, against the embedded server.
package conformance

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	// Pins the version of the client whose tests are run.
	_ "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"jangbu/infra/embedded/eventstoredb"
)

const client = "github.com/EventStore/EventStore-Client-Go/v4"

//go:embed testdata/containers_test.go.txt
var containers []byte

// notServed are the tests that cannot pass, by name, and why. Every other test of the client must pass.
var notServed = map[string]string{
	"TestPersistentSubscriptions":     "persistent subscriptions are not served",
	"TestProjections":                 "projections in JavaScript are not served",
	"TestPlugins":                     "TLS and user certificates are not served",
	"TestStreams/AuthenticationTests": "it creates persistent subscriptions",
}

// skippedByClient are the tests that the client itself skips against a server without TLS.
var skippedByClient = map[string]bool{
	"TestStreams/AppendTests/appendToSystemStreamWithIncorrectCredentials": true,
	"TestStreams/ReadStreamTests/readStreamWithCredentialsOverride":        true,
}

func TestOfficialClient(t *testing.T) {
	source, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", client).Output()
	if err != nil {
		t.Fatalf("find the client's source: %v", err)
	}
	dir := t.TempDir()
	copyModule(t, strings.TrimSpace(string(source)), dir)
	if err := os.WriteFile(filepath.Join(dir, "esdb", "containers_test.go"), containers, 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"GOFLAGS=-mod=mod", "GOTOOLCHAIN=local", "GOWORK=off"}
	fetch(t, dir, env, "go", "list", "-test", "-deps", "./esdb")
	control := httptest.NewServer(starter(t, filepath.Join(dir, "resources", "test")))
	defer control.Close()

	var skip []string
	for name := range notServed {
		parts := strings.Split(name, "/")
		for i := range parts {
			parts[i] = "^" + parts[i] + "$"
		}
		skip = append(skip, strings.Join(parts, "/"))
	}
	cmd := exec.Command("go", "test", "-json", "-count=1", "-timeout=5m", "-skip", strings.Join(skip, "|"), "./esdb")
	cmd.Dir = dir
	cmd.Env = slices.Concat(os.Environ(), env, []string{"JANGBU_CONTROL=" + control.URL})
	out, err := cmd.CombinedOutput()
	judge(t, out, err)
}

// fetch runs a command that downloads, three times at most, since a registry may fail now and then.
func fetch(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	for try := 1; ; try++ {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Env = dir, slices.Concat(os.Environ(), env)
		out, err := cmd.CombinedOutput()
		if err == nil {
			return
		}
		if try == 3 {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
	}
}

// judge holds the outcome of each of the client's tests against what is expected of it.
func judge(t *testing.T, out []byte, failure error) {
	t.Helper()
	passed := 0
	output := map[string]*strings.Builder{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			t.Log(lines.Text()) // of the compiler
			continue
		}
		if output[e.Test] == nil {
			output[e.Test] = &strings.Builder{}
		}
		switch e.Action {
		case "output":
			output[e.Test].WriteString(e.Output)
		case "pass":
			if e.Test != "" {
				passed++
			}
		case "skip":
			if !skippedByClient[e.Test] {
				t.Errorf("%s was skipped: %s", e.Test, output[e.Test])
			}
		case "fail":
			t.Errorf("%s failed: %s", e.Test, output[e.Test])
		}
	}
	if failure != nil && !t.Failed() {
		t.Errorf("go test: %v", failure)
	}
	t.Logf("%d of the client's tests passed", passed)
	if passed < 60 {
		t.Errorf("only %d tests ran", passed)
	}
}

// starter starts a server for whoever asks and answers its address.
func starter(t *testing.T, resources string) http.Handler {
	start := func(w http.ResponseWriter, cfg eventstoredb.Config) {
		s, err := eventstoredb.Start(cfg)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		_, _ = io.WriteString(w, s.Addr())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /empty", func(w http.ResponseWriter, _ *http.Request) { start(w, eventstoredb.Config{}) })
	made := 0
	mux.HandleFunc("POST /populated", func(w http.ResponseWriter, r *http.Request) {
		made++
		path := filepath.Join(t.TempDir(), fmt.Sprintf("populated-%d.db", made))
		if err := populate(r.Context(), path, resources); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		start(w, eventstoredb.Config{Path: path})
	})
	return mux
}

func populate(ctx context.Context, path, resources string) error {
	events, err := dataset(resources)
	if err != nil {
		return err
	}
	var sequence iter.Seq2[eventstoredb.Event, error] = func(yield func(eventstoredb.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}
	_, err = eventstoredb.Import(ctx, path, sequence)
	return err
}

// copyModule copies a module out of the module cache, whose files cannot be overlaid.
func copyModule(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatalf("copy the client: %v", err)
	}
	err := filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	})
	if err != nil {
		t.Fatalf("make the copy writable: %v", err)
	}
}
