package row_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"jangbu/query/row"
)

type text int

func (t text) MarshalText() ([]byte, error) { return json.Marshal(int(t) + 1) }

// spaced writes more than it has to, and fails or panics where it is told to.
type spaced string

func (s spaced) MarshalJSON() ([]byte, error) {
	switch s {
	case "fails":
		return nil, errors.New("cannot")
	case "panics":
		panic("cannot")
	}
	return []byte(`{ "<" : 1 }`), nil
}

type never struct{}

func (never) IsZero() bool { return true }

type Inner struct{ A, B int }

type node struct {
	Took time.Duration
	Next *node `json:",omitempty"`
}

type optional struct {
	A []int          `json:",omitempty"`
	B map[string]int `json:",omitempty"`
	C *int           `json:",omitempty"`
	D any            `json:",omitempty"`
	E float64        `json:",omitempty"`
	F time.Duration  `json:",omitempty"`
	G time.Time      `json:",omitempty"`
}

type zeroes struct {
	A int         `json:",omitzero"`
	B time.Time   `json:"b,omitzero"`
	C never       `json:",omitzero"`
	D []int       `json:",omitempty,omitzero"`
	E spaced      `json:"-"`
	F *never      `json:"f"`
	G [1]struct{} `json:"g"`
}

type quoted struct {
	A int     `json:",string"`
	B string  `json:",string"`
	C float64 `json:",string"`
	D *int    `json:",string"`
}

// TestMarshal: what is written is what encoding/json writes, byte for byte, whatever the type; and refused if that refuses it.
func TestMarshal(t *testing.T) {
	one := 1
	var nothing *int
	for _, v := range []any{
		nil, nothing, "\u2028<>&\x00\x7f\xff", 1e21, 1e-7, float32(0.1), math.Copysign(0, -1), uint64(math.MaxUint64), []byte("abc"), []byte(nil), [2]byte{1},
		map[string]string{"<\xff": "\xc3", "": "", "A": ""}, map[int]string{20: "", -1: "", 3: ""}, map[text]int{3: 1, 1: 2}, map[string]int(nil),
		json.RawMessage(` { "a" : "<" } `), json.RawMessage(nil), json.Number("12"), time.Time{}, time.Unix(0, 5).In(time.FixedZone("x", 3600)),
		text(1), []text{1}, spaced(""), &optional{}, optional{A: []int{1}, D: spaced("")}, quoted{}, quoted{1, `"<`, 1e30, &one},
		struct {
			*Inner
			A string
		}{}, struct {
			Inner
			B string
		}{},
		time.Hour, []time.Duration{1}, [1]time.Duration{1}, map[string]time.Duration{"a": 1}, map[time.Duration]int{1: 1}, struct{ D *time.Duration }{},
		node{1, &node{2, nil}}, zeroes{}, zeroes{A: 1, B: time.Unix(0, 0).UTC(), D: []int{}}, []zeroes{{}}, struct{ zeroes }{}, optional{F: 1},
		map[string]any{"b": time.Hour, "a": zeroes{}, "c": nil, "d": []any{1, "x"}}, struct{ Err error }{},
		math.NaN(), make(chan int), spaced("fails"), struct{ S any }{math.Inf(1)},
	} {
		want, refused := json.Marshal(v)
		got, err := row.Marshal(v)
		if string(got) != string(want) || (err == nil) != (refused == nil) {
			t.Errorf("%T %+v\n got %s (%v)\nwant %s (%v)", v, v, got, err, want, refused)
		}
		if appended := appended(v); refused == nil && string(appended) != "["+string(want) || refused != nil && appended != nil {
			t.Errorf("%T %+v\nappended %s\nwant     %s", v, v, appended, want)
		}
	}
	if b, err := row.Marshal(spaced("panics")); err == nil || appended(spaced("panics")) != nil {
		t.Errorf("what panics is written as %s", b)
	}
}

// appended is what AppendJSON adds to a bracket, nil if it panics as JSON does.
func appended(v any) (b []byte) {
	defer func() {
		if p := recover(); p != nil {
			b = nil
			if _, ok := p.(*row.FormError); !ok {
				panic(p)
			}
		}
	}()
	row.JSON(v)
	return row.AppendJSON([]byte("["), v)
}
