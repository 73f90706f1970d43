package snssqs

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// topic is one SNS topic and its subscriptions.
type topic struct {
	name string
	arn  string

	mu    sync.RWMutex
	attrs map[string]string // as set by clients
	subs  []*subscription   // in the order they were made
}

// subscription is immutable: changing its attributes puts another in its place.
type subscription struct {
	arn      string
	endpoint string            // ARN of the queue
	attrs    map[string]string // as given
	raw      bool
	filter   filter // nil: everything passes
}

// current is the list at this moment; publishing walks it without the lock.
func (t *topic) current() []*subscription {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.subs
}

func (s *Server) topicAt(arn string) (*topic, *apiError) {
	if arn == "" {
		return nil, refuse("InvalidParameter", "Invalid parameter: TopicArn Reason: no value for required parameter")
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.topics[arn[strings.LastIndexByte(arn, ':')+1:]]
	if t == nil || t.arn != arn {
		return nil, errNoTopic()
	}
	return t, nil
}

func (s *Server) createTopic(f form, out *answer) *apiError {
	name, attrs := f.Get("Name"), f.stringMap("Attributes")
	if strings.HasSuffix(name, ".fifo") || attrs["FifoTopic"] == "true" {
		return refuse("InvalidParameter", "Invalid parameter: %s", errFIFO().message)
	}
	if !validName(name, 256) {
		return refuse("InvalidParameter", "Invalid parameter: Topic Name")
	}
	delete(attrs, "FifoTopic")
	if err := checkTopicAttributes(attrs); err != nil {
		return err
	}
	s.mu.Lock()
	t, exists := s.topics[name]
	if !exists {
		t = &topic{name: name, arn: s.topicARN(name), attrs: attrs}
		s.topics[name] = t
	}
	s.mu.Unlock()
	if exists && !t.agrees(attrs) {
		return refuse("InvalidParameter", "Invalid parameter: Attributes Reason: Topic already exists with different attributes")
	}
	out.text("TopicArn", t.arn)
	return nil
}

// agrees reports whether every attribute wanted is what the topic has.
func (t *topic) agrees(wanted map[string]string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for name, value := range wanted {
		if t.attrs[name] != value {
			return false
		}
	}
	return true
}

func checkTopicAttributes(attrs map[string]string) *apiError {
	for name, value := range attrs {
		switch name {
		case "Policy", "DeliveryPolicy", "DataProtectionPolicy", "ArchivePolicy":
			if value != "" && !json.Valid([]byte(value)) {
				return refuse("InvalidParameter", "Invalid parameter: %s Reason: must be JSON", name)
			}
		case "DisplayName", "KmsMasterKeyId", "SignatureVersion", "TracingConfig":
		default:
			if !strings.HasSuffix(name, "FeedbackRoleArn") && !strings.HasSuffix(name, "FeedbackSampleRate") {
				return refuse("InvalidParameter", "Invalid parameter: AttributeName: %s", name)
			}
		}
	}
	return nil
}

func (s *Server) deleteTopic(f form, _ *answer) *apiError {
	arn := f.Get("TopicArn")
	s.mu.Lock()
	defer s.mu.Unlock()
	if name := arn[strings.LastIndexByte(arn, ':')+1:]; s.topics[name] != nil && s.topics[name].arn == arn {
		delete(s.topics, name)
	}
	return nil // deleting a topic that is not there is no error
}

func (s *Server) topicNames() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.topics))
}

// snsPage is how many topics or subscriptions one answer lists.
const snsPage = 100

func (s *Server) listTopics(f form, out *answer) *apiError {
	page, next := pageAfter(s.topicNames(), f.Get("NextToken"), whole{value: snsPage, set: true})
	out.open("Topics")
	for _, name := range page {
		out.open("member")
		out.text("TopicArn", s.topicARN(name))
		out.end("member")
	}
	out.end("Topics")
	if next != "" {
		out.text("NextToken", next)
	}
	return nil
}

func (s *Server) getTopicAttributes(f form, out *answer) *apiError {
	t, err := s.topicAt(f.Get("TopicArn"))
	if err != nil {
		return err
	}
	t.mu.RLock()
	all := maps.Clone(t.attrs)
	subscriptions := len(t.subs)
	t.mu.RUnlock()
	all["TopicArn"] = t.arn
	all["Owner"] = s.cfg.AccountID
	all["SubscriptionsConfirmed"] = strconv.Itoa(subscriptions)
	all["SubscriptionsPending"] = "0"
	all["SubscriptionsDeleted"] = "0"
	out.pairs(slices.Sorted(maps.Keys(all)), all)
	return nil
}

func (s *Server) setTopicAttributes(f form, _ *answer) *apiError {
	t, err := s.topicAt(f.Get("TopicArn"))
	if err != nil {
		return err
	}
	name, value := f.Get("AttributeName"), f.Get("AttributeValue")
	if err := checkTopicAttributes(map[string]string{name: value}); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.attrs[name] = value
	return nil
}
