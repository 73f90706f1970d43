package domain

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The limits of what a command may carry.
const (
	MaxText   = 200  // runes of a name or another short text
	MaxReason = 1000 // runes of a reason a person writes
)

// DateLayout is the form of every date: a calendar day without a zone.
const DateLayout = "2006-01-02"

// Required checks a text that must be there and returns it without the white space around it.
func (i *Invalid) Required(pointer, s string, maxRunes int) string {
	s = i.Optional(pointer, s, maxRunes)
	if s == "" {
		i.Add(pointer, "must not be empty")
	}
	return s
}

// Optional checks a text that may be empty and returns it without the white space around it.
func (i *Invalid) Optional(pointer, s string, maxRunes int) string {
	s = strings.TrimSpace(s)
	switch {
	case !utf8.ValidString(s):
		i.Add(pointer, "must be valid UTF-8")
	case utf8.RuneCountInString(s) > maxRunes:
		i.Add(pointer, fmt.Sprintf("must have at most %d characters", maxRunes))
	case strings.ContainsFunc(s, unicode.IsControl):
		i.Add(pointer, "must not contain control characters")
	}
	return s
}

// ID checks an id.
func (i *Invalid) ID(pointer, id string) {
	if !ValidID(id) {
		i.Add(pointer, "must be 1 to 64 letters, digits, dashes or underscores")
	}
}

// Within checks a number against its bounds, both included.
func (i *Invalid) Within(pointer string, n, low, high int64) {
	if n < low || n > high {
		i.Add(pointer, fmt.Sprintf("must be from %d to %d", low, high))
	}
}

// Date checks a calendar day of the form YYYY-MM-DD.
func (i *Invalid) Date(pointer, s string) {
	day, err := time.Parse(DateLayout, s)
	if err != nil || day.Format(DateLayout) != s {
		i.Add(pointer, "must be a date of the form YYYY-MM-DD")
	}
}
