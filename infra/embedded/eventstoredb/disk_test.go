//go:build unix

package eventstoredb

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
)

// TestFirstStartOnAFullDisk fails to create the file, then starts with room.
func TestFirstStartOnAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []string{"100", "5000", "10000", "20000"} {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childPath+"="+path, childLimit+"="+limit)
		if out, err := cmd.CombinedOutput(); err == nil || strings.Contains(string(out), ErrDamaged.Error()) {
			t.Errorf("a start with room for %s bytes: %v, %s", limit, err, out)
		}
	}
	c := dial(t, serve(t, Config{Path: path}).URL())
	mustAppend(t, c, "s", noStream, numbered(1)...)
}

// TestFullDisk fills the file up to a limit that the operating system enforces, then lifts the limit.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	c := startChild(t, path, childLimit+"=20000000")
	client := dialRaw(t, c.addr)
	var known []acked
	total := 0
	for {
		a, err := appendRaw(patient(t), client, "s-1", 100)
		if err != nil {
			if rpcCode(err) != codes.Internal {
				t.Fatalf("append to a full disk: %v", err)
			}
			break
		}
		total += len(a.ids)
		if known = append(known, a); len(known) > 5000 {
			t.Fatal("the limit was never reached")
		}
	}
	if _, err := appendRaw(patient(t), client, "s-2", 50); rpcCode(err) != codes.Internal {
		t.Fatalf("second append to a full disk: %v", err)
	}
	checkLog(t, client, known)

	if err := c.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if line := c.line(t); line != "raised" {
		t.Fatalf("the child says %q", line)
	}
	a, err := appendRaw(patient(t), client, "s-1", 50)
	if err != nil {
		t.Fatalf("append after room was made: %v", err)
	}
	known, total = append(known, a), total+len(a.ids)
	checkLog(t, client, known)
	c.kill()
	if report, err := Verify(path); err != nil || len(report.Problems) > 0 || report.Events != uint64(total) {
		t.Errorf("verify: %+v, %v; want %d events", report, err, total)
	}
}
