package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

func TestDecodeMany(t *testing.T) {
	for _, form := range []struct{ media, body string }{
		{"application/json", `[{"id":"a"},{"id":"b"}]`},
		{"application/x-ndjson", "{\"id\":\"a\"}\n \r\n{\"id\":\"b\"}"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.body))
		r.Header.Set("Content-Type", form.media)
		got, lines, err := DecodeMany[part](echo.New().NewContext(r, httptest.NewRecorder()), 2)
		if err != nil || lines != (form.media == MediaTypeLines) || !reflect.DeepEqual(got, []part{{"a"}, {"b"}}) {
			t.Errorf("%s: %v, %v, %v", form.body, got, lines, err)
		}
	}
}

type counted struct{}

var decoded int

func (*counted) UnmarshalJSON([]byte) error { decoded++; return nil }

// TestDecodeTooMany: of a body with far too many values no more are decoded than it takes to say so.
func TestDecodeTooMany(t *testing.T) {
	for media, body := range map[string]string{
		"application/json":     "[" + strings.Repeat("{},", 1000) + "{}]",
		"application/x-ndjson": strings.Repeat("{}\n", 1000),
	} {
		decoded = 0
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", media)
		got, _, err := DecodeMany[counted](echo.New().NewContext(r, httptest.NewRecorder()), 10)
		if err != nil || len(got) != 11 || decoded != 11 {
			t.Errorf("%s: %d values, %d decoded, %v", media, len(got), decoded, err)
		}
	}
}

// TestLimitBody: a route may take more or less than the others, whether or not the client says how much it sends.
func TestLimitBody(t *testing.T) {
	e := New(Config{BodyLimit: 100})
	read := func(c echo.Context) error {
		var v part
		if err := Decode(c, &v); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	}
	e.POST("/plain", read)
	e.POST("/more", read, LimitBody(1000))
	e.POST("/less", read, LimitBody(10))
	for _, c := range []struct {
		path   string
		size   int
		status int
	}{
		{"/plain", 100, 204}, {"/plain", 101, 413}, {"/more", 1000, 204}, {"/more", 1001, 413}, {"/less", 11, 413},
	} {
		for _, length := range []bool{true, false} {
			r := httptest.NewRequest(http.MethodPost, c.path, strings.NewReader(fmt.Sprintf(`{"id":"%s"}`, strings.Repeat("x", c.size-len(`{"id":""}`)))))
			r.Header.Set("Content-Type", "application/json")
			if !length {
				r.ContentLength = -1
			}
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			if w.Code != c.status || c.status == 413 && !strings.Contains(w.Body.String(), "body-too-large") {
				t.Errorf("%s, %d bytes: %d %s", c.path, c.size, w.Code, w.Body)
			}
		}
	}
}
