package projector

import (
	"context"
	"errors"
	"fmt"

	"jangbu/domain/event"
	"jangbu/query/row"
	"jangbu/query/view"
)

// Land lands all of one stream from the log, for an operator: in every generation that takes events from the view's code
// as it is here, of which there must be one. Where that code fails, the stream stays parked, or is parked anew, which is
// no error; where it does not, the stream is parked no longer. A stream without events changes nothing.
func Land(ctx context.Context, model Model, log StreamReader, v *view.View, stream string) error {
	registry, err := model.Registry(ctx, v.Name)
	if err != nil {
		return err
	}
	generations, err := writable(v, registry)
	if err != nil {
		return fmt.Errorf("view %s (version %d of its code): %w; run jangbu replay %s, or use the release that built it", v.Name, v.Version, err, v.Name)
	}
	for _, g := range generations {
		if err := NewApplier(v, g, model, log).ensure(ctx, []string{stream}); err != nil {
			return err
		}
		if err := unparkLanded(ctx, model, g, stream); err != nil {
			return err
		}
	}
	return nil
}

// unparkLanded takes a stream off the parked list when the event that it stood at has landed. In this order a crash leaves
// it parked, never forgotten.
func unparkLanded(ctx context.Context, model Model, g row.Generation, stream string) error {
	parked, err := model.ParkedIn(ctx, g)
	if err != nil {
		return err
	}
	states, err := model.States(ctx, g, []string{stream})
	if err != nil {
		return err
	}
	landed := event.NoStream
	for _, st := range states {
		landed = st.Revision
	}
	for _, p := range parked {
		if p.Stream == stream && p.Revision <= landed {
			return model.Unpark(ctx, g, []string{stream})
		}
	}
	return nil
}

// wholeStreamBlock is how many events of a stream are in memory while all of it is read.
const wholeStreamBlock = 2000

// wholeStream reads a stream from its beginning to its end, block by block; one without events has none. A block is good until each returns.
func wholeStream(ctx context.Context, log StreamReader, stream string, each func([]arrival) error) error {
	var block []arrival
	for e, err := range log.ReadStream(ctx, stream, 0) {
		if errors.Is(err, event.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return fmt.Errorf("heal %s: %w", stream, err)
		}
		if block = append(block, arrival{Recorded: e}); len(block) < wholeStreamBlock {
			continue
		}
		if err := each(block); err != nil {
			return err
		}
		block = block[:0]
	}
	if len(block) == 0 {
		return nil
	}
	return each(block)
}
