// Package term writes to a terminal what people like to read there: progress bars that redraw in place, and tables
// whose columns line up whatever script the cells are in. Where the output is no terminal (a file, a pipe, CI) the same
// calls write plain lines.
//
// mpb was looked at and left: it draws bars well, and writes nothing at all when there is no terminal.
package term

import (
	"io"
	"strings"
	"unicode"

	"github.com/mattn/go-isatty"
	"golang.org/x/text/width"
)

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && (isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()))
}

// Width is how many columns of a terminal s takes: none for combining marks and control characters, two for the wide
// scripts of East Asia.
func Width(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) || unicode.IsControl(r):
		case wide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

func wide(r rune) bool {
	kind := width.LookupRune(r).Kind()
	return kind == width.EastAsianWide || kind == width.EastAsianFullwidth
}

// pad fills s with spaces up to the width, on the left or the right.
func pad(s string, to int, left bool) string {
	fill := strings.Repeat(" ", max(0, to-Width(s)))
	if left {
		return fill + s
	}
	return s + fill
}
