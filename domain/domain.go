// Package domain and the packages below it are the rules of the shop: pure functions over events, with no I/O, no
// clock and no randomness. An aggregate is two of them: Decide(state, command, …) says which events a command
// causes or why it is refused, and Apply(state, event) says what an event changes.
//
// This package holds the two ways in which a command can fail. It knows nothing of HTTP.
package domain

import (
	"regexp"
	"strings"
)

// Refused says that a rule of the shop forbids the command in the present state. Code is stable and short
// ("order-already-shipped"); Detail is for a person.
type Refused struct {
	Code   string
	Detail string
}

func (r *Refused) Error() string { return r.Detail }

// Missing says that the thing the command is about does not exist.
type Missing struct {
	Kind string // "order"
	ID   string
}

func (m *Missing) Error() string { return m.Kind + " " + m.ID + " does not exist" }

// Invalid says which fields of a command are wrong, all of them at once.
type Invalid struct {
	Fields []Field
}

// Field is one wrong field: a JSON Pointer (RFC 6901) into the command and what is wrong there.
type Field struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

func (i *Invalid) Error() string {
	parts := make([]string, len(i.Fields))
	for k, f := range i.Fields {
		parts[k] = f.Pointer + ": " + f.Detail
	}
	return strings.Join(parts, "; ")
}

// Add notes a wrong field.
func (i *Invalid) Add(pointer, detail string) {
	i.Fields = append(i.Fields, Field{Pointer: pointer, Detail: detail})
}

// Err is nil when no field is wrong.
func (i *Invalid) Err() error {
	if len(i.Fields) == 0 {
		return nil
	}
	return i
}

var id = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ValidID reports whether s may name a member, a product or an order.
func ValidID(s string) bool { return id.MatchString(s) }
