package snssqs

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings are the attributes of a queue that a client may set. raw keeps them as they were given; the other fields are
// what the server acts on.
type settings struct {
	raw        map[string]string
	visibility time.Duration
	retention  time.Duration
	delay      time.Duration
	wait       time.Duration
	maxMessage int
	redrive    *redrivePolicy
	changed    time.Time
}

type redrivePolicy struct {
	target string // ARN of the dead-letter queue
	max    int
}

// numericSetting is the range and the default of an attribute that is a whole number.
type numericSetting struct{ low, high, initial int }

var numericSettings = map[string]numericSetting{
	"VisibilityTimeout":             {0, 43200, 30},
	"MessageRetentionPeriod":        {60, 1209600, 345600},
	"DelaySeconds":                  {0, 900, 0},
	"ReceiveMessageWaitTimeSeconds": {0, 20, 0},
	"MaximumMessageSize":            {1024, maxQueueMessage, maxQueueMessage},
}

func defaultSettings(now time.Time) settings {
	raw := map[string]string{}
	for name, n := range numericSettings {
		raw[name] = strconv.Itoa(n.initial)
	}
	raw["SqsManagedSseEnabled"] = "true"
	set := settings{raw: raw, changed: now}
	set.derive()
	return set
}

// checkSettings says why changes are refused. exists says whether an ARN names a queue.
func checkSettings(changes map[string]string, exists func(arn string) bool) *apiError {
	for name, value := range changes {
		if err := checkSetting(name, value, exists); err != nil {
			return err
		}
	}
	return nil
}

// with returns the settings after changes, which have been checked. An empty value takes an attribute away.
func (s settings) with(changes map[string]string, now time.Time) settings {
	next := settings{raw: maps.Clone(s.raw), changed: now}
	for name, value := range changes {
		if value == "" {
			delete(next.raw, name)
			continue
		}
		next.raw[name] = value
	}
	next.derive()
	return next
}

func checkSetting(name, value string, exists func(arn string) bool) *apiError {
	invalid := func(reason string) *apiError {
		return refuse("InvalidAttributeValue", "Value %s for parameter %s is invalid. Reason: %s", value, name, reason)
	}
	if n, ok := numericSettings[name]; ok {
		if v, err := strconv.Atoi(value); err != nil || v < n.low || v > n.high {
			return invalid(fmt.Sprintf("Must be an integer from %d to %d.", n.low, n.high))
		}
		return nil
	}
	switch name {
	case "RedrivePolicy":
		if value == "" {
			return nil
		}
		policy, err := parseRedrive(value)
		if err != nil {
			return invalid(err.Error())
		}
		if !exists(policy.target) {
			return invalid("Dead letter target does not exist.")
		}
	case "Policy", "RedriveAllowPolicy":
		if value != "" && !json.Valid([]byte(value)) {
			return invalid("Must be JSON.")
		}
	case "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled":
	case "FifoQueue":
		if value == "true" {
			return errFIFO()
		}
	case "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit":
		return errFIFO()
	default:
		return refuse("InvalidAttributeName", "Unknown Attribute %s.", name)
	}
	return nil
}

func errFIFO() *apiError {
	return refuse("InvalidParameterValue", "FIFO queues and topics are not served here, only standard ones.")
}

func parseRedrive(value string) (redrivePolicy, error) {
	var policy struct {
		Target string      `json:"deadLetterTargetArn"`
		Max    json.Number `json:"maxReceiveCount"` // AWS takes a number and a string of one
	}
	if err := json.Unmarshal([]byte(value), &policy); err != nil {
		return redrivePolicy{}, fmt.Errorf("redrive policy is not valid JSON")
	}
	n, err := strconv.Atoi(policy.Max.String())
	if err != nil || n < 1 || n > 1000 {
		return redrivePolicy{}, fmt.Errorf("maxReceiveCount must be an integer from 1 to 1000")
	}
	if policy.Target == "" {
		return redrivePolicy{}, fmt.Errorf("deadLetterTargetArn is required")
	}
	return redrivePolicy{target: policy.Target, max: n}, nil
}

// derive reads raw, which has been checked, into the fields the server acts on.
func (s *settings) derive() {
	number := func(name string) int {
		n, err := strconv.Atoi(s.raw[name])
		if err != nil {
			return numericSettings[name].initial
		}
		return n
	}
	seconds := func(name string) time.Duration { return time.Duration(number(name)) * time.Second }
	s.visibility = seconds("VisibilityTimeout")
	s.retention = seconds("MessageRetentionPeriod")
	s.delay = seconds("DelaySeconds")
	s.wait = seconds("ReceiveMessageWaitTimeSeconds")
	s.maxMessage = number("MaximumMessageSize")
	s.redrive = nil
	if policy, err := parseRedrive(s.raw["RedrivePolicy"]); err == nil {
		s.redrive = &policy
	}
}

// differs names an attribute of wanted whose value is another here; empty when there is none.
func (s settings) differs(wanted map[string]string) string {
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if s.raw[name] != wanted[name] {
			return name
		}
	}
	return ""
}

func (q *queue) currentSettings() settings {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.settings
}

func (q *queue) change(changes map[string]string, exists func(arn string) bool) *apiError {
	// exists takes the server's lock: not with this queue's lock held.
	if err := checkSettings(changes, exists); err != nil {
		return err
	}
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errNoQueue()
	}
	q.settings = q.settings.with(changes, now)
	return nil
}

// describe returns the attributes of those names; "All" is every one.
func (q *queue) describe(names []string) (map[string]string, *apiError) {
	depth := q.depth(q.now())
	set := q.currentSettings()
	all := maps.Clone(set.raw)
	all["QueueArn"] = q.arn
	all["ApproximateNumberOfMessages"] = strconv.Itoa(depth.Visible)
	all["ApproximateNumberOfMessagesNotVisible"] = strconv.Itoa(depth.InFlight)
	all["ApproximateNumberOfMessagesDelayed"] = strconv.Itoa(depth.Delayed)
	all["CreatedTimestamp"] = strconv.FormatInt(q.created.Unix(), 10)
	all["LastModifiedTimestamp"] = strconv.FormatInt(set.changed.Unix(), 10)
	if slices.Contains(names, "All") {
		return all, nil
	}
	out := map[string]string{}
	for _, name := range names {
		value, ok := all[name]
		if !ok && !settableName(name) {
			return nil, refuse("InvalidAttributeName", "Unknown Attribute %s.", name)
		}
		if ok {
			out[name] = value
		}
	}
	return out, nil
}

func settableName(name string) bool {
	switch name {
	case "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit":
		return true // known, and absent from a standard queue
	}
	err := checkSetting(name, "", func(string) bool { return true })
	return err == nil || err.code != "InvalidAttributeName"
}

func validQueueName(name string) *apiError {
	if strings.HasSuffix(name, ".fifo") {
		return errFIFO()
	}
	if !validName(name, 80) {
		return refuse("InvalidParameterValue", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	return nil
}

// validName reports whether s is 1 to limit letters, digits, hyphens and underscores.
func validName(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
