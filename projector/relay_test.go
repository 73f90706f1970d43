package projector

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jangbu/domain/event"
	"jangbu/query/view"
	"jangbu/test/history"
)

// bench is a relay between fakes, in a bubble of its own time.
type bench struct {
	*testing.T
	log  *history.History
	feed *fakeFeed
	pub  *fakePublisher

	mu      sync.Mutex
	reports map[string][]error
	missed  int // how often it said that there is no topic
}

func newBench(t *testing.T, log *history.History) *bench {
	b := &bench{T: t, log: log, feed: newFakeFeed(log, rand.Uint64()), pub: newFakePublisher(rand.Uint64()), reports: map[string][]error{}}
	b.feed.onKeep = func(at event.Position) {
		for _, e := range log.Events() {
			if e.Position.Compare(at) <= 0 && ofTheShop(e) && !b.pub.has(e) {
				t.Errorf("the checkpoint is at %s, and %s at %s was never published", at, name(e), e.Position)
			}
		}
	}
	return b
}

func ofTheShop(e event.Recorded) bool { return event.Category(e.Stream) != "elsewhere" }

// run starts a relay; stop ends it and waits until it has.
func (b *bench) run() (stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	relay := NewRelay(b.feed, b.pub, "test", view.Categories(view.All()), b.report)
	relay.missing = func() { b.mu.Lock(); defer b.mu.Unlock(); b.missed++ }
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := relay.Run(ctx); err != nil {
			b.Errorf("relay: %v", err)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// crash ends a relay that can no longer say anything to anybody.
func (b *bench) crash(stop func()) {
	b.feed.setDown(true)
	b.pub.set(func() { b.pub.down = true })
	stop()
	b.pub.set(func() { b.pub.down = false })
	b.feed.setDown(false)
}

func (b *bench) report(loop string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reports[loop] = append(b.reports[loop], err)
}

// last is what a loop has reported last, and whether it ever reported.
func (b *bench) last(loop string) (error, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	reports := b.reports[loop]
	if len(reports) == 0 {
		return nil, false
	}
	return reports[len(reports)-1], true
}

func (b *bench) missing() int {
	n := 0
	for _, e := range b.log.Events() {
		if ofTheShop(e) && !b.pub.has(e) {
			n++
		}
	}
	return n
}

func (b *bench) end() event.Position {
	events := b.log.Events()
	return events[len(events)-1].Position
}

// TestRelayPublishesAll: whatever fails, and whenever the relay dies, every event is published at least once, and the
// checkpoint (see newBench) never passes one that was not.
func TestRelayPublishesAll(t *testing.T) {
	history.Seeds(t, 30, func(t *testing.T, r *rand.Rand) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, history.Random(t, r, 100))
			b.log.AddRaw("elsewhere-1", "is not the shop's.v1", []byte("{}"))
			b.pub.refuses, b.pub.delay, b.feed.interrupts = r.IntN(300), time.Duration(1+r.IntN(400))*time.Millisecond, r.IntN(100)
			for range 8 {
				stop := b.run()
				for range r.IntN(4) {
					b.log.Grow(t, r, 1+r.IntN(30))
					b.feed.wake()
					time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond) // of the bubble's time
				}
				if r.IntN(2) == 0 {
					b.crash(stop)
				} else {
					stop()
				}
			}
			b.pub.refuses, b.feed.interrupts = 0, 0
			stop := b.run()
			time.Sleep(time.Minute)
			if n := b.missing(); n > 0 {
				t.Errorf("%d events were never published", n)
			}
			for published := range b.pub.accepted {
				if !ofTheShop(event.Recorded{Stream: published}) {
					t.Errorf("%s was published", published)
				}
			}
			stop()
		})
	})
}

// TestRelayCheckpoint: batches finish in any order; the checkpoint waits for the first that has not.
func TestRelayCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, history.Random(t, rand.New(rand.NewPCG(1, 1)), 300))
		first := b.log.Events()[0]
		release := make(chan struct{})
		b.pub.hold = func(events []event.Recorded) {
			if events[0].ID == first.ID {
				<-release
			}
		}
		stop := b.run()
		time.Sleep(time.Minute)
		if at := b.feed.checkpoint(); at != (event.Position{}) {
			t.Errorf("the checkpoint is at %s while the first batch is out", at)
		}
		if n := b.missing(); n == 0 || n > relayBatch {
			t.Errorf("%d events are unpublished while one batch is out", n)
		}
		close(release)
		time.Sleep(time.Minute)
		if at := b.feed.checkpoint(); at != b.end() {
			t.Errorf("the checkpoint is at %s when all is published, want %s", at, b.end())
		}
		if b.pub.most > relayInFlight || b.pub.most < 2 || b.pub.largest > relayBatch || b.pub.largest < 2 {
			t.Errorf("%d calls in flight, of up to %d events", b.pub.most, b.pub.largest)
		}
		if b.feed.maxCounts["relay-test"] != 1 {
			t.Error("the checkpoints are kept for ever")
		}
		stop()

		published := b.pub.count()
		stop = b.run()
		time.Sleep(time.Minute)
		stop()
		if n := b.pub.count(); n != published {
			t.Errorf("after a clean stop %d events were published again", n-published)
		}
		if len(b.feed.kept) > 300/relayBatch {
			t.Errorf("%d checkpoints were written for 300 events", len(b.feed.kept))
		}
	})
}

