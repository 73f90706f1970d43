package eventstoredb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The buckets of the file. Keys of log and index ascend with time within their prefix, so that an append touches
// the last page of the log and one page of the index whatever the size of the file.
var (
	bucketLog     = []byte("log")     // position -> record
	bucketIndex   = []byte("index")   // number of a stream, revision -> position
	bucketStreams = []byte("streams") // name of a stream -> its number
)

const (
	lockTimeout  = 500 * time.Millisecond
	maxNameBytes = 32 << 10
	leastFile    = 2 * 4096 // bbolt begins with two pages of metadata
)

// initialMmap is address space, not memory: growing the map waits for every reader, and a backup reads for long. On
// Windows it would be the size of the file.
func initialMmap() int {
	switch size := int64(64 << 30); {
	case runtime.GOOS == "windows":
		return 0
	case size > math.MaxInt:
		return 1 << 30
	default:
		return int(size)
	}
}

// store is the bbolt file. Reads are short transactions; the one writer is in writer.go.
type store struct {
	path   string // where it lies
	temp   string // a folder to remove at the end; empty for a durable store
	noSync bool

	mu  sync.RWMutex  // held for reading while db is in use
	db  *bbolt.DB     // nil once closed, or while broken
	cut chan struct{} // closed when whoever holds mu for long must let go of it

	changing sync.Mutex // held by who changes db
}

// openStore opens or creates the file at path; an empty path is a store that ends with the process.
func openStore(path string, noSync bool) (*store, error) {
	s := &store{path: path, noSync: noSync, cut: make(chan struct{})}
	if path == "" {
		dir, err := os.MkdirTemp("", "eventstoredb-")
		if err != nil {
			return nil, fmt.Errorf("create a folder for the in-memory event store: %w", err)
		}
		s.temp, s.noSync, s.path = dir, true, filepath.Join(dir, "events.db")
	} else if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("open event store %s: %w", path, err)
	}
	db, err := openFile(s.path, s.noSync, false)
	if err != nil {
		s.removeTemp()
		return nil, fmt.Errorf("open event store %s: %w", s.path, err)
	}
	s.db = db
	return s, nil
}

// openFile opens a file for writing, checked and complete. Opened again, it must be there, and is not created.
func openFile(path string, noSync, again bool) (*bbolt.DB, error) {
	db, err := openBolt(path, bbolt.Options{
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: initialMmap(),
		NoSync:          noSync,
		NoGrowSync:      noSync,
	}, again)
	if err != nil {
		return nil, err
	}
	if err := prepare(db); err != nil {
		// The file is given up for err; closing it can only repeat that it is broken.
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// openBolt opens a database and answers for bbolt, which panics or faults on some damaged files.
func openBolt(path string, o bbolt.Options, again bool) (db *bbolt.DB, err error) {
	info, statErr := os.Stat(path)
	fresh := !again && (errors.Is(statErr, fs.ErrNotExist) || statErr == nil && info.Size() == 0)
	if statErr == nil && info.Mode().IsRegular() && (again || 0 < info.Size()) && info.Size() < leastFile {
		return nil, fmt.Errorf("%w: a file of %d bytes is too small to be one", ErrDamaged, info.Size())
	}
	var file *os.File
	o.Timeout, o.NoStatistics = lockTimeout, true
	o.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		if again {
			flag &^= os.O_CREATE
		}
		f, err := os.OpenFile(name, flag, mode)
		file = f
		return f, err
	}
	defer func() {
		if db == nil && file != nil { // bbolt has closed it already, unless it panicked
			if fresh && !o.ReadOnly && !errors.Is(err, ErrLocked) {
				emptyStump(path)
			}
			unlock(file)
			_ = file.Close()
		}
	}()
	defer recoverDamage(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	if db, err = bbolt.Open(path, 0o600, &o); err != nil {
		return nil, openError(err)
	}
	if again && !o.NoSync {
		if err := syncRoots(file, db.Info().PageSize); err != nil {
			// The file is given up for err; closing it can only repeat that it is broken.
			_ = db.Close()
			return nil, err
		}
	}
	return db, nil
}

// emptyStump empties what a full disk has left of a new file, which would pass for a damaged one. A database has four
// pages at least, so it cannot be one that another process has made meanwhile. An error leaves things as they were.
func emptyStump(path string) {
	if info, err := os.Stat(path); err == nil && info.Size() < 4*int64(os.Getpagesize()) {
		_ = os.Truncate(path, 0)
	}
}

// syncRoots writes the two root pages as they are read, and syncs them. After a sync that failed the newest may be in
// the page cache only, where it counts as written and no later sync would write it. A new commit would do as well, but
// it needs room, and takes pages that the root on disk may still need.
func syncRoots(f *os.File, pageSize int) error {
	roots := make([]byte, 2*pageSize)
	if _, err := f.ReadAt(roots, 0); err != nil {
		return fmt.Errorf("read the root pages: %w", err)
	}
	if _, err := f.WriteAt(roots, 0); err != nil {
		return fmt.Errorf("write the root pages: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync the root pages: %w", err)
	}
	return nil
}

// prepare checks that the file is whole and creates what a new file lacks.
func prepare(db *bbolt.DB) (err error) {
	defer recoverDamage(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	whole := false
	err = db.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(db.Path())
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: the file has %d bytes and should have %d", ErrDamaged, info.Size(), tx.Size())
		}
		log, index, streams := tx.Bucket(bucketLog), tx.Bucket(bucketIndex), tx.Bucket(bucketStreams)
		whole = log != nil && index != nil && streams != nil
		if k, _ := tx.Cursor().First(); k != nil && !whole {
			return fmt.Errorf("%w: the file is a bbolt database of something else", ErrDamaged)
		}
		return nil
	})
	if err != nil || whole {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketLog, bucketIndex, bucketStreams} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("create bucket %s: %w", name, err)
			}
		}
		return nil
	})
}

