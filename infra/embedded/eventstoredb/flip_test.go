package eventstoredb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"go.etcd.io/bbolt"
	"google.golang.org/grpc/codes"

	"jangbu/test/race"
)

// TestOneBitOfIndexOrNames flips single bits in the keys and values of the index and of the names, those of branch pages
// included. Whatever is read then must be what is read of the whole file, or end with DataLoss; so must what is read
// after each stream has been offered one more event.
func TestOneBitOfIndexOrNames(t *testing.T) {
	rounds := race.Fewer(60)
	if testing.Short() {
		rounds = 10
	}
	dir := t.TempDir()
	names := writeVaried(t, filepath.Join(dir, "whole.db"))
	whole, err := os.ReadFile(filepath.Join(dir, "whole.db"))
	if err != nil {
		t.Fatal(err)
	}
	places := keysAndValues(t, filepath.Join(dir, "whole.db"))
	open := func(t *testing.T, file []byte) *esdb.Client {
		t.Helper()
		path := filepath.Join(t.TempDir(), "flipped.db")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		return dial(t, serve(t, Config{Path: path, NoSync: true}).URL())
	}
	sound := open(t, whole)
	before := readings(t, sound, names)
	accepted := offer(t, sound, names)
	after := readings(t, sound, names)
	noticed := 0
	for seed := range uint64(rounds) {
		random := rand.New(rand.NewPCG(seed, 11))
		of := places[random.IntN(len(places))]
		at, bit := of.at+random.IntN(of.len), random.IntN(8)
		t.Run(fmt.Sprintf("%d: bit %d of byte %d, %s", seed, bit, at, of.what), func(t *testing.T) {
			file := slices.Clone(whole)
			file[at] ^= 1 << bit
			c := open(t, file)
			got := readings(t, c, names)
			for name, want := range before {
				if !got[name].rightOrDamaged(want) {
					t.Errorf("%s: read %v, want %v", name, got[name], want)
				}
				if got[name].err == codes.DataLoss.String() {
					noticed++
				}
			}
			taken := offer(t, c, names)
			got = readings(t, c, names)
			for name := range after {
				stream, _, _ := strings.Cut(name, ":")
				want := after[name]
				if taken[stream] != nil {
					want = before[name]
				}
				if code := rpcCode(taken[stream]); code != rpcCode(accepted[stream]) && code != codes.DataLoss {
					t.Errorf("%s: an append ended with %v, want %v", stream, taken[stream], accepted[stream])
				}
				if !got[name].rightOrDamaged(want) {
					t.Errorf("%s: read %v after an append (%v), want %v", name, got[name], taken[stream], want)
				}
			}
		})
	}
	if noticed == 0 {
		t.Error("no flip was noticed")
	}
}

// writeVaried is a closed store of streams of several lengths, some with metadata, deleted or tombstoned, that takes
// several pages of index and of names. It returns their names, and some that no stream has.
func writeVaried(t *testing.T, path string) (names []string) {
	t.Helper()
	s, err := Start(Config{Path: path, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s.URL())
	for i := range 160 {
		names = append(names, fmt.Sprintf("s-%d", 2*i))
		mustAppend(t, c, names[i], noStream, numbered(1+i%5)...)
		switch i % 8 {
		case 1:
			var m esdb.StreamMetadata
			m.SetMaxCount(2)
			_, err = c.SetStreamMetadata(patient(t), names[i], esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, m)
		case 3:
			_, err = c.DeleteStream(patient(t), names[i], esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}})
		case 5:
			_, err = c.TombstoneStream(patient(t), names[i], esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = c.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return append(names, "s-", "s-1", "s-161", "s-3190", "s-99", "t")
}

// part is a key or a value in the file.
type part struct {
	what    string
	at, len int
}

// keysAndValues finds the keys and values of the index and the names, in leaves and in the branches above them.
func keysAndValues(t *testing.T, path string) (parts []part) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	add := func(what string, b []byte) {
		parts = append(parts, part{what, int(uintptr(unsafe.Pointer(&b[0])) - db.Info().Data), len(b)})
	}
	err = db.View(func(tx *bbolt.Tx) error {
		file, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, name := range [][]byte{bucketIndex, bucketStreams} {
			b := tx.Bucket(name)
			if err := b.ForEach(func(k, v []byte) error {
				add("a key of "+string(name), k)
				add("a value of "+string(name), v)
				return nil
			}); err != nil {
				return err
			}
			at := int(b.Root()) * db.Info().PageSize
			if file[at+8] != 1 { // bbolt's page header: id, flags, count, overflow; then its branch elements
				return fmt.Errorf("the root page of %s is no branch", name)
			}
			for i := range int(binary.LittleEndian.Uint16(file[at+10:])) {
				e := at + 16 + 16*i
				p := part{"a key of a branch of " + string(name),
					e + int(binary.LittleEndian.Uint32(file[e:])), int(binary.LittleEndian.Uint32(file[e+4:]))}
				for range 5 { // they are few
					parts = append(parts, p)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

// offered is the type of the events that offer appends, which stands for their ids.
const offered = "offered"

// reading is what one read gave.
type reading struct {
	ids []string
	err string
}

func (r reading) rightOrDamaged(want reading) bool {
	if r.err == codes.DataLoss.String() {
		return len(r.ids) <= len(want.ids) && slices.Equal(r.ids, want.ids[:len(r.ids)])
	}
	return r.err == want.err && slices.Equal(r.ids, want.ids)
}

// readings reads each stream in several ways.
func readings(t *testing.T, c *esdb.Client, names []string) map[string]reading {
	t.Helper()
	all := map[string]reading{}
	for _, name := range names {
		for how, read := range map[string]struct {
			o     esdb.ReadStreamOptions
			count uint64
		}{
			"whole":        {esdb.ReadStreamOptions{}, 1 << 40},
			"one from two": {esdb.ReadStreamOptions{From: esdb.Revision(2)}, 1},
			"two from end": {esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, 2},
		} {
			events, err := readStream(t, c, name, read.o, read.count)
			r := reading{}
			for _, e := range events {
				if e.Event.EventType == offered {
					r.ids = append(r.ids, offered)
				} else {
					r.ids = append(r.ids, e.Event.EventID.String())
				}
			}
			var known *esdb.Error
			switch {
			case rpcCode(err) == codes.DataLoss:
				r.err = codes.DataLoss.String()
			case errors.As(err, &known):
				r.err = fmt.Sprint(known.Code())
			case err != nil:
				r.err = err.Error()
			}
			all[name+": "+how] = r
		}
	}
	return all
}

// offer appends an event to each stream and says what came of it.
func offer(t *testing.T, c *esdb.Client, names []string) map[string]error {
	t.Helper()
	outcomes := map[string]error{}
	for _, name := range names {
		_, outcomes[name] = c.AppendToStream(patient(t), name, anyRevision, newEvent(offered, `{}`))
	}
	return outcomes
}
