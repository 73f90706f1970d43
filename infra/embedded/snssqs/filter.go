package snssqs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// filter is a compiled filter policy on message attributes: every key must be satisfied, by any one of its conditions.
type filter []filterKey

type filterKey struct {
	name       string
	conditions []condition
	either     []filter // for "$or": one of these policies must match instead
}

// condition judges one value of an attribute. absent is asked instead when the message has no such attribute.
type condition struct {
	text    func(string) bool
	number  func(float64) bool
	present bool // "exists": true
	absent  bool // "exists": false
}

const maxFilterKeys = 5

// parseFilter compiles a policy. An empty one (or {}) is nil: everything passes.
func parseFilter(policy string) (filter, error) {
	if policy == "" {
		return nil, nil
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal([]byte(policy), &keys); err != nil {
		return nil, fmt.Errorf("failed to parse JSON: %w", err)
	}
	if len(keys) > maxFilterKeys {
		return nil, errors.New("filter policy is too complex")
	}
	var f filter
	for name, raw := range keys {
		key, err := parseFilterKey(name, raw)
		if err != nil {
			return nil, err
		}
		f = append(f, key)
	}
	return f, nil
}

func parseFilterKey(name string, raw json.RawMessage) (filterKey, error) {
	var values []json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil {
		return filterKey{}, fmt.Errorf("%q must be an object or an array", name)
	}
	key := filterKey{name: name}
	if len(values) == 0 {
		return key, fmt.Errorf("%q: empty arrays are not allowed", name)
	}
	if name == "$or" {
		for _, value := range values {
			alternative, err := parseFilter(string(value))
			if err != nil {
				return key, err
			}
			key.either = append(key.either, alternative)
		}
		return key, nil
	}
	for _, value := range values {
		c, err := parseCondition(value)
		if err != nil {
			return key, fmt.Errorf("%q: %w", name, err)
		}
		key.conditions = append(key.conditions, c)
	}
	return key, nil
}

func parseCondition(raw json.RawMessage) (condition, error) {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return condition{}, err
	}
	switch v := value.(type) {
	case string:
		return condition{text: func(s string) bool { return s == v }}, nil
	case float64:
		return condition{number: func(n float64) bool { return n == v }}, nil
	case bool:
		word := strconv.FormatBool(v)
		return condition{text: func(s string) bool { return s == word }}, nil
	case nil:
		return condition{text: func(s string) bool { return s == "null" }}, nil
	case map[string]any:
		if len(v) != 1 {
			return condition{}, errors.New("a matcher must have exactly one operator")
		}
		for operator, operand := range v {
			return parseOperator(operator, operand)
		}
	}
	return condition{}, errors.New("match value must be String, number, true, false, or null")
}

func parseOperator(operator string, operand any) (condition, error) {
	word, isWord := operand.(string)
	switch operator {
	case "exists":
		wanted, ok := operand.(bool)
		if !ok {
			return condition{}, errors.New("exists match pattern must be either true or false")
		}
		return condition{present: wanted, absent: !wanted}, nil
	case "numeric":
		return parseNumeric(operand)
	case "anything-but":
		return parseAnythingBut(operand)
	case "prefix", "suffix", "equals-ignore-case":
		if !isWord {
			return condition{}, fmt.Errorf("%s match pattern must be a string", operator)
		}
	}
	switch operator {
	case "prefix":
		return condition{text: func(s string) bool { return strings.HasPrefix(s, word) }}, nil
	case "suffix":
		return condition{text: func(s string) bool { return strings.HasSuffix(s, word) }}, nil
	case "equals-ignore-case":
		return condition{text: func(s string) bool { return strings.EqualFold(s, word) }}, nil
	}
	return condition{}, fmt.Errorf("match type %s is not served here", operator)
}

