package row

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	fast "github.com/segmentio/encoding/json"
)

// The read side reads and writes JSON for every event and view. These functions do it as encoding/json does, byte for byte, in a
// fraction of the time; docs/adr/0001-libraries.md has more.

// Marshal is json.Marshal, except that a MarshalJSON that panics is an error.
func Marshal(v any) ([]byte, error) {
	scratch := scratches.Get().(*[]byte)
	defer scratches.Put(scratch)
	b, err := appendJSON((*scratch)[:0], v)
	if err != nil {
		return nil, err
	}
	*scratch = b
	return bytes.Clone(b), nil
}

var scratches = sync.Pool{New: func() any { return new(make([]byte, 0, 2048)) }}

func appendJSON(b []byte, v any) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if !writtenAlike(reflect.TypeOf(v)) {
		slow, err := json.Marshal(v)
		return append(b, slow...), err
	}
	return fast.Append(b, v, fast.EscapeHTML|fast.SortMapKeys)
}

// alike holds what writtenAlike has found out, by type.
var alike sync.Map

// writtenAlike reports whether the fast writer is known to write a type as encoding/json does.
func writtenAlike(t reflect.Type) bool {
	if t == nil {
		return true
	}
	if known, ok := alike.Load(t); ok {
		return known.(bool)
	}
	is := !differs(t, map[reflect.Type]bool{})
	alike.Store(t, is)
	return is
}

// differs reports whether a type has in it what the fast writer writes in its own way, or anything at all: a duration, as text; a field with
// omitzero, which it does not know; a pointer with ,string, of which it quotes the null.
func differs(t reflect.Type, met map[reflect.Type]bool) bool {
	if met[t] || t.Implements(marshalers[0]) || t.Implements(marshalers[1]) {
		return false
	}
	met[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return differs(t.Elem(), met)
	case reflect.Map:
		return differs(t.Key(), met) || differs(t.Elem(), met)
	case reflect.Struct:
		for f := range t.Fields() {
			tag := f.Tag.Get("json")
			_, options, _ := strings.Cut(tag, ",")
			own := strings.Split(options, ",")
			switch {
			case tag == "-" || !f.IsExported() && !f.Anonymous:
			case slices.Contains(own, "omitzero"), slices.Contains(own, "string") && f.Type.Kind() == reflect.Pointer, differs(f.Type, met):
				return true
			}
		}
	}
	return t == reflect.TypeFor[time.Duration]()
}

var marshalers = [...]reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()}

// Unmarshal is json.Unmarshal, except that strings may share memory with data, which must not be changed any more, and that a duration may be
// text, such as "5s". Whether data is right, and what is wrong with it, is for encoding/json to say.
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

// FormError says that a value of a view has no JSON form.
type FormError struct {
	value any
	cause error
}

func (e *FormError) Error() string { return fmt.Sprintf("%T has no JSON form: %v", e.value, e.cause) }
func (e *FormError) Unwrap() error { return e.cause }

// JSON marshals a part or an item. It panics with a *FormError on a value that has no JSON form, which is a programming error in a view.
func JSON(v any) []byte {
	b, err := Marshal(v)
	if err != nil {
		panic(&FormError{v, err})
	}
	return b
}

// AppendJSON appends what JSON gives.
func AppendJSON(b []byte, v any) []byte {
	b, err := appendJSON(b, v)
	if err != nil {
		panic(&FormError{v, err})
	}
	return b
}