// TestRelayStopKeeps: what was published just before a clean stop is in the checkpoint.
func TestRelayStopKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, history.Random(t, rand.New(rand.NewPCG(1, 1)), 25))
		stop := b.run()
		synctest.Wait() // published, and no time has passed
		if n := b.missing(); n > 0 {
			t.Fatalf("%d events wait for something", n)
		}
		stop()
		if at := b.feed.checkpoint(); at != b.end() {
			t.Errorf("the checkpoint is at %s, want %s", at, b.end())
		}
	})
}

// TestRelayReports: the relay tells what is wrong, and that it no longer is.
func TestRelayReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, history.Random(t, rand.New(rand.NewPCG(1, 1)), 20))
		expect := func(loop string, want error) {
			t.Helper()
			time.Sleep(10 * time.Second)
			if err, reported := b.last(loop); !reported || !errors.Is(err, want) || (want == nil) != (err == nil) {
				t.Errorf("%s reports %v (ever: %v), want %v", loop, err, reported, want)
			}
		}
		b.feed.setDown(true)
		stop := b.run()
		expect("relay", errInterrupted) // before it could start
		b.pub.set(func() { b.pub.down = true })
		b.feed.setDown(false)
		expect("relay", nil)
		expect("publish", event.ErrUnavailable)
		missed := func() int { b.mu.Lock(); defer b.mu.Unlock(); return b.missed }
		if n := missed(); n > 0 {
			t.Errorf("it asked %d times for a topic that is there", n)
		}
		b.pub.set(func() { b.pub.down, b.pub.gone = false, true })
		expect("publish", event.ErrNotProvisioned)
		if missed() == 0 {
			t.Error("it has not asked for a topic that is not there")
		}
		b.pub.set(func() { b.pub.gone = false })
		expect("publish", nil)
		b.feed.setDown(true)
		expect("relay", errInterrupted)
		b.feed.setDown(false)
		expect("relay", nil)
		expect("relay checkpoint", nil)
		if n := b.missing(); n > 0 {
			t.Errorf("%d events were never published", n)
		}
		stop()
	})
}

// TestRelayReportsTheRefused: that other events are accepted does not hide one that never is.
func TestRelayReportsTheRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, history.Random(t, rand.New(rand.NewPCG(1, 1)), 20))
		b.pub.never = name(b.log.Events()[0])
		stop := b.run()
		for range 20 {
			b.log.Grow(t, rand.New(rand.NewPCG(1, 2)), 5)
			b.feed.wake()
			synctest.Wait() // these are through before the refused one is sent again
			if err, _ := b.last("publish"); err == nil {
				t.Fatalf("publish reports that all is well, with %d of %d events published", b.pub.count(), len(b.log.Events()))
			}
			time.Sleep(time.Second)
		}
		b.pub.set(func() { b.pub.never = "" })
		time.Sleep(time.Minute)
		if err, _ := b.last("publish"); err != nil || b.missing() > 0 {
			t.Errorf("%d events are missing, publish reports %v", b.missing(), err)
		}
		stop()
	})
}

func checkpointAt(t *testing.T, e event.Recorded) event.Recorded {
	t.Helper()
	data, err := json.Marshal(relayCheckpoint{Position: e.Position.String()})
	if err != nil {
		t.Fatal(err)
	}
	return event.Recorded{Stream: "relay-test", Data: data}
}

