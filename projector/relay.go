package projector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/backoff"
)

// Relay publishes the domain's events from the log to the bus. It keeps its checkpoint in the event store, in a stream
// of which only the last event stays, and moves it only over events that were published without a gap: a crash
// publishes some twice, and never leaves one out. Several relays may run; they only duplicate.
type Relay struct {
	feed     Feed
	pub      Publisher
	stream   string // of the checkpoint
	prefixes []string
	report   Report
	missing  func()       // called when the topic does not exist
	refused  atomic.Int64 // batches that are being sent again
}

const (
	relayBatch    = 10 // events a call of Publish: one request of SNS
	relayInFlight = 8  // such calls at once
	relaySave     = 500 * time.Millisecond
)

// The checks of a relay's parts, beside its own.
const (
	relayPublishes = "publish"
	relayKeeps     = "relay checkpoint"
)

// NewRelay returns a relay for the categories, named by what it publishes to.
func NewRelay(feed Feed, pub Publisher, topic string, categories []string, report Report) *Relay {
	prefixes := make([]string, len(categories))
	for i, c := range categories {
		prefixes[i] = c + "-"
	}
	return &Relay{feed: feed, pub: pub, stream: "relay-" + topic, prefixes: prefixes, report: report, missing: func() {}}
}

type relayCheckpoint struct {
	Position string `json:"position"`
}

// Run relays until ctx ends, whatever happens to the store and the bus, and returns nil. Where the log turns out to be another one, it starts
// anew from what that says was published; an error of its parts was about the log that is gone, and nothing of this one might take it back.
func (r *Relay) Run(ctx context.Context) error {
	for {
		from, ok := r.start(ctx)
		if !ok {
			return nil
		}
		r.relay(ctx, from)
		if ctx.Err() != nil {
			return nil
		}
		r.report(relayPublishes, nil)
		r.report(relayKeeps, nil)
		if !r.skipPast(ctx) {
			return nil
		}
	}
}

// relay publishes what comes after a position, until ctx ends or the log is another one, and ends before what the relay has come to.
func (r *Relay) relay(ctx context.Context, from event.Position) {
	ctx, another := context.WithCancel(ctx)
	defer another()
	var prefix prefix
	var workers sync.WaitGroup
	slots := make(chan struct{}, relayInFlight)
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		r.save(ctx, another, &prefix)
	}()
	for batch := range r.batches(ctx, another, from) {
		slots <- struct{}{}
		done := prefix.begin(batch[len(batch)-1].Position)
		workers.Go(func() {
			defer func() { <-slots }()
			if r.publish(ctx, batch) {
				done()
			}
		})
	}
	workers.Wait()
	<-saved
}

// skipPast makes a relay without a checkpoint, over a log that has events already (a backup restored, an import), start at
// the log's end: views are built from the log, and what falls between a build and the first checkpoint the sweep lands.
// It returns false when ctx ended first.
func (r *Relay) skipPast(ctx context.Context) bool {
	return r.until(ctx, func() error { return r.firstCheckpoint(ctx) })
}

// until tries, and reports how that went, until it went well; false when ctx ended first.
func (r *Relay) until(ctx context.Context, try func() error) bool {
	var retry backoff.Backoff
	for {
		err := try()
		r.report("relay", err)
		if err == nil {
			return true
		}
		if !retry.Wait(ctx) {
			return false
		}
	}
}

func (r *Relay) firstCheckpoint(ctx context.Context) error {
	_, err := r.feed.Last(ctx, r.stream)
	if !errors.Is(err, event.ErrStreamNotFound) {
		return err
	}
	head, err := r.feed.Head(ctx)
	if errors.Is(err, event.ErrStreamNotFound) {
		return nil
	}
	if err == nil {
		err = r.keep(ctx, head.Position)
	}
	return err
}

// keep saves the checkpoint.
func (r *Relay) keep(ctx context.Context, at event.Position) error {
	data, err := json.Marshal(relayCheckpoint{Position: at.String()})
	if err == nil {
		_, err = r.feed.Append(ctx, r.stream, event.Any, []event.Proposed{{ID: uuid.New(), Type: "relay.checkpoint.v1", Data: data}})
	}
	return err
}

// start reads the checkpoint, waiting for the store as long as it takes.
func (r *Relay) start(ctx context.Context) (from event.Position, ok bool) {
	ok = r.until(ctx, func() (err error) {
		from, err = r.checkpoint(ctx)
		return err
	})
	return from, ok
}

