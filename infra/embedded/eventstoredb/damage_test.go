package eventstoredb

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
)

// written is a closed store of some events, and their ids in the order of the log.
func written(t *testing.T, path string, appends, each int) (ids []string) {
	t.Helper()
	s, err := Start(Config{Path: path, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s.URL())
	for i := range appends {
		events := make([]esdb.EventData, each)
		for k := range events {
			events[k] = newEvent("e", fmt.Sprintf(`{"number":"%06d"}`, i*each+k))
			ids = append(ids, events[k].EventID.String())
		}
		mustAppend(t, c, fmt.Sprintf("s-%d", i%10), anyRevision, events...)
	}
	_ = c.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestDamagedEventIsNeverServed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	written(t, path, 100, 100)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for at := 0; ; found++ { // in every page that holds the event, old copies included
		i := bytes.Index(file[at:], []byte(`{"number":"000042"}`))
		if i < 0 {
			break
		}
		at += i + 13
		file[at] ^= 1
	}
	if found == 0 {
		t.Fatal("the event to damage is not in the file")
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := Verify(path)
	if err != nil || len(report.Problems) != 1 {
		t.Errorf("verify: %+v, %v; want one problem", report, err)
	}
	c := dial(t, serve(t, Config{Path: path}).URL())
	events, err := collect(c.ReadAll(patient(t), esdb.ReadAllOptions{From: esdb.Start{}}, 1<<40))
	if rpcCode(err) != codes.DataLoss || len(events) > 42 {
		t.Errorf("read %d events and %v, want to stop before the damage with DataLoss", len(events), err)
	}
	if _, err := readStream(t, c, "s-0", esdb.ReadStreamOptions{}, 1000); rpcCode(err) != codes.DataLoss {
		t.Errorf("the damaged stream read as %v", err)
	}
	if got := len(mustRead(t, c, "s-1")); got != 1000 {
		t.Errorf("a stream beside the damage has %d events", got)
	}
}

func TestTruncatedFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	written(t, path, 50, 100)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{info.Size() / 4, 8192, 4096, 100} {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if s, err := Start(Config{Path: path}); !errors.Is(err, ErrDamaged) {
			if err == nil {
				_ = s.Close()
			}
			t.Errorf("a file cut to %d bytes: %v", size, err)
		}
		if _, err := Verify(path); !errors.Is(err, ErrDamaged) {
			t.Errorf("verify of a file cut to %d bytes: %v", size, err)
		}
	}
}

// TestRandomDamage overwrites parts of the file at random. Whatever is hit, nothing may panic, hang, or be served
// that was not written; and what is missing from a full read must be known to Verify.
func TestRandomDamage(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	dir := t.TempDir()
	ids := written(t, filepath.Join(dir, "whole.db"), 30, 20)
	whole, err := os.ReadFile(filepath.Join(dir, "whole.db"))
	if err != nil {
		t.Fatal(err)
	}
	used := bytes.LastIndex(whole, []byte(`{"number":`)) + 4096
	outcomes := map[string]int{}
	for seed := range uint64(rounds) {
		random := rand.New(rand.NewPCG(seed, 7))
		file := slices.Clone(whole)
		for range 1 + random.IntN(8) {
			at := random.IntN(min(used, len(file)) - 64)
			for i := range 1 + random.IntN(64) {
				file[at+i] = byte(random.IntN(256))
			}
		}
		path := filepath.Join(dir, fmt.Sprintf("damaged-%d.db", seed))
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		outcomes[readDamaged(t, seed, path, ids)]++
	}
	t.Logf("%v", outcomes)
}

func readDamaged(t *testing.T, seed uint64, path string, ids []string) string {
	t.Helper()
	report, verified := Verify(path)
	s, err := Start(Config{Path: path, NoSync: true})
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("seed %d: start: %v", seed, err)
		}
		return "refused at start"
	}
	c := dial(t, s.URL())
	defer func() {
		_ = c.Close()
		if err := s.Close(); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("seed %d: close: %v", seed, err)
		}
	}()
	events, err := collect(c.ReadAll(patient(t), esdb.ReadAllOptions{From: esdb.Start{}}, 1<<40))
	var got []string
	for _, e := range events {
		got = append(got, e.Event.EventID.String())
	}
	for _, id := range got {
		if !slices.Contains(ids, id) {
			t.Fatalf("seed %d: event %s was never written", seed, id)
		}
	}
	if err == nil && !slices.Equal(got, ids) && verified == nil && len(report.Problems) == 0 {
		t.Errorf("seed %d: %d of %d events were read and neither the read nor Verify noticed", seed, len(got), len(ids))
	}
	_, _ = c.AppendToStream(patient(t), "s-1", anyRevision, numbered(1)...)
	switch {
	case err != nil:
		return "found by reading"
	case verified != nil || len(report.Problems) > 0:
		return "found by Verify"
	}
	return "harmless"
}
