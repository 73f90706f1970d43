package eventstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"jangbu/domain/event"
)

// unlimited is a count no read reaches. Servers keep counts in signed integers.
const unlimited = math.MaxInt64

// A stream is read in pages, each an exchange of its own: the first holds all of most streams, the others grow, up to largestPage.
// So of what the server sends little is in vain when the consumer stops early, and who reads to the end hardly waits.
const (
	firstPage   = 32
	pageGrowth  = 8
	largestPage = 8192
)

// What a read receives goes to its caller in batches, which cost less than events: the first of one event, so that it does not wait,
// the others of twice as many, up to these.
const (
	batchEvents = 64
	batchBytes  = 64 << 10
)

// ReadStream yields the stream's events forwards from a revision, inclusive; none if the stream ends before it. What is appended
// meanwhile may be among them. It ends after the first error: event.ErrStreamNotFound, also in the middle of a stream that
// is deleted meanwhile, or event.ErrUnavailable.
func (s *Store) ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		next := from
		for size := firstPage; ; size = min(size*pageGrowth, largestPage) {
			n := 0
			for e, err := range s.page(ctx, stream, next, uint64(size)) {
				if !yield(e, err) || err != nil {
					return
				}
				next = e.Revision + 1
				n++
			}
			if n < size {
				return
			}
		}
	}
}

// page yields at most size events of a stream; fewer only where the stream ends.
func (s *Store) page(ctx context.Context, stream string, from int64, size uint64) iter.Seq2[event.Recorded, error] {
	options := esdb.ReadStreamOptions{Direction: esdb.Forwards, From: esdb.Start{}}
	if from > 0 {
		options.From = esdb.Revision(uint64(from))
	}
	return s.read(ctx, "read "+stream, func(ctx context.Context, client *esdb.Client) (*esdb.ReadStream, error) {
		return client.ReadStream(ctx, stream, options, size)
	})
}

// Last returns the stream's last event. Errors: event.ErrStreamNotFound, event.ErrUnavailable.
func (s *Store) Last(ctx context.Context, stream string) (event.Recorded, error) {
	options := esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}
	last := s.read(ctx, "read the end of "+stream, func(ctx context.Context, client *esdb.Client) (*esdb.ReadStream, error) {
		return client.ReadStream(ctx, stream, options, 1)
	})
	for e, err := range last {
		return e, err
	}
	return event.Recorded{}, fmt.Errorf("read the end of %s: %w", stream, event.ErrStreamNotFound)
}

// ReadAll yields the events of the log forwards, those after a position, to the end of the log. System events, those whose
// type or stream begins with $, are left out. It ends after the first error: event.ErrUnavailable.
func (s *Store) ReadAll(ctx context.Context, after event.Position) iter.Seq2[event.Recorded, error] {
	options := esdb.ReadAllOptions{Direction: esdb.Forwards, From: esdb.Start{}}
	if after != (event.Position{}) {
		options.From = esdb.Position{Commit: after.Commit, Prepare: after.Prepare}
	}
	all := s.read(ctx, "read all", func(ctx context.Context, client *esdb.Client) (*esdb.ReadStream, error) {
		return client.ReadAll(ctx, options, unlimited)
	})
	return func(yield func(event.Recorded, error) bool) {
		for e, err := range all {
			// Reads include the position they start at.
			if err == nil && (system(&e) || e.Position.Compare(after) <= 0) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Head returns the last event of the log that is not a system event. Errors: event.ErrStreamNotFound when there is none,
// event.ErrUnavailable.
func (s *Store) Head(ctx context.Context) (event.Recorded, error) {
	options := esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}
	all := s.read(ctx, "read the end of the log", func(ctx context.Context, client *esdb.Client) (*esdb.ReadStream, error) {
		return client.ReadAll(ctx, options, unlimited)
	})
	for e, err := range all {
		if err != nil || !system(&e) {
			return e, err
		}
	}
	return event.Recorded{}, fmt.Errorf("read the end of the log: %w", event.ErrStreamNotFound)
}

// read yields what open reads. The server gets Config.Timeout for each event; the consumer takes its time.
func (s *Store) read(
	ctx context.Context, step string, open func(context.Context, *esdb.Client) (*esdb.ReadStream, error),
) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		err := s.drain(ctx, open, func(e event.Recorded) bool { return yield(e, nil) })
		if err != nil {
			yield(event.Recorded{}, fmt.Errorf("%s: %w", step, err))
		}
	}
}

// drain gives each event of one read to take, until take declines. It returns nil at the end of the read.
func (s *Store) drain(
	ctx context.Context, open func(context.Context, *esdb.Client) (*esdb.ReadStream, error), take func(event.Recorded) bool,
) error {
	waiting, done := context.WithTimeout(ctx, s.timeout)
	c, err := s.links.begin(waiting, false)
	done()
	if err != nil {
		return err
	}
	g := c.guard(ctx, s.timeout, c.link.cut)
	defer g.leave()
	g.pump(func() error { return g.receive(open) })
	for {
		e, more, err := g.next()
		if err != nil {
			return translate(ctx, err)
		}
		if !more || !take(e) {
			return nil
		}
	}
}

// receive gives what open reads, to its end.
func (g *guard) receive(open func(context.Context, *esdb.Client) (*esdb.ReadStream, error)) error {
	stream, err := open(g.call, g.call.link.client)
	if err != nil {
		return err
	}
	defer stream.Close()
	for size := 1; ; size = min(2*size, batchEvents) {
		batch, err := g.fill(stream, size)
		if refused := g.give(batch...); refused != nil {
			return refused
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fill receives a batch of so many events; fewer when they are large, or with the error that ended the stream.
func (g *guard) fill(stream *esdb.ReadStream, size int) ([]event.Recorded, error) {
	batch := make([]event.Recorded, 0, size)
	for bytes := 0; len(batch) < size && bytes < batchBytes; {
		g.wait()
		resolved, err := stream.Recv()
		g.proceed()
		if err != nil {
			return batch, err
		}
		e := recorded(resolved.OriginalEvent())
		batch = append(batch, e)
		bytes += len(e.Data) + len(e.Metadata)
	}
	return batch, nil
}

func recorded(e *esdb.RecordedEvent) event.Recorded {
	r := event.Recorded{
		ID:       e.EventID,
		Stream:   e.StreamID,
		Revision: int64(e.EventNumber),
		Type:     e.EventType,
		Time:     e.CreatedDate,
		Data:     e.Data,
		Metadata: e.UserMetadata,
	}
	// Older servers do not tell the position of an event read by stream.
	if e.Position.Commit != math.MaxUint64 {
		r.Position = event.Position{Commit: e.Position.Commit, Prepare: e.Position.Prepare}
	}
	return r
}

func system(e *event.Recorded) bool {
	return strings.HasPrefix(e.Type, "$") || strings.HasPrefix(e.Stream, "$")
}
