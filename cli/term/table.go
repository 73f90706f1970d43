package term

import (
	"io"
	"strings"
)

// Table is rows of cells under headings. The zero Table has neither.
type Table struct {
	head  []string
	right []bool
	rows  [][]string
}

// NewTable makes a table with these headings. A heading that ends in ">" is written without it, and its column is
// aligned to the right, as numbers want to be.
func NewTable(headings ...string) *Table {
	t := &Table{}
	for _, h := range headings {
		name, right := strings.CutSuffix(h, ">")
		t.head, t.right = append(t.head, name), append(t.right, right)
	}
	return t
}

// Row adds a row. Line breaks and other control characters in a cell become spaces; cells beyond the headings are dropped.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.head))
	copy(row, cells)
	for i := range row {
		row[i] = oneLine(row[i])
	}
	t.rows = append(t.rows, row)
}

// WriteTo writes the headings and the rows, two spaces between columns and none at the end of a line.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	widths := make([]int, len(t.head))
	lines := append([][]string{t.head}, t.rows...)
	for _, row := range lines {
		for i, c := range row {
			widths[i] = max(widths[i], Width(c))
		}
	}
	var out strings.Builder
	for _, row := range lines {
		var line strings.Builder
		for i, c := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			line.WriteString(pad(c, widths[i], t.right[i]))
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	n, err := io.WriteString(w, out.String())
	return int64(n), err
}

// oneLine makes text safe for one line of a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
