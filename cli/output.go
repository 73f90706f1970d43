package cli

import (
	"io"
	"log/slog"
	"sync"

	"jangbu/cli/term"
)

// serialWriter lets several goroutines write, one call at a time.
type serialWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *serialWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// isTerminal reports whether what is written to w, a serialWriter or not, ends up on a terminal.
func isTerminal(w io.Writer) bool {
	if s, ok := w.(*serialWriter); ok {
		w = s.w
	}
	return term.IsTerminal(w)
}

func newLogger(w io.Writer, level, format string) *slog.Logger {
	var opts slog.HandlerOptions
	var least slog.Level
	if least.UnmarshalText([]byte(level)) == nil { // the grammar admits no other
		opts.Level = least
	}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, &opts))
	}
	return slog.New(slog.NewTextHandler(w, &opts))
}
