package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"jangbu/domain/event"
)

// Subscription says what a view wants to hear: the events of those categories, or of all when there are none. Each view
// has one queue.
type Subscription struct {
	View       string
	Categories []string
}

// Outcome is what Provision did to a resource.
type Outcome string

// The outcomes of provisioning.
const (
	Created   Outcome = "created"
	Updated   Outcome = "updated"
	Unchanged Outcome = "unchanged"
)

// Resource is one thing Provision looked after.
type Resource struct {
	Kind    string // "topic", "queue", "dead-letter queue" or "subscription"
	Name    string
	Outcome Outcome
}

// Report lists what Provision did, in the order it did it.
type Report struct {
	Resources []Resource
}

func (r *Report) add(kind, name string, outcome Outcome) {
	r.Resources = append(r.Resources, Resource{kind, name, outcome})
}

const (
	queueRetention      = 4 * 24 * time.Hour
	deadLetterRetention = 14 * 24 * time.Hour // counted from when a message was first sent, so longer than the queue's
)

// Provision makes the topic and, for each view, a queue, its dead-letter queue and a subscription, or puts right those
// that differ; it deletes nothing. It may be repeated and run at the same time elsewhere. A view's queue and
// subscription stand before anything else happens to the next view, and a view that fails holds up no other: the error
// joins those of all views. The report says what was done even then.
func (b *Bus) Provision(ctx context.Context, subs []Subscription) (Report, error) {
	var report Report
	topic, err := b.provisionTopic(ctx, &report)
	if err != nil {
		return report, err
	}
	var failed []error
	for _, sub := range subs {
		if err := b.provisionView(ctx, topic, sub, &report); err != nil {
			failed = append(failed, fmt.Errorf("provision view %s: %w", sub.View, err))
		}
	}
	return report, errors.Join(failed...)
}

func (b *Bus) provisionTopic(ctx context.Context, report *Report) (string, error) {
	b.topicARN.Store(nil)
	arn, err := b.topic(ctx)
	if err == nil {
		report.add("topic", b.topicName(), Unchanged)
		return arn, nil
	}
	if !errors.Is(err, event.ErrNotProvisioned) {
		return "", fmt.Errorf("provision topic: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := b.sns.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String(b.topicName())})
	if err != nil {
		return "", fmt.Errorf("provision topic: %w", classify(err))
	}
	b.topicARN.Store(out.TopicArn)
	report.add("topic", b.topicName(), Created)
	return aws.ToString(out.TopicArn), nil
}

func (b *Bus) provisionView(ctx context.Context, topic string, sub Subscription, report *Report) error {
	deadARN, err := b.provisionQueue(ctx, "dead-letter queue", b.DeadLetters(sub.View), report, map[string]string{
		"MessageRetentionPeriod": seconds(deadLetterRetention),
	}, nil)
	if err != nil {
		return err
	}
	redrive, err := json.Marshal(map[string]any{"deadLetterTargetArn": deadARN, "maxReceiveCount": b.cfg.MaxReceives})
	if err != nil {
		return fmt.Errorf("redrive policy: %w", err)
	}
	queueARN, err := b.provisionQueue(ctx, "queue", b.Queue(sub.View), report, map[string]string{
		"MessageRetentionPeriod":        seconds(queueRetention),
		"VisibilityTimeout":             seconds(b.cfg.Visibility),
		"ReceiveMessageWaitTimeSeconds": "0",
		"RedrivePolicy":                 string(redrive),
	}, func(arn string) (string, error) { return topicPolicy(topic, arn) })
	if err != nil {
		return err
	}
	return b.provisionSubscription(ctx, topic, queueARN, sub, report)
}

func seconds(d time.Duration) string { return strconv.Itoa(int(wholeSeconds(d))) }

// topicPolicy lets one topic, and nobody else, send to a queue.
func topicPolicy(topic, queue string) (string, error) {
	policy, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": []any{map[string]any{
			"Sid":       "EventsFromTopic",
			"Effect":    "Allow",
			"Principal": map[string]string{"Service": "sns.amazonaws.com"},
			"Action":    "sqs:SendMessage",
			"Resource":  queue,
			"Condition": map[string]any{"ArnEquals": map[string]string{"aws:SourceArn": topic}},
		}},
	})
	if err != nil {
		return "", fmt.Errorf("queue policy: %w", err)
	}
	return string(policy), nil
}

