package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/folded"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// counter is a consumer of the orders view, over a live generation and a queue that can misbehave.
type counter struct {
	*testing.T
	log      *history.History
	model    faultyModel
	queue    *fakeQueue
	consumer *consumer
	live     row.Generation

	mu      sync.Mutex
	reports []error
	missed  int
}

func newCounter(t *testing.T) *counter {
	store := openModel(t, servers.MiniRedis(t))
	c := &counter{T: t, log: &history.History{}, model: newFaultyModel(store), queue: newFakeQueue(rand.Uint64())}
	c.consumer = &consumer{
		view: view.Orders, queue: c.queue, model: c.model, log: c.log, logger: slog.New(slog.DiscardHandler), visibility: time.Minute,
		report:  func(_ string, err error) { c.mu.Lock(); defer c.mu.Unlock(); c.reports = append(c.reports, err) },
		missing: func() { c.mu.Lock(); defer c.mu.Unlock(); c.missed++ },
	}
	return c
}

func (c *counter) goLive() {
	c.Helper()
	if _, err := newReplay(c.model.store, c.log).Run(c.Context(), []*view.View{view.Orders}); err != nil {
		c.Fatal(err)
	}
	c.refresh()
}

// refresh asks which generation is live.
func (c *counter) refresh() {
	c.Helper()
	registry, err := c.model.store.Registry(c.Context(), view.Orders.Name)
	if err != nil {
		c.Fatal(err)
	}
	c.live = registry.Live
}

