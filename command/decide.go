package command

import (
	"context"
	"fmt"
	"net/http"

	"jangbu/domain/event"
	"jangbu/infra/web"
)

// decide does step 4: each command on the state that those before it lead to. Those for whom there is no room, or who must not
// stand behind others, go back in line.
func (r *row) decide(ctx context.Context) {
	r.end = r.base
	count, bytes := 0, 0
	for i, t := range r.turns {
		t.events, t.onBase, t.refusal = nil, nil, nil
		after, ok := r.decideTurn(ctx, t)
		weight := weigh(t.events)
		full := count+len(t.events) > window || bytes+weight > maxRowBytes
		if count > 0 && (!ok || full && weight > 0) {
			for _, later := range r.turns[i:] {
				r.s.join(later)
			}
			r.turns = r.turns[:i]
			return
		}
		count, bytes = count+len(t.events), bytes+weight
		r.end, t.revision, t.state = after, after.revision, nil
		if t.o.wantsState { // else it would be held for nothing, and that of a hot stream is large
			t.state = after.state
		}
	}
}

func weigh(events []event.Proposed) int {
	n := 0
	for _, e := range events {
		n += len(e.Type) + len(e.Data) + len(e.Metadata)
	}
	return n
}

// decideTurn decides one command, and returns what the stream adds up to after it. It is false when the command must begin
// a row: one with a key may have an effect in a row only if it has one on the row's base, too, which is what it reserves.
func (r *row) decideTurn(ctx context.Context, t *turn) (after known, ok bool) {
	events, err := t.decideOn(ctx, r.end)
	if err != nil {
		t.refusal = err
		return r.end, true
	}
	if len(events) == 0 {
		return r.end, true
	}
	if t.onBase = events; t.o.keyed && r.end.revision != r.base.revision {
		if t.onBase, err = t.decideOn(ctx, r.base); err != nil || len(t.onBase) == 0 {
			return r.end, false
		}
	}
	if t.events, err = t.o.propose(t.o.codec, events); err == nil {
		// What is known afterwards is made of what stands in the log, not of what was meant.
		after, err = r.fold(t.events)
	}
	if err != nil {
		t.events, t.refusal = nil, err
		return r.end, true
	}
	return after, true
}

func (r *row) fold(events []event.Proposed) (after known, err error) {
	after = r.end
	for _, e := range events {
		after, err = after.and(r.folder, event.Recorded{
			ID: e.ID, Stream: r.stream, Revision: after.revision + 1, Type: e.Type, Data: e.Data,
		})
		if err != nil {
			return known{}, err
		}
	}
	return after, nil
}

// decideOn decides and judges the command's condition, which is of no account where there is nothing to do: what the client wants
// is so already, and a success may say so (RFC 9110, 13.1.1). It comes before a refusal. Where an attempt of the same key has reserved its
// effect that is the decision, whatever would be decided by now: the attempt may append it yet. A panic is the answer to this command
// alone.
func (t *turn) decideOn(ctx context.Context, on known) (events []any, err error) {
	defer recovered(&err)
	if reserved := t.claim.reservedAt(on.revision); reserved != nil {
		events, err = decode(t.o.codec, reserved)
		if err == nil && t.o.resume != nil {
			t.o.resume(events)
		}
		return events, err
	}
	events, err = t.o.decide(ctx, on.state, on.revision)
	if err == nil && len(events) == 0 {
		return nil, nil
	}
	if stale := t.o.precondition(on.revision); stale != nil {
		return nil, stale
	}
	return events, err
}

// reserve does step 5: the keys of the commands that have an effect are bound to it. It is false when some have left
// the row for that, so that the others have to be decided again.
func (r *row) reserve(ctx context.Context) bool {
	before := len(r.turns)
	r.each(func(t *turn) error {
		if !t.o.keyed || len(t.events) == 0 {
			return nil
		}
		return r.s.reserve(ctx, t, r.base.revision)
	})
	return len(r.turns) == before
}

// precondition judges If-Match. Of a thing that is not there the decision says so itself.
func (o *operation) precondition(revision int64) error {
	if !o.match.Present || (revision == event.NoStream && !o.creates) {
		return nil
	}
	if revision == event.NoStream {
		return web.NewProblem(http.StatusPreconditionFailed, "revision-mismatch", "If-Match names a revision of a thing that is yet to be made.")
	}
	etag := web.ETag(revision)
	if o.match.Strong(etag) {
		return nil
	}
	return web.NewProblem(http.StatusPreconditionFailed, "revision-mismatch",
		fmt.Sprintf("%s is at revision %s, which If-Match does not name.", o.stream, etag)).With(web.HeaderETag, etag)
}
