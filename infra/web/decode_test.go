package web

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

type thing struct {
	Name  string   `json:"name"`
	Note  string   `json:"note,omitempty"`
	Count int64    `json:"count"`
	Ratio float64  `json:"ratio"`
	On    bool     `json:"on"`
	Part  *part    `json:"part,omitempty"`
	Parts []part   `json:"parts"`
	Tags  []string `json:"tags,omitempty"`
	Owner string   // named like its field
	Inner string   `json:"-"`
}

type part struct {
	ID string `json:"id"`
}

func decodeThing(body string, decode func(echo.Context, any) error, headers ...string) (thing, error) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	var v thing
	err := decode(echo.New().NewContext(r, httptest.NewRecorder()), &v)
	return v, err
}

func TestDecode(t *testing.T) {
	got, err := decodeThing(` {"name":"장부","note":null,"count":-7,"ratio":0.5,"on":true,"part":{"id":"a"},"parts":[{"id":"b"},{}],"tags":["x"],"Owner":"o"} `,
		Decode, "Content-Type", "Application/JSON; charset=UTF-8", "Content-Encoding", "identity")
	want := thing{Name: "장부", Count: -7, Ratio: 0.5, On: true, Part: &part{"a"}, Parts: []part{{"b"}, {}}, Tags: []string{"x"}, Owner: "o"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDecodeMalformed(t *testing.T) {
	deep := strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000)
	for _, c := range []struct {
		name, body string
		pointers   []string
	}{
		{"empty", "", nil},
		{"blank", " \n", nil},
		{"cut off", `{"name":"a"`, nil},
		{"two values", `{}{}`, nil},
		{"a comment", `{} // no`, nil},
		{"not UTF-8", "{\"name\":\"\xc3\"}", nil},
		{"a byte order mark", "\ufeff{}", nil},
		{"nested beyond reason", `{"x":` + strings.Repeat(`[`, 20000) + strings.Repeat(`]`, 20000) + `}`, nil},
		{"nested deep in an unknown field", `{"x":` + deep + `,"y":1}`, []string{"/x", "/y"}},
		{"null", `null`, []string{""}},
		{"a number", `1`, []string{""}},
		{"an array", `[{}]`, []string{""}},
		{"null where required", `{"name":null,"count":null,"parts":null}`, []string{"/name", "/count", "/parts"}},
		{"null in an array", `{"parts":[null]}`, []string{"/parts/0"}},
		{"unknown", `{"nom":{"name":[1,{"a":2}]},"name":"a"}`, []string{"/nom"}},
		{"unknown, escaped", `{"a~b/c":1}`, []string{"/a~0b~1c"}},
		{"unknown below", `{"part":{"id":"a","di":"b"}}`, []string{"/part/di"}},
		{"hidden from JSON", `{"Inner":"a","-":"b"}`, []string{"/Inner", "/-"}},
		{"other case", `{"NAME":"a"}`, []string{"/NAME"}},
		{"twice", `{"name":"a","count":1,"name":{"b":1}}`, []string{"/name"}},
		{"twice by escape", `{"name":"a","n\u0061me":"b"}`, []string{"/name"}},
		{"types", `{"name":[1],"count":"1","ratio":"x","on":0,"part":"p","parts":{},"tags":[1,"a",{}]}`,
			[]string{"/name", "/count", "/ratio", "/on", "/part", "/parts", "/tags/0", "/tags/2"}},
		{"a fraction", `{"count":1.0}`, []string{"/count"}},
		{"an exponent", `{"count":1e3}`, []string{"/count"}},
		{"over 64 bits", `{"count":9223372036854775808}`, []string{"/count"}},
		{"over a float", `{"ratio":1e999}`, []string{"/ratio"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decodeThing(c.body, Decode)
			p := wantProblem(t, err, http.StatusBadRequest, "malformed-body")
			var pointers []string
			for _, f := range p.Errors {
				pointers = append(pointers, f.Pointer)
			}
			if !reflect.DeepEqual(pointers, c.pointers) {
				t.Errorf("pointers %q, want %q (%s)", pointers, c.pointers, p.Detail)
			}
		})
	}
	t.Run("a thousand errors", func(t *testing.T) {
		_, err := decodeThing(`{"tags":[`+strings.Repeat(`1,`, 999)+`1]}`, Decode)
		if p := wantProblem(t, err, 400, "malformed-body"); len(p.Errors) != maxFieldErrors {
			t.Errorf("%d errors", len(p.Errors))
		}
	})
}

func TestDecodeOptional(t *testing.T) {
	if _, err := decodeThing("", DecodeOptional, "Content-Type", ""); err != nil {
		t.Errorf("an empty body: %v", err)
	}
	if v, err := decodeThing(`{"name":"a"}`, DecodeOptional); err != nil || v.Name != "a" {
		t.Errorf("a body: %+v, %v", v, err)
	}
	_, err := decodeThing("x", DecodeOptional)
	wantProblem(t, err, 400, "malformed-body")
}

func TestDecodeMediaTypes(t *testing.T) {
	for _, c := range []struct{ name, value, taken, says string }{
		{"Content-Type", "", "Accept", "application/json"},
		{"Content-Type", "text/plain", "Accept", "application/json"},
		{"Content-Type", "application/json; charset=latin1", "Accept", "application/json"},
		{"Content-Type", "application/", "Accept", "application/json"},
		{"Content-Type", "application/jsonp", "Accept", "application/json"},
		{"Content-Encoding", "gzip", "Accept-Encoding", "identity"},
	} {
		_, err := decodeThing(`{}`, DecodeOptional, c.name, c.value)
		p := wantProblem(t, err, http.StatusUnsupportedMediaType, "unsupported-media-type")
		if len(p.Header) != 1 || p.Header.Get(c.taken) != c.says {
			t.Errorf("%s %q: %v, want %s: %s alone", c.name, c.value, p.Header, c.taken, c.says)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"name":"a","parts":[{"id":"b"}],"count":1}`)
	f.Add(`{"x":{"y":[1,2]},"name":null}`)
	f.Fuzz(func(t *testing.T, body string) {
		v, err := decodeThing(body, Decode)
		if err != nil {
			wantProblem(t, err, 400, "malformed-body")
			return
		}
		if v.Inner != "" {
			t.Errorf("%q sets a hidden field", body)
		}
	})
}
