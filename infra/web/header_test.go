package web

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func wantProblem(t *testing.T, err error, status int, code string) *Problem {
	t.Helper()
	var p *Problem
	if !errors.As(err, &p) {
		t.Fatalf("error %v, want problem %s", err, code)
	}
	if p.Status != status || p.Code() != code || p.Detail == "" {
		t.Errorf("problem %+v, want %d %s", p, status, code)
	}
	return p
}

func header(name string, values ...string) http.Header {
	h := http.Header{}
	for _, v := range values {
		h.Add(name, v)
	}
	return h
}

func TestParseMatch(t *testing.T) {
	for _, c := range []struct {
		name         string
		values       []string
		strong, weak bool // of "3"
		malformed    bool
	}{
		{"the tag", []string{`"3"`}, true, true, false},
		{"another tag", []string{`"4"`}, false, false, false},
		{"weak", []string{`W/"3"`}, false, true, false},
		{"any", []string{` * `}, true, true, false},
		{"a list", []string{`"1",W/"2" , "3"`}, true, true, false},
		{"several lines", []string{`"1"`, `"3"`}, true, true, false},
		{"empty elements", []string{`, "3",, `}, true, true, false},
		{"a comma in a tag", []string{`"1,3"`}, false, false, false},
		{"an empty tag", []string{`""`}, false, false, false},
		{"no quotes", []string{`3`}, false, false, true},
		{"one quote", []string{`"3`}, false, false, true},
		{"nothing", []string{``}, false, false, true},
		{"commas", []string{`,,`}, false, false, true},
		{"any in a list", []string{`"3", *`}, false, false, true},
		{"no comma", []string{`"3" "4"`}, false, false, true},
		{"small w", []string{`w/"3"`}, false, false, true},
		{"a space in a tag", []string{`"3 "`}, false, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := ParseMatch(header(HeaderIfMatch, c.values...), HeaderIfMatch)
			if c.malformed {
				wantProblem(t, err, 400, "malformed-header")
				return
			}
			if err != nil || !m.Present || m.Strong(`"3"`) != c.strong || m.Weak(`"3"`) != c.weak || m.Weak(`W/"3"`) != c.weak {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
	if m, err := ParseMatch(http.Header{}, HeaderIfMatch); err != nil || m.Present || m.Strong(`"3"`) || m.Weak(`"3"`) {
		t.Errorf("no header: %+v, %v", m, err)
	}
}

func TestParseIdempotencyKey(t *testing.T) {
	for _, key := range []string{"k", " ", `"8e03978e"`, strings.Repeat("k", 255), "~!@"} {
		if got, ok, err := ParseIdempotencyKey(header(HeaderIdempotencyKey, key)); got != key || !ok || err != nil {
			t.Errorf("%q: %q, %v, %v", key, got, ok, err)
		}
	}
	for _, keys := range [][]string{{""}, {strings.Repeat("k", 256)}, {"é"}, {"a\tb"}, {"a\x7f"}, {"a", "a"}} {
		_, _, err := ParseIdempotencyKey(header(HeaderIdempotencyKey, keys...))
		wantProblem(t, err, 400, "malformed-header")
	}
	if _, ok, err := ParseIdempotencyKey(http.Header{}); ok || err != nil {
		t.Errorf("no header: %v, %v", ok, err)
	}
}

func TestParsePrefer(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   Preferences
	}{
		{nil, Preferences{}},
		{[]string{"wait=5"}, Preferences{Wait: 5 * time.Second}},
		{[]string{"wait=0"}, Preferences{}},
		{[]string{`handling=lenient, Wait = "10"; strict`}, Preferences{Wait: 10 * time.Second, Lenient: true}},
		{[]string{"return=minimal", "wait=1"}, Preferences{Wait: time.Second, Return: "minimal"}},
		{[]string{"return=representation, return=minimal"}, Preferences{Return: "representation"}},
		{[]string{"return=all, handling=strict, respond-async"}, Preferences{}},
		{[]string{`foo="a, wait=3; \", wait=4", wait=5`}, Preferences{Wait: 5 * time.Second}},
		{[]string{"wait=x"}, Preferences{}},
		{[]string{"wait=-1"}, Preferences{}},
		{[]string{"wait=1.5"}, Preferences{}},
		{[]string{"wait"}, Preferences{}},
		{[]string{"wait=18446744073709551615"}, Preferences{Wait: maxWaitSeconds * time.Second}},
		{[]string{`",;=\`}, Preferences{}},
	} {
		if got := ParsePrefer(header(HeaderPrefer, c.values...)); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.values, got, c.want)
		}
	}
}

func TestConsistencyToken(t *testing.T) {
	stream, revision, err := ParseConsistencyToken(ConsistencyToken("order-10248", 7))
	if stream != "order-10248" || revision != 7 || err != nil {
		t.Errorf("%s, %d, %v", stream, revision, err)
	}
	for _, token := range []string{"", "@", "@1", "order-1", "order-1@", "order-1@x", "order-1@-1", "order-1@01", "order-1@+1", "order-1@9223372036854775808"} {
		if stream, revision, err := ParseConsistencyToken(token); err == nil {
			t.Errorf("%q passes as %s, %d", token, stream, revision)
		}
	}
}
