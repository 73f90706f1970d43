package projector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"jangbu/domain/event"
	"jangbu/query/row"
	"jangbu/query/view"
)

// Applier lands events in one generation of one view. It carries out the rule of the read side (package row): it may
// be given any events, in any order, any number of times, by any number of processes at once.
//
// The order of its steps is what makes a crash harmless:
//
//  1. Load the streams' states and fold; what is missing in between is read from the store (healed).
//  2. Land shared parts, and note references. (A crash leaves rows at their own revision, as if they came early.)
//  3. Read the shared parts that the rows refer to, and the documents that refer to what changed. Since both sides write
//     before they read, of a rename and a new order racing each other one always sees the other.
//  4. Land all rows, and withdrawals of rows that some revision since the saved one yielded and the last does not.
//  5. Compose the documents that changed.
//  6. Save the states. A crash before this repeats everything from step 1; nothing before it depends on having
//     happened once.
//
// A saved revision therefore means: landed, composed, and free of ghosts.
//
// Where the view's code fails on an event, by an error or a panic, what comes before the event lands and the stream is parked
// there; other streams go on. A document that cannot be composed has its rows already: see blame. So an error of the Applier never comes
// from an event, but from what it depends on.
//
// An event that an operator left out of the view is passed over, whatever the code would say of it. What has landed says how many skips of
// its stream were known. Where they are not those of now, the stream is folded from its beginning and lands over what was made with fewer, and is
// withdrawn from where it may have been with them.
type Applier struct {
	view      *view.View
	gen       row.Generation
	rows      Rows
	log       StreamReader
	cache     *lru.Cache[string, cachedState] // of states, perhaps older than the saved ones; nil: they are always loaded
	careful   bool                            // no two events of a stream land at once, so that a document stays as composed before the one it fails on
	skipped   row.Skipped                     // what operators left out of the view, as of the last batch
	fromQueue bool                            // what it is given a queue brought; else it was read from the log
	now       func() time.Time

	decodings *decodings
}

// cachedState is the state of a stream at a revision.
type cachedState struct {
	state    any
	revision int64
	skips    int // as of a row.State
}

// NewApplier returns an Applier, for one goroutine.
func NewApplier(v *view.View, g row.Generation, rows Rows, log StreamReader) *Applier {
	return &Applier{view: v, gen: g, rows: rows, log: log, now: time.Now}
}

// arrival is an event on its way into a view, decoded already where someone else had to.
type arrival struct {
	event.Recorded
	decoded any
}

func (a arrival) hollow() bool { return len(a.Data) == 0 }

// waitsError says that some streams could not be folded, the store being away perhaps. All others have landed.
type waitsError struct {
	streams map[string]bool
	first   error
}

func (e *waitsError) Error() string { return e.first.Error() }
func (e *waitsError) Unwrap() error { return e.first }

// Apply lands events. When it returns nil all of them have landed, or their streams are parked. Events of streams that do
// not feed the view are passed over.
func (a *Applier) Apply(ctx context.Context, events []event.Recorded) error {
	arrivals := make([]arrival, len(events))
	for i, e := range events {
		arrivals[i].Recorded = e
	}
	_, err := a.apply(ctx, arrivals)
	return err
}

// apply also returns how many events had not landed before.
func (a *Applier) apply(ctx context.Context, arrivals []arrival) (landed int64, err error) {
	if !a.careful {
		return a.applyBatch(ctx, arrivals)
	}
	for _, wave := range waves(arrivals) {
		n, err := a.applyBatch(ctx, wave)
		if landed += n; err != nil {
			return landed, err
		}
	}
	return landed, nil
}

// waves parts events so that each part has one of a stream at most, and those of a stream keep their order.
func waves(arrivals []arrival) (parts [][]arrival) {
	seen := map[string]int{}
	for _, e := range arrivals {
		n := seen[e.Stream]
		seen[e.Stream]++
		if n == len(parts) {
			parts = append(parts, nil)
		}
		parts[n] = append(parts[n], e)
	}
	return parts
}

func (a *Applier) applyBatch(ctx context.Context, arrivals []arrival) (landed int64, err error) {
	changes, waits := a.fold(ctx, arrivals)
	if len(changes) == 0 {
		return 0, waits
	}
	failed, err := a.land(ctx, changes)
	if err != nil {
		return 0, err
	}
	if err := a.blame(ctx, changes, failed); err != nil {
		return 0, err
	}
	for _, c := range changes {
		landed += c.to - c.from
	}
	if err := a.save(ctx, changes); err != nil {
		return 0, err
	}
	return landed, waits
}

