package eventstoredb

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// errCut is what becomes of a backup under which the file has to be closed.
var errCut = errors.New("the event store had to close its file meanwhile")

// Backup writes a consistent copy of the store, as it is at this moment, while it goes on serving; the copy is a
// store like any other. Pages freed by appends meanwhile are not reused, so the file may grow during a long backup; where
// an append needs the file's mapping to grow (at 64 GiB, but at each GiB of a 32-bit system, and often on Windows), it
// waits for the backup's end. When a commit fails, and on Close, the backup fails.
func (s *Server) Backup(w io.Writer) (n int64, err error) {
	return s.store.backup(func(_ int64, cut <-chan struct{}) io.Writer { return &cuttable{w, cut} })
}

// backup asks begin where to write so many bytes. Begin's writer must fail when cut is closed.
func (s *store) backup(begin func(size int64, cut <-chan struct{}) io.Writer) (n int64, err error) {
	err = s.view(func(sn *snapshot) error {
		n, err = sn.tx.WriteTo(begin(sn.tx.Size(), s.cut))
		return err
	})
	if err != nil {
		return n, fmt.Errorf("back up event store: %w", err)
	}
	return n, nil
}

// cuttable writes until it is cut.
type cuttable struct {
	w   io.Writer
	cut <-chan struct{}
}

func (c *cuttable) Write(p []byte) (int, error) {
	select {
	case <-c.cut:
		return 0, errCut
	default:
		return c.w.Write(p)
	}
}

// serveBackup is GET /backup: a Backup over HTTP. It is open to whoever reaches the port, as every event is by gRPC. A
// client that stops reading is cut off after httpTimeout, since the writer may have to wait for the copy's end.
func (s *store) serveBackup(w http.ResponseWriter, _ *http.Request) {
	body := &hasty{control: http.NewResponseController(w)}
	over, hurrying := make(chan struct{}), sync.WaitGroup{}
	defer hurrying.Wait()
	defer close(over)
	_, err := s.backup(func(size int64, cut <-chan struct{}) io.Writer {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		body.w = &cuttable{w, cut}
		hurrying.Go(func() { body.hurry(cut, over) })
		return body
	})
	switch {
	case err == nil:
	case body.begun:
		panic(http.ErrAbortHandler) // too late for a status: the connection is cut, so that nobody takes it for whole
	default:
		w.Header().Del("Content-Length")
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// hasty gives its client httpTimeout for each write, and no time at all once it is cut.
type hasty struct {
	w       io.Writer
	control *http.ResponseController
	begun   bool
}

func (h *hasty) Write(p []byte) (int, error) {
	h.begun = true
	if err := h.control.SetWriteDeadline(time.Now().Add(httpTimeout)); err != nil {
		return 0, fmt.Errorf("set the deadline of a write: %w", err)
	}
	return h.w.Write(p)
}

// hurry ends the write that is going on when the backup is cut.
func (h *hasty) hurry(cut, over <-chan struct{}) {
	select {
	case <-cut:
		// An error is that of a connection that is gone already.
		_ = h.control.SetWriteDeadline(time.Unix(1, 0))
	case <-over:
	}
}
