package projector

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
		if err := landWhole(ctx, model, log, v, g, stream); err != nil {
			return err
		}
	}
	return nil
}

// landWhole lands all of one stream in a generation. Others may land it further at the same time without knowing of an event that is left out
// by now, so it is landed again until nobody has.
func landWhole(ctx context.Context, model Model, log StreamReader, v *view.View, g row.Generation, stream string) error {
	a := NewApplier(v, g, model, log)
	for before := event.NoStream; ; {
		if err := a.ensure(ctx, []string{stream}); err != nil {
			return err
		}
		states, err := model.States(ctx, g, []string{stream})
		if err != nil {
			return err
		}
		landed := states[0]
		if landed.Revision == before || landed.Skips == len(a.skipped[stream]) {
			return unparkLanded(ctx, model, g, map[string]bool{stream: true})
		}
		before = landed.Revision
	}
}

// unparkLanded takes those of the streams off the parked list of which the event that they stood at has landed. In this order a crash
// leaves them parked, never forgotten.
func unparkLanded(ctx context.Context, model Model, g row.Generation, streams map[string]bool) error {
	parked, err := model.ParkedIn(ctx, g)
	if err != nil {
		return err
	}
	parked = slices.DeleteFunc(parked, func(p row.Parked) bool { return !streams[p.Stream] })
	if len(parked) == 0 {
		return nil
	}
	names := make([]string, len(parked))
	for i, p := range parked {
		names[i] = p.Stream
	}
	states, err := model.States(ctx, g, names)
	if err != nil {
		return err
	}
	skipped, err := model.Skipped(ctx, g.View)
	if err != nil {
		return err
	}
	var landed []string
	for i, st := range states {
		if parked[i].Revision <= st.Revision && st.Skips == len(skipped[st.Stream]) {
			landed = append(landed, st.Stream)
		}
	}
	return model.Unpark(ctx, g, landed)
}

// errCut says that the beginning of a stream, or of what is asked of it, is not in the store any more: it was truncated, or deleted and
// begun anew.
var errCut = fmt.Errorf("the store no longer has its beginning: %w", event.ErrStreamNotFound)

// stretch reads a stream's events from a revision to another, both of which the store once had.
func stretch(ctx context.Context, log StreamReader, stream string, from, to int64) (all []arrival, err error) {
	next := from
	for e, err := range log.ReadStream(ctx, stream, from) {
		if err == nil && e.Revision != next {
			err = errCut
		}
		if err != nil {
			return nil, fmt.Errorf("read %s again: %w", stream, err)
		}
		all = append(all, arrival{Recorded: e})
		if next++; next > to {
			return all, nil
		}
	}
	return nil, fmt.Errorf("read %s again: revision %d is not in the store any more", stream, to)
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
