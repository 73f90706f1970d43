package cli

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/infra/embedded/snssqs"
	"jangbu/test/servers"
)

// opsShop is the three servers of a shop, with its views built and nothing that runs: what is done to it, a test does.
// The modes find it by the environment.
type opsShop struct {
	*shopStore
	sqs *sqs.Client
}

func newOpsShop(t *testing.T) *opsShop {
	t.Helper()
	s := &opsShop{shopStore: newShopStore(t)}
	url := startBus(t)
	s.sqs = sqs.New(sqs.Options{BaseEndpoint: &url, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	t.Setenv("EVENTSTORE_URL", s.url)
	t.Setenv("AWS_ENDPOINT_URL", url)
	t.Setenv("REDIS_URL", servers.MiniRedis(t))
	return s
}

// startBus starts an SNS and SQS of its own.
func startBus(t *testing.T) (url string) {
	t.Helper()
	server, err := snssqs.Start(snssqs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL()
}

// open provisions the queues, records a member, a product and two orders, and builds all views.
func (s *opsShop) open(t *testing.T) {
	t.Helper()
	mustRun(t, "provision")
	s.add(t, "member-M", member.Registered{Name: "Mina", Country: "Korea"})
	s.add(t, "product-P", product.Created{Name: "Pen", Category: "Desk", Price: 150, Currency: "USD"})
	s.add(t, "order-1", placedOrder(), order.Shipped{Carrier: "Post", ShippedOn: "2026-01-05"})
	s.add(t, "order-2", placedOrder())
	mustRun(t, "replay", "--all")
}

func placedOrder() order.Placed {
	return order.Placed{MemberID: "M", MemberCountry: "Korea", Currency: "USD", PlacedOn: "2026-01-02",
		Lines: []order.Line{{ProductID: "P", Name: "Pen", Category: "Desk", UnitPrice: 150, Quantity: 2, Amount: 300}}}
}

// add records domain events.
func (s *opsShop) add(t *testing.T, stream string, events ...any) {
	t.Helper()
	codecs := map[string]*event.Codec{member.Category: member.Codec, product.Category: product.Codec, order.Category: order.Codec}
	for _, e := range events {
		name, data, err := codecs[event.Category(stream)].Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		s.put(t, stream, event.Any, event.Proposed{ID: uuid.New(), Type: name, Data: data, Metadata: []byte(`{"command_id":"c-1","$correlationId":"k-1"}`)})
	}
}

// send puts a message into a queue.
func (s *opsShop) send(t *testing.T, queue, body string) {
	t.Helper()
	found, err := s.sqs.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &queue})
	if err == nil {
		_, err = s.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: found.QueueUrl, MessageBody: aws.String(body)})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// printed runs a mode with --json, requires an exit code, and reads what it printed.
func printed[T any](t *testing.T, code int, args ...string) (v T, stderr string) {
	t.Helper()
	got, stdout, stderr := quiet(t, append(args, "--json")...)
	if got != code {
		t.Fatalf("%v: code %d, want %d: %s", args, got, code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &v); err != nil {
		t.Fatalf("%v printed %s: %v", args, stdout, err)
	}
	return v, stderr
}

// viewsNow is what views prints of the views.
func viewsNow(t *testing.T) map[string]viewStatus {
	t.Helper()
	all, _ := printed[[]viewStatus](t, 0, "views")
	byName := map[string]viewStatus{}
	for _, s := range all {
		byName[s.View] = s
	}
	delete(byName, fulfilmentQueue)
	return byName
}

// redisNow is the Redis that REDIS_URL names.
func redisNow(t *testing.T) *goredis.Client {
	t.Helper()
	options, err := goredis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// withQueue is what views prints of a view once SQS has answered in time, which it need not.
func withQueue(t *testing.T, name string) (v viewStatus) {
	t.Helper()
	servers.Eventually(t, "SQS tells of the queue of "+name, func() bool {
		v = viewsNow(t)[name]
		return v.Queue != nil
	})
	return v
}

// fulfilmentNow is what views prints of fulfilment, which is its last line, once SQS has answered in time.
func fulfilmentNow(t *testing.T) (last fulfilmentStatus) {
	t.Helper()
	servers.Eventually(t, "SQS tells of all queues", func() bool {
		all, stderr := printed[[]fulfilmentStatus](t, 0, "views")
		last = all[len(all)-1]
		return stderr == ""
	})
	if last.View != fulfilmentQueue {
		t.Errorf("the last line is %+v", last)
	}
	return last
}
