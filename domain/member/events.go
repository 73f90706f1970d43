// Package member is a customer of the shop: registered once, renamed at will.
package member

import "jangbu/domain/event"

// Category names the streams of members: member-<id>.
const Category = "member"

// Stream names the stream of one member.
func Stream(id string) string { return event.StreamName(Category, id) }

// Registered: the shop knows a new member.
type Registered struct {
	Name    string `json:"name"`
	Contact string `json:"contact,omitempty"`
	City    string `json:"city,omitempty"`
	Country string `json:"country,omitempty"`
	Phone   string `json:"phone,omitempty"`
}

// Renamed: the member goes by another name.
type Renamed struct {
	Name string `json:"name"`
}

// Codec reads and writes the events of a member.
var Codec = event.NewCodec(
	event.Of[Registered]("member.registered.v1"),
	event.Of[Renamed]("member.renamed.v1"),
)
