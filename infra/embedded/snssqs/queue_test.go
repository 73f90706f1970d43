package snssqs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"jangbu/test/servers"
)

// waiting makes a queue on which n callers wait, each with a context of its own, and returns where they report that
// they were woken (true) or gave up (false).
func waiting(t *testing.T, n int) (q *queue, woken []chan bool, cancel []context.CancelFunc) {
	t.Helper()
	s, err := Start(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	q = newQueue(s, "q", defaultSettings(time.Now()))
	for i := range n {
		ctx, stop := context.WithCancel(t.Context())
		t.Cleanup(stop)
		result := make(chan bool, 1)
		woken, cancel = append(woken, result), append(cancel, stop)
		go func() { result <- q.wait(ctx, nil, nil) }()
		untilWaiters(t, q, i+1) // so that they wait in their order
	}
	return q, woken, cancel
}

func untilWaiters(t *testing.T, q *queue, n int) {
	t.Helper()
	servers.Eventually(t, fmt.Sprintf("%d callers wait", n), func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.waiters) == n
	})
}

// UntilPolls waits until n long polls wait on a queue, for tests that see the server from outside.
func (s *Server) UntilPolls(t *testing.T, queue string, n int) {
	t.Helper()
	untilWaiters(t, s.queueNamed(queue), n)
}

func want(t *testing.T, result <-chan bool, woken bool) {
	t.Helper()
	select {
	case have := <-result:
		if have != woken {
			t.Fatalf("woken: %v, want %v", have, woken)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the caller still waits")
	}
}

func arrivals(n int) []arrival {
	var out []arrival
	for range n {
		out = append(out, newArrival(newContent("x", nil)))
	}
	return out
}

func take(t *testing.T, q *queue, n int) []received {
	t.Helper()
	got, _, err := q.take(n, time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWhoLeavesMessagesWakesTheNext(t *testing.T) {
	q, woken, _ := waiting(t, 2)
	q.enqueue(arrivals(2)...)
	want(t, woken[0], true)
	take(t, q, 1)
	want(t, woken[1], true)
}

func TestWhoIsWokenAndGivesUpWakesTheNext(t *testing.T) {
	q, woken, cancel := waiting(t, 2)
	a := arrivals(1)[0]
	q.mu.Lock() // the first is woken and cancelled before it can look at either
	cancel[0]()
	q.insert(a, q.now(), nil)
	q.signal()
	q.mu.Unlock()
	want(t, woken[0], false)
	want(t, woken[1], true)
}

// TestWhoIsDoneDoesNotWait: whoever finds nothing for itself in a queue that is not empty, since what it finds leaves for a dead-letter queue
// and comes back, ends with its time all the same.
func TestWhoIsDoneDoesNotWait(t *testing.T) {
	q, _, _ := waiting(t, 0)
	q.enqueue(arrivals(1)...)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	over := make(chan time.Time, 1)
	over <- time.Now()
	closing := make(chan struct{})
	close(closing)
	if q.wait(cancelled, nil, nil) || q.wait(t.Context(), over, nil) || q.wait(t.Context(), nil, closing) {
		t.Error("it goes on")
	}
	if !q.wait(t.Context(), nil, nil) {
		t.Error("one that has time does not go on")
	}
}

func TestWhoeverShowsAMessageWakes(t *testing.T) {
	q, woken, _ := waiting(t, 2)
	q.enqueue(arrivals(1)...)
	want(t, woken[0], true)
	m := take(t, q, 1)[0]
	if err := q.hide(m.receipt, 0); err != nil {
		t.Fatal(err)
	}
	want(t, woken[1], true)
}

func TestTimerMovesForward(t *testing.T) {
	q, woken, _ := waiting(t, 1)
	late, soon := arrivals(1)[0], arrivals(1)[0]
	late.delay, soon.delay = time.Hour, time.Millisecond
	q.enqueue(late)
	q.enqueue(soon)
	want(t, woken[0], true)
	if got := take(t, q, 2); len(got) != 1 || got[0].id != soon.id {
		t.Errorf("received %+v, want the sooner message alone", got)
	}
}

// TestUnreadQueueIsBounded: a queue that nobody receives from holds no more than its retention period's messages.
func TestUnreadQueueIsBounded(t *testing.T) {
	q, _, _ := waiting(t, 0)
	now := time.Now()
	q.now = func() time.Time { return now }
	for range 10 {
		q.enqueue(arrivals(100)...)
		now = now.Add(q.settings.retention / 2)
	}
	if kept := len(q.bySeq); kept != 200 || q.ready.live != kept || len(q.ready.items)-q.ready.head > kept {
		t.Errorf("%d messages, %d ready in %d places, want the last 200", kept, q.ready.live, len(q.ready.items)-q.ready.head)
	}
}