// TestRelayOfAnOlderLog: the event store was put back to a backup under a running relay. It goes on from what that log says was published;
// from its end, where it says nothing of use; and it never says of that log what it knew of the other one.
func TestRelayOfAnOlderLog(t *testing.T) {
	for which, kept := range map[string]func(t *testing.T, events []event.Recorded) []event.Recorded{
		"with a checkpoint": func(t *testing.T, events []event.Recorded) []event.Recorded {
			return []event.Recorded{checkpointAt(t, events[180])}
		},
		"without": func(*testing.T, []event.Recorded) []event.Recorded { return nil },
		"with that of later": func(t *testing.T, events []event.Recorded) []event.Recorded {
			return []event.Recorded{checkpointAt(t, events[290])}
		},
	} {
		t.Run(which, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, history.Random(t, rand.New(rand.NewPCG(1, 1)), 300))
				was := b.log.Events()
				release := make(chan struct{})
				b.pub.hold = func(events []event.Recorded) {
					if events[len(events)-1].ID == was[len(was)-1].ID { // it is accepted when the other log is there, and before that is read
						<-release
					}
				}
				defer b.run()()
				time.Sleep(time.Minute)
				b.feed.setDown(true)
				b.feed.restore(200, kept(t, was)...)
				missed := b.log.AddRaw("product-new", "product.sung.v1", []byte("{}"))
				b.feed.onKeep = func(at event.Position) {
					if at.Compare(b.end()) > 0 {
						t.Errorf("it keeps %s, and the log ends at %s", at, b.end())
					}
				}
				close(release)
				time.Sleep(time.Minute)
				b.feed.setDown(false)
				time.Sleep(time.Minute)
				if published := b.pub.has(missed); published != (which == "with a checkpoint") {
					t.Errorf("the event from before it was back is published: %t", published)
				}
				for range 3 {
					e := b.log.AddRaw("product-new", "product.sung.v1", []byte("{}"))
					b.feed.wake()
					time.Sleep(time.Minute)
					if !b.pub.has(e) || b.feed.checkpoint() != e.Position {
						t.Errorf("%s is published: %t; the checkpoint is at %s, the log ends at %s", name(e), b.pub.has(e), b.feed.checkpoint(), e.Position)
					}
				}
				if err, _ := b.last("relay"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestRelaySavesNothingOfAnOlderLog: a checkpoint that is due when the store is back is not kept before the relay knows which log that is.
func TestRelaySavesNothingOfAnOlderLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, history.Random(t, rand.New(rand.NewPCG(1, 1)), 300))
		defer b.run()()
		synctest.Wait() // all is published, and nothing kept
		b.feed.onKeep = func(at event.Position) {
			if at.Compare(b.end()) > 0 {
				t.Errorf("it keeps %s, and the log ends at %s", at, b.end())
			}
		}
		b.feed.restore(200) // and its subscription has not noticed
		time.Sleep(time.Minute)
		e := b.log.AddRaw("product-new", "product.sung.v1", []byte("{}"))
		b.feed.wake()
		time.Sleep(time.Minute)
		if !b.pub.has(e) || b.feed.checkpoint() != e.Position {
			t.Errorf("%s is published: %t; the checkpoint is at %s, the log ends at %s", name(e), b.pub.has(e), b.feed.checkpoint(), e.Position)
		}
	})
}

// TestRelayTakesBackWhatItSaidOfAnOlderLog: what failed of another log will never be tried again, and so is no longer wrong.
func TestRelayTakesBackWhatItSaidOfAnOlderLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, history.Random(t, rand.New(rand.NewPCG(1, 1)), 300))
		was := b.log.Events()
		defer b.run()()
		time.Sleep(time.Minute + relaySave/5) // no checkpoint is due just then
		b.log.AddRaw("product-new", "product.sung.v1", []byte("{}"))
		b.feed.wake()
		synctest.Wait() // it is published, and not kept
		b.pub.set(func() { b.pub.down = true })
		b.log.AddRaw("product-new", "product.sung.v1", []byte("{}"))
		b.feed.wake()
		synctest.Wait() // it is refused
		b.feed.setDown(true)
		time.Sleep(time.Minute)
		parts := []string{"relay", relayPublishes, relayKeeps}
		for _, part := range parts {
			if err, _ := b.last(part); err == nil {
				t.Errorf("%s is well, with store and bus away", part)
			}
		}
		b.feed.onKeep = func(event.Position) {}
		b.feed.restore(200, checkpointAt(t, was[199]))
		b.feed.setDown(false)
		time.Sleep(time.Minute)
		for _, part := range parts {
			if err, _ := b.last(part); err != nil {
				t.Errorf("%s, in a log of which all is published, reports %v", part, err)
			}
		}
	})
}

// TestRelayStartsInAnOlderLog: a checkpoint from beyond the log's end is another log's. The relay starts at the end, and says so at once, for
// the log may grow past the other position before there is anything to publish.
func TestRelayStartsInAnOlderLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, history.Random(t, rand.New(rand.NewPCG(1, 1)), 300))
		b.feed.onKeep = func(event.Position) {}
		b.feed.restore(200, checkpointAt(t, b.log.Events()[299]))
		end := b.end()
		stop := b.run()
		synctest.Wait()
		stop()
		if at := b.feed.checkpoint(); at != end || b.pub.count() > 0 {
			t.Errorf("the checkpoint is at %s and the log ends at %s; %d events are published", at, end, b.pub.count())
		}
		for range 150 {
			b.log.AddRaw("product-new", "product.sung.v1", []byte("{}"))
		}
		defer b.run()()
		time.Sleep(time.Minute)
		for _, e := range b.log.Events() {
			if published := b.pub.has(e); published != (e.Position.Compare(end) > 0) {
				t.Errorf("%s at %s is published: %t", name(e), e.Position, published)
			}
		}
	})
}

// TestRelayDamagedCheckpoint: a checkpoint that cannot be read is reported and waited for; the relay does not take it
// upon itself to begin anew.
func TestRelayDamagedCheckpoint(t *testing.T) {
	for name, data := range map[string]string{"not JSON": "x", "no position": `{"position":"12"}`} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, history.Random(t, rand.New(rand.NewPCG(1, 1)), 20))
				b.feed.kept = []event.Recorded{{Stream: "relay-test", Data: []byte(data)}}
				stop := b.run()
				time.Sleep(time.Minute)
				stop()
				if err, _ := b.last("relay"); err == nil || b.pub.count() > 0 {
					t.Errorf("reports %v, published %d", err, b.pub.count())
				}
			})
		})
	}
}
