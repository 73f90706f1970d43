package member

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"jangbu/domain/domaintest"
	"jangbu/domain/email"

	"pgregory.net/rapid"
)

func TestDecide(t *testing.T) {
	alfred := Registered{Name: "Alfred", Country: "Germany"}
	closed := []any{alfred, Closed{}}
	home := Address{Label: "home", Name: "Alfred", City: "Berlin", Country: "Germany"}
	moved := Address{Label: "home", Name: "Alfred", Street: "Obere Str. 57", Postcode: "10115", City: "Berlin", Country: "Germany"}
	domaintest.Run(t, []domaintest.Case{
		{Name: "register", When: Register{ID: "ALFKI", Name: " Alfred ", Contact: " ", Country: "Germany"}, Then: []any{alfred}},
		{Name: "register twice", Given: []any{alfred}, When: Register{ID: "ALFKI", Name: "Alfred"},
			Err: domaintest.Refused("member-exists")},
		{Name: "register with every field wrong",
			When: Register{ID: "a b", Email: "nobody", Contact: "\x01", City: strings.Repeat("x", 201), Country: "\xff", Phone: "1\n2"},
			Err:  domaintest.Invalid("/id", "/name", "/email", "/contact", "/city", "/country", "/phone")},
		{Name: "wrong fields are told before the id is looked up", Given: []any{alfred}, When: Register{ID: "ALFKI"},
			Err: domaintest.Invalid("/name")},
		{Name: "register with an e-mail", When: Register{ID: "ALFKI", Name: "Alfred", Email: " Alfred@Example.com "},
			Then: []any{Registered{Name: "Alfred", Email: "alfred@example.com"}}},
		{Name: "register with what is no e-mail", When: Register{ID: "ALFKI", Name: "Alfred", Email: "Alfred <a@example.com>"},
			Err: domaintest.Invalid("/email")},
		{Name: "register under an id for which an e-mail was given up", Given: []any{EmailGivenUp{Email: "a@example.com"}},
			When: Register{ID: "ALFKI", Name: "Alfred", Country: "Germany"}, Then: []any{alfred}},

		{Name: "rename", Given: []any{alfred}, When: Rename{ID: "ALFKI", Name: "Alfreds"}, Then: []any{Renamed{Name: "Alfreds"}}},
		{Name: "rename to the same name", Given: []any{alfred, Renamed{Name: "Alfreds"}}, When: Rename{ID: "ALFKI", Name: "Alfreds "}},
		{Name: "rename to nothing", Given: []any{alfred}, When: Rename{ID: "ALFKI", Name: " "}, Err: domaintest.Invalid("/name")},
		{Name: "rename nobody", When: Rename{ID: "ALFKI"}, Err: domaintest.Missing("member", "ALFKI")},
		{Name: "rename nobody for whom an e-mail was given up", Given: []any{EmailGivenUp{Email: "a@example.com"}}, When: Rename{ID: "ALFKI", Name: "A"},
			Err: domaintest.Missing("member", "ALFKI")},
		{Name: "rename a closed member", Given: closed, When: Rename{ID: "ALFKI", Name: "A"}, Err: domaintest.Refused("member-closed")},

		{Name: "change the e-mail", Given: []any{alfred}, When: ChangeEmail{ID: "ALFKI", Email: "A@b.de"}, Then: []any{EmailChanged{Email: "a@b.de"}}},
		{Name: "change it to the same", Given: []any{alfred, EmailChanged{Email: "a@b.de"}}, When: ChangeEmail{ID: "ALFKI", Email: "A@B.DE"}},
		{Name: "remove it", Given: []any{alfred, EmailChanged{Email: "a@b.de"}}, When: ChangeEmail{ID: "ALFKI"}, Then: []any{EmailChanged{}}},
		{Name: "remove none", Given: []any{alfred}, When: ChangeEmail{ID: "ALFKI", Email: " "}},
		{Name: "change it to nonsense", Given: []any{alfred}, When: ChangeEmail{ID: "ALFKI", Email: "a@"}, Err: domaintest.Invalid("/email")},
		{Name: "change nobody's", When: ChangeEmail{ID: "ALFKI", Email: "a@b.de"}, Err: domaintest.Missing("member", "ALFKI")},
		{Name: "change that of a closed member", Given: closed, When: ChangeEmail{ID: "ALFKI", Email: "a@b.de"}, Err: domaintest.Refused("member-closed")},

		{Name: "give up an e-mail the member never got", Given: []any{alfred}, When: GiveUpEmail{ID: "ALFKI", Email: "a@b.de"},
			Then: []any{EmailGivenUp{Email: "a@b.de"}}},
		{Name: "give it up again", Given: []any{alfred, EmailGivenUp{Email: "a@b.de"}}, When: GiveUpEmail{ID: "ALFKI", Email: "a@b.de"},
			Then: []any{EmailGivenUp{Email: "a@b.de"}}},
		{Name: "give up that of nobody", When: GiveUpEmail{ID: "ALFKI", Email: "a@b.de"}, Then: []any{EmailGivenUp{Email: "a@b.de"}}},
		{Name: "give up that of a closed member", Given: []any{Registered{Name: "A", Email: "a@b.de"}, Closed{}}, When: GiveUpEmail{ID: "ALFKI", Email: "a@b.de"},
			Then: []any{EmailGivenUp{Email: "a@b.de"}}},
		{Name: "give up the member's own", Given: []any{Registered{Name: "A", Email: "a@b.de"}}, When: GiveUpEmail{ID: "ALFKI", Email: "a@b.de"},
			Err: domaintest.Refused("email-taken")},

		{Name: "change the contact", Given: []any{alfred}, When: ChangeContact{ID: "ALFKI", Contact: " Maria ", Phone: "030"},
			Then: []any{ContactChanged{Contact: "Maria", Phone: "030"}}},
		{Name: "change it to the same", Given: []any{alfred}, When: ChangeContact{ID: "ALFKI", Country: "Germany"}},
		{Name: "change it to nonsense", Given: []any{alfred}, When: ChangeContact{ID: "ALFKI", Contact: "\x01", City: "\x01", Country: "\x01", Phone: "\x01"},
			Err: domaintest.Invalid("/contact", "/city", "/country", "/phone")},
		{Name: "change nobody's contact", When: ChangeContact{ID: "ALFKI"}, Err: domaintest.Missing("member", "ALFKI")},
		{Name: "change the contact of a closed member", Given: closed, When: ChangeContact{ID: "ALFKI"}, Err: domaintest.Refused("member-closed")},

		{Name: "set an address", Given: []any{alfred}, When: SetAddress{ID: "ALFKI", Address: Address{Label: " home ", Name: "Alfred", City: "Berlin", Country: "Germany"}},
			Then: []any{AddressSet{home}}},
		{Name: "set it again", Given: []any{alfred, AddressSet{home}}, When: SetAddress{ID: "ALFKI", Address: home}},
		{Name: "set another one under its label", Given: []any{alfred, AddressSet{home}}, When: SetAddress{ID: "ALFKI", Address: moved}, Then: []any{AddressSet{moved}}},
		{Name: "set an address of nothing", Given: []any{alfred}, When: SetAddress{ID: "ALFKI", Address: Address{Street: "\x01", Postcode: "\x01"}},
			Err: domaintest.Invalid("/label", "/name", "/street", "/postcode", "/city", "/country")},
		{Name: "set one too many", Given: append([]any{alfred}, addresses(MaxAddresses)...), When: SetAddress{ID: "ALFKI", Address: home},
			Err: domaintest.Refused("too-many-addresses")},
		{Name: "set the last of many anew", Given: append([]any{alfred}, append(addresses(MaxAddresses-1), AddressSet{home})...),
			When: SetAddress{ID: "ALFKI", Address: moved}, Then: []any{AddressSet{moved}}},
		{Name: "set nobody's", When: SetAddress{ID: "ALFKI", Address: home}, Err: domaintest.Missing("member", "ALFKI")},
		{Name: "set that of a closed member", Given: closed, When: SetAddress{ID: "ALFKI", Address: home}, Err: domaintest.Refused("member-closed")},

		{Name: "remove an address", Given: []any{alfred, AddressSet{home}}, When: RemoveAddress{ID: "ALFKI", Label: "home "}, Then: []any{AddressRemoved{Label: "home"}}},
		{Name: "remove it again", Given: []any{alfred, AddressSet{home}, AddressRemoved{Label: "home"}}, When: RemoveAddress{ID: "ALFKI", Label: "home"}},
		{Name: "remove one of no label", Given: []any{alfred}, When: RemoveAddress{ID: "ALFKI"}, Err: domaintest.Invalid("/label")},
		{Name: "remove nobody's", When: RemoveAddress{ID: "ALFKI", Label: "home"}, Err: domaintest.Missing("member", "ALFKI")},
		{Name: "remove that of a closed member", Given: closed, When: RemoveAddress{ID: "ALFKI", Label: "home"}, Err: domaintest.Refused("member-closed")},

		{Name: "close", Given: []any{alfred}, When: Close{ID: "ALFKI", Reason: " moved away "}, Then: []any{Closed{Reason: "moved away"}}},
		{Name: "close for no reason", Given: []any{alfred}, When: Close{ID: "ALFKI"}, Then: []any{Closed{}}},
		{Name: "close again", Given: closed, When: Close{ID: "ALFKI", Reason: "moved away"}},
		{Name: "close with an essay", Given: []any{alfred}, When: Close{ID: "ALFKI", Reason: strings.Repeat("x", 1001)}, Err: domaintest.Invalid("/reason")},
		{Name: "close nobody", When: Close{ID: "ALFKI"}, Err: domaintest.Missing("member", "ALFKI")},
		{Name: "register a closed member again", Given: closed, When: Register{ID: "ALFKI", Name: "Alfred"}, Err: domaintest.Refused("member-exists")},
	}, func(given []any, command any) ([]any, error) {
		return Decide(fold(given), command.(Command))
	})
}