// fold brings every stream in the batch to its newest state. Where some cannot be, the others are all the same; the error is *waitsError.
func (a *Applier) fold(ctx context.Context, arrivals []arrival) (changes []*change, err error) {
	byStream := map[string][]arrival{}
	var streams []string
	for _, e := range arrivals {
		if _, ok := a.view.Source(e.Stream); !ok {
			continue
		}
		if byStream[e.Stream] == nil {
			streams = append(streams, e.Stream)
		}
		byStream[e.Stream] = append(byStream[e.Stream], e)
	}
	bases, err := a.bases(ctx, streams)
	if err != nil {
		return nil, err
	}
	waits := waitsError{streams: map[string]bool{}}
	for i, stream := range streams {
		events := byStream[stream]
		slices.SortStableFunc(events, func(x, y arrival) int { return cmp.Compare(x.Revision, y.Revision) })
		c := bases[i]
		if c.anew {
			events = append(events, arrival{Recorded: event.Recorded{Stream: stream, Revision: c.from}}) // hollow: what has landed is to be landed again
		}
		c.events = events
		if err := a.foldStream(ctx, c, events); err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			waits.streams[stream], waits.first = true, cmp.Or(waits.first, err)
			continue
		}
		if c.anew && c.to < c.from { // not all of it could be folded: what has landed stays
			c.to, c.anew = c.from, false
		}
		if c.moved() || c.parked != nil {
			changes = append(changes, c)
		}
	}
	if waits.first != nil {
		return changes, &waits
	}
	return changes, nil
}

// bases loads the states to fold from. A cached state may be older than the saved one; the rule makes that harmless. The skips are read
// after the states, so that none is missing that a state was made with.
func (a *Applier) bases(ctx context.Context, streams []string) ([]*change, error) {
	bases := make([]*change, len(streams))
	skips := make([]int, len(streams)) // that were known of what has landed
	var missing []string
	var at []int
	for i, stream := range streams {
		source, _ := a.view.Source(stream)
		bases[i] = a.newChange(stream, source)
		if a.cache != nil {
			if held, ok := a.cache.Get(stream); ok {
				bases[i].state, bases[i].loaded, bases[i].from, bases[i].to, skips[i] = held.state, true, held.revision, held.revision, held.skips
				continue
			}
		}
		missing, at = append(missing, stream), append(at, i)
	}
	states, err := a.rows.States(ctx, a.gen, missing)
	if err != nil {
		return nil, err
	}
	for k, st := range states {
		b := bases[at[k]]
		b.from, b.to, b.saved, skips[at[k]] = st.Revision, st.Revision, st.Data, st.Skips
	}
	if a.skipped, err = a.rows.Skipped(ctx, a.view.Name); err != nil {
		return nil, err
	}
	for i, b := range bases {
		if b.skips = a.skipped[b.stream]; b.from != event.NoStream && skips[i] != len(b.skips) {
			b.anew, b.healed = true, true
			b.state, b.loaded, b.saved, b.to = nil, true, nil, event.NoStream
		}
	}
	return bases, nil
}

// foldStream folds events, sorted by revision, as far as the view's code can. The state is read only where one of them has not
// landed, which is rare in a sweep.
func (a *Applier) foldStream(ctx context.Context, c *change, events []arrival) error {
	if events[len(events)-1].Revision <= c.to {
		return nil
	}
	err := a.load(ctx, c)
	if a.deleted(err) {
		return nil
	}
	if err != nil || c.parked != nil {
		return err
	}
	c.first, c.start = c.state, c.to
	base := *c
	if err := a.foldEvents(ctx, c, events, false); err != nil {
		return err
	}
	if c.parked == nil && c.yield() == nil {
		return nil
	}
	*c = base // find out which event it was; not every state on the way was asked for its rows
	if err := a.foldEvents(ctx, c, events, true); err != nil {
		return err
	}
	return c.yield()
}

// deleted reports whether an error says that the stream of an event was deleted after it: it has come as far as it ever will. An event that
// a queue brought may as well be none of this log.
func (a *Applier) deleted(err error) bool {
	return !a.fromQueue && errors.Is(err, event.ErrStreamNotFound)
}

// foldEvents fills a gap from the store. Where the stream was deleted there is nothing to fill it with, and what comes after the gap is left
// out.
func (a *Applier) foldEvents(ctx context.Context, c *change, events []arrival, strict bool) error {
	for _, e := range events {
		switch {
		case c.parked != nil:
			return nil
		case e.Revision <= c.to:
			continue
		case e.Revision == c.to+1 && !e.hollow():
			a.foldOrPark(c, e, strict)
			continue
		}
		c.healed = true
		for healed, err := range a.log.ReadStream(ctx, c.stream, c.to+1) {
			if a.deleted(err) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("heal %s from revision %d: %w", c.stream, c.to+1, err)
			}
			if c.anew && healed.Revision != c.to+1 {
				c.parked = &row.Parked{Stream: c.stream, Revision: c.from + 1, Reason: fmt.Sprintf("an event was left out after it had landed, and %v; replay the view", errCut)}
				return nil
			}
			if a.foldOrPark(c, arrival{Recorded: healed}, strict); c.parked != nil {
				return nil
			}
		}
		if c.to < e.Revision {
			return fmt.Errorf("heal %s: the store ends at revision %d, a message brought %d; see that this projector's event store is the one its topic carries",
				c.stream, c.to, e.Revision)
		}
	}
	return nil
}

