package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Place is a row of a file. Line counts from 1, the header included; 0 is the file as a whole.
type Place struct {
	File string
	Line int
}

// String is file:line, or the file alone.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Problem is one row that did not make it into the shop, and why.
type Problem struct {
	Place
	Text    string
	Skipped bool // nothing is wrong with the row itself: something it needs failed
}

// String is file:line: text.
func (p Problem) String() string { return p.Place.String() + ": " + p.Text }

type problems []Problem

func (p *problems) add(at Place, format string, args ...any) {
	*p = append(*p, Problem{Place: at, Text: fmt.Sprintf(format, args...)})
}

func (p *problems) skip(at Place, format string, args ...any) {
	*p = append(*p, Problem{Place: at, Text: fmt.Sprintf(format, args...), Skipped: true})
}

// sorted orders problems by file and line: what is wrong comes before what was skipped because of it.
func (p problems) sorted() []Problem {
	slices.SortStableFunc(p, func(a, b Problem) int {
		if a.Skipped != b.Skipped {
			if a.Skipped {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return p
}
