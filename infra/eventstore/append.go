package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/backoff"
)

// leastLimit is the smallest default limit of an append on any server version: what is below it is not refused for its size by a
// server that says so only by breaking off.
const leastLimit = 1 << 20

// A try of an append that has had no answer is repeated after half of the time left, but not below tryMin.
const tryMin = time.Second

// Append writes the events to the end of the stream, all or none, if the stream is at the expected revision (a revision, event.NoStream or
// event.Any), and returns the position of the last. An append of event ids that stand there already is a success that writes
// nothing; its position is zero if the server does not tell.
//
// Errors: event.ErrConflict; event.ErrTooLarge; event.ErrStreamNotFound for a stream deleted for good; event.ErrUnavailable. An append
// whose outcome is in doubt is repeated until it is certain or Config.Timeout or ctx ends. The bytes of the events must not be
// changed afterwards: a repeat that has been given up may still be reading them.
func (s *Store) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error) {
	p, err := propose(stream, expected, events)
	if err == nil {
		var pos event.Position
		if pos, err = s.append(ctx, p); err == nil {
			return pos, nil
		}
	}
	return event.Position{}, fmt.Errorf("append to %s: %w", stream, err)
}

// proposal is an append in the client's terms, ready to be sent any number of times.
type proposal struct {
	stream  string
	options esdb.AppendToStreamOptions
	events  []esdb.EventData
	size    int
}

func propose(stream string, expected int64, events []event.Proposed) (*proposal, error) {
	p := &proposal{stream: stream, events: make([]esdb.EventData, len(events))}
	switch {
	case stream == "":
		return nil, errors.New("the stream has no name")
	case len(events) == 0:
		return nil, errors.New("there are no events")
	case expected >= 0:
		p.options.ExpectedRevision = esdb.Revision(uint64(expected))
	case expected == event.NoStream:
		p.options.ExpectedRevision = esdb.NoStream{}
	case expected == event.Any:
		p.options.ExpectedRevision = esdb.Any{}
	default:
		return nil, fmt.Errorf("%d is not an expected revision", expected)
	}
	for i, e := range events {
		if e.ID == uuid.Nil || e.Type == "" {
			return nil, fmt.Errorf("event %d has no id or no type", i)
		}
		p.events[i] = esdb.EventData{
			EventID: e.ID, EventType: e.Type, ContentType: esdb.ContentTypeJson, Data: e.Data, Metadata: e.Metadata,
		}
		p.size += len(e.Type) + len(e.Data) + len(e.Metadata)
	}
	return p, nil
}

// append sends p until the server has said what becomes of it. Once sent without an answer, it may have been written, and
// only the answer to the same append sent again tells.
func (s *Store) append(ctx context.Context, p *proposal) (event.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	pause := backoff.Backoff{First: 10 * time.Millisecond, Most: 200 * time.Millisecond}
	var doubt error
	var brokeOff *link // the link on which the server broke off the last try
	for {
		c, err := s.links.begin(ctx, doubt != nil)
		if err != nil {
			return event.Position{}, unsure(doubt, err)
		}
		result, err := c.append(p)
		if err == nil {
			return event.Position{Commit: result.CommitPosition, Prepare: result.PreparePosition}, nil
		}
		if tooLarge(err) {
			return event.Position{}, fmt.Errorf("%w: %w", event.ErrTooLarge, err)
		}
		if errors.Is(err, io.EOF) {
			// Either the connection has died or the server wants no more of it. A link that survives it twice is alive.
			if brokeOff == c.link && p.size >= leastLimit {
				return event.Position{}, fmt.Errorf("%w: the server broke off %d bytes: %w", event.ErrTooLarge, p.size, err)
			}
			brokeOff = c.link
		}
		if err = translate(ctx, err); !errors.Is(err, event.ErrUnavailable) {
			return event.Position{}, err
		}
		doubt = err
		if !pause.Wait(ctx) {
			return event.Position{}, unsure(doubt, ctx.Err())
		}
	}
}

// append makes the call, with half of the time left for it, and leaves it.
func (c *call) append(p *proposal) (*esdb.WriteResult, error) {
	defer c.leave()
	deadline, _ := c.Context.Deadline()
	ctx, cancel := context.WithTimeout(c.Context, max(time.Until(deadline)/2, tryMin))
	defer cancel()
	c.Context = ctx
	type answer struct {
		result *esdb.WriteResult
		err    error
	}
	answers := make(chan answer, 1) // nobody may take it
	c.link.do(func() {
		result, err := c.link.client.AppendToStream(c, p.stream, p.options, p.events...)
		c.end(err)
		answers <- answer{result, err}
	})
	var err error
	select {
	case a := <-answers:
		return a.result, a.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.link.diverted:
		err = errReplaced
	}
	c.judge(err)
	return nil, err
}

// unsure adds to the error that ended an append what was in doubt before it.
func unsure(doubt, err error) error {
	switch {
	case doubt == nil:
		return err
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("the outcome is unknown: %w", err)
	}
	return fmt.Errorf("the outcome is unknown: %w: %w", doubt, err)
}

// SetMaxCount makes the stream keep its last n events only. What else the stream's metadata says is left as it is, and nothing is
// written when it says so already. It must not race another writer of that metadata for long: each lost race is tried again.
func (s *Store) SetMaxCount(ctx context.Context, stream string, n int) error {
	if n <= 0 {
		return fmt.Errorf("set max count of %s: %d is not a count", stream, n)
	}
	for {
		done, err := s.setMetadata(ctx, stream, "$maxCount", strconv.Itoa(n))
		switch {
		case done:
			return nil
		case !errors.Is(err, event.ErrConflict):
			return fmt.Errorf("set max count of %s: %w", stream, err)
		}
	}
}

func (s *Store) setMetadata(ctx context.Context, stream, key, value string) (done bool, err error) {
	settings := map[string]json.RawMessage{}
	revision := event.NoStream
	last, err := s.Last(ctx, "$$"+stream)
	switch {
	case errors.Is(err, event.ErrStreamNotFound):
	case err != nil:
		return false, err
	default:
		revision = last.Revision
		if err := json.Unmarshal(last.Data, &settings); err != nil {
			return false, fmt.Errorf("read metadata: %w", err)
		}
	}
	if string(settings[key]) == value {
		return true, nil
	}
	settings[key] = json.RawMessage(value)
	data, err := json.Marshal(settings)
	if err != nil {
		return false, fmt.Errorf("write metadata: %w", err)
	}
	_, err = s.Append(ctx, "$$"+stream, revision, []event.Proposed{{ID: uuid.New(), Type: "$metadata", Data: data}})
	return err == nil, err
}
