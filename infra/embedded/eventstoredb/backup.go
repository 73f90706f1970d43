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

// serveBackup is GET /backup: a consistent copy of the store, as it is at this moment, while it goes on serving; the copy is a
// store like any other. It is open to whoever reaches the port, as every event is by gRPC. Pages freed by appends meanwhile are
// not reused, so the file may grow during a long backup; where an append needs the file's mapping to grow (at 64 GiB, but at
// each GiB of a 32-bit system, and often on Windows), it waits for the backup's end. So a client that stops reading is cut off
// after httpTimeout. When a commit fails, and on Close, the backup fails.
func (s *store) serveBackup(w http.ResponseWriter, _ *http.Request) {
	over, hurrying := make(chan struct{}), sync.WaitGroup{}
	defer hurrying.Wait()
	defer close(over)
	body := &hasty{w: w, control: http.NewResponseController(w)}
	err := s.view(func(sn *snapshot) error {
		body.cut = s.cut
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(sn.tx.Size(), 10))
		hurrying.Go(func() { body.hurry(over) })
		_, err := sn.tx.WriteTo(body)
		return err
	})
	switch {
	case err == nil:
	case body.begun:
		panic(http.ErrAbortHandler) // too late for a status: the connection is cut, so that nobody takes it for whole
	default:
		w.Header().Del("Content-Length")
		http.Error(w, "back up event store: "+err.Error(), http.StatusInternalServerError)
	}
}

// hasty gives its client httpTimeout for each write, and no time at all once it is cut.
type hasty struct {
	w       io.Writer
	control *http.ResponseController
	cut     <-chan struct{}
	begun   bool
}

func (h *hasty) Write(p []byte) (int, error) {
	h.begun = true
	if err := h.control.SetWriteDeadline(time.Now().Add(httpTimeout)); err != nil {
		return 0, fmt.Errorf("set the deadline of a write: %w", err)
	}
	select {
	case <-h.cut:
		return 0, errCut
	default:
		return h.w.Write(p)
	}
}

// hurry ends the write that is going on when the backup is cut.
func (h *hasty) hurry(over <-chan struct{}) {
	select {
	case <-h.cut:
		// An error is that of a connection that is gone already.
		_ = h.control.SetWriteDeadline(time.Unix(1, 0))
	case <-over:
	}
}
