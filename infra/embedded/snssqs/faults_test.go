package snssqs_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"jangbu/infra/embedded/snssqs"
)

func TestDuplicate(t *testing.T) {
	h := start(t, snssqs.Config{Faults: snssqs.Faults{Duplicate: 1}})
	url := h.queue("q")
	h.send(url, "a")
	got := h.receive(url, 0)
	if len(got) != 2 || *got[0].MessageId != *got[1].MessageId || *got[0].ReceiptHandle == *got[1].ReceiptHandle {
		t.Fatalf("received %v, want one message twice", bodies(got))
	}
	h.delete(url, got[0])
	h.wantDepth("q", snssqs.Depth{InFlight: 1})
}

func TestDrop(t *testing.T) {
	h := start(t, snssqs.Config{Faults: snssqs.Faults{Drop: 1}})
	url := h.queue("q")
	h.send(url, "lost")
	h.server.SetFaults(snssqs.Faults{})
	h.send(url, "kept")
	if m := h.one(url); *m.Body != "kept" {
		t.Errorf("received %s", *m.Body)
	}
}

func TestReorder(t *testing.T) {
	h := start(t, snssqs.Config{})
	url := h.queue("q")
	order := func() []string {
		var sent []string
		for i := range 10 {
			sent = append(sent, fmt.Sprint(i))
			h.send(url, sent[i])
		}
		got := h.receive(url, 0)
		for _, m := range got {
			h.delete(url, m)
		}
		have := bodies(got)
		if sorted := slices.Sorted(slices.Values(have)); !slices.Equal(sorted, sent) {
			t.Fatalf("received %v, want each of %v once", have, sent)
		}
		return have
	}
	if have := order(); !slices.IsSorted(have) {
		t.Errorf("out of order without the fault: %v", have)
	}
	h.server.SetFaults(snssqs.Faults{Reorder: 1})
	if have := order(); slices.IsSorted(have) {
		t.Errorf("in order in spite of the fault: %v", have)
	}
}

func TestDelayMax(t *testing.T) {
	c := newClock()
	h := start(t, snssqs.Config{Now: c.Now, Faults: snssqs.Faults{DelayMax: time.Minute}})
	url := h.queue("q")
	for i := range 20 {
		h.send(url, fmt.Sprint(i))
	}
	h.wantDepth("q", snssqs.Depth{Delayed: 20})
	c.advance(h, 30*time.Second)
	if d, _ := h.server.Depth("q"); d.Delayed == 0 || d.Visible == 0 || d.Delayed+d.Visible != 20 {
		t.Errorf("half-way through the longest delay: %+v", d)
	}
	c.advance(h, 30*time.Second)
	h.wantDepth("q", snssqs.Depth{Visible: 20})
}

func TestFailures(t *testing.T) {
	always := map[string]snssqs.Faults{
		"publish": {FailPublish: 1}, "send": {FailSend: 1}, "receive": {FailReceive: 1}, "delete": {FailDelete: 1},
		"hide": {FailVisibility: 1}, "request": {FailRequest: 1},
	}
	for name, faults := range always {
		for _, done := range []float64{0, 1} {
			t.Run(fmt.Sprintf("%s done=%v", name, done), func(t *testing.T) {
				h := start(t, snssqs.Config{})
				topic := h.topic("events")
				url := h.subscribed(topic, "q", "RawMessageDelivery", "true")
				h.send(url, "there")
				m := h.one(url)
				faults.DoneAnyway = done
				h.server.SetFaults(faults)
				code, want := "InternalError", snssqs.Depth{InFlight: 1}
				var err error
				switch name {
				case "publish":
					_, err = h.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &topic, Message: m.Body})
					want.Visible = int(done)
				case "send":
					_, err = h.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: m.Body})
					want.Visible = int(done)
				case "receive":
					h.send(url, "second")
					_, err = h.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
					want = snssqs.Depth{Visible: 1 - int(done), InFlight: 1 + int(done)}
				case "delete":
					_, err = h.sqs.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle})
					want.InFlight = 1 - int(done)
				case "hide":
					err = h.hide(url, m, 0)
					want = snssqs.Depth{Visible: int(done), InFlight: 1 - int(done)}
				case "request":
					_, err = h.sqs.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle})
					code = "ServiceUnavailable"
				}
				wantCode(t, err, code)
				h.wantDepth("q", want)
			})
		}
	}
}

func TestBatchesFailPartly(t *testing.T) {
	h := start(t, snssqs.Config{Seed: 7})
	topic := h.topic("events")
	url := h.subscribed(topic, "q", "RawMessageDelivery", "true")
	h.server.SetFaults(snssqs.Faults{FailPublish: 0.5})
	published := 0
	for range 20 {
		out, err := h.publishBatch(topic, "0", "1", "2", "3", "4")
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Successful)+len(out.Failed) != 5 {
			t.Fatalf("of 5 entries %d succeeded and %d failed", len(out.Successful), len(out.Failed))
		}
		for _, f := range out.Failed {
			if f.SenderFault || *f.Code != "InternalError" {
				t.Errorf("failed entry %+v", f)
			}
		}
		published += len(out.Successful)
	}
	if published == 0 || published == 100 {
		t.Fatalf("%d of 100 entries succeeded at even odds", published)
	}
	h.wantDepth("q", snssqs.Depth{Visible: published})
	h.server.SetFaults(snssqs.Faults{})
	if got := h.receive(url, 0); len(got) != 10 {
		t.Errorf("after the faults a receive got %d messages", len(got))
	}
}

// The same seed and the same requests meet the same faults.
func TestSeedRepeats(t *testing.T) {
	run := func(seed uint64) []string {
		h := start(t, snssqs.Config{Seed: seed, Faults: snssqs.Faults{Duplicate: 0.3, Drop: 0.3, Reorder: 0.5}})
		url := h.queue("q")
		for i := range 10 {
			h.send(url, fmt.Sprint(i))
		}
		return bodies(append(h.receive(url, 0), h.receive(url, 0)...))
	}
	first := run(1)
	if second := run(1); !slices.Equal(first, second) {
		t.Errorf("one seed, two runs: %v and %v", first, second)
	}
	if other := run(2); slices.Equal(first, other) {
		t.Errorf("two seeds, one run: %v", other)
	}
}
