package property_test

import (
	"context"
	"iter"
	"slices"
	"strings"

	"jangbu/domain/event"
	"jangbu/test/history"
)

// client is one process's way to the log, which keeps the contract that infra/eventstore's suite states: a real store would not
// heed the bubble's time. It ends with the process.
type client struct {
	*history.History
	life *life
}

func (c client) ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	return c.living(c.History.ReadStream(ctx, stream, from))
}

func (c client) ReadAll(ctx context.Context, after event.Position) iter.Seq2[event.Recorded, error] {
	return c.living(c.History.ReadAll(ctx, after))
}

// living reads if the process lives.
func (c client) living(read iter.Seq2[event.Recorded, error]) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		if err := c.life.step(); err != nil {
			yield(event.Recorded{}, err)
			return
		}
		read(yield)
	}
}

// Subscribe drops now and then, and goes on by itself.
func (c client) Subscribe(ctx context.Context, after event.Position, prefixes []string) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		for read := 0; ctx.Err() == nil; {
			events, grew := c.After(read)
			for _, e := range events {
				if err := c.life.step(); err != nil {
					if yield(event.Recorded{}, err) {
						<-ctx.Done()
					}
					return
				}
				read++
				wanted := slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(e.Stream, p) })
				if wanted && e.Position.Compare(after) > 0 && !yield(e, nil) {
					return
				}
			}
			select {
			case <-grew:
			case <-ctx.Done():
			}
		}
	}
}

func (c client) Last(_ context.Context, stream string) (event.Recorded, error) {
	return c.newest(c.Stream(stream))
}

func (c client) Head(context.Context) (event.Recorded, error) { return c.newest(c.Events()) }

func (c client) newest(events []event.Recorded) (event.Recorded, error) {
	if err := c.life.step(); err != nil {
		return event.Recorded{}, err
	}
	if len(events) == 0 {
		return event.Recorded{}, event.ErrStreamNotFound
	}
	return events[len(events)-1], nil
}

func (c client) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error) {
	if err := c.life.step(); err != nil {
		return event.Position{}, err
	}
	return c.History.Append(ctx, stream, expected, events)
}

func (c client) SetMaxCount(context.Context, string, int) error { return c.life.step() }
