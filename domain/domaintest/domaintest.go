// Package domaintest is what the tests of every aggregate share: golden files that pin the JSON of each event version
// for ever, the fold of events, and the check of a decision against what was expected.
package domaintest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"jangbu/domain"
	"jangbu/domain/event"
)

// Golden checks that every name the codec reads has testdata/<name>.json, that the file decodes to the event given
// for the name, and that the event is still written as the file has it. An event that is no longer written (an old
// version) is only decoded. A name without a file, or without an event here, fails: a version once written is
// readable for ever only if its JSON is pinned.
func Golden(t *testing.T, codec *event.Codec, events map[string]any) {
	t.Helper()
	for _, name := range codec.Names() {
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join("testdata", name+".json"))
			if err != nil {
				t.Fatalf("the JSON of %s is not pinned: %v", name, err)
			}
			e, ok := events[name]
			if !ok {
				t.Fatalf("the test gives no event for %s", name)
			}
			got, err := codec.Decode(name, want)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, e) {
				t.Errorf("decoded\n%#v\nwant\n%#v", got, e)
			}
			written, data, err := codec.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			if written == name && !bytes.Equal(indent(t, data), indent(t, want)) {
				t.Errorf("encoded\n%s\nwant\n%s", indent(t, data), indent(t, want))
			}
		})
	}
}

func indent(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(out.Bytes())
}

// Fold is the state that events add up to.
func Fold[S any](apply func(S, any) S, events []any) S {
	var s S
	for _, e := range events {
		s = apply(s, e)
	}
	return s
}

// Case is one given/when/then: the events of a stream, and what a command then causes.
type Case struct {
	Name  string
	Given []any
	When  any
	Then  []any // the events, or
	Err   error // a *domain.Refused (compared by Code), *domain.Missing or *domain.Invalid (compared by pointers)
}

// Run decides each case and compares.
func Run(t *testing.T, cases []Case, decide func(given []any, command any) ([]any, error)) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got, err := decide(c.Given, c.When)
			if !sameError(err, c.Err) {
				t.Fatalf("error %#v (%v), want %#v", err, err, c.Err)
			}
			if len(got) != len(c.Then) || (len(got) > 0 && !reflect.DeepEqual(got, c.Then)) {
				t.Errorf("events\n%#v\nwant\n%#v", got, c.Then)
			}
		})
	}
}

func sameError(got, want error) bool {
	switch want := want.(type) {
	case nil:
		return got == nil
	case *domain.Refused:
		var refused *domain.Refused
		return errors.As(got, &refused) && refused.Code == want.Code && refused.Detail != ""
	case *domain.Missing:
		var missing *domain.Missing
		return errors.As(got, &missing) && *missing == *want
	case *domain.Invalid:
		var invalid *domain.Invalid
		return errors.As(got, &invalid) && reflect.DeepEqual(pointers(invalid), pointers(want))
	}
	return false
}

func pointers(i *domain.Invalid) []string {
	var p []string
	for _, f := range i.Fields {
		p = append(p, f.Pointer)
	}
	return p
}

// Refused, Missing and Invalid make the errors of a Case.
func Refused(code string) error { return &domain.Refused{Code: code} }

// Missing is the error of a thing that does not exist.
func Missing(kind, id string) error { return &domain.Missing{Kind: kind, ID: id} }

// Invalid is the error of wrong fields, in the order in which they are found.
func Invalid(pointers ...string) error {
	var i domain.Invalid
	for _, p := range pointers {
		i.Add(p, "")
	}
	return i.Err()
}

// RoundTrip fails unless the value survives its own JSON; a state record and an event must.
func RoundTrip[T any](t Fatal, v T) {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("marshal %#v: %v", v, err)
	}
	var back T
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatalf("unmarshal %s: %v", data, err)
	}
	if !reflect.DeepEqual(v, back) {
		t.Fatalf("JSON changed\n%#v\ninto\n%#v", v, back)
	}
}

// Recode sends an event through the codec and back, as the log does.
func Recode(t Fatal, codec *event.Codec, e any) any {
	name, data, err := codec.Encode(e)
	if err != nil {
		t.Fatalf("encode %#v: %v", e, err)
	}
	back, err := codec.Decode(name, data)
	if err != nil {
		t.Fatalf("decode %s: %v", data, err)
	}
	if !reflect.DeepEqual(e, back) {
		t.Fatalf("the log changed\n%#v\ninto\n%#v", e, back)
	}
	return back
}

// Fatal is a test that can fail, a *testing.T or a *rapid.T.
type Fatal interface{ Fatalf(string, ...any) }

// Commands runs commands one after the other, and fails unless a refused one causes nothing, one that causes something
// changes the state, the same once more causes nothing, and the log, through JSON, folds to the state. check judges the
// state after each command; events is how many there have been.
func Commands[S, C any](t Fatal, codec *event.Codec, apply func(S, any) S, decide func(S, C) ([]any, error), commands []C,
	check func(before, s S, events int)) {
	var log []any
	var s S
	for _, c := range commands {
		before := s
		events, err := decide(s, c)
		if err != nil && len(events) > 0 {
			t.Fatalf("%#v is refused (%v) and causes %v", c, err, events)
		}
		for _, e := range events {
			log = append(log, Recode(t, codec, e))
			s = apply(s, e)
		}
		if again, err := decide(s, c); len(again) > 0 {
			t.Fatalf("%#v once more causes %v, %v", c, again, err)
		}
		if len(events) > 0 && reflect.DeepEqual(before, s) {
			t.Fatalf("%#v changes nothing and causes %v", c, events)
		}
		check(before, s, len(log))
		RoundTrip(t, s)
	}
	if again := Fold(apply, log); !reflect.DeepEqual(s, again) {
		t.Fatalf("the log folds to %#v, was %#v", again, s)
	}
}
