package snssqs

import (
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

func (s *Server) subscribe(f form, out *answer) *apiError {
	t, err := s.topicAt(f.Get("TopicArn"))
	if err != nil {
		return err
	}
	endpoint, attrs := f.Get("Endpoint"), f.stringMap("Attributes")
	if protocol := f.Get("Protocol"); protocol != "sqs" {
		return refuse("InvalidParameter", "Invalid parameter: Protocol %q is not served here, only sqs", protocol)
	}
	if !strings.HasPrefix(endpoint, "arn:aws:sqs:") {
		return refuse("InvalidParameter", "Invalid parameter: SQS endpoint ARN")
	}
	made, err := newSubscription(t.arn+":"+uuid.NewString(), endpoint, attrs)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, there := range t.subs {
		if there.endpoint != endpoint {
			continue
		}
		if len(attrs) > 0 && !maps.Equal(there.attrs, attrs) {
			return refuse("InvalidParameter", "Invalid parameter: Attributes Reason: Subscription already exists with different attributes")
		}
		out.text("SubscriptionArn", there.arn)
		return nil
	}
	t.subs = append(slices.Clone(t.subs), made)
	out.text("SubscriptionArn", made.arn)
	return nil
}

func newSubscription(arn, endpoint string, attrs map[string]string) (*subscription, *apiError) {
	sub := &subscription{arn: arn, endpoint: endpoint, attrs: attrs}
	for name, value := range attrs {
		switch name {
		case "RawMessageDelivery":
			if value != "true" && value != "false" {
				return nil, refuse("InvalidParameter", "Invalid parameter: Attributes Reason: RawMessageDelivery: Invalid value [%s]. Must be true or false.", value)
			}
			sub.raw = value == "true"
		case "FilterPolicy":
			compiled, err := parseFilter(value)
			if err != nil {
				return nil, refuse("InvalidParameter", "Invalid parameter: FilterPolicy: %v", err)
			}
			sub.filter = compiled
		case "FilterPolicyScope":
			if value != "MessageAttributes" {
				return nil, refuse("InvalidParameter", "Invalid parameter: FilterPolicyScope %q is not served here, only MessageAttributes", value)
			}
		case "DeliveryPolicy", "RedrivePolicy", "SubscriptionRoleArn":
			// Delivery to a queue in the same process cannot fail: these have nothing to act on.
		default:
			return nil, refuse("InvalidParameter", "Invalid parameter: AttributeName: %s", name)
		}
	}
	return sub, nil
}

// subscriptionAt finds a subscription by its ARN, which is the topic's with one more part.
func (s *Server) subscriptionAt(arn string) (*topic, *subscription, *apiError) {
	last := strings.LastIndexByte(arn, ':')
	if last < 0 {
		return nil, nil, refuse("InvalidParameter", "Invalid parameter: SubscriptionArn")
	}
	t, err := s.topicAt(arn[:last])
	if err != nil {
		return nil, nil, errNoSubscription()
	}
	for _, sub := range t.current() {
		if sub.arn == arn {
			return t, sub, nil
		}
	}
	return nil, nil, errNoSubscription()
}

func (s *Server) unsubscribe(f form, _ *answer) *apiError {
	t, sub, err := s.subscriptionAt(f.Get("SubscriptionArn"))
	if err != nil {
		if err.code == "NotFound" {
			return nil // to unsubscribe twice is no error
		}
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subs = slices.DeleteFunc(slices.Clone(t.subs), func(x *subscription) bool { return x.arn == sub.arn })
	return nil
}

func (s *Server) listSubscriptionsByTopic(f form, out *answer) *apiError {
	t, err := s.topicAt(f.Get("TopicArn"))
	if err != nil {
		return err
	}
	byARN := map[string]*subscription{}
	for _, sub := range t.current() {
		byARN[sub.arn] = sub
	}
	page, next := pageAfter(slices.Sorted(maps.Keys(byARN)), f.Get("NextToken"), whole{value: snsPage, set: true})
	out.open("Subscriptions")
	for _, arn := range page {
		out.open("member")
		out.text("SubscriptionArn", arn)
		out.text("Owner", s.cfg.AccountID)
		out.text("Protocol", "sqs")
		out.text("Endpoint", byARN[arn].endpoint)
		out.text("TopicArn", t.arn)
		out.end("member")
	}
	out.end("Subscriptions")
	if next != "" {
		out.text("NextToken", next)
	}
	return nil
}

func (s *Server) getSubscriptionAttributes(f form, out *answer) *apiError {
	t, sub, err := s.subscriptionAt(f.Get("SubscriptionArn"))
	if err != nil {
		return err
	}
	all := map[string]string{
		"RawMessageDelivery":           "false",
		"SubscriptionArn":              sub.arn,
		"TopicArn":                     t.arn,
		"Owner":                        s.cfg.AccountID,
		"Protocol":                     "sqs",
		"Endpoint":                     sub.endpoint,
		"PendingConfirmation":          "false",
		"ConfirmationWasAuthenticated": "true",
	}
	maps.Copy(all, sub.attrs)
	if sub.filter != nil {
		all["FilterPolicyScope"] = "MessageAttributes"
	}
	out.pairs(slices.Sorted(maps.Keys(all)), all)
	return nil
}

func (s *Server) setSubscriptionAttributes(f form, _ *answer) *apiError {
	t, sub, err := s.subscriptionAt(f.Get("SubscriptionArn"))
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.subs, func(x *subscription) bool { return x.arn == sub.arn })
	if i < 0 {
		return errNoSubscription()
	}
	attrs := maps.Clone(t.subs[i].attrs)
	name, value := f.Get("AttributeName"), f.Get("AttributeValue")
	attrs[name] = value
	if value == "" {
		delete(attrs, name)
	}
	changed, err := newSubscription(sub.arn, sub.endpoint, attrs)
	if err != nil {
		return err
	}
	t.subs = slices.Clone(t.subs)
	t.subs[i] = changed
	return nil
}
