package importer

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

// table is a CSV file with a header. Its broken rows have been reported; they keep whatever cells could be made
// out, so that rows which refer to them can say so.
type table struct {
	path   string
	column map[string]int
	rows   []row
}

type row struct {
	at     Place
	cells  []string
	broken bool
}

// cell returns the trimmed value of a column, empty where a broken row has no such cell.
func (t *table) cell(r row, column string) string {
	i := t.column[column]
	if i >= len(r.cells) {
		return ""
	}
	return strings.TrimSpace(r.cells[i])
}

// readTable reads a file with at least the given columns, in any order. It returns nil when the file as a whole is of
// no use; that, like each broken row, has then been added to found.
func readTable(dir, file string, columns []string, found *problems) *table {
	path := filepath.Join(dir, file)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		found.add(Place{File: path}, "the file is missing")
		return nil
	}
	if err != nil {
		found.add(Place{File: path}, "%v", err)
		return nil
	}
	t, before := &table{path: path}, len(*found)
	scanRecords(bytes.TrimPrefix(data, []byte("\ufeff")), func(line int, cells []string, err error) bool {
		at := Place{path, line}
		if t.column == nil {
			return t.header(at, cells, err, columns, found)
		}
		r := row{at: at, cells: cells}
		if text := rowFault(cells, len(t.column), err); text != "" {
			found.add(at, "%s", text)
			r.broken = true
		}
		t.rows = append(t.rows, r)
		return true
	})
	if t.column == nil {
		if len(*found) == before {
			found.add(Place{path, 1}, "the file is empty: it needs a header with the columns %s", strings.Join(columns, ", "))
		}
		return nil
	}
	return t
}

// header takes the column names; it reports whether the rows below are worth reading.
func (t *table) header(at Place, cells []string, err error, columns []string, found *problems) bool {
	if err != nil {
		found.add(at, "the header cannot be read: %v", err)
		return false
	}
	column := make(map[string]int, len(cells))
	for i, name := range cells {
		name = strings.TrimSpace(name)
		if _, twice := column[name]; twice {
			found.add(at, "two columns are named %q", name)
			return false
		}
		column[name] = i
	}
	var missing []string
	for _, name := range columns {
		if _, ok := column[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		found.add(at, "missing column %s", strings.Join(missing, ", "))
		return false
	}
	t.column = column
	return true
}

func rowFault(cells []string, columns int, err error) string {
	switch {
	case err != nil:
		return "the row cannot be read: " + err.Error()
	case len(cells) != columns:
		return "the row has " + count(len(cells), "column") + ", the header has " + strconv.Itoa(columns)
	}
	for _, c := range cells {
		if !utf8.ValidString(c) {
			return "the row is not UTF-8"
		}
	}
	return ""
}

// scanRecords yields each record with the line it starts on, until yield returns false. A record with a misplaced or
// unclosed quote is yielded with an error and the cells its line seems to have; reading resumes on the next line,
// so that one stray quote does not swallow the rest of the file.
func scanRecords(data []byte, yield func(line int, cells []string, err error) bool) {
	lines := bytes.SplitAfter(data, []byte("\n"))
	for base, offset := 0, 0; offset < len(data); {
		r := csv.NewReader(bytes.NewReader(data[offset:]))
		r.FieldsPerRecord = -1
		var parse *csv.ParseError
		for parse == nil {
			cells, err := r.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if errors.As(err, &parse) {
				continue
			}
			line, _ := r.FieldPos(0)
			if !yield(base+line, cells, nil) {
				return
			}
		}
		bad := base + parse.StartLine
		guess := strings.Split(strings.TrimRight(string(lines[bad-1]), "\r\n"), ",")
		for i := range guess {
			guess[i] = strings.Trim(guess[i], `"`)
		}
		if !yield(bad, guess, parse.Err) {
			return
		}
		for ; base < bad; base++ {
			offset += len(lines[base])
		}
	}
}
