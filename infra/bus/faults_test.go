package bus_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/bus"
	"jangbu/infra/embedded/snssqs"
)

// Short of loss, nothing the endpoint does keeps an event from arriving, as long as both sides retry what failed.
func TestEverythingArrivesUnderFaults(t *testing.T) {
	server := startEmbedded(t, snssqs.Config{Seed: 11})
	b := connect(t, bus.Config{Endpoint: server.URL(), Visibility: time.Second, MaxReceives: 1000})
	if _, err := b.Provision(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	server.SetFaults(snssqs.Faults{Duplicate: 0.2, Reorder: 0.5, DelayMax: 50 * time.Millisecond, DoneAnyway: 0.5,
		FailPublish: 0.2, FailReceive: 0.1, FailDelete: 0.2, FailVisibility: 0.2, FailRequest: 0.05})
	events := benchEvents(200)
	var wg sync.WaitGroup
	wg.Go(func() {
		for left := events; len(left) > 0; {
			var again []event.Recorded
			for i, err := range b.Publish(t.Context(), left) {
				if err != nil {
					again = append(again, left[i])
				}
			}
			left = again
		}
	})
	var (
		mu   sync.Mutex
		seen = map[uuid.UUID]bool{}
	)
	for range 3 {
		wg.Go(func() { consume(t, b.Queue("orders"), &mu, seen, len(events)) })
	}
	wg.Wait()
	for _, e := range events {
		if !seen[e.ID] {
			t.Errorf("event %s never arrived", e.ID)
		}
	}
}

// consume receives, shows some again and deletes the others, until n different events have been seen.
func consume(t *testing.T, q *bus.Queue, mu *sync.Mutex, seen map[uuid.UUID]bool, n int) {
	for {
		ds, err := q.Receive(t.Context(), 10, time.Second)
		if t.Context().Err() != nil {
			t.Error(err)
			return
		}
		var done, again []event.Delivery
		mu.Lock()
		for i, d := range ds {
			if i%4 == 0 && d.Receives == 1 {
				again = append(again, d)
				continue
			}
			seen[d.Event.ID] = true
			done = append(done, d)
		}
		finished := len(seen) == n
		mu.Unlock()
		// What fails here comes again when its visibility timeout ends.
		_ = q.Hide(t.Context(), again, 0)
		_ = q.Delete(t.Context(), done)
		if finished {
			return
		}
	}
}