// foldOrPark adds one event, or passes over it if an operator left it out, or parks the stream before it.
func (a *Applier) foldOrPark(c *change, e arrival, strict bool) {
	skipped := c.skips.Has(e.Recorded)
	if skipped && c.otherwise == nil && !c.lone {
		c.otherwise = slices.Repeat([]any{c.state}, len(c.skips))
	}
	c.foldOtherwise(e)
	before := *c
	var failure error
	if skipped {
		c.to, c.changed = e.Revision, true // its rows may tell the revision, or have landed with the event
	} else {
		failure = c.fold(e)
	}
	if failure == nil && strict {
		if failure = c.yield(); failure == nil {
			failure = a.try(c)
		}
	}
	if failure != nil {
		c.state, c.to, c.rows, c.shared = before.state, before.to, before.rows, before.shared
		c.parked = &row.Parked{Stream: c.stream, Revision: e.Revision, Type: e.Type, Reason: failure.Error()}
	}
}

// guard makes an error of a panic in a view's code.
func guard(err *error) {
	switch p := recover().(type) {
	case nil:
	case *row.FormError:
		*err = p
	default:
		*err = fmt.Errorf("the view's code panics: %v", p)
	}
}

// load makes the state that has landed, of its record or, where it was not kept, of the store; event.ErrStreamNotFound if that does not
// have the stream any more. Where the view's code cannot, or the store has only the stream's end, the stream is parked: what of it there is
// to withdraw is not known.
func (a *Applier) load(ctx context.Context, c *change) error {
	if c.loaded {
		return nil
	}
	state, failure := load(c.source, c.saved)
	if failure == nil && len(c.saved) == 0 && c.to >= 0 {
		again := a.newChange(c.stream, c.source)
		again.skips, again.loaded, again.state, again.lone = c.skips, true, state, true
		arrivals, err := stretch(ctx, a.log, c.stream, 0, c.to)
		if err == nil {
			err = a.foldStream(ctx, again, arrivals)
		}
		if err != nil {
			err = fmt.Errorf("%s rested at revision %d: %w", c.stream, c.to, err)
		}
		switch {
		case errors.Is(err, errCut):
			failure = err
		case err != nil:
			return err
		case again.parked != nil:
			failure = errors.New(again.parked.Reason)
		}
		state = again.state
	}
	if failure != nil {
		c.parked = &row.Parked{Stream: c.stream, Revision: c.to + 1, Reason: fmt.Sprintf("its state in %s: %v", a.gen, failure)}
		return nil
	}
	c.state, c.saved, c.loaded = state, nil, true
	return nil
}

func load(source *view.Source, saved []byte) (state any, err error) {
	defer guard(&err)
	return source.Load(saved)
}

// save does step 6. What is parked is noted before anything claims to have been dealt with.
func (a *Applier) save(ctx context.Context, changes []*change) error {
	var states []row.State
	var saved []*change
	var parked []row.Parked
	var unparked []string
	for _, c := range changes {
		if c.parked != nil {
			c.parked.Since = a.now()
			parked = append(parked, *c.parked)
		} else if c.healed {
			unparked = append(unparked, c.stream)
		}
		if !c.moved() {
			continue
		}
		states, saved = append(states, row.State{Stream: c.stream, Revision: c.to, Skips: len(c.skips), Data: c.data}), append(saved, c)
	}
	if len(parked) > 0 {
		if err := a.rows.Park(ctx, a.gen, parked); err != nil {
			return err
		}
	}
	if err := a.rows.SaveStates(ctx, a.gen, states); err != nil {
		return err
	}
	if a.cache != nil {
		for _, c := range saved {
			a.cache.Add(c.stream, cachedState{state: c.state, revision: c.to, skips: len(c.skips)})
		}
	}
	return a.rows.Unpark(ctx, a.gen, unparked)
}

// ensure lands whole streams from the store, so that what refers to them finds their shared parts.
func (a *Applier) ensure(ctx context.Context, streams []string) error {
	for _, stream := range streams {
		err := wholeStream(ctx, a.log, stream, func(arrivals []arrival) error {
			_, err := a.apply(ctx, arrivals)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
