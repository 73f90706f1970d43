package domain

import (
	"strings"
	"testing"
	"time"
)

func TestFields(t *testing.T) {
	required := func(s string) func(*Invalid) string {
		return func(i *Invalid) string { return i.Required("/f", s, 5) }
	}
	optional := func(s string) func(*Invalid) string {
		return func(i *Invalid) string { return i.Optional("/f", s, 5) }
	}
	date := func(s string) func(*Invalid) string {
		return func(i *Invalid) string { i.Date("/f", s); return "" }
	}
	lines := func(s string) func(*Invalid) string {
		return func(i *Invalid) string { return i.Lines("/f", s, 5) }
	}
	moment := func(s string) func(*Invalid) string {
		return func(i *Invalid) string {
			at := i.Time("/f", s)
			if at.IsZero() {
				return ""
			}
			return at.Format(time.RFC3339Nano)
		}
	}
	id := func(s string) func(*Invalid) string {
		return func(i *Invalid) string { i.ID("/f", s); return "" }
	}
	within := func(n int64) func(*Invalid) string {
		return func(i *Invalid) string { i.Within("/f", n, 1, 3); return "" }
	}
	cases := []struct {
		name  string
		check func(*Invalid) string
		want  string
		wrong bool
	}{
		{"text", required("Chai"), "Chai", false},
		{"text is trimmed", required(" \t Chai\u00a0\n"), "Chai", false},
		{"runes are counted, not bytes", required("장부장부장"), "장부장부장", false},
		{"too long", required("abcdef"), "abcdef", true},
		{"empty", required(""), "", true},
		{"blank", required(" \u3000 "), "", true},
		{"control character", required("a\x00b"), "a\x00b", true},
		{"line break inside", required("a\nb"), "a\nb", true},
		{"not UTF-8", required("a\xff"), "a\xff", true},
		{"optional and empty", optional(" "), "", false},
		{"optional and too long", optional("abcdef"), "abcdef", true},
		{"a day", date("1996-07-04"), "", false},
		{"a leap day", date("2024-02-29"), "", false},
		{"no such day", date("2023-02-29"), "", true},
		{"short month", date("1996-7-04"), "", true},
		{"with a time", date("1996-07-04T00:00:00Z"), "", true},
		{"day first", date("04-07-1996"), "", true},
		{"no day", date(""), "", true},
		{"lines", lines(" a\r\nb\t\n"), "a\nb", false},
		{"lines and empty", lines(" \n"), "", false},
		{"lines too long", lines("a\nb\ncd"), "a\nb\ncd", true},
		{"lines with a control character", lines("a\rb"), "a\rb", true},
		{"lines that are not UTF-8", lines("a\xff"), "a\xff", true},
		{"a moment", moment("2026-02-28T15:30:00Z"), "2026-02-28T15:30:00Z", false},
		{"a moment elsewhere", moment("2026-03-01T00:30:00.25+09:00"), "2026-02-28T15:30:00.25Z", false},
		{"a moment in year 10000 of UTC", moment("9999-12-31T23:59:59-01:00"), "", true},
		{"a moment before year 0 of UTC", moment("0000-01-01T00:00:00+01:00"), "", true},
		{"a day is no moment", moment("2026-02-28"), "", true},
		{"a moment without a zone", moment("2026-02-28T15:30:00"), "", true},
		{"no moment", moment(""), "", true},
		{"an id", id("a-Z_09"), "", false},
		{"the longest id", id(strings.Repeat("x", 64)), "", false},
		{"an id too long", id(strings.Repeat("x", 65)), "", true},
		{"an empty id", id(""), "", true},
		{"an id with a slash", id("a/b"), "", true},
		{"an id with a line break", id("a\n"), "", true},
		{"lowest", within(1), "", false},
		{"highest", within(3), "", false},
		{"below", within(0), "", true},
		{"above", within(4), "", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var invalid Invalid
			got := c.check(&invalid)
			if (invalid.Err() != nil) != c.wrong || len(invalid.Fields) > 1 || got != c.want {
				t.Errorf("got %q, %v", got, invalid.Err())
			}
			if c.wrong && (invalid.Fields[0].Pointer != "/f" || !strings.HasPrefix(invalid.Error(), "/f: must ")) {
				t.Errorf("field %+v", invalid.Fields[0])
			}
		})
	}
}

func TestInvalidCollectsEveryField(t *testing.T) {
	var invalid Invalid
	invalid.ID("/id", "")
	invalid.Required("/name", "", MaxText)
	if got := invalid.Error(); !strings.Contains(got, "/id: ") || !strings.Contains(got, "; /name: ") {
		t.Error(got)
	}
}