// provisionQueue makes a queue or sets the attributes that differ, and returns its ARN, which policy needs.
func (b *Bus) provisionQueue(ctx context.Context, kind string, q *Queue, report *Report, wanted map[string]string,
	policy func(arn string) (string, error)) (string, error) {
	q.url.Store(nil)
	outcome := Unchanged
	url, err := q.resolve(ctx)
	if errors.Is(err, event.ErrNotProvisioned) {
		outcome = Created
		url, err = b.createQueue(ctx, q, wanted)
	}
	if err != nil {
		return "", err
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := b.sqs.GetQueueAttributes(call, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameAll}})
	if err != nil {
		return "", q.failed("look at", url, err)
	}
	arn := out.Attributes["QueueArn"]
	if policy != nil {
		text, err := policy(arn)
		if err != nil {
			return "", err
		}
		wanted["Policy"] = text
	}
	differing := map[string]string{}
	for name, value := range wanted {
		if !sameValue(out.Attributes[name], value) {
			differing[name] = value
		}
	}
	if len(differing) > 0 {
		if _, err := b.sqs.SetQueueAttributes(call, &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: differing}); err != nil {
			return "", q.failed("set attributes of", url, err)
		}
		if outcome == Unchanged {
			outcome = Updated
		}
	}
	report.add(kind, q.name, outcome)
	return arn, nil
}

func (b *Bus) createQueue(ctx context.Context, q *Queue, attrs map[string]string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := b.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &q.name, Attributes: maps.Clone(attrs)})
	if err != nil {
		return "", q.failed("create", "", err)
	}
	q.url.Store(out.QueueUrl)
	return aws.ToString(out.QueueUrl), nil
}

// sameValue compares attributes: as text, or as JSON where both are JSON, since AWS writes policies in its own way.
func sameValue(have, want string) bool {
	if have == want {
		return true
	}
	var x, y any
	return json.Unmarshal([]byte(have), &x) == nil && json.Unmarshal([]byte(want), &y) == nil && reflect.DeepEqual(x, y)
}

func (b *Bus) provisionSubscription(ctx context.Context, topic, queueARN string, sub Subscription, report *Report) error {
	wanted := map[string]string{"RawMessageDelivery": "true"}
	if len(sub.Categories) > 0 {
		categories := slices.Clone(sub.Categories)
		slices.Sort(categories)
		filter, err := json.Marshal(map[string][]string{attributeCategory: slices.Compact(categories)})
		if err != nil {
			return fmt.Errorf("filter policy: %w", err)
		}
		wanted["FilterPolicy"] = string(filter)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	arn, err := b.findSubscription(ctx, topic, queueARN)
	if err != nil {
		return fmt.Errorf("find subscription: %w", classify(err))
	}
	if arn == "" {
		_, err := b.sns.Subscribe(ctx, &sns.SubscribeInput{TopicArn: &topic, Protocol: aws.String("sqs"), Endpoint: &queueARN, Attributes: wanted})
		if err != nil {
			return fmt.Errorf("subscribe: %w", classify(err))
		}
		report.add("subscription", b.queueName(sub.View), Created)
		return nil
	}
	outcome, err := b.correctSubscription(ctx, arn, wanted)
	if err != nil {
		return fmt.Errorf("correct subscription: %w", classify(err))
	}
	report.add("subscription", b.queueName(sub.View), outcome)
	return nil
}

// findSubscription passes over those whose ARN is "Deleted", which SNS lists for up to three days, or "PendingConfirmation".
func (b *Bus) findSubscription(ctx context.Context, topic, endpoint string) (arn string, err error) {
	pages := sns.NewListSubscriptionsByTopicPaginator(b.sns, &sns.ListSubscriptionsByTopicInput{TopicArn: &topic})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", err
		}
		for _, s := range page.Subscriptions {
			arn := aws.ToString(s.SubscriptionArn)
			if aws.ToString(s.Endpoint) == endpoint && aws.ToString(s.Protocol) == "sqs" && strings.HasPrefix(arn, "arn:") {
				return arn, nil
			}
		}
	}
	return "", nil
}

// correctSubscription sets the attributes that differ. A filter no longer wanted becomes the empty policy, which is how
// SNS takes one away.
func (b *Bus) correctSubscription(ctx context.Context, arn string, wanted map[string]string) (Outcome, error) {
	out, err := b.sns.GetSubscriptionAttributes(ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: &arn})
	if err != nil {
		return "", err
	}
	if filter := out.Attributes["FilterPolicy"]; wanted["FilterPolicy"] == "" && filter != "" {
		wanted["FilterPolicy"] = "{}"
	}
	outcome := Unchanged
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if sameValue(out.Attributes[name], wanted[name]) {
			continue
		}
		value := wanted[name]
		if _, err := b.sns.SetSubscriptionAttributes(ctx, &sns.SetSubscriptionAttributesInput{SubscriptionArn: &arn, AttributeName: &name, AttributeValue: &value}); err != nil {
			return "", err
		}
		outcome = Updated
	}
	return outcome, nil
}
