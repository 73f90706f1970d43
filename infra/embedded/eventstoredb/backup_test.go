package eventstoredb

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jangbu/test/servers"
)

func getBackup(t *testing.T, s *Server) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(patient(t), http.MethodGet, "http://"+s.Addr()+"/backup", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func TestBackupOverHTTPWhileAppendsGoOn(t *testing.T) {
	s := serve(t, Config{Path: filepath.Join(t.TempDir(), "events.db")})
	c := dial(t, s.URL())
	for range 20 {
		mustAppend(t, c, "before", anyRevision, numbered(500)...)
	}
	resp := getBackup(t, s)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/octet-stream" {
		t.Fatalf("%s, %v", resp.Status, resp.Header)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	for err == nil { // an append for every part of the copy
		mustAppend(t, c, "meanwhile", anyRevision, numbered(1)...)
		var k int64
		k, err = io.CopyN(f, resp.Body, 1<<18)
		n += k
	}
	if !errors.Is(err, io.EOF) || n != resp.ContentLength {
		t.Errorf("%d bytes of %d, %v", n, resp.ContentLength, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := Verify(path); err != nil || len(r.Problems) > 0 || r.Events != 10_000 {
		t.Errorf("the copy: %+v, %v", r, err)
	}
}

func TestAFailedBackupCannotBeTakenForAWholeOne(t *testing.T) {
	t.Run("before the first byte", func(t *testing.T) {
		s := serve(t, Config{})
		if err := s.store.close(); err != nil {
			t.Fatal(err)
		}
		if resp := getBackup(t, s); resp.StatusCode != http.StatusInternalServerError {
			t.Errorf("%s", resp.Status)
		}
	})
	t.Run("after it", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "events.db")
		s := serve(t, Config{Path: path})
		mustAppend(t, dial(t, s.URL()), "s", noStream, numbered(500)...)
		st, err := s.store.stats()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, st.FileBytes-4096); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, getBackup(t, s).Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes, then %v", n, err)
		}
	})
}

// TestAReopeningCutsABackup has a backup's client read on only when the store, as after a commit that failed, is about to
// be reopened. The file is far more than a connection holds.
func TestAReopeningCutsABackup(t *testing.T) {
	s := serve(t, Config{Path: filepath.Join(t.TempDir(), "events.db"), NoSync: true})
	c := dial(t, s.URL())
	for range 48 {
		mustAppend(t, c, "s", anyRevision, newEvent("large", `"`+strings.Repeat("x", 1_000_000)+`"`))
	}
	resp := getBackup(t, s)
	reopened := make(chan error, 1)
	go func() { reopened <- s.store.reopen() }()
	servers.Eventually(t, "the store waits for the backup's end, or has cut it", func() bool {
		if s.store.mu.TryRLock() {
			s.store.mu.RUnlock()
			return len(reopened) > 0
		}
		return true
	})
	n, err := io.Copy(io.Discard, resp.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d bytes of %d, then %v; want the backup cut short", n, resp.ContentLength, err)
	}
	if err := <-reopened; err != nil {
		t.Error(err)
	}
	if got := len(mustRead(t, c, "s")); got != 48 {
		t.Errorf("%d events after it", got)
	}
}
