package e2e_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jangbu/test/program"
	"jangbu/test/servers"
	"jangbu/test/shopgen"
)

const manyEvents = 100_000

// A shop of many events starts with its views whole from the first answer on: from its log alone, as after a kill; from the
// snapshot that a clean stop leaves; and from a snapshot that is older than the log. How long each takes, and how much memory, is
// logged, to be held against 3 s and 400 MB.
func TestStartWithManyEvents(t *testing.T) {
	long(t, "it writes 100,000 events")
	filling := time.Now()
	data := program.Filled(t, shopgen.Config{Seed: 1, Events: manyEvents})
	t.Logf("written in %.1f s", time.Since(filling).Seconds())

	startWhole(t, "from the log", data).Stop(t)
	snapshot := filepath.Join(data, "views.snapshot")
	kept, err := os.ReadFile(snapshot)
	if err != nil {
		t.Fatalf("a clean stop left no snapshot: %v", err)
	}
	dev := startWhole(t, "from a snapshot", data)
	if _, err := os.Stat(snapshot); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the snapshot is still there after it was used (err %v)", err)
	}
	place(t, dev)
	dev.Kill(t)
	if err := os.WriteFile(snapshot, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	startWhole(t, "from a snapshot older than the log", data).Kill(t)
}

// startWhole starts dev and compares its views, as they are when it says that it is ready, with the fold of the log.
func startWhole(t *testing.T, how, data string) *program.Program {
	t.Helper()
	began := time.Now()
	dev := program.AsProcess(t, "dev", "--data", data, "--http", "0", "--eventstore", "0", "--aws", "0", "--redis", "0", "--log-level", "warn")
	url := dev.Ready(t)
	t.Logf("%s: ready in %.2f s, VmRSS %d MB, VmHWM %d MB", how, time.Since(began).Seconds(), dev.Memory("VmRSS"), dev.Memory("VmHWM"))

	s := &shop{command: url, query: url, health: []string{url}, programs: map[string]*program.Program{"dev": dev},
		eventstore: dev.Line(t, &dev.Stderr, "EVENTSTORE_URL="), redis: dev.Line(t, &dev.Stderr, "REDIS_URL=")}
	if a := s.get(t, "/sales/months"); a.status != 200 || !strings.Contains(a.body, "2020-01") {
		t.Errorf("the first answer: %s", a)
	}
	s.connect(t)
	log := s.readLog(t)
	if len(log) < manyEvents {
		t.Fatalf("%d events", len(log))
	}
	want, documents := fold(t, log, 300)
	s.wantViews(t, want)
	for name, line := range s.views(t) {
		if line.Documents != documents[name] || line.LagEvents != 0 {
			t.Errorf("view %s: %+v, want %d documents", name, line, documents[name])
		}
	}
	return dev
}

// place adds a member and waits until it is seen.
func place(t *testing.T, dev *program.Program) {
	t.Helper()
	s := &shop{command: dev.Ready(t), query: dev.Ready(t)}
	made := s.post(t, "/members", `{"id":"late","name":"Late"}`)
	if made.status != 201 {
		t.Fatalf("a member: %s", made)
	}
	servers.Eventually(t, "the member is seen", func() bool { return s.get(t, "/members/late").status == 200 })
}
