// Package member is a customer of the shop: registered once, under an e-mail address that nobody else has, and closed
// one day.
package member

import "jangbu/domain/event"

// Category names the streams of members: member-<id>.
const Category = "member"

// Stream names the stream of one member.
func Stream(id string) string { return event.StreamName(Category, id) }

// Registered: the shop knows a new member. Email, if there is one, is in the form of email.Normal.
type Registered struct {
	Name    string `json:"name"`
	Email   string `json:"email,omitempty"`
	Contact string `json:"contact,omitempty"`
	City    string `json:"city,omitempty"`
	Country string `json:"country,omitempty"`
	Phone   string `json:"phone,omitempty"`
}

// Renamed: the member goes by another name.
type Renamed struct {
	Name string `json:"name"`
}

// EmailChanged: the member has another e-mail address, or none.
type EmailChanged struct {
	Email string `json:"email"`
}

// EmailGivenUp: an address that was reserved for the member, and never became theirs, was given to another. It changes
// nothing; whoever was about to make it theirs finds the stream changed.
type EmailGivenUp struct {
	Email string `json:"email"`
}

// ContactChanged: the member is reached otherwise. All fields are the new ones.
type ContactChanged struct {
	Contact string `json:"contact,omitempty"`
	City    string `json:"city,omitempty"`
	Country string `json:"country,omitempty"`
	Phone   string `json:"phone,omitempty"`
}

// Address is where a member has things sent, under a label such as "home".
type Address struct {
	Label    string `json:"label"`
	Name     string `json:"name"`
	Street   string `json:"street,omitempty"`
	Postcode string `json:"postcode,omitempty"`
	City     string `json:"city"`
	Country  string `json:"country"`
}

// AddressSet: the address under its label is this one now.
type AddressSet struct {
	Address
}

// AddressRemoved: there is no address under the label any more.
type AddressRemoved struct {
	Label string `json:"label"`
}

// Closed: the member is none any more, and orders nothing. The e-mail address is free again.
type Closed struct {
	Reason string `json:"reason,omitempty"`
}

// Codec reads and writes the events of a member.
var Codec = event.NewCodec(
	event.Of[Registered]("member.registered.v1"),
	event.Of[Renamed]("member.renamed.v1"),
	event.Of[EmailChanged]("member.email_changed.v1"),
	event.Of[EmailGivenUp]("member.email_given_up.v1"),
	event.Of[ContactChanged]("member.contact_changed.v1"),
	event.Of[AddressSet]("member.address_set.v1"),
	event.Of[AddressRemoved]("member.address_removed.v1"),
	event.Of[Closed]("member.closed.v1"),
)
