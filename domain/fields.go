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

// Lines checks a text that may be empty and may hold line breaks and tabs. It returns the text without the white space
// around it, each line break as one line feed.
func (i *Invalid) Lines(pointer, s string, maxRunes int) string {
	s = strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
	switch {
	case !utf8.ValidString(s):
		i.Add(pointer, "must be valid UTF-8")
	case utf8.RuneCountInString(s) > maxRunes:
		i.Add(pointer, fmt.Sprintf("must have at most %d characters", maxRunes))
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
		i.Add(pointer, "must not contain control characters but line breaks and tabs")
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

// Time checks a moment in the form of RFC 3339 and returns it in UTC.
func (i *Invalid) Time(pointer, s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	// An offset can lead out of the years that RFC 3339 can write.
	if at = at.UTC(); err != nil || at.Year() < 0 || at.Year() > 9999 {
		i.Add(pointer, "must be a time of the form 2026-12-31T23:59:59Z (RFC 3339)")
		return time.Time{}
	}
	return at
}
