package bus_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"jangbu/infra/bus"
	"jangbu/infra/embedded/snssqs"
)

// TestProvisionPassesOverSubscriptionsWithoutARN has SNS list, as AWS does for up to three days, one that was deleted.
func TestProvisionPassesOverSubscriptionsWithoutARN(t *testing.T) {
	target, err := url.Parse(startEmbedded(t, snssqs.Config{}).URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, arn := range []string{"Deleted", "PendingConfirmation"} {
		t.Run(arn, func(t *testing.T) {
			proxy := httputil.NewSingleHostReverseProxy(target)
			proxy.ModifyResponse = func(r *http.Response) error {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					return err
				}
				body = []byte(strings.Replace(string(body), "<Subscriptions>", "<Subscriptions><member><SubscriptionArn>"+arn+
					"</SubscriptionArn><Protocol>sqs</Protocol><Endpoint>arn:aws:sqs:us-east-1:000000000000:jangbu-orders</Endpoint></member>", 1))
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
				r.Header.Set("Content-Length", strconv.Itoa(len(body)))
				return nil
			}
			front := httptest.NewServer(proxy)
			defer front.Close()
			b, err := bus.Connect(t.Context(), bus.Config{Endpoint: front.URL})
			if err != nil {
				t.Fatal(err)
			}
			subs := []bus.Subscription{{View: "orders"}, {View: "members"}}
			for range 2 {
				if _, err := b.Provision(t.Context(), subs); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