func openError(err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum),
		errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// recoverDamage turns what bbolt does on meeting a broken page, a panic or a fault in the mapped file, into an
// error. Use it deferred; a fault can be recovered only after debug.SetPanicOnFault.
func recoverDamage(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, r)
	}
}

// view runs f in a read transaction. The transaction must stay short: while it is open, pages it could still see
// are not reused and the file grows. f must copy whatever it keeps.
func (s *store) view(f func(*snapshot) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return errClosed
	}
	return viewSafely(s.db, func(tx *bbolt.Tx) error { return f(newSnapshot(tx)) })
}

// viewSafely runs f in a read transaction, with broken pages as errors.
func viewSafely(db *bbolt.DB, f func(*bbolt.Tx) error) (err error) {
	defer recoverDamage(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return db.View(f)
}

// reopen replaces the database after a failed commit. bbolt's picture in memory cannot be trusted then, while the
// file itself always holds the last whole commit. That commit is on disk, unless syncing is off, before reads go on.
func (s *store) reopen() error {
	defer s.change()()
	s.release()
	db, err := openFile(s.path, s.noSync, true)
	if err != nil {
		return fmt.Errorf("reopen event store %s: %w", s.path, err)
	}
	s.db = db
	return nil
}

// takeDown closes the file until it is reopened.
func (s *store) takeDown() {
	defer s.change()()
	s.release()
}

// change waits until db is in nobody's use, and keeps it so until the function it returns is called. Backups are cut:
// they go at the pace of their clients, and all who come after change wait for it.
func (s *store) change() (done func()) {
	s.changing.Lock()
	close(s.cut)
	s.mu.Lock()
	s.cut = make(chan struct{})
	return func() {
		s.mu.Unlock()
		s.changing.Unlock()
	}
}

// release closes the file. The caller holds the lock.
func (s *store) release() {
	if s.db != nil {
		// An error of closing a file that already failed says nothing new; the lock is released all the same.
		_ = s.db.Close()
		s.db = nil
	}
}

// down reports that the file could not be reopened.
func (s *store) down() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.db == nil
}

func (s *store) close() error {
	defer s.change()()
	var err error
	if s.db != nil {
		err = s.db.Close()
		s.db = nil
	}
	return errors.Join(err, s.removeTemp())
}

func (s *store) removeTemp() error {
	if s.temp == "" {
		return nil
	}
	return os.RemoveAll(s.temp)
}

// snapshot is the store as one transaction sees it.
type snapshot struct {
	tx                  *bbolt.Tx
	log, index, streams *bbolt.Bucket
}

func newSnapshot(tx *bbolt.Tx) *snapshot {
	return &snapshot{tx: tx, log: tx.Bucket(bucketLog), index: tx.Bucket(bucketIndex), streams: tx.Bucket(bucketStreams)}
}

// end is the position of the newest event; 0 in an empty store, where no event is at 0.
func (s *snapshot) end() uint64 {
	k, _ := s.log.Cursor().Last()
	if k == nil {
		return 0
	}
	return binary.BigEndian.Uint64(k)
}

func indexKey(stream, revision uint64) []byte {
	k := make([]byte, 16)
	binary.BigEndian.PutUint64(k, stream)
	binary.BigEndian.PutUint64(k[8:], revision)
	return k
}

func positionKey(position uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, position)
}
