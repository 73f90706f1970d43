package snssqs_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"jangbu/infra/embedded/snssqs"
)

// poll starts a long poll of 20 seconds for one message; its result comes on the channel.
func (h *harness) poll(url string) <-chan []sqstypes.Message {
	got := make(chan []sqstypes.Message, 1)
	go func() {
		defer close(got)
		out, err := h.sqs.ReceiveMessage(h.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20})
		if err != nil {
			h.Error(err)
			return
		}
		got <- out.Messages
	}()
	return got
}

// A poll that ended with the timeout instead of the message would come back empty, so no time need be measured.
func wantWoken(t *testing.T, got <-chan []sqstypes.Message, body string) {
	t.Helper()
	if ms := <-got; len(ms) != 1 || *ms[0].Body != body {
		t.Errorf("the poll got %v, want %q", bodies(ms), body)
	}
}

func TestLongPollWakes(t *testing.T) {
	t.Run("when a message is sent", func(t *testing.T) {
		h := start(t, snssqs.Config{})
		url := h.queue("q")
		got := h.poll(url)
		h.send(url, "a")
		wantWoken(t, got, "a")
	})
	t.Run("when a message is shown again", func(t *testing.T) {
		h := start(t, snssqs.Config{})
		url := h.queue("q", "VisibilityTimeout", "3600")
		h.send(url, "a")
		m := h.one(url)
		got := h.poll(url)
		if err := h.hide(url, m, 0); err != nil {
			t.Fatal(err)
		}
		wantWoken(t, got, "a")
	})
	t.Run("when a visibility timeout ends", func(t *testing.T) {
		c := newClock()
		h := start(t, snssqs.Config{Now: c.Now})
		url := h.queue("q")
		h.send(url, "a")
		h.one(url)
		got := h.poll(url)
		c.advance(h, 30*time.Second)
		wantWoken(t, got, "a")
	})
	t.Run("by itself when a real second has passed", func(t *testing.T) {
		h := start(t, snssqs.Config{})
		url := h.queue("q", "VisibilityTimeout", "1")
		h.send(url, "a")
		h.one(url)
		wantWoken(t, h.poll(url), "a")
	})
	t.Run("when a delay ends", func(t *testing.T) {
		c := newClock()
		h := start(t, snssqs.Config{Now: c.Now})
		url := h.queue("q", "DelaySeconds", "10")
		h.send(url, "a")
		got := h.poll(url)
		c.advance(h, 10*time.Second)
		wantWoken(t, got, "a")
	})
	t.Run("by the queue's own waiting time", func(t *testing.T) {
		h := start(t, snssqs.Config{})
		url := h.queue("q", "ReceiveMessageWaitTimeSeconds", "20")
		got := make(chan []sqstypes.Message, 1)
		go func() {
			out, err := h.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
			if err != nil {
				t.Error(err)
				out = &sqs.ReceiveMessageOutput{}
			}
			got <- out.Messages
		}()
		h.send(url, "a")
		wantWoken(t, got, "a")
	})
}

// Each of many waiting polls must be woken by one of as many messages, whether they come together or not.
func TestEveryPollIsWoken(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.queue("q")
	var polls []<-chan []sqstypes.Message
	for range 10 {
		polls = append(polls, h.poll(url))
	}
	if _, err := h.sqs.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: entries("0", "1", "2", "3", "4", "5")}); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		h.send(url, fmt.Sprint("single ", i))
	}
	seen := map[string]bool{}
	for _, p := range polls {
		for _, m := range <-p {
			seen[*m.Body] = true
		}
	}
	if len(seen) != 10 {
		t.Errorf("10 polls got %d messages: %v", len(seen), seen)
	}
}

func TestCancelledPollTakesNothing(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.queue("q")
	got := h.poll(url)
	h.server.UntilPolls(t, "q", 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, err := h.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20})
		if err == nil {
			t.Error("a cancelled poll had no error")
		}
	}()
	h.server.UntilPolls(t, "q", 2)
	cancel()
	<-gone
	h.server.UntilPolls(t, "q", 1) // were it the first that went, for its time was up, it would come back empty
	h.send(url, "a")
	wantWoken(t, got, "a")
}

// ledger knows which messages are held and which are dealt with.
type ledger struct {
	mu   sync.Mutex
	held map[string]bool
	done map[string]bool
}

func (l *ledger) hold(t *testing.T, ms []sqstypes.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range ms {
		if l.held[*m.Body] || l.done[*m.Body] {
			t.Errorf("message %s is held by two or was delivered after it was deleted", *m.Body)
		}
		l.held[*m.Body] = true
	}
}

func (l *ledger) let(m sqstypes.Message, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, *m.Body)
	if done {
		l.done[*m.Body] = true
	}
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.done)
}

// Many send, many receive, and every receiver gives the first of its messages back: nothing is lost, nothing is held by two
// at once, and the queue ends empty.
func TestConcurrentUse(t *testing.T) {
	const producers, each, consumers = 4, 100, 6
	h := start(t, snssqs.Config{})
	url := h.queue("q", "VisibilityTimeout", "3600")
	l := &ledger{held: map[string]bool{}, done: map[string]bool{}}
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				body := fmt.Sprintf("%d-%d", p, i)
				if _, err := h.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range consumers {
		wg.Go(func() {
			for l.count() < producers*each && !t.Failed() {
				h.receiveOrGiveBack(t, url, l)
			}
		})
	}
	wg.Wait()
	h.wantDepth("q", snssqs.Depth{})
}

// receiveOrGiveBack deletes what it receives, except that it shows the first again if it comes for the first time.
func (h *harness) receiveOrGiveBack(t *testing.T, url string, l *ledger) {
	out, err := h.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 5,
		WaitTimeSeconds: 1, MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"ApproximateReceiveCount"}})
	if err != nil {
		t.Error(err)
		return
	}
	l.hold(t, out.Messages)
	for i, m := range out.Messages {
		if i == 0 && m.Attributes["ApproximateReceiveCount"] == "1" {
			l.let(m, false)
			err = h.hide(url, m, 0)
		} else {
			_, err = h.sqs.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle})
			l.let(m, true)
		}
		if err != nil {
			t.Error(err)
		}
	}
}
