package snssqs_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"jangbu/infra/embedded/snssqs"
)

func (h *harness) topic(name string) string {
	h.Helper()
	out, err := h.sns.CreateTopic(h.Context(), &sns.CreateTopicInput{Name: &name})
	if err != nil {
		h.Fatal(err)
	}
	return *out.TopicArn
}

func arnOf(queue string) string { return "arn:aws:sqs:us-east-1:000000000000:" + queue }

func (h *harness) subscribe(topic, queue string, attrs ...string) (string, error) {
	out, err := h.sns.Subscribe(h.Context(), &sns.SubscribeInput{TopicArn: &topic, Protocol: aws.String("sqs"), Endpoint: aws.String(arnOf(queue)),
		Attributes: pairs(attrs), ReturnSubscriptionArn: true})
	if err != nil {
		return "", err
	}
	return *out.SubscriptionArn, nil
}

// subscribed makes a queue with a subscription.
func (h *harness) subscribed(topic, queue string, attrs ...string) (url string) {
	h.Helper()
	url = h.queue(queue)
	if _, err := h.subscribe(topic, queue, attrs...); err != nil {
		h.Fatal(err)
	}
	return url
}

func TestCreateTopic(t *testing.T) {
	h := start(t, snssqs.Config{})
	arn := h.topic("events")
	if again := h.topic("events"); again != arn || arn != "arn:aws:sns:us-east-1:000000000000:events" {
		t.Errorf("topic %s, again %s", arn, again)
	}
	for name, in := range map[string]sns.CreateTopicInput{
		"other attributes": {Name: aws.String("events"), Attributes: map[string]string{"DisplayName": "other"}},
		"FIFO":             {Name: aws.String("events.fifo"), Attributes: map[string]string{"FifoTopic": "true"}},
		"a bad name":       {Name: aws.String("a b")},
		"a bad attribute":  {Name: aws.String("new"), Attributes: map[string]string{"Colour": "red"}},
	} {
		_, err := h.sns.CreateTopic(t.Context(), &in)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		wantCode(t, err, "InvalidParameter")
	}
	if _, err := h.sns.SetTopicAttributes(t.Context(), &sns.SetTopicAttributesInput{TopicArn: &arn, AttributeName: aws.String("DisplayName"), AttributeValue: aws.String("<shop> & co")}); err != nil {
		t.Fatal(err)
	}
	out, err := h.sns.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &arn})
	if err != nil || out.Attributes["DisplayName"] != "<shop> & co" || out.Attributes["TopicArn"] != arn {
		t.Errorf("attributes %v, %v", out, err)
	}
}

func TestMissingTopic(t *testing.T) {
	h := start(t, snssqs.Config{})
	arn := h.topic("gone")
	h.subscribed(arn, "q")
	for range 2 { // the second deletes nothing, which is no error
		if _, err := h.sns.DeleteTopic(t.Context(), &sns.DeleteTopicInput{TopicArn: &arn}); err != nil {
			t.Fatal(err)
		}
	}
	_, get := h.sns.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &arn})
	_, publish := h.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("x")})
	_, list := h.sns.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &arn})
	_, subscribe := h.subscribe(arn, "q")
	for name, err := range map[string]error{"get": get, "publish": publish, "list": list, "subscribe": subscribe} {
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		wantCode(t, err, "NotFound")
	}
}

func TestListTopics(t *testing.T) {
	h := start(t, snssqs.Config{})
	var want, have []string
	for i := range 120 {
		want = append(want, h.topic(fmt.Sprintf("topic-%03d", i)))
	}
	pages := sns.NewListTopicsPaginator(h.sns, &sns.ListTopicsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page.Topics {
			have = append(have, *x.TopicArn)
		}
	}
	if !slices.Equal(have, want) {
		t.Errorf("listed %d topics %v", len(have), have)
	}
}

