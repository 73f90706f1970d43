package row

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"unicode/utf8"

	fast "github.com/segmentio/encoding/json"
)

// The read side reads and writes JSON for every event and view. These functions do it as encoding/json does, byte for byte, in a
// fraction of the time; docs/adr/0001-libraries.md has more.

// Marshal is json.Marshal.
func Marshal(v any) ([]byte, error) {
	scratch := scratches.Get().(*[]byte)
	defer scratches.Put(scratch)
	b, err := fast.Append((*scratch)[:0], v, fast.EscapeHTML|fast.SortMapKeys)
	if err != nil {
		return nil, err
	}
	*scratch = b
	return bytes.Clone(b), nil
}

var scratches = sync.Pool{New: func() any { return new(make([]byte, 0, 2048)) }}

// Unmarshal is json.Unmarshal, except that strings may share memory with data, which must not be changed any more. Whether data is
// right, and what is wrong with it, is for encoding/json to say.
func Unmarshal(data []byte, into any) error {
	if utf8.Valid(data) && !hasLongNumber(data) {
		if rest, err := fast.Parse(data, into, fast.ZeroCopy); err == nil && len(rest) == 0 {
			return nil
		}
	}
	return json.Unmarshal(data, into)
}

// hasLongNumber reports whether there are so many digits in a row that a number may not fit 64 bits, which the fast reader does not
// notice.
func hasLongNumber(data []byte) bool {
	const digits = 19
	for i := digits - 1; i < len(data); i += digits { // one of any so many falls here
		if c := data[i]; c < '0' || c > '9' {
			continue
		}
		run := 1
		for k := i - 1; k >= 0 && data[k] >= '0' && data[k] <= '9'; k-- {
			run++
		}
		for k := i + 1; k < len(data) && data[k] >= '0' && data[k] <= '9'; k++ {
			run++
		}
		if run >= digits {
			return true
		}
	}
	return false
}

// JSON marshals a part or an item. It panics on a value that has no JSON form, which is a programming error in a view.
func JSON(v any) []byte {
	b, err := Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("row: %T has no JSON form: %v", v, err))
	}
	return b
}

// AppendJSON appends what JSON gives.
func AppendJSON(b []byte, v any) []byte {
	b, err := fast.Append(b, v, fast.EscapeHTML|fast.SortMapKeys)
	if err != nil {
		panic(fmt.Sprintf("row: %T has no JSON form: %v", v, err))
	}
	return b
}
