package member

import (
	"reflect"
	"strings"
	"testing"

	"jangbu/domain/domaintest"

	"pgregory.net/rapid"
)

func TestDecide(t *testing.T) {
	alfred := Registered{Name: "Alfred", Country: "Germany"}
	domaintest.Run(t, []domaintest.Case{
		{Name: "register", When: Register{ID: "ALFKI", Name: " Alfred ", Contact: " ", Country: "Germany"}, Then: []any{alfred}},
		{Name: "register twice", Given: []any{alfred}, When: Register{ID: "ALFKI", Name: "Alfred"},
			Err: domaintest.Refused("member-exists")},
		{Name: "register with every field wrong",
			When: Register{ID: "a b", Contact: "\x01", City: strings.Repeat("x", 201), Country: "\xff", Phone: "1\n2"},
			Err:  domaintest.Invalid("/id", "/name", "/contact", "/city", "/country", "/phone")},
		{Name: "wrong fields are told before the id is looked up", Given: []any{alfred}, When: Register{ID: "ALFKI"},
			Err: domaintest.Invalid("/name")},
		{Name: "rename", Given: []any{alfred}, When: Rename{ID: "ALFKI", Name: "Alfreds"}, Then: []any{Renamed{Name: "Alfreds"}}},
		{Name: "rename to the same name", Given: []any{alfred, Renamed{Name: "Alfreds"}}, When: Rename{ID: "ALFKI", Name: "Alfreds "}},
		{Name: "rename to nothing", Given: []any{alfred}, When: Rename{ID: "ALFKI", Name: " "}, Err: domaintest.Invalid("/name")},
		{Name: "rename nobody", When: Rename{ID: "ALFKI"}, Err: domaintest.Missing("member", "ALFKI")},
	}, func(given []any, command any) ([]any, error) {
		return Decide(fold(given), command.(Command))
	})
}

func fold(events []any) State {
	var s State
	for _, e := range events {
		s = Apply(s, e)
	}
	return s
}

func TestGolden(t *testing.T) {
	domaintest.Golden(t, Codec, map[string]any{
		"member.registered.v1": Registered{Name: "Alfreds Futterkiste", Contact: "Maria Anders", City: "México D.F.", Country: "Germany", Phone: "030-0074321"},
		"member.renamed.v1":    Renamed{Name: "Alfred & Söhne"},
	})
}

func TestAnyCommands(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"Alfred", " Alfred ", "Berlin"}))
	command := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) Command {
			return Register{ID: "m", Name: text.Draw(t, "name"), Contact: text.Draw(t, "contact"), City: text.Draw(t, "city"),
				Country: text.Draw(t, "country"), Phone: text.Draw(t, "phone")}
		}),
		rapid.Custom(func(t *rapid.T) Command { return Rename{ID: "m", Name: text.Draw(t, "name")} }),
	)
	rapid.Check(t, func(t *rapid.T) {
		var log []any
		var s State
		for _, c := range rapid.SliceOfN(command, 1, 30).Draw(t, "commands") {
			events, err := Decide(s, c)
			if err != nil && len(events) > 0 {
				t.Fatalf("%#v is refused (%v) and causes %v", c, err, events)
			}
			for _, e := range events {
				log = append(log, domaintest.Recode(t, Codec, e))
				s = Apply(s, e)
			}
			if again, err := Decide(s, c); len(again) > 0 {
				t.Fatalf("%#v once more causes %v, %v", c, again, err)
			}
			if s.Exists != (len(log) > 0) || (s.Exists && (s.Name == "" || s.Name != strings.TrimSpace(s.Name))) {
				t.Fatalf("state %#v after %v", s, log)
			}
			domaintest.RoundTrip(t, s)
		}
		if again := fold(log); !reflect.DeepEqual(s, again) {
			t.Fatalf("the log folds to %#v, was %#v", again, s)
		}
	})
}