// run starts the consumer; it stops with the test.
func (c *counter) run(workers int) (stop func()) {
	ctx, cancel := context.WithCancel(c.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.consumer.Run(ctx, workers); err != nil {
			c.Errorf("consumer: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	c.Cleanup(stop)
	return stop
}

// order records an order of a member whom every order has.
func (c *counter) order(id string) event.Recorded {
	c.Helper()
	if c.log.Len() == 0 {
		c.log.Add(c, "member-M", member.Registered{Name: "Mina"})
	}
	c.log.Add(c, order.Stream(id), order.Placed{MemberID: "M", Currency: "USD", PlacedOn: "2026-01-02"})
	return c.log.Stream(order.Stream(id))[0]
}

func (c *counter) emptied() {
	c.Helper()
	servers.Eventually(c, "the queue runs empty", func() bool { return c.queue.left() == 0 })
}

func (c *counter) reported(target error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, err := range c.reports {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func TestConsumerLandsAndDeletes(t *testing.T) {
	c := newCounter(t)
	c.goLive()
	for i := range 50 {
		c.queue.sendEvents(c.order(fmt.Sprint(i)))
	}
	c.run(3)
	c.emptied()
	folded.Want(t, c.model.store, view.Orders, c.live, c.log.Events())
	if n := len(c.queue.hidings()); n > 0 {
		t.Errorf("%d messages were given back or kept hidden, without need", n)
	}
}

// TestConsumerAwayFromTheStore: what needs nothing from the store lands also in the live generation while something else waits in the one
// being built; and what waits there waits in the live one, too.
func TestConsumerAwayFromTheStore(t *testing.T) {
	c := newCounter(t)
	manual := order.Placed{MemberID: "M", Currency: "USD", PlacedOn: "2026-01-02", Manual: true, Lines: []order.Line{{ProductID: "P", Quantity: 2, Amount: 5}}}
	c.log.Add(t, "member-M", member.Registered{Name: "Mina"})
	c.log.Add(t, "order-rested", manual, order.Shipped{Carrier: "Post"}, order.Delivered{Parcel: 1})
	c.goLive()
	if _, err := NewReplay(c.model.store, c.log, ReplayConfig{NoSwitch: true}).Run(t.Context(), []*view.View{view.Orders}); err != nil {
		t.Fatal(err)
	}
	registry, err := c.model.store.Registry(t.Context(), view.Orders.Name)
	if err != nil || !registry.Open {
		t.Fatalf("registry: %+v, %v", registry, err)
	}
	behind := c.order("behind") // which only the live generation has
	if err := NewApplier(view.Orders, c.live, c.model, c.log).Apply(t.Context(), []event.Recorded{behind}); err != nil {
		t.Fatal(err)
	}
	arrived := c.log.Len()
	c.log.Add(t, "order-rested", order.Returned{Lines: []order.LineQuantity{{Line: 1, Quantity: 2}}})
	c.log.Add(t, "order-behind", order.Shipped{Carrier: "Post"})
	c.order("fresh")
	var deliveries []event.Delivery
	for _, e := range c.log.Events()[arrived:] {
		deliveries = append(deliveries, event.Delivery{Event: e})
	}
	away := &faults{}
	away.down.Store(true)
	c.consumer.log = faultyLog{c.log, away}
	if err := c.consumer.land(t.Context(), deliveries); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	for g, want := range map[row.Generation][]int64{registry.Live: {2, 0, 0}, registry.Building: {2, event.NoStream, 0}} {
		if at, err := c.model.store.Landed(t.Context(), g, []string{"order-rested", "order-behind", "order-fresh"}); err != nil || !slices.Equal(at, want) {
			t.Errorf("%s has landed up to %v, want %v (err %v)", g, at, want, err)
		}
	}
	away.down.Store(false)
	if err := c.consumer.land(t.Context(), deliveries); err != nil {
		t.Fatal(err)
	}
	for _, g := range []row.Generation{registry.Live, registry.Building} {
		folded.Want(t, c.model.store, view.Orders, g, c.log.Events())
	}
}

// TestConsumerFaultyQueue: duplicates, failing receives and failing deletes change nothing in the end.
func TestConsumerFaultyQueue(t *testing.T) {
	history.Seeds(t, 3, func(t *testing.T, r *rand.Rand) {
		c := newCounter(t)
		c.log = history.Random(t, r, 60)
		c.consumer.log = c.log
		c.goLive()
		c.log.Grow(t, r, 80)
		for _, e := range c.log.Events() {
			if _, ok := view.Orders.Source(e.Stream); ok {
				c.queue.sendEvents(e)
			}
		}
		c.queue.duplicates, c.queue.receiveFails, c.queue.deleteFails = 300, 100, 300
		c.run(4)
		c.emptied()
		folded.Want(t, c.model.store, view.Orders, c.live, c.log.Events())
	})
}

func TestConsumerMissesItsQueue(t *testing.T) {
	c := newCounter(t)
	c.goLive()
	c.queue.receiveFails = 1000
	c.run(1)
	servers.Eventually(t, "the consumer says what is wrong", func() bool { return c.reported(errBroken) })
	missed := func() int { c.mu.Lock(); defer c.mu.Unlock(); return c.missed }
	if n := missed(); n > 0 {
		t.Errorf("it asked %d times for a queue that is there", n)
	}
	c.queue.mu.Lock()
	c.queue.gone = true
	c.queue.mu.Unlock()
	servers.Eventually(t, "the consumer asks for its queue", func() bool { return missed() > 1 })
	if !c.reported(event.ErrNotProvisioned) {
		t.Errorf("it reports %v", c.reports)
	}
}

// TestConsumerOutage: while Redis is away messages are held, not handed back, so that none comes nearer to the
// dead-letter queue by an outage.
func TestConsumerOutage(t *testing.T) {
	c := newCounter(t)
	c.goLive()
	c.queue.sendEvents(c.order("1"), c.order("2"))
	c.model.down.Store(true)
	c.run(1)
	servers.Eventually(t, "the consumer tries again and again", func() bool { return c.model.calls.Load() > 3 && c.reported(event.ErrUnavailable) })
	c.model.down.Store(false)
	delivered := c.queue.receivesOf("order-1") + c.queue.receivesOf("order-2")
	c.emptied()
	if delivered > 2 {
		t.Errorf("two messages were handed out %d times during the outage", delivered)
	}
	if n := len(c.queue.hidings()); n > 0 {
		t.Errorf("messages were handed back %d times", n)
	}
	folded.Want(t, c.model.store, view.Orders, c.live, c.log.Events())
}

// TestConsumerOutageStaysReported: that messages come is no good news while they cannot be landed.
func TestConsumerOutageStaysReported(t *testing.T) {
	c := newCounter(t)
	c.goLive()
	link := &faults{}
	link.down.Store(true)
	c.consumer.log = faultyLog{c.log, link}
	hollow := func(id string) {
		e := c.order(id)
		e.Data, e.Metadata = nil, nil
		c.queue.send(event.Delivery{Event: e, Hollow: true}) // for which it needs the log
	}
	hollow("1")
	c.run(1)
	servers.Eventually(t, "landing fails", func() bool { return c.reported(event.ErrUnavailable) })
	c.mu.Lock()
	c.reports = nil
	c.mu.Unlock()
	for _, id := range []string{"2", "3"} { // when the second is taken, the first has been spoken of
		hollow(id)
		servers.Eventually(t, "another message comes", func() bool { return c.queue.receivesOf("order-"+id) > 0 })
	}
	if c.reported(nil) {
		t.Error("the queue is said to be well while nothing can be landed")
	}
	link.down.Store(false)
	c.emptied()
	hollow("4")
	servers.Eventually(t, "the queue is well", func() bool { return c.reported(nil) })
	c.emptied()
	folded.Want(t, c.model.store, view.Orders, c.live, c.log.Events())
}

// TestConsumerWaitsForGeneration: what comes before the view was ever built waits for that.
func TestConsumerWaitsForGeneration(t *testing.T) {
	c := newCounter(t)
	c.queue.sendEvents(c.order("1"))
	c.run(1)
	servers.Eventually(t, "the consumer finds no generation", func() bool { return c.reported(errNoGeneration) })
	if c.queue.left() == 0 {
		t.Fatal("a message was deleted that has landed nowhere")
	}
	c.goLive()
	c.emptied()
	folded.Want(t, c.model.store, view.Orders, c.live, c.log.Events())
}

// TestConsumerPoison: an event that cannot be landed goes back, for longer each time, and holds nobody up.
func TestConsumerPoison(t *testing.T) {
	c := newCounter(t)
	c.goLive()
	c.order("0")
	good := []event.Recorded{c.order("1"), c.order("2")}
	c.queue.sendEvents(event.Recorded{Stream: "order-p", Revision: 4, Type: "order.shipped.v1", Data: []byte(`{}`)}) // not in the log
	c.queue.sendEvents(good...)
	c.queue.send(event.Delivery{Err: errors.New("no CloudEvent at all")})
	c.run(1)
	servers.Eventually(t, "the good ones land", func() bool { return c.queue.left() == 2 && len(c.queue.hidings()) == 1 })
	c.queue.comeBack()
	servers.Eventually(t, "the other fails again", func() bool { return len(c.queue.hidings()) == 2 })
	for i, h := range c.queue.hidings() {
		if want := time.Duration(2<<i) * time.Second; len(h.receipts) != 1 || h.d != want {
			t.Errorf("hidden %d: %d messages for %s, want one for %s", i, len(h.receipts), h.d, want)
		}
	}
	for _, e := range good {
		if body, err := c.model.store.Document(t.Context(), c.live, event.StreamID(e.Stream)); err != nil || body == nil {
			t.Errorf("%s: %s, %v", e.Stream, body, err)
		}
	}
}

// TestConsumerKeepsHidden: as long as landing takes, others do not get the messages.
func TestConsumerKeepsHidden(t *testing.T) {
	c := newCounter(t)
	c.goLive()
	c.consumer.visibility = 30 * time.Millisecond
	release := make(chan struct{})
	c.model.atCall = func(int64) {
		if c.queue.handedOut() {
			<-release // the model takes its time
		}
	}
	c.queue.sendEvents(c.order("1"))
	c.run(1)
	servers.Eventually(t, "the message is kept hidden", func() bool { return len(c.queue.hidings()) >= 3 })
	close(release)
	c.emptied()
	for _, h := range c.queue.hidings() {
		if len(h.receipts) != 1 || h.d != c.consumer.visibility {
			t.Errorf("kept hidden: %+v", h)
		}
	}
}

// TestConsumerKeepsHiddenWhatWaits: what was received while others land is kept hidden, too, and then lands together.
func TestConsumerKeepsHiddenWhatWaits(t *testing.T) {
	c := newCounter(t)
	c.goLive()
	c.consumer.visibility = 30 * time.Millisecond
	release := make(chan struct{})
	c.model.atCall = func(int64) {
		if c.queue.handedOut() {
			<-release
		}
	}
	c.consumer.ready.Store(math.MaxInt64 / 2) // receivers need not ask the model
	c.queue.sendEvents(c.order("0"))
	c.run(2)
	servers.Eventually(t, "the first message is handed out", c.queue.handedOut)
	for i := range 100 {
		c.queue.sendEvents(c.order(fmt.Sprint(1 + i)))
	}
	servers.Eventually(t, "others are received meanwhile, and kept hidden", func() bool {
		hidden := map[string]bool{}
		for _, h := range c.queue.hidings() {
			for _, receipt := range h.receipts {
				hidden[receipt] = true
			}
		}
		return len(hidden) > 1
	})
	close(release)
	c.emptied()
	folded.Want(t, c.model.store, view.Orders, c.live, c.log.Events())
}

// TestConsumerLandsAFloodTogether: what has come while a batch was landed is the next batch, in few round trips.
func TestConsumerLandsAFloodTogether(t *testing.T) {
	c := newCounter(t)
	c.goLive()
	arrived := make(chan held, batchMax/receiveMax)
	const messages = 200
	for i := range messages {
		arrived <- held{[]event.Delivery{{Event: c.order(fmt.Sprint(i)), Receipt: fmt.Sprint(i)}}, func() {}}
		if len(arrived) < cap(arrived) {
			continue
		}
		before := c.model.calls.Load()
		batch := c.consumer.gather(t.Context(), arrived)
		landed := c.consumer.handle(t.Context(), batch)
		if len(batch) != cap(arrived) || len(landed) != len(batch) {
			t.Errorf("of %d messages %d were gathered, and %d have landed", cap(arrived), len(batch), len(landed))
		}
		if calls := c.model.calls.Load() - before; calls > 20 {
			t.Errorf("%d messages took %d calls of the model", len(batch), calls)
		}
	}
	folded.Want(t, c.model.store, view.Orders, c.live, c.log.Events())
}

// TestConsumerStops: a consumer that is told to stop during an outage stops, and leaves its messages in the queue.
func TestConsumerStops(t *testing.T) {
	c := newCounter(t)
	c.goLive()
	c.queue.sendEvents(c.order("1"))
	c.model.down.Store(true)
	stop := c.run(2)
	servers.Eventually(t, "the consumer meets the outage", func() bool { return c.reported(event.ErrUnavailable) })
	stop()
	if c.queue.left() != 1 || len(c.queue.hidings()) > 0 {
		t.Errorf("%d messages are left, %d were given back", c.queue.left(), len(c.queue.hidings()))
	}
}

// TestConsumerWritesBoth: once a generation is open, it has every event before the live one does.
func TestConsumerWritesBoth(t *testing.T) {
	c := newCounter(t)
	c.goLive()
	b, err := c.model.store.Begin(t.Context(), view.Orders.Name, view.Orders.Version, "builder")
	if err != nil {
		t.Fatal(err)
	}
	c.queue.sendEvents(c.order("before"))
	c.run(1)
	c.emptied()
	if err := c.model.store.OpenBuild(t.Context(), b.Generation, "builder"); err != nil {
		t.Fatal(err)
	}
	early := false
	c.model.atCall = func(int64) { // before each call: what the live one has, the other must have
		in := map[row.Generation]int64{}
		for _, g := range []row.Generation{c.live, b.Generation} {
			landed, err := c.model.store.Landed(context.Background(), g, []string{"order-after"})
			if err != nil {
				t.Error(err)
				return
			}
			in[g] = landed[0]
		}
		early = early || in[c.live] > in[b.Generation]
	}
	c.queue.sendEvents(c.order("after"))
	c.emptied()
	if early {
		t.Error("the live generation had the event first")
	}
	for _, test := range []struct {
		g    row.Generation
		doc  string
		have bool
	}{{c.live, "before", true}, {c.live, "after", true}, {b.Generation, "before", false}, {b.Generation, "after", true}} {
		if body, err := c.model.store.Document(t.Context(), test.g, test.doc); err != nil || (body != nil) != test.have {
			t.Errorf("%s/%s is %s, %v", test.g, test.doc, body, err)
		}
	}
}

// TestDecodings: an event that is brought again is decoded once, unless it is too large to be kept in memory for that.
func TestDecodings(t *testing.T) {
	for _, large := range []bool{false, true} {
		h, d := &history.History{}, newDecodings()
		name := "Kim"
		if large {
			name = strings.Repeat("x", decodingsMost)
		}
		h.Add(t, "member-M", member.Registered{Name: name})
		source, _ := view.Members.Source("member-M")
		for range 2 {
			if _, err := d.decode(source, h.Events()[0]); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := d.last.Len(), map[bool]int{false: 1, true: 0}[large]; got != want {
			t.Errorf("large %v: %d events are kept, want %d", large, got, want)
		}
	}
}

// TestConsumerTakesNothingAfterItsEnd: what was received and not taken up comes again.
func TestConsumerTakesNothingAfterItsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	arrived := make(chan held, 1)
	arrived <- held{[]event.Delivery{{}}, func() {}}
	if batch := newCounter(t).consumer.gather(ctx, arrived); len(batch) > 0 {
		t.Errorf("%d batches were taken", len(batch))
	}
}
