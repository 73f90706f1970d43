package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"jangbu/infra/web"
	"jangbu/test/program"
	"jangbu/test/servers"
)

// When somebody deletes the subscription of a view's queue, nothing is lost: the sweep lands what no message brings. Whoever
// asks is told since when it is so and what to do, and that cures it.
func TestDeletedSubscription(t *testing.T) {
	t.Parallel()
	s := openDev(t, program.InProcess, t.TempDir())
	var members atomic.Int64
	posting := repeat(20, func() error {
		id := fmt.Sprintf("m%d", members.Add(1))
		return s.insist("/members", fmt.Sprintf(`{"id":%q,"name":"Mina"}`, id), id)
	})
	servers.Until(t, "messages come", s.wantGreen)

	if !unsubscribe(t, s.aws, ":jangbu-orders") {
		t.Fatal("the queue of orders has no subscription")
	}
	servers.Until(t, "the projector is red", func() error {
		unsubscribe(t, s.aws, ":jangbu-orders") // one that missed its queue at the start may have had it subscribed again
		check, err := s.check("view orders")
		switch {
		case err != nil:
			return err
		case check.OK:
			return errors.New("it is green")
		case !strings.Contains(check.Error, "silent since 20") || !strings.Contains(check.Error, "jangbu provision"):
			return fmt.Errorf("it says %q", check.Error)
		}
		return nil
	})
	servers.Until(t, "views says it of orders alone", func() error {
		views := s.views(t)
		if orders, products := views["orders"].Status, views["products"].Status; !strings.Contains(orders, "silent since ") || products != "ok" {
			return fmt.Errorf("orders are %q, products %q", orders, products)
		}
		return nil
	})

	program.MustExecute(t, "provision", "--aws-endpoint-url", s.aws)
	servers.Until(t, "all is well again", s.wantGreen)
	servers.Until(t, "views says so", func() error {
		if status := s.views(t)["orders"].Status; status != "ok" {
			return errors.New(status)
		}
		return nil
	})
	posting.end(t)
	s.wantFold(t)
}

// unsubscribe deletes the subscription of a queue, and reports whether there was one.
func unsubscribe(t *testing.T, url, queue string) bool {
	t.Helper()
	client := sns.New(sns.Options{BaseEndpoint: &url, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	topics, err := client.ListTopics(t.Context(), &sns.ListTopicsInput{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := client.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: topics.Topics[0].TopicArn})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all.Subscriptions {
		if strings.HasSuffix(aws.ToString(s.Endpoint), queue) {
			if _, err := client.Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: s.SubscriptionArn}); err != nil {
				t.Fatal(err)
			}
			return true
		}
	}
	return false
}

// check is what /readyz says of one check.
func (s *shop) check(name string) (web.Check, error) {
	a, err := tryGet(s.health[0], "/readyz")
	if err != nil {
		return web.Check{}, err
	}
	var body struct{ Checks map[string]web.Check }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		return web.Check{}, fmt.Errorf("%w in %s", err, a)
	}
	check, known := body.Checks[name]
	if !known {
		return web.Check{}, fmt.Errorf("no check %q in %s", name, a)
	}
	return check, nil
}

// wantGreen requires that /readyz is content with orders.
func (s *shop) wantGreen() error {
	check, err := s.check("view orders")
	if err == nil && !check.OK {
		err = errors.New(check.Error)
	}
	return err
}
