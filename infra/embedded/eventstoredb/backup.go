package eventstoredb

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Backup writes a consistent copy of the store, as it is at this moment, while it goes on serving; the copy is a
// store like any other. Pages freed by appends meanwhile are not reused, so the file may grow during a long backup, and
// an append that needs the file's mapping to grow waits for its end.
func (s *Server) Backup(w io.Writer) (n int64, err error) {
	return s.store.backup(w, func(int64) {})
}

// backup tells begin how many bytes will come before it writes the first of them.
func (s *store) backup(w io.Writer, begin func(size int64)) (n int64, err error) {
	err = s.view(func(sn *snapshot) error {
		begin(sn.tx.Size())
		n, err = sn.tx.WriteTo(w)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("back up event store: %w", err)
	}
	return n, nil
}

// serveBackup is GET /backup: a Backup over HTTP. It is open to whoever reaches the port, as every event is by gRPC. A
// client that stops reading is cut off after httpTimeout, since the writer may have to wait for the copy's end.
func (s *store) serveBackup(w http.ResponseWriter, _ *http.Request) {
	body := &hasty{w: w, control: http.NewResponseController(w)}
	_, err := s.backup(body, func(size int64) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
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

// hasty gives its client httpTimeout for each write.
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
