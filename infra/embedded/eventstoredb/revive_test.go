//go:build unix

package eventstoredb

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"go.etcd.io/bbolt"
	"google.golang.org/grpc/codes"
)

// TestStoreComesUpWithoutAWrite has the file vanish while the store is down, and come back. Nobody writes meanwhile.
func TestStoreComesUpWithoutAWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	s := serve(t, Config{Path: path})
	c := dial(t, s.URL())
	mustAppend(t, c, "s", noStream, numbered(3)...)
	bells := []*bell{s.writer.hub.hang(""), s.writer.hub.hang("s")}
	if err := os.Rename(path, path+".gone"); err != nil {
		t.Fatal(err)
	}
	s.store.takeDown()
	if err := s.store.reopen(); err == nil { // as the writer tries again and again
		t.Error("a store was reopened without its file")
	}
	if _, err := readStream(t, c, "s", esdb.ReadStreamOptions{}, 10); rpcCode(err) != codes.Unavailable {
		t.Errorf("a store without its file read as %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the file that vanished was created anew: %v", err)
	}
	if err := os.Rename(path+".gone", path); err != nil {
		t.Fatal(err)
	}
	for _, b := range bells {
		select {
		case <-b.rung:
		case <-time.After(patience):
			t.Fatalf("the waiter of %q was not woken", b.stream)
		}
	}
	if got := revisions(mustRead(t, c, "s")); !slices.Equal(got, upTo(0, 2)) {
		t.Errorf("revisions %v, want all three", got)
	}
	mustAppend(t, c, "s", exactly(2), numbered(1)...)
}

func TestReopenSyncsTheRoots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	s, err := openStore(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1e9, 0)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if err := s.reopen(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.ModTime().Equal(old) {
		t.Errorf("a reopened file was not written to: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("reopening has changed what the file says: %v", err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.reopen(); !errors.Is(err, ErrDamaged) || !s.down() {
		t.Errorf("an empty file was reopened: %v", err)
	}
}

// TestDamageConcernsItsRequestAlone writes one batch in which one request meets a damaged record.
func TestDamageConcernsItsRequestAlone(t *testing.T) {
	s, err := openStore("", true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	deleteAll := func(names ...string) (errs []error) {
		w, err := newWriter(s, newHub(), time.Now, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		var batch []*request
		for _, name := range names {
			batch = append(batch, &request{ctx: context.Background(), kind: writeDelete, stream: name,
				expect: expectation{kind: expectAny}, done: make(chan outcome, 1)})
		}
		w.write(batch)
		for _, r := range batch {
			errs = append(errs, (<-r.done).err)
		}
		return errs
	}
	deleteAll("bad")
	err = s.db.Update(func(tx *bbolt.Tx) error { // the only event: the metadata that deletes it
		k, v := tx.Bucket(bucketLog).Cursor().First()
		v = bytes.Clone(v)
		v[len(v)-1] ^= 1
		return tx.Bucket(bucketLog).Put(bytes.Clone(k), v)
	})
	if err != nil {
		t.Fatal(err)
	}
	errs := deleteAll("first", "bad", "last")
	if errs[0] != nil || !errors.Is(errs[1], ErrDamaged) || errs[2] != nil {
		t.Errorf("outcomes %v, want only the second to fail, of damage", errs)
	}
}