// parseNumeric reads pairs of comparison and number, all of which must hold.
func parseNumeric(operand any) (condition, error) {
	pairs, ok := operand.([]any)
	if !ok || len(pairs) == 0 || len(pairs)%2 != 0 {
		return condition{}, errors.New("value of numeric must be an array of operators and numbers")
	}
	var tests []func(float64) bool
	for i := 0; i < len(pairs); i += 2 {
		bound, ok := pairs[i+1].(float64)
		if !ok {
			return condition{}, errors.New("value of numeric must be a number")
		}
		switch pairs[i] {
		case "=":
			tests = append(tests, func(n float64) bool { return n == bound })
		case "<":
			tests = append(tests, func(n float64) bool { return n < bound })
		case "<=":
			tests = append(tests, func(n float64) bool { return n <= bound })
		case ">":
			tests = append(tests, func(n float64) bool { return n > bound })
		case ">=":
			tests = append(tests, func(n float64) bool { return n >= bound })
		default:
			return condition{}, fmt.Errorf("unrecognized numeric range operator: %v", pairs[i])
		}
	}
	return condition{number: func(n float64) bool {
		for _, test := range tests {
			if !test(n) {
				return false
			}
		}
		return true
	}}, nil
}

// parseAnythingBut reads one value, a list of values, or {"prefix"|"suffix": word}. It needs the attribute to be there.
func parseAnythingBut(operand any) (condition, error) {
	if matcher, ok := operand.(map[string]any); ok {
		if len(matcher) == 1 {
			for operator, word := range matcher {
				if operator == "prefix" || operator == "suffix" {
					inner, err := parseOperator(operator, word)
					return negation([]condition{inner}), err
				}
			}
		}
		return condition{}, errors.New("anything-but takes values, a prefix or a suffix")
	}
	excluded, ok := operand.([]any)
	if !ok {
		excluded = []any{operand}
	}
	var inner []condition
	for _, value := range excluded {
		raw, err := json.Marshal(value)
		if err != nil {
			return condition{}, err
		}
		if bytes.HasPrefix(raw, []byte("{")) || bytes.HasPrefix(raw, []byte("[")) {
			return condition{}, errors.New("anything-but list must hold strings or numbers")
		}
		c, err := parseCondition(raw)
		if err != nil {
			return condition{}, err
		}
		inner = append(inner, c)
	}
	return negation(inner), nil
}

func negation(excluded []condition) condition {
	return condition{
		text: func(s string) bool {
			for _, c := range excluded {
				if c.text != nil && c.text(s) {
					return false
				}
			}
			return true
		},
		number: func(n float64) bool {
			for _, c := range excluded {
				if c.number != nil && c.number(n) {
					return false
				}
			}
			return true
		},
	}
}

func (f filter) matches(attrs attributes) bool {
	for _, key := range f {
		if !key.matches(attrs) {
			return false
		}
	}
	return true
}

func (k filterKey) matches(attrs attributes) bool {
	for _, alternative := range k.either {
		if alternative.matches(attrs) {
			return true
		}
	}
	a, there := attrs[k.name]
	for _, c := range k.conditions {
		if !there && c.absent || there && (c.present || c.matchesAttribute(a)) {
			return true
		}
	}
	return false
}

func (c condition) matchesAttribute(a attribute) bool {
	switch a.DataType {
	case "Number":
		n, err := strconv.ParseFloat(a.text(), 64)
		return err == nil && c.number != nil && c.number(n)
	case "String.Array":
		var values []any
		if json.Unmarshal([]byte(a.text()), &values) != nil {
			return false
		}
		for _, value := range values {
			if c.matchesValue(value) {
				return true
			}
		}
		return false
	case "Binary":
		return false
	}
	return c.text != nil && c.text(a.text())
}

// matchesValue judges a member of a String.Array.
func (c condition) matchesValue(value any) bool {
	switch v := value.(type) {
	case string:
		return c.text != nil && c.text(v)
	case float64:
		return c.number != nil && c.number(v)
	case bool:
		return c.text != nil && c.text(strconv.FormatBool(v))
	case nil:
		return c.text != nil && c.text("null")
	}
	return false
}
