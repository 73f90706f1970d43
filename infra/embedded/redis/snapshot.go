package redis

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A snapshot is the magic, a label, a record a key, and the end: an empty type with a checksum (CRC-32C) of all before it. A record
// is the key's type, its name, its TTL in milliseconds (0 for none), and its elements: one for a string, field and value
// in turn for a hash, members for a set, member and score for a sorted set. Numbers are varints, strings length and bytes.
const magic = "jangbu redis snapshot 1\n"

// ErrSnapshot says that a file is no snapshot, or not a whole one.
var ErrSnapshot = errors.New("not a whole snapshot")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Save writes all data to a file, whole or not at all, with a label. It may be called after Close, when nobody can write any more; of
// what is written during a Save, some keys may be in the snapshot and others not.
func (s *Server) Save(path, label string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("save redis: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("save redis: %w", err), f.Close(), os.Remove(f.Name()))
		}
	}()
	w := &snapshotWriter{w: bufio.NewWriterSize(f, 1<<16), sum: crc32.New(castagnoli)}
	w.raw([]byte(magic))
	w.string(label)
	for _, key := range s.mini.Keys() {
		if err := s.saveKey(w, key); err != nil {
			return err
		}
	}
	w.string("")
	w.number(uint64(w.sum.Sum32()))
	if err := errors.Join(w.err, w.w.Flush(), f.Sync()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return f.Close()
}

func (s *Server) saveKey(w *snapshotWriter, key string) error {
	kind := s.mini.Type(key)
	elements, err := s.elements(kind, key)
	if err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	w.string(kind)
	w.string(key)
	w.number(uint64(s.mini.TTL(key).Milliseconds()))
	w.number(uint64(len(elements)))
	for _, e := range elements {
		w.string(e)
	}
	return w.err
}

func (s *Server) elements(kind, key string) ([]string, error) {
	switch kind {
	case "string":
		value, err := s.mini.Get(key)
		return []string{value}, err
	case "hash":
		fields, err := s.mini.HKeys(key)
		elements := make([]string, 0, 2*len(fields))
		for _, field := range fields {
			elements = append(elements, field, s.mini.HGet(key, field))
		}
		return elements, err
	case "set":
		return s.mini.Members(key)
	case "zset":
		members, err := s.mini.SortedSet(key)
		elements := make([]string, 0, 2*len(members))
		for member, score := range members {
			bits := binary.BigEndian.AppendUint64(nil, math.Float64bits(score))
			elements = append(elements, member, string(bits))
		}
		return elements, err
	}
	return nil, fmt.Errorf("a %s cannot be saved", kind)
}

// Label reads the label of a snapshot, and no more of it. A file that does not begin like one is ErrSnapshot; one that is
// not there is fs.ErrNotExist.
func Label(path string) (label string, err error) {
	err = read(path, func(r *snapshotReader) error {
		label, err = r.label()
		return err
	})
	return label, err
}

// Load reads a snapshot into an empty server. A file that is not a whole snapshot is ErrSnapshot, and leaves the server
// empty; one that is not there is fs.ErrNotExist.
func (s *Server) Load(path string) error {
	err := read(path, s.load)
	if err != nil {
		s.mini.FlushAll()
	}
	return err
}

func read(path string, with func(*snapshotReader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("load redis: %w", err)
	}
	defer f.Close()
	if err := with(&snapshotReader{r: bufio.NewReaderSize(f, 1<<16), sum: crc32.New(castagnoli)}); err != nil {
		return fmt.Errorf("load redis from %s: %w: %w", path, ErrSnapshot, err)
	}
	return nil
}

func (s *Server) load(r *snapshotReader) error {
	if _, err := r.label(); err != nil {
		return err
	}
	for {
		kind := r.string()
		if kind == "" {
			break
		}
		if err := s.loadKey(r, kind); err != nil {
			return err
		}
	}
	sum := uint64(r.sum.Sum32())
	if got := r.number(); r.err == nil && got != sum {
		return errors.New("its checksum is wrong")
	}
	return r.err
}

func (s *Server) loadKey(r *snapshotReader, kind string) error {
	key, ttl, n := r.string(), r.number(), r.number()
	if n > 1<<32 {
		return fmt.Errorf("key %q has %d elements", key, n)
	}
	elements := make([]string, 0, min(n, 1<<20))
	for range n {
		if r.err != nil {
			return r.err
		}
		elements = append(elements, r.string())
	}
	if r.err != nil {
		return r.err
	}
	if err := s.put(kind, key, elements); err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	if ttl > 0 {
		s.mini.SetTTL(key, time.Duration(ttl)*time.Millisecond)
	}
	return nil
}

func (s *Server) put(kind, key string, elements []string) error {
	switch {
	case kind == "string" && len(elements) == 1:
		return s.mini.Set(key, elements[0])
	case kind == "hash" && len(elements)%2 == 0:
		s.mini.HSet(key, elements...)
		return nil
	case kind == "set":
		_, err := s.mini.SAdd(key, elements...)
		return err
	case kind == "zset" && len(elements)%2 == 0:
		for i := 0; i < len(elements); i += 2 {
			if len(elements[i+1]) != 8 {
				return errors.New("a score is damaged")
			}
			score := math.Float64frombits(binary.BigEndian.Uint64([]byte(elements[i+1])))
			if _, err := s.mini.ZAdd(key, score, elements[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%d elements make no %q", len(elements), kind)
}

// snapshotWriter writes and sums; its first error stays.
type snapshotWriter struct {
	w   *bufio.Writer
	sum hash.Hash32
	err error
}

func (w *snapshotWriter) raw(b []byte) {
	if w.err == nil {
		_, w.err = w.w.Write(b)
		_, _ = w.sum.Write(b) // never fails
	}
}

func (w *snapshotWriter) number(n uint64) {
	var buf [binary.MaxVarintLen64]byte
	w.raw(buf[:binary.PutUvarint(buf[:], n)])
}

func (w *snapshotWriter) string(s string) {
	w.number(uint64(len(s)))
	w.raw([]byte(s))
}

// snapshotReader reads and sums; after its first error it yields nothing more.
type snapshotReader struct {
	r   *bufio.Reader
	sum hash.Hash32
	one [1]byte
	buf []byte // for all strings: garbage between them would leave the heap full of holes
	err error
}

// ReadByte makes it an io.ByteReader.
func (r *snapshotReader) ReadByte() (byte, error) {
	var err error
	if r.one[0], err = r.r.ReadByte(); err == nil {
		_, _ = r.sum.Write(r.one[:]) // never fails
	}
	return r.one[0], err
}

func (r *snapshotReader) number() uint64 {
	if r.err != nil {
		return 0
	}
	var n uint64
	n, r.err = binary.ReadUvarint(r)
	return n
}

// raw is good until the next call.
func (r *snapshotReader) raw(n int) []byte {
	if r.err != nil {
		return nil
	}
	r.buf = slices.Grow(r.buf[:0], n)
	b := r.buf[:n]
	if _, r.err = io.ReadFull(r.r, b); r.err != nil {
		return nil
	}
	_, _ = r.sum.Write(b) // never fails
	return b
}

// label reads how a snapshot begins.
func (r *snapshotReader) label() (string, error) {
	if got := string(r.raw(len(magic))); got != magic {
		return "", fmt.Errorf("it begins with %q", got)
	}
	return r.string(), r.err
}

func (r *snapshotReader) string() string {
	n := r.number()
	if n > 1<<30 && r.err == nil {
		r.err = fmt.Errorf("a string of %d bytes", n)
	}
	return string(r.raw(int(n)))
}