func TestSubscribe(t *testing.T) {
	h := start(t, snssqs.Config{})
	topic := h.topic("events")
	h.queue("q")
	first, err := h.subscribe(topic, "q", "RawMessageDelivery", "true")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.subscribe(topic, "q", "RawMessageDelivery", "true"); err != nil || again != first {
		t.Errorf("again: %s, %v; want %s", again, err, first)
	}
	_, err = h.subscribe(topic, "q", "RawMessageDelivery", "false")
	wantCode(t, err, "InvalidParameter")
	for _, bad := range [][]string{{"Colour", "red"}, {"RawMessageDelivery", "maybe"}, {"FilterPolicy", "{"}, {"FilterPolicyScope", "MessageBody"}} {
		_, err := h.subscribe(topic, "other", bad...)
		wantCode(t, err, "InvalidParameter")
	}
	_, err = h.sns.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topic, Protocol: aws.String("email"), Endpoint: aws.String("a@b.c")})
	wantCode(t, err, "InvalidParameter")
	list, err := h.sns.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &topic})
	if err != nil || len(list.Subscriptions) != 1 || *list.Subscriptions[0].Endpoint != arnOf("q") || *list.Subscriptions[0].SubscriptionArn != first {
		t.Errorf("subscriptions %+v, %v", list, err)
	}
	for range 2 { // the second finds nothing, which is no error
		if _, err := h.sns.Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: &first}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = h.sns.GetSubscriptionAttributes(t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: &first})
	wantCode(t, err, "NotFound")
}

func TestSetSubscriptionAttributes(t *testing.T) {
	h := start(t, snssqs.Config{})
	topic := h.topic("events")
	url := h.queue("q")
	arn, err := h.subscribe(topic, "q", "RawMessageDelivery", "true")
	if err != nil {
		t.Fatal(err)
	}
	set := func(name, value string) error {
		_, err := h.sns.SetSubscriptionAttributes(t.Context(), &sns.SetSubscriptionAttributesInput{SubscriptionArn: &arn, AttributeName: &name, AttributeValue: &value})
		return err
	}
	if err := set("FilterPolicy", `{"category":["order"]}`); err != nil {
		t.Fatal(err)
	}
	wantCode(t, set("FilterPolicy", `{"category":"order"}`), "InvalidParameter")
	out, err := h.sns.GetSubscriptionAttributes(t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"FilterPolicy": `{"category":["order"]}`, "FilterPolicyScope": "MessageAttributes", "RawMessageDelivery": "true", "Endpoint": arnOf("q")} {
		if out.Attributes[name] != want {
			t.Errorf("%s is %q, want %q", name, out.Attributes[name], want)
		}
	}
	h.publish(topic, "filtered out", word("category", "member"))
	h.publish(topic, "passes", word("category", "order"))
	if err := set("FilterPolicy", "{}"); err != nil {
		t.Fatal(err)
	}
	h.publish(topic, "passes, too", word("category", "member"))
	if got := bodies(h.receive(url, 0)); !slices.Equal(got, []string{"passes", "passes, too"}) {
		t.Errorf("received %v", got)
	}
}

// Deliveries to a queue that was deleted are lost; they arrive again once there is a queue of that name.
func TestSubscriptionOutlivesItsQueue(t *testing.T) {
	h := start(t, snssqs.Config{})
	topic := h.topic("events")
	url := h.subscribed(topic, "q", "RawMessageDelivery", "true")
	if _, err := h.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &url}); err != nil {
		t.Fatal(err)
	}
	h.publish(topic, "lost", nil)
	h.queue("q")
	h.publish(topic, "found", nil)
	if m := h.one(url); *m.Body != "found" {
		t.Errorf("received %s", *m.Body)
	}
}

func TestUnknownAction(t *testing.T) {
	h := start(t, snssqs.Config{})
	_, err := h.sns.ListPhoneNumbersOptedOut(t.Context(), &sns.ListPhoneNumbersOptedOutInput{})
	wantCode(t, err, "InvalidAction")
	if !strings.Contains(fmt.Sprint(err), "ListPhoneNumbersOptedOut") {
		t.Errorf("the error does not name the action: %v", err)
	}
	_, err = h.sqs.ListQueueTags(t.Context(), &sqs.ListQueueTagsInput{QueueUrl: aws.String("q")})
	wantCode(t, err, "AWS.SimpleQueueService.UnsupportedOperation")
}