// checkpoint is where the log says that all was published; its end, where that comes before: the checkpoint is then that of another log, and
// what of this one was published nobody knows. The end is kept at once, since the log may grow past the other position.
func (r *Relay) checkpoint(ctx context.Context) (event.Position, error) {
	if err := r.feed.SetMaxCount(ctx, r.stream, 1); err != nil {
		return event.Position{}, fmt.Errorf("relay checkpoint: %w", err)
	}
	last, err := r.feed.Last(ctx, r.stream)
	if errors.Is(err, event.ErrStreamNotFound) {
		return event.Position{}, nil
	}
	if err != nil {
		return event.Position{}, fmt.Errorf("relay checkpoint: %w", err)
	}
	var c relayCheckpoint
	if err := json.Unmarshal(last.Data, &c); err != nil {
		return event.Position{}, fmt.Errorf("relay checkpoint %s@%d: %w", last.Stream, last.Revision, err)
	}
	at, err := event.ParsePosition(c.Position)
	if err != nil {
		return event.Position{}, err
	}
	end, ahead, err := Ahead(ctx, r.feed, at)
	if err == nil && ahead {
		at, err = end, r.keep(ctx, end)
	}
	if err != nil {
		return event.Position{}, fmt.Errorf("relay checkpoint: %w", err)
	}
	return at, nil
}

// batches follows the log, and calls another when that is another one. A batch holds what has come while the one before was sent off, so a
// lone event waits for nothing.
func (r *Relay) batches(ctx context.Context, another func(), from event.Position) <-chan []event.Recorded {
	events := make(chan event.Recorded, 8*relayBatch)
	go func() {
		defer close(events)
		interrupted := false
		for e, err := range r.feed.Subscribe(ctx, from, r.prefixes) {
			if interrupted && err == nil && r.endsBefore(ctx, e.Position) {
				another()
				return
			}
			interrupted = err != nil
			r.report("relay", err)
			if interrupted || e.Type == "" {
				continue
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	batches := make(chan []event.Recorded)
	go func() {
		defer close(batches)
		for e := range events {
			batch := []event.Recorded{e}
			for len(batch) < relayBatch && len(events) > 0 {
				batch = append(batch, <-events)
			}
			select {
			case batches <- batch:
			case <-ctx.Done():
				return
			}
		}
	}()
	return batches
}

// endsBefore reports whether the log ends before a position, waiting for the store as long as it takes; false when ctx ended first. A store that
// was put back to a backup while it was away does, and from there on the subscription would hear nothing of it until it has grown past that.
// One that writes events of its own at the end may, too: there, starting anew does no harm.
func (r *Relay) endsBefore(ctx context.Context, at event.Position) (ahead bool) {
	return r.until(ctx, func() (err error) {
		_, ahead, err = Ahead(ctx, r.feed, at)
		return err
	}) && ahead
}

// publish sends a batch until every event of it is accepted; false when ctx ended first.
func (r *Relay) publish(ctx context.Context, batch []event.Recorded) bool {
	if rest := r.send(ctx, batch); len(rest) > 0 && !r.insist(ctx, rest) {
		return false
	}
	if r.refused.Load() == 0 { // else the report of that stands, however many others are accepted meanwhile
		r.report(relayPublishes, nil)
	}
	return true
}

// insist sends what was not accepted again and again.
func (r *Relay) insist(ctx context.Context, batch []event.Recorded) bool {
	r.refused.Add(1)
	defer r.refused.Add(-1)
	var retry backoff.Backoff
	for len(batch) > 0 {
		if !retry.Wait(ctx) {
			return false
		}
		batch = r.send(ctx, batch)
	}
	return true
}

// send gives the events that were not accepted.
func (r *Relay) send(ctx context.Context, batch []event.Recorded) (rest []event.Recorded) {
	var failed error
	for i, err := range r.pub.Publish(ctx, batch) {
		if err != nil {
			rest, failed = append(rest, batch[i]), err
		}
	}
	if len(rest) > 0 {
		if errors.Is(failed, event.ErrNotProvisioned) {
			r.missing()
		}
		r.report(relayPublishes, fmt.Errorf("publish %s@%d: %w", rest[0].Stream, rest[0].Revision, failed))
	}
	return rest
}

// save keeps the checkpoint while the prefix grows, and once more at the end. What lies beyond the log's end was published from another log:
// it keeps none of that, and calls another.
func (r *Relay) save(ctx context.Context, another func(), p *prefix) {
	ticker := time.NewTicker(relaySave)
	defer ticker.Stop()
	var kept event.Position
	keep := func(ctx context.Context) {
		at := p.position()
		if at == kept {
			return
		}
		_, ahead, err := Ahead(ctx, r.feed, at)
		if ahead {
			another()
			return
		}
		if err == nil {
			err = r.keep(ctx, at)
		}
		if err == nil {
			kept = at
		}
		r.report(relayKeeps, err)
	}
	for {
		select {
		case <-ticker.C:
			keep(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			keep(last)
			return
		}
	}
}

// prefix follows batches that finish in any order, and knows the last position before which all have finished.
type prefix struct {
	mu      sync.Mutex
	open    []*prefixEntry
	reached event.Position
}

type prefixEntry struct {
	last event.Position
	done bool
}

// begin notes a batch that ends at last, later than all before it, and returns how to say that it is finished.
func (p *prefix) begin(last event.Position) (done func()) {
	entry := &prefixEntry{last: last}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = append(p.open, entry)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		entry.done = true
		for len(p.open) > 0 && p.open[0].done {
			p.reached = p.open[0].last
			p.open = p.open[1:]
		}
	}
}

func (p *prefix) position() event.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reached
}
