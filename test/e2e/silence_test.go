package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"jangbu/infra/web"
	"jangbu/test/program"
)

// When somebody deletes the subscription of a view's queue, nothing is lost: the sweep lands what no message brings. Whoever
// asks is told since when it is so and what to do, and that cures it.
func TestDeletedSubscription(t *testing.T) {
	t.Parallel()
	s := openDev(t, program.InProcess, t.TempDir())
	members := 0
	whilePosting := func(what string, holds func() error) {
		t.Helper()
		eventually(t, what, func() error {
			members++
			if made := s.post(t, "/members", fmt.Sprintf(`{"id":"m%d","name":"Mina"}`, members)); made.status != 201 {
				t.Fatalf("a member: %s", made)
			}
			return holds()
		})
	}
	whilePosting("messages come", func() error { return s.wantGreen(t) })

	if !unsubscribe(t, s.aws, ":jangbu-orders") {
		t.Fatal("the queue of orders has no subscription")
	}
	whilePosting("the projector is red", func() error {
		unsubscribe(t, s.aws, ":jangbu-orders") // one that missed its queue at the start may have had it subscribed again
		check := s.check(t, "view orders")
		switch {
		case check.OK:
			return errors.New("it is green")
		case !strings.Contains(check.Error, "silent since 20") || !strings.Contains(check.Error, "jangbu provision"):
			return fmt.Errorf("it says %q", check.Error)
		}
		return nil
	})
	if got := s.status(t, "orders"); !strings.HasPrefix(got, "silent since ") {
		t.Errorf("views says %q", got)
	}
	if got := s.status(t, "products"); got != "ok" {
		t.Errorf("of another view, views says %q", got)
	}

	program.MustExecute(t, "provision", "--aws-endpoint-url", s.aws)
	whilePosting("all is well again", func() error { return s.wantGreen(t) })
	if got := s.status(t, "orders"); got != "ok" {
		t.Errorf("views says %q", got)
	}
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
func (s *shop) check(t *testing.T, name string) web.Check {
	t.Helper()
	a, err := tryGet(s.health[0], "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	var body struct{ Checks map[string]web.Check }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("%v in %s", err, a)
	}
	check, known := body.Checks[name]
	if !known {
		t.Fatalf("no check %q in %s", name, a)
	}
	return check
}

func (s *shop) wantGreen(t *testing.T) error {
	t.Helper()
	if check := s.check(t, "view orders"); !check.OK {
		return errors.New(check.Error)
	}
	return nil
}

// status is what jangbu views says of one view.
func (s *shop) status(t *testing.T, view string) string {
	t.Helper()
	printed := program.MustExecute(t, "views", "--json", "--eventstore-url", s.eventstore, "--redis-url", s.redis, "--aws-endpoint-url", s.aws)
	var all []struct{ View, Status string }
	if err := json.Unmarshal([]byte(printed), &all); err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if v.View == view {
			return v.Status
		}
	}
	t.Fatalf("no view %s in %s", view, printed)
	return ""
}