func fold(events []any) State { return domaintest.Fold(Apply, events) }

func addresses(n int) []any {
	events := make([]any, n)
	for i := range events {
		events[i] = AddressSet{Address{Label: fmt.Sprint(i), Name: "A", City: "B", Country: "C"}}
	}
	return events
}

func TestAddressesAreSortedAndShared(t *testing.T) {
	at := func(label, city string) AddressSet {
		return AddressSet{Address{Label: label, Name: "A", City: city, Country: "C"}}
	}
	before := fold([]any{Registered{Name: "A"}, at("work", "Bonn"), at("home", "Ulm")})
	after := Apply(Apply(before, at("home", "Köln")), AddressRemoved{Label: "work"})
	if got := before.Addresses; len(got) != 2 || got[0].City != "Ulm" || got[1].Label != "work" {
		t.Errorf("%+v", got)
	}
	if got := after.Addresses; len(got) != 1 || got[0].City != "Köln" {
		t.Errorf("%+v", got)
	}
}

func TestGolden(t *testing.T) {
	domaintest.Golden(t, Codec, map[string]any{
		"member.registered.v1":      Registered{Name: "Alfreds Futterkiste", Contact: "Maria Anders", City: "México D.F.", Country: "Germany", Phone: "030-0074321"},
		"member.renamed.v1":         Renamed{Name: "Alfred & Söhne"},
		"member.email_changed.v1":   EmailChanged{Email: "maria@example.com"},
		"member.email_given_up.v1":  EmailGivenUp{Email: "maria@example.com"},
		"member.contact_changed.v1": ContactChanged{Contact: "Maria Anders", City: "Berlin", Country: "Germany", Phone: "030-0074321"},
		"member.address_set.v1": AddressSet{Address{Label: "home", Name: "Maria Anders", Street: "Obere Str. 57", Postcode: "12209",
			City: "Berlin", Country: "Germany"}},
		"member.address_removed.v1": AddressRemoved{Label: "home"},
		"member.closed.v1":          Closed{Reason: "moved away"},
	})
}

