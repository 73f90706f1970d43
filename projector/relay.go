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
	newID    func() uuid.UUID
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
func NewRelay(feed Feed, pub Publisher, topic string, categories []string, report Report, newID func() uuid.UUID) *Relay {
	prefixes := make([]string, len(categories))
	for i, c := range categories {
		prefixes[i] = c + "-"
	}
	return &Relay{feed: feed, pub: pub, stream: "relay-" + topic, prefixes: prefixes, report: report, newID: newID, missing: func() {}}
}

type relayCheckpoint struct {
	Position string `json:"position"`
}

// Run relays until ctx ends, whatever happens to the store and the bus, and returns nil.
func (r *Relay) Run(ctx context.Context) error {
	from, ok := r.start(ctx)
	if !ok {
		return nil
	}
	var prefix prefix
	var workers sync.WaitGroup
	slots := make(chan struct{}, relayInFlight)
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		r.save(ctx, &prefix)
	}()
	for batch := range r.batches(ctx, from) {
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
	return nil
}

// skipPast makes a relay without a checkpoint, over a log that has events already (a backup restored, an import), start at
// the log's end: views are built from the log, and what falls between a build and the first checkpoint the sweep lands.
// It returns false when ctx ended first.
func (r *Relay) skipPast(ctx context.Context, log HeadReader) bool {
	var retry backoff.Backoff
	for {
		err := r.firstCheckpoint(ctx, log)
		r.report("relay", err)
		if err == nil {
			return true
		}
		if !retry.Wait(ctx) {
			return false
		}
	}
}

func (r *Relay) firstCheckpoint(ctx context.Context, log HeadReader) error {
	_, err := r.feed.Last(ctx, r.stream)
	if !errors.Is(err, event.ErrStreamNotFound) {
		return err
	}
	head, err := log.Head(ctx)
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
		_, err = r.feed.Append(ctx, r.stream, event.Any, []event.Proposed{{ID: r.newID(), Type: "relay.checkpoint.v1", Data: data}})
	}
	return err
}

// start reads the checkpoint, waiting for the store as long as it takes.
func (r *Relay) start(ctx context.Context) (event.Position, bool) {
	var retry backoff.Backoff
	for {
		from, err := r.checkpoint(ctx)
		if err == nil {
			r.report("relay", nil)
			return from, true
		}
		r.report("relay", err)
		if !retry.Wait(ctx) {
			return event.Position{}, false
		}
	}
}

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
	return event.ParsePosition(c.Position)
}

// batches follows the log. A batch holds what has come while the one before was sent off, so a lone event waits for
// nothing.
func (r *Relay) batches(ctx context.Context, from event.Position) <-chan []event.Recorded {
	events := make(chan event.Recorded, 8*relayBatch)
	go func() {
		defer close(events)
		for e, err := range r.feed.Subscribe(ctx, from, r.prefixes) {
			r.report("relay", err)
			if err != nil || e.Type == "" {
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

// save keeps the checkpoint while the prefix grows, and once more at the end.
func (r *Relay) save(ctx context.Context, p *prefix) {
	ticker := time.NewTicker(relaySave)
	defer ticker.Stop()
	var kept event.Position
	keep := func(ctx context.Context) {
		at := p.position()
		if at == kept {
			return
		}
		err := r.keep(ctx, at)
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
