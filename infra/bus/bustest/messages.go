package bustest

import (
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/bus"
)

func (s *suite) roundTrip(t *testing.T) {
	b, q := s.provisioned(t)
	plain := order(1)
	bare := order(2)
	bare.Data, bare.Metadata = nil, nil
	odd := order(3)
	odd.Stream, odd.Type = `order-a "b" \ <장부>`, "order.odd&strange"
	odd.Data = []byte("{\"a\" : [1.50, 1e3],\n\t\"b\":\"\\u0000\\ud83d\\ude00 \u2028\"}")
	foreign := order(4)
	foreign.Data, foreign.Metadata = []byte{0xff, 0x00, 'x'}, []byte{0xfe}
	late := order(5)
	late.Revision = 1 << 40
	late.Position = event.Position{Commit: 1<<64 - 1, Prepare: 1<<64 - 2}
	sent := []event.Recorded{plain, bare, odd, foreign, late}
	publish(t, b, sent...)
	got := receive(t, q, len(sent))
	for _, want := range sent {
		d := got[want.ID]
		if d.Hollow || d.Receives != 1 || d.Receipt == "" {
			t.Errorf("delivery %+v", d)
		}
		same(t, d.Event, want)
	}
}

func (s *suite) hollow(t *testing.T) {
	b, q := s.provisioned(t)
	large := order(1)
	large.Data = jsonOfSize(300 << 10)
	publish(t, b, large, order(2))
	got := receive(t, q, 2)
	d := got[large.ID]
	if !d.Hollow {
		t.Fatalf("an event of %d bytes did not come hollow", len(large.Data))
	}
	want := large
	want.Data, want.Metadata = nil, nil
	same(t, d.Event, want)
	if got[order(2).ID].Hollow {
		t.Error("the event beside it came hollow, too")
	}
}

func (s *suite) many(t *testing.T) {
	const n = 250
	b, q := s.provisioned(t)
	publish(t, b, orders(n)...)
	got := receive(t, q, n)
	for _, want := range orders(n) {
		same(t, got[want.ID].Event, want)
	}
	if err := q.Delete(t.Context(), list(got)); err != nil {
		t.Fatal(err)
	}
	waitDepth(t, q, bus.Depth{})
}

func (s *suite) cutBySize(t *testing.T) {
	b, q := s.provisioned(t)
	sent := orders(12)
	for i := range sent {
		sent[i].Data = jsonOfSize(100 << 10)
	}
	publish(t, b, sent...)
	for id, d := range receive(t, q, len(sent)) {
		if d.Hollow {
			t.Errorf("event %s came hollow although it fits", id)
		}
	}
}

func (s *suite) waitingReceive(t *testing.T) {
	b, q := s.provisioned(t)
	got := make(chan []event.Delivery, 1)
	failed := make(chan error, 1)
	go func() {
		ds, err := q.Receive(t.Context(), 10, 20*time.Second)
		failed <- err
		got <- ds
	}()
	publish(t, b, order(1))
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	ds := <-got
	if len(ds) != 1 {
		t.Fatalf("the waiting receive got %d deliveries, want 1", len(ds))
	}
	same(t, ds[0].Event, order(1))
}

func (s *suite) emptyQueue(t *testing.T) {
	_, q := s.provisioned(t)
	wantNothing(t, q)
	if err := q.Delete(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if err := q.Hide(t.Context(), nil, time.Second); err != nil {
		t.Error(err)
	}
	waitDepth(t, q, bus.Depth{})
}

func (s *suite) hiddenAfterReceive(t *testing.T) {
	b, q := s.provisioned(t)
	publish(t, b, orders(3)...)
	got := receive(t, q, 3)
	wantNothing(t, q)
	waitDepth(t, q, bus.Depth{InFlight: 3})
	if err := q.Hide(t.Context(), list(got), time.Hour); err != nil {
		t.Fatal(err)
	}
	wantNothing(t, q)
}

func (s *suite) deletedStaysAway(t *testing.T) {
	b, q := s.provisioned(t)
	publish(t, b, orders(25)...)
	got := receive(t, q, 25)
	if err := q.Delete(t.Context(), list(got)); err != nil {
		t.Fatal(err)
	}
	if err := q.Delete(t.Context(), list(got)); err != nil {
		t.Errorf("deleting again: %v", err)
	}
	waitDepth(t, q, bus.Depth{})
	wantNothing(t, q)
}

func (s *suite) shownAgain(t *testing.T) {
	b, q := s.provisioned(t)
	publish(t, b, order(1))
	for receives := 1; receives <= 4; receives++ {
		d := receiveOne(t, q)
		if d.Receives != receives {
			t.Fatalf("receive %d was counted as %d", receives, d.Receives)
		}
		if err := q.Hide(t.Context(), []event.Delivery{d}, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *suite) hideGone(t *testing.T) {
	b, q := s.provisioned(t)
	publish(t, b, orders(2)...)
	ds := list(receive(t, q, 2))
	if err := q.Delete(t.Context(), ds[:1]); err != nil {
		t.Fatal(err)
	}
	if err := q.Hide(t.Context(), ds, time.Minute); err != nil {
		t.Errorf("hiding one that is deleted and one that is in flight: %v", err)
	}
	waitDepth(t, q, bus.Depth{InFlight: 1})
}

func (s *suite) deadLetters(t *testing.T) {
	b, q := s.provisioned(t, func(c *bus.Config) { c.MaxReceives = 2 })
	publish(t, b, order(1))
	for range 2 {
		if err := q.Hide(t.Context(), []event.Delivery{receiveOne(t, q)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	wantNothing(t, q)
	waitDepth(t, q, bus.Depth{Dead: 1})
	dead := receiveOne(t, b.DeadLetters("orders"))
	same(t, dead.Event, order(1))
}

func (s *suite) noEvent(t *testing.T) {
	b, q := s.provisioned(t)
	wantNothing(t, q)
	for _, body := range []string{"not JSON", `{"specversion":"0.3"}`, `{"specversion":"1.0","id":"` + uuid.NewString() + `"}`} {
		s.send(t, q, body)
		d := receiveOne(t, q)
		if d.Err == nil || d.Receipt == "" {
			t.Errorf("%s came as %+v", body, d)
		}
		if err := q.Delete(t.Context(), []event.Delivery{d}); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, b, order(1))
	receive(t, q, 1)
}

// send puts a message into a queue that no Publish would.
func (s *suite) send(t *testing.T, q *bus.Queue, body string) {
	t.Helper()
	client := sqs.New(sqs.Options{BaseEndpoint: &s.endpoint.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	found, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String(q.Name())})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: found.QueueUrl, MessageBody: &body}); err != nil {
		t.Fatal(err)
	}
}

func (s *suite) workers(t *testing.T) {
	const n, workers = 300, 4
	b, q := s.provisioned(t)
	var (
		mu   sync.Mutex
		seen = map[uuid.UUID]int{}
		wg   sync.WaitGroup
	)
	unseen := func() int {
		mu.Lock()
		defer mu.Unlock()
		return n - len(seen)
	}
	for range workers {
		wg.Go(func() {
			for unseen() > 0 {
				ds, err := q.Receive(t.Context(), 10, time.Second)
				if err == nil {
					err = q.Delete(t.Context(), ds)
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, d := range ds {
					seen[d.Event.ID]++
				}
				mu.Unlock()
			}
		})
	}
	publish(t, b, orders(n)...)
	wg.Wait()
	waitDepth(t, q, bus.Depth{})
}
