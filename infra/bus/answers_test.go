package bus_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/bus"
	"jangbu/infra/embedded/snssqs"
)

// An answer that forgets an entry leaves that event unpublished, whatever else it says.
func TestPublishWithoutAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(string(body), "Action=ListTopics") {
			fmt.Fprint(w, `<ListTopicsResponse><ListTopicsResult><Topics><member><TopicArn>arn:aws:sns:us-east-1:0:jangbu-events</TopicArn></member></Topics></ListTopicsResult></ListTopicsResponse>`)
			return
		}
		fmt.Fprint(w, `<PublishBatchResponse><PublishBatchResult><Successful><member><Id>1</Id></member><member><Id>7</Id></member></Successful>`+
			`<Failed><member><Id>2</Id><Code>InvalidParameter</Code><Message>no</Message><SenderFault>true</SenderFault></member></Failed></PublishBatchResult></PublishBatchResponse>`)
	}))
	t.Cleanup(server.Close)
	result := connect(t, bus.Config{Endpoint: server.URL}).Publish(t.Context(), benchEvents(3))
	if !errors.Is(result[0], event.ErrUnavailable) || result[1] != nil || !errors.Is(result[2], bus.ErrRefused) {
		t.Errorf("results %v, want unavailable, nil, refused", result)
	}
}

// A queue that is missing is known by its older name too; that nobody may ask for it is another thing.
func TestWhatAMissingQueueIsCalled(t *testing.T) {
	for code, missing := range map[string]bool{
		"com.amazonaws.sqs#QueueDoesNotExist": true, "QueueDoesNotExist": true, "AWS.SimpleQueueService.NonExistentQueue": true,
		"AccessDeniedException": false, "RequestThrottled": false,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"__type":%q,"message":"no"}`, code)
		}))
		t.Cleanup(server.Close)
		_, err := connect(t, bus.Config{Endpoint: server.URL}).Queue("orders").Receive(t.Context(), 1, 0)
		if !errors.Is(err, event.ErrUnavailable) || errors.Is(err, event.ErrNotProvisioned) != missing {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// SQS purges a queue once a minute at most. Not every emulator of it does so, so that this is no part of the suite.
func TestPurgingAgainAtOnce(t *testing.T) {
	b, _ := provisioned(t, startEmbedded(t, snssqs.Config{}))
	dead := b.DeadLetters("orders")
	if err := dead.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := dead.Purge(t.Context()); !errors.Is(err, bus.ErrPurging) || !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("again: %v", err)
	}
}

// counted serves the endpoint and counts the requests for one operation of SQS.
func counted(t *testing.T, server *snssqs.Server, operation string) (url string, n *atomic.Int64) {
	t.Helper()
	n = new(atomic.Int64)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") == "AmazonSQS."+operation {
			n.Add(1)
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL, n
}

func TestFailedEntriesAreTriedAFewTimes(t *testing.T) {
	server := startEmbedded(t, snssqs.Config{})
	url, requests := counted(t, server, "DeleteMessageBatch")
	b := connect(t, bus.Config{Endpoint: url})
	if _, err := b.Provision(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), benchEvents(1))[0]; err != nil {
		t.Fatal(err)
	}
	q := b.Queue("orders")
	ds, err := q.Receive(t.Context(), 1, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	server.SetFaults(snssqs.Faults{FailDelete: 1})
	if err := q.Delete(t.Context(), ds); err == nil {
		t.Error("no error although every attempt failed")
	}
	if n := requests.Load(); n < 2 || n > 10 {
		t.Errorf("%d attempts, want a few", n)
	}
}

// Another process may provision an endpoint that has come back, even as another account: the names found before are
// given up once they have failed.
func TestNamesAreFoundAgain(t *testing.T) {
	server := startEmbedded(t, snssqs.Config{})
	b, _ := provisioned(t, server)
	addr := server.Addr()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	other := startEmbedded(t, snssqs.Config{Addr: addr, AccountID: "111111111111"})
	provisioned(t, other)
	if err := b.Publish(t.Context(), benchEvents(1))[0]; !errors.Is(err, event.ErrNotProvisioned) {
		t.Errorf("publishing to the topic of the account before: %v", err)
	}
	if err := b.Publish(t.Context(), benchEvents(1))[0]; err != nil {
		t.Errorf("publishing again: %v", err)
	}
}
