package projector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"jangbu/domain/event"
	"jangbu/query/row"
)

// Diff is a document that two sides hold differently; nil is a document that readers do not find.
type Diff struct {
	Doc       string
	Live, New []byte
}

func (d Diff) hash() uint64 {
	h := fnv.New64a()
	for _, side := range [][]byte{d.Live, d.New} {
		fmt.Fprintf(h, "%t%d ", side == nil, len(side))
		h.Write(side)
	}
	return h.Sum64()
}

// DriftError says that documents of the live generation are not what the log folds to. The first of them are shown.
type DriftError struct {
	View  string
	Count int
	More  bool // there may be more: the search ended with these
	Diffs []Diff
}

func (e *DriftError) Error() string {
	atLeast := ""
	if e.More {
		atLeast = "at least "
	}
	return fmt.Sprintf("view %s: %s%d of its documents differ from what the log folds to", e.View, atLeast, e.Count)
}

// shownDiffs is how many documents a DriftError shows.
const shownDiffs = 10

// errEnough ends a walk early.
var errEnough = errors.New("enough")

// beginLevel notes from where a build, and the live generation, may lack what the log holds.
func (r *Replay) beginLevel(ctx context.Context, b *build) error {
	registry, err := r.model.Registry(ctx, b.view.Name)
	if err != nil {
		return err
	}
	b.level = b.at
	if registry.Live.Number > 0 && registry.Version == b.view.Version && registry.At.Compare(b.level) < 0 {
		b.level = registry.At
	}
	return nil
}

// bringLevel lands what the log holds in every generation that takes events, as a consumer would, and says how many events
// it found since it was last called. When it returns, what they hold differs by later events alone, or by drift.
func (r *Replay) bringLevel(ctx context.Context, b *build) (found int, err error) {
	const most = 1000
	var events []event.Recorded
	land := func(to event.Position) error {
		err := r.insist(ctx, b, func() error {
			registry, err := r.model.Registry(ctx, b.view.Name)
			if err != nil {
				return err
			}
			for _, g := range registry.Writable(b.view.Version) {
				if err := NewApplier(b.view, g, r.model, r.log).Apply(ctx, events); err != nil {
					return err
				}
			}
			return nil
		})
		found += len(events)
		events, b.level = nil, to
		return err
	}
	to := b.level
	for e, err := range r.readAll(ctx, b.level) {
		if err != nil {
			return found, err
		}
		to = e.Position
		if _, ok := b.view.Source(e.Stream); ok {
			events = append(events, e)
		}
		if len(events) == most {
			if err := land(to); err != nil {
				return found, err
			}
		}
	}
	if len(events) == 0 {
		b.level = to
		return found, nil
	}
	return found, land(to)
}

// comparison compares documents of the live generation with what they should be.
type comparison struct {
	*Replay
	build    *build
	live     row.Generation
	other    func(ctx context.Context, docs []string) ([][]byte, error) // what they should be
	suspects map[string]suspect                                         // documents that differed when they were read
	restless map[string]bool                                            // documents that changed too often to be compared
}

// suspect is how a document differs, and since when it has differed in just this way.
type suspect struct {
	sides uint64 // a hash of both
	since time.Time
}

func (c *comparison) bodies(g row.Generation) func(context.Context, []string) ([][]byte, error) {
	return func(ctx context.Context, docs []string) ([][]byte, error) {
		return c.model.Bodies(ctx, g, c.build.view.Compose != nil, docs)
	}
}

// verify compares a build that is open with the live generation, and notes in its result how they differ.
//
// Both change under its eyes: consumers land an event here a moment before they do there. So what differs is only suspected,
// and looked at again until it agrees once. It is drift when all that the log holds has landed in both, nothing more was
// recorded since, and it still differs; or, where the log never rests, when for some time neither side of it has changed.
func (r *Replay) verify(ctx context.Context, b *build) error {
	var registry row.Registry
	err := r.insist(ctx, b, func() (err error) {
		registry, err = r.model.Registry(ctx, b.view.Name)
		return err
	})
	b.result.Verified, b.result.Unverified, b.result.Drift = 0, "", nil
	switch {
	case err != nil:
		return err
	case registry.Live.Number == 0:
		b.result.Unverified = "there was no live generation to compare with"
		return nil
	case registry.Version != b.view.Version:
		b.result.Unverified = fmt.Sprintf("version %d of the view's code built the live generation, version %d the new one",
			registry.Version, b.view.Version)
		return nil
	}
	c := &comparison{Replay: r, build: b, live: registry.Live}
	c.other = c.bodies(b.Generation)
	r.tell(b, nil)
	if _, err := r.bringLevel(ctx, b); err != nil {
		return err
	}
	more, err := c.walkBoth(ctx)
	if len(c.restless) > 0 {
		b.result.Unverified = fmt.Sprintf("documents that changed all the time: %d; audit the view at a quieter hour", len(c.restless))
	}
	if err != nil || len(c.suspects) == 0 {
		return err
	}
	b.result.Drift, err = c.drift(ctx, more)
	return err
}

