package eventstoredb

import (
	"bytes"
	"fmt"
	"regexp"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

const defaultWindow = 32

// filter chooses events of $all by the name of their stream or by their type.
type filter struct {
	byType   bool
	prefixes [][]byte
	regex    *regexp.Regexp
	// interval is the number of events searched between two checkpoints of a subscription.
	interval int
}

// parseFilter reads the filter of a request; nil is no filter. Regular expressions are Go's (RE2): the look-around
// and back-references of .NET's are refused.
func parseFilter(o *streams.ReadReq_Options_FilterOptions, subscription bool) (*filter, error) {
	f := &filter{}
	var e *streams.ReadReq_Options_FilterOptions_Expression
	switch by := o.GetFilter().(type) {
	case *streams.ReadReq_Options_FilterOptions_EventType:
		f.byType, e = true, by.EventType
	case *streams.ReadReq_Options_FilterOptions_StreamIdentifier:
		e = by.StreamIdentifier
	default:
		return nil, invalidArgument("a filter must say whether it filters by stream name or by event type")
	}
	switch {
	case e.GetRegex() != "" && len(e.GetPrefix()) > 0:
		return nil, invalidArgument("a filter has prefixes or a regular expression, not both")
	case e.GetRegex() != "":
		re, err := regexp.Compile(e.GetRegex())
		if err != nil {
			return nil, invalidArgument(fmt.Sprintf("the filter's regular expression: %v", err))
		}
		f.regex = re
	default:
		for _, p := range e.GetPrefix() {
			f.prefixes = append(f.prefixes, []byte(p))
		}
	}
	window := defaultWindow
	if w, ok := o.GetWindow().(*streams.ReadReq_Options_FilterOptions_Max); ok {
		if window = int(w.Max); window == 0 {
			return nil, invalidArgument("the filter's search window must be above 0")
		}
	}
	multiplier := int(o.GetCheckpointIntervalMultiplier())
	if multiplier == 0 {
		if subscription {
			return nil, invalidArgument("the checkpoint interval multiplier must be above 0")
		}
		multiplier = 1
	}
	f.interval = window * multiplier
	return f, nil
}

// allows reports whether the filter lets an event through. A nil filter, and one without any expression, lets
// everything through.
func (f *filter) allows(r record) bool {
	if f == nil || f.regex == nil && len(f.prefixes) == 0 {
		return true
	}
	subject := r.stream()
	if f.byType {
		subject = r.eventType()
	}
	if f.regex != nil {
		return f.regex.Match(subject)
	}
	for _, p := range f.prefixes {
		if bytes.HasPrefix(subject, p) {
			return true
		}
	}
	return false
}