// TestRegisteredWithEmail: the e-mail came later; an event without one is read as ever.
func TestRegisteredWithEmail(t *testing.T) {
	e := Registered{Name: "A", Email: "a@b.de"}
	name, data, err := Codec.Encode(e)
	if want := `{"name":"A","email":"a@b.de"}`; err != nil || name != "member.registered.v1" || string(data) != want {
		t.Errorf("%s %s, %v", name, data, err)
	}
	domaintest.Recode(t, Codec, e)
}

func anyCommand() *rapid.Generator[Command] {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"Alfred", " Alfred ", "Berlin"}))
	label := rapid.SampledFrom([]string{"home", "work ", "office", ""})
	address := rapid.SampledFrom([]string{"", "a@b.de", " A@b.DE", "b@b.de", "@"})
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) Command {
			return Register{ID: "m", Name: text.Draw(t, "name"), Email: address.Draw(t, "email"), Contact: text.Draw(t, "contact"), City: text.Draw(t, "city"),
				Country: text.Draw(t, "country"), Phone: text.Draw(t, "phone")}
		}),
		rapid.Just[Command](Register{ID: "m", Name: "Alfred", Email: "a@b.de"}),
		rapid.Custom(func(t *rapid.T) Command { return Rename{ID: "m", Name: text.Draw(t, "name")} }),
		rapid.Custom(func(t *rapid.T) Command { return ChangeEmail{ID: "m", Email: address.Draw(t, "email")} }),
		rapid.Custom(func(t *rapid.T) Command {
			return ChangeContact{ID: "m", City: text.Draw(t, "city"), Phone: text.Draw(t, "phone")}
		}),
		rapid.Custom(func(t *rapid.T) Command {
			return SetAddress{ID: "m", Address: Address{Label: label.Draw(t, "label"), Name: text.Draw(t, "name"), City: "Berlin", Country: "Germany"}}
		}),
		rapid.Custom(func(t *rapid.T) Command { return RemoveAddress{ID: "m", Label: label.Draw(t, "label")} }),
		rapid.Custom(func(t *rapid.T) Command {
			if rapid.IntRange(0, 5).Draw(t, "close") > 0 { // seldom, or nothing else is ever seen
				return Rename{ID: "m", Name: "Alfreds"}
			}
			return Close{ID: "m", Reason: text.Draw(t, "reason")}
		}),
	)
}

func TestAnyCommands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		commands := rapid.SliceOfN(anyCommand(), 1, 40).Draw(t, "commands")
		domaintest.Commands(t, Codec, Apply, Decide, commands, func(before, s State, events int) { checkInvariants(t, before, s, events) })
	})
}

func checkInvariants(t *rapid.T, before, s State, events int) {
	if s.Exists != (events > 0) || (s.Exists && (s.Name == "" || s.Name != strings.TrimSpace(s.Name))) {
		t.Fatalf("state %#v after %d events", s, events)
	}
	if before.Closed && !reflect.DeepEqual(before, s) || s.Closed && s.Email != "" {
		t.Fatalf("%#v became %#v", before, s)
	}
	if normal, ok := email.Normal(s.Email); s.Email != "" && (!ok || normal != s.Email) {
		t.Fatalf("e-mail %q", s.Email)
	}
	for i, a := range s.Addresses {
		if a.Label == "" || a.Name == "" || (i > 0 && s.Addresses[i-1].Label >= a.Label) {
			t.Fatalf("addresses %#v", s.Addresses)
		}
	}
}