// walkBoth compares every document of either generation with the other's. It leaves drift as suspects, and says whether it
// ended early because of it.
func (c *comparison) walkBoth(ctx context.Context) (more bool, err error) {
	patience := c.newPatience()
	for {
		c.suspects, c.restless, c.build.result.Verified = map[string]suspect{}, map[string]bool{}, 0
		err := c.walk(ctx, c.build.Generation, c.live, patience)
		if err == nil {
			err = c.walk(ctx, c.live, c.build.Generation, patience)
		}
		if err == nil {
			return false, c.settle(ctx)
		}
		if errors.Is(err, errEnough) {
			return true, nil
		}
		c.tell(c.build, err)
		if errors.Is(err, row.ErrRestarted) {
			return false, err
		}
		if err := patience.wait(ctx, err); err != nil {
			return false, err
		}
	}
}

// walk compares every document of one generation with another's.
func (c *comparison) walk(ctx context.Context, one, other row.Generation, patience *patience) error {
	for batch, err := range c.model.Contents(ctx, one, c.build.view.Compose != nil) {
		if err != nil {
			return err
		}
		docs := make([]string, len(batch))
		for i, content := range batch {
			docs[i] = content.Doc
		}
		bodies, err := c.bodies(other)(ctx, docs)
		if err != nil {
			return err
		}
		for i, content := range batch {
			if !same(content.Body, bodies[i]) && !c.restless[content.Doc] {
				c.suspects[content.Doc] = suspect{}
			}
		}
		patience.renew()
		if one == c.build.Generation {
			c.build.result.Verified += int64(len(batch))
			c.tell(c.build, nil)
		}
		if len(c.suspects) < c.maxSuspects {
			continue
		}
		if err := c.settle(ctx); err != nil {
			return err
		}
		if len(c.suspects) > 0 {
			return errEnough
		}
	}
	return nil
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// settle looks at the suspects until all agree, or those that are left are drift. Documents that never stand still, for ten
// times as long as others must to be drift, it lets go, and counts them.
func (c *comparison) settle(ctx context.Context) error {
	const looks, pause = 50, 2 * time.Millisecond // between two readings of the log
	begun := c.now()
	for round := 0; len(c.suspects) > 0; round++ {
		found, err := c.bringLevel(ctx, c.build)
		if err != nil || round > 0 && found == 0 {
			return err
		}
		for range looks {
			if err := c.insist(ctx, c.build, func() error { return c.look(ctx) }); err != nil || len(c.suspects) == 0 {
				return err
			}
			if err := c.sleep(ctx, pause); err != nil {
				return err
			}
		}
		moving := c.moving()
		if len(moving) > 0 && c.now().Sub(begun) <= 10*c.settleFor {
			continue
		}
		for _, doc := range moving {
			delete(c.suspects, doc)
			c.restless[doc] = true
		}
		return nil
	}
	return nil
}

// moving is the suspects that have changed, on either side, within the time that drift must stand still.
func (c *comparison) moving() (docs []string) {
	now := c.now()
	for doc, s := range c.suspects {
		if now.Sub(s.since) <= c.settleFor {
			docs = append(docs, doc)
		}
	}
	return docs
}

// look reads the suspects on both sides at once, and acquits those that agree.
func (c *comparison) look(ctx context.Context) error {
	const most = 500
	for docs := range slices.Chunk(slices.Collect(maps.Keys(c.suspects)), most) {
		if _, err := c.differing(ctx, docs); err != nil {
			return err
		}
	}
	return nil
}

// differing reads documents on both sides at once, and acquits those that agree.
func (c *comparison) differing(ctx context.Context, docs []string) ([]Diff, error) {
	var sides [2][][]byte
	g, running := errgroup.WithContext(ctx)
	for i, bodies := range []func(context.Context, []string) ([][]byte, error){c.bodies(c.live), c.other} {
		g.Go(func() (err error) {
			sides[i], err = bodies(running, docs)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var diffs []Diff
	for i, doc := range docs {
		if same(sides[0][i], sides[1][i]) {
			delete(c.suspects, doc)
			continue
		}
		d := Diff{Doc: doc, Live: sides[0][i], New: sides[1][i]}
		diffs = append(diffs, d)
		if hash := d.hash(); hash != c.suspects[doc].sides {
			c.suspects[doc] = suspect{hash, c.now()}
		}
	}
	return diffs, nil
}

// drift words what is left of the suspects; nil if at last they agree.
func (c *comparison) drift(ctx context.Context, more bool) (drift *DriftError, err error) {
	err = c.insist(ctx, c.build, func() error {
		drift = nil
		for len(c.suspects) > 0 {
			first := slices.Sorted(maps.Keys(c.suspects))
			diffs, err := c.differing(ctx, first[:min(shownDiffs, len(first))])
			if err != nil {
				return err
			}
			if len(diffs) > 0 {
				drift = &DriftError{View: c.build.view.Name, Count: len(c.suspects), More: more, Diffs: diffs}
				return nil
			}
		}
		return nil
	})
	return drift, err
}
