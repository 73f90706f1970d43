package snssqs

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxQueueMessage  = 1 << 20   // SQS: a message, and a batch in total
	maxTopicMessage  = 256 << 10 // SNS: a message, and a batch in total
	maxRawAttributes = 10        // SQS holds no more; raw delivery discards a message with more
	maxBatchEntries  = 10
)

// attribute is a message attribute, as both services know it.
type attribute struct {
	DataType    string
	StringValue *string `json:",omitempty"`
	BinaryValue []byte  `json:",omitempty"`
}

type attributes map[string]attribute

func (a attribute) text() string {
	if a.StringValue == nil {
		return ""
	}
	return *a.StringValue
}

func (a attribute) isBinary() bool { return strings.HasPrefix(a.DataType, "Binary") }

// size is what the attributes count towards a message's limit.
func (as attributes) size() int {
	n := 0
	for name, a := range as {
		n += len(name) + len(a.DataType) + len(a.text()) + len(a.BinaryValue)
	}
	return n
}

// check refuses attributes that neither service would take.
func (as attributes) check() *apiError {
	for name, a := range as {
		base, _, _ := strings.Cut(a.DataType, ".")
		switch {
		case name == "":
			return refuse("InvalidParameterValue", "A message attribute has no name.")
		case base != "String" && base != "Number" && base != "Binary":
			return refuse("InvalidParameterValue", "The type of message attribute '%s' is invalid: it must be String, Number or Binary.", name)
		case a.isBinary() && len(a.BinaryValue) == 0, !a.isBinary() && a.text() == "":
			return refuse("InvalidParameterValue", "The message attribute '%s' must contain a non-empty value of its type.", name)
		case base == "Number" && !isNumber(a.text()):
			return refuse("InvalidParameterValue", "Can't cast the value of message attribute '%s' to a number.", name)
		case !validText(a.text()):
			return refuse("InvalidMessageContents", "The message attribute '%s' contains characters outside the allowed set.", name)
		}
	}
	return nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// md5 is the digest clients check: name, type and value of each attribute in the order of names, lengths before each.
func (as attributes) md5() string {
	if len(as) == 0 {
		return ""
	}
	var b []byte
	part := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, name := range slices.Sorted(maps.Keys(as)) {
		a := as[name]
		part(name)
		part(a.DataType)
		if a.isBinary() {
			b = append(b, 2)
			part(string(a.BinaryValue))
		} else {
			b = append(b, 1)
			part(a.text())
		}
	}
	return digest(b)
}

// content is what a message says. It is immutable and shared by every queue a publish reaches.
type content struct {
	body     string
	bodyMD5  string
	attrs    attributes
	attrsMD5 string
	trace    string // the system attribute AWSTraceHeader
}

func newContent(body string, attrs attributes) *content {
	return &content{body: body, bodyMD5: digest([]byte(body)), attrs: attrs, attrsMD5: attrs.md5()}
}

func digest(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// validText reports whether s holds only the characters that XML 1.0, and so both services, allow.
func validText(s string) bool {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < 0x20 && c != '\t' && c != '\n' && c != '\r' {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if (r == utf8.RuneError && n == 1) || r == 0xFFFE || r == 0xFFFF {
			return false
		}
		i += n
	}
	return true
}
