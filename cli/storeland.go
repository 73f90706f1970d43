package cli

import (
	"context"
	"errors"
	"fmt"

	"jangbu/domain/event"
)

// wrongEvent is an event of a run that cannot stand in the store where it has to. Those before it do.
type wrongEvent struct {
	index int
	text  string
}

func (w *wrongEvent) Error() string { return w.text }

// land makes the store hold the run, and returns how many of its events it holds then. It may find them there already, all
// or some: then it has been imported before.
func (im *eventImporter) land(ctx context.Context, run *eventRun) (landed int, err error) {
	err = im.append(ctx, run, 0)
	switch {
	case err == nil && run.first == 0:
		return im.began(ctx, run)
	case errors.Is(err, event.ErrConflict):
		return im.landRest(ctx, run)
	}
	return im.judge(run, 0, err)
}

// append appends the events of a run from one of them on.
func (im *eventImporter) append(ctx context.Context, run *eventRun, from int) error {
	expected := run.first + int64(from) - 1
	if expected < 0 {
		expected = event.NoStream
	}
	return patiently(ctx, im.patience, func() (bool, error) {
		_, err := im.store.Append(ctx, run.stream, expected, run.events[from:])
		return false, err
	})
}

// judge says what the end of an append from an event on means.
func (im *eventImporter) judge(run *eventRun, from int, err error) (landed int, _ error) {
	switch {
	case err == nil:
		return len(run.events), nil
	case errors.Is(err, event.ErrConflict):
		return from, &wrongEvent{from, fmt.Sprintf("%s is being written to by somebody else", run.stream)}
	case errors.Is(err, event.ErrStreamNotFound):
		return from, &wrongEvent{from, fmt.Sprintf("%s has been deleted from the store for good", run.stream)}
	case errors.Is(err, event.ErrTooLarge):
		return from, &wrongEvent{from, fmt.Sprintf("the store takes no append as large as revision %d of %s", run.first+int64(from), run.stream)}
	}
	return from, err
}

// landRest compares the run with what stands in the stream, and appends what comes after it.
func (im *eventImporter) landRest(ctx context.Context, run *eventRun) (landed int, err error) {
	err = patiently(ctx, im.patience, func() (bool, error) {
		landed, err = im.compare(ctx, run)
		return false, err
	})
	switch {
	case err != nil || landed == len(run.events):
		return landed, err
	case landed == 0 && run.first > 0:
		return 0, &wrongEvent{0, fmt.Sprintf("revision %d of %s cannot be written: the store does not hold the one before it", run.first, run.stream)}
	}
	return im.judge(run, landed, im.append(ctx, run, landed))
}

// compare counts the events of the run that stand in the store. Another event in the place of one is a wrongEvent.
func (im *eventImporter) compare(ctx context.Context, run *eventRun) (same int, err error) {
	for found, err := range im.store.ReadStream(ctx, run.stream, run.first) {
		if errors.Is(err, event.ErrStreamNotFound) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if found.Revision != run.first+int64(same) || found.ID != run.events[same].ID {
			return same, &wrongEvent{same, fmt.Sprintf("revision %d of %s is event %s, but the store holds other events: revision %d is %s",
				run.first+int64(same), run.stream, run.events[same].ID, found.Revision, found.ID)}
		}
		if same++; same == len(run.events) {
			break
		}
	}
	return same, nil
}

// began checks that a stream that was begun begins at 0: one that had been deleted, not for good, goes on counting where
// it ended.
func (im *eventImporter) began(ctx context.Context, run *eventRun) (landed int, err error) {
	first := &eventRun{stream: run.stream, events: run.events[:1]}
	err = patiently(ctx, im.patience, func() (bool, error) {
		_, err := im.compare(ctx, first)
		return false, err
	})
	if err != nil {
		return 0, err
	}
	return len(run.events), nil
}
