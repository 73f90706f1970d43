package email

import (
	"reflect"
	"strings"
	"testing"

	"jangbu/domain/domaintest"

	"pgregory.net/rapid"
)

func decide(given []any, command any) ([]any, error) { return Decide(fold(given), command.(Command)) }

func fold(events []any) State { return domaintest.Fold(Apply, events) }

func TestDecide(t *testing.T) {
	kims := []any{Reserved{MemberID: "kim"}}
	free := []any{Reserved{MemberID: "kim"}, Released{MemberID: "kim"}}
	domaintest.Run(t, []domaintest.Case{
		{Name: "reserve", When: Reserve{MemberID: "kim"}, Then: kims},
		{Name: "reserve again", Given: kims, When: Reserve{MemberID: "kim"}, Then: kims},
		{Name: "reserve another's", Given: kims, When: Reserve{MemberID: "lee"}, Err: domaintest.Refused("email-taken")},
		{Name: "reserve what another abandoned", Given: kims, When: Reserve{MemberID: "lee", Abandoned: true}, Then: []any{Reserved{MemberID: "lee"}}},
		{Name: "reserve what was released", Given: free, When: Reserve{MemberID: "lee"}, Then: []any{Reserved{MemberID: "lee"}}},
		{Name: "release", Given: kims, When: Release{MemberID: "kim"}, Then: []any{Released{MemberID: "kim"}}},
		{Name: "release again", Given: free, When: Release{MemberID: "kim"}},
		{Name: "release another's", Given: kims, When: Release{MemberID: "lee"}},
		{Name: "release nobody's", When: Release{MemberID: "kim"}},
		{Name: "release nobody's as nobody", When: Release{}},
	}, decide)
}

func TestNormal(t *testing.T) {
	for _, c := range []struct {
		in, want string
		ok       bool
	}{
		{"kim@example.com", "kim@example.com", true},
		{" Kim.Lee+Shop@Example.COM\n", "kim.lee+shop@example.com", true},
		{"김@example.com", "김@example.com", true},
		{"kim@localhost", "kim@localhost", true},
		{"", "", false},
		{"  ", "", false},
		{"kim", "kim", false},
		{"kim@", "kim@", false},
		{"@example.com", "@example.com", false},
		{"kim@@example.com", "kim@@example.com", false},
		{"Kim <kim@example.com>", "kim <kim@example.com>", false},
		{"<kim@example.com>", "<kim@example.com>", false},
		{"kim@example.com, lee@example.com", "kim@example.com, lee@example.com", false},
		{"kim lee@example.com", "kim lee@example.com", false},
		{"kim@example.com\r\nBcc: lee@example.com", "kim@example.com\r\nbcc: lee@example.com", false},
		{strings.Repeat("k", 242) + "@example.com", strings.Repeat("k", 242) + "@example.com", true},
		{strings.Repeat("k", 243) + "@example.com", strings.Repeat("k", 243) + "@example.com", false},
	} {
		if got, ok := Normal(c.in); got != c.want || ok != c.ok {
			t.Errorf("Normal(%q) is %q, %v", c.in, got, ok)
		}
	}
}

func TestStream(t *testing.T) {
	a, b := Stream("kim@example.com"), Stream("lee@example.com")
	if a == b || !strings.HasPrefix(a, "email-") || strings.Contains(a, "kim") || len(a) != len("email-")+32 {
		t.Errorf("%s, %s", a, b)
	}
	// Streams are found by this name for ever.
	if a != "email-5d9a0087d4ccdb9bc50e88c471347911" {
		t.Errorf("the stream of kim@example.com has become %s", a)
	}
}

func TestGolden(t *testing.T) {
	domaintest.Golden(t, Codec, map[string]any{
		"email.reserved.v1": Reserved{MemberID: "ALFKI"},
		"email.released.v1": Released{MemberID: "ALFKI"},
	})
}

// TestAnyCommands: an address changes hands only by a release or when it was abandoned.
func TestAnyCommands(t *testing.T) {
	member := rapid.SampledFrom([]string{"kim", "lee", "park"})
	command := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) Command {
			return Reserve{MemberID: member.Draw(t, "member"), Abandoned: rapid.IntRange(0, 3).Draw(t, "abandoned") == 0}
		}),
		rapid.Custom(func(t *rapid.T) Command { return Release{MemberID: member.Draw(t, "member")} }),
	)
	rapid.Check(t, func(t *rapid.T) {
		var log []any
		var s State
		for _, c := range rapid.SliceOfN(command, 1, 40).Draw(t, "commands") {
			before := s
			events, err := Decide(s, c)
			if err != nil && len(events) > 0 {
				t.Fatalf("%#v is refused (%v) and causes %v", c, err, events)
			}
			for _, e := range events {
				log = append(log, domaintest.Recode(t, Codec, e))
				s = Apply(s, e)
			}
			reserve, isReserve := c.(Reserve)
			if again, err := Decide(s, c); len(again) > 0 != (isReserve && err == nil) || (isReserve && s.MemberID == reserve.MemberID && err != nil) {
				t.Fatalf("%#v once more causes %v, %v", c, again, err)
			}
			if before.MemberID != "" && s.MemberID != before.MemberID && s.MemberID != "" && !reserve.Abandoned {
				t.Fatalf("%#v made %#v of %#v", c, s, before)
			}
			domaintest.RoundTrip(t, s)
		}
		if again := fold(log); !reflect.DeepEqual(s, again) {
			t.Fatalf("the log folds to %#v, was %#v", again, s)
		}
	})
}
