// Package email is the reservation of an e-mail address: a stream for each address says which member may have it, so
// that no two do. The streams are named by a hash, as addresses are long, and nobody else's business.
package email

import (
	"crypto/sha256"
	"encoding/hex"
	"net/mail"
	"strings"

	"jangbu/domain"
	"jangbu/domain/event"
)

// Category names the streams of addresses: email-<hash>.
const Category = "email"

// Stream names the stream of one address, which is in the form of Normal.
func Stream(address string) string {
	sum := sha256.Sum256([]byte(address))
	return event.StreamName(Category, hex.EncodeToString(sum[:16]))
}

// MaxLength is the most bytes that an address may have (RFC 5321, 4.5.3.1.3, without the angle brackets).
const MaxLength = 254

// Normal is the form in which addresses are compared and kept: without white space around it, in lower case. It is false
// for what is no address of the form local@domain.
func Normal(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s || len(s) > MaxLength {
		return s, false
	}
	return s, true
}

// Reserved: the address is that member's, or about to be.
type Reserved struct {
	MemberID string `json:"member_id"`
}

// Released: the address is nobody's.
type Released struct {
	MemberID string `json:"member_id"`
}

// Codec reads and writes the events of an address.
var Codec = event.NewCodec(
	event.Of[Reserved]("email.reserved.v1"),
	event.Of[Released]("email.released.v1"),
)

// State is whose an address is: "" for nobody's.
type State struct {
	MemberID string `json:"member_id,omitempty"`
}

// Apply folds one event into the state. An event it does not know changes nothing.
func Apply(s State, e any) State {
	switch e := e.(type) {
	case Reserved:
		s.MemberID = e.MemberID
	case Released:
		s.MemberID = ""
	}
	return s
}

// Command is what can be asked of an address.
type Command interface{ isCommand() }

// Reserve sets an address aside for a member, or does so once more: it always causes an event, so that whoever was about
// to take the address from the member finds the stream changed. Abandoned says that the member it is set aside for so
// far neither has the address nor can make it theirs any more.
type Reserve struct {
	MemberID  string
	Abandoned bool
}

// Release makes an address nobody's, if it is the member's.
type Release struct{ MemberID string }

func (Reserve) isCommand() {}
func (Release) isCommand() {}

// Decide returns the events the command causes in the state, none when it changes nothing. It fails with
// *domain.Refused:
//
//	email-taken   Reserve: another member has the address
func Decide(s State, c Command) ([]any, error) {
	switch c := c.(type) {
	case Reserve:
		if s.MemberID != "" && s.MemberID != c.MemberID && !c.Abandoned {
			return nil, &domain.Refused{Code: "email-taken", Detail: "Another member has this e-mail address."}
		}
		return []any{Reserved{MemberID: c.MemberID}}, nil
	case Release:
		if s.MemberID == c.MemberID && s.MemberID != "" {
			return []any{Released(c)}, nil
		}
	}
	return nil, nil
}
