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

// bringLevel lands what the log holds in every generation that takes events, as a consumer would. When it returns, what they
// hold differs by later events alone, or by drift.
func (r *Replay) bringLevel(ctx context.Context, b *build) error {
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
		events, b.level = nil, to
		return err
	}
	to := b.level
	for e, err := range r.readAll(ctx, b.level) {
		if err != nil {
			return err
		}
		to = e.Position
		if _, ok := b.view.Source(e.Stream); ok {
			events = append(events, e)
		}
		if len(events) == most {
			if err := land(to); err != nil {
				return err
			}
		}
	}
	if len(events) == 0 {
		b.level = to
		return nil
	}
	return land(to)
}

// comparison compares documents of the live generation with what they should be.
type comparison struct {
	*Replay
	build    *build
	live     row.Generation
	other    func(ctx context.Context, docs []string) ([]side, error) // what they should be
	levels   int                                                      // how often the log was brought level
	suspects map[string]suspect                                       // documents that differed when they were read
	restless map[string]bool                                          // documents that did not stand still to be compared
	drift    *DriftError                                              // nil: none is found
}

// side is a document as one side holds it. As long as the version is the same, so is what the side was told of the document.
type side struct {
	version string
	body    []byte
}

// suspect is how a document was seen last.
type suspect struct {
	sides  uint64 // a hash of both
	level  int    // how often the log had been brought level when it was first seen in just this way
	agreed bool   // both sides were equal at some look, if only by chance
}

// sideOf reads versions first: where a later look finds the same two, the body was that of the version.
func (c *comparison) sideOf(g row.Generation) func(context.Context, []string) ([]side, error) {
	return func(ctx context.Context, docs []string) ([]side, error) {
		versions, err := c.model.Versions(ctx, g, docs)
		if err != nil {
			return nil, err
		}
		bodies, err := c.model.Bodies(ctx, g, c.build.view.Compose != nil, docs)
		if err != nil {
			return nil, err
		}
		all := make([]side, len(docs))
		for i := range docs {
			all[i] = side{versions[i], bodies[i]}
		}
		return all, nil
	}
}

// verify compares a build that is open with the live generation, and notes in its result how they differ.
//
// Both change under its eyes: consumers land an event here a moment before they do there. So what differs is only suspected,
// and looked at again before and after all that the log holds is landed in both. What has not changed in between, on neither
// side, is of the same events on both: drift if it differs, else acquitted.
func (r *Replay) verify(ctx context.Context, b *build) error {
	var registry row.Registry
	err := r.insist(ctx, b, func() (err error) {
		registry, err = r.model.Registry(ctx, b.view.Name)
		return err
	})
	b.result.Verified, b.result.Unverified, b.result.Restless, b.result.Drift = 0, "", 0, nil
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
	c.other = c.sideOf(b.Generation)
	r.tell(b, nil)
	if err := r.bringLevel(ctx, b); err != nil {
		return err
	}
	err = c.walkBoth(ctx)
	b.result.Drift, b.result.Restless = c.drift, len(c.restless)
	b.result.Verified = max(0, b.result.Verified-int64(len(c.restless)))
	if len(c.restless) > 0 {
		b.result.Unverified = fmt.Sprintf("documents that changed all the time: %d; audit the view at a quieter hour", len(c.restless))
	}
	return err
}

// walkBoth compares every document of either generation with the other's. It ends early when it has found much drift.
func (c *comparison) walkBoth(ctx context.Context) error {
	patience := c.newPatience()
	for {
		c.suspects, c.restless, c.drift, c.build.result.Verified = map[string]suspect{}, map[string]bool{}, nil, 0
		err := c.walk(ctx, c.build.Generation, c.live, patience)
		if err == nil {
			err = c.walk(ctx, c.live, c.build.Generation, patience)
		}
		if err == nil {
			return c.settle(ctx)
		}
		if errors.Is(err, errEnough) {
			c.drift.More = true
			return nil
		}
		c.tell(c.build, err)
		if errors.Is(err, row.ErrRestarted) {
			return err
		}
		if err := patience.wait(ctx, err); err != nil {
			return err
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
		bodies, err := c.model.Bodies(ctx, other, c.build.view.Compose != nil, docs)
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
		if c.drift != nil {
			return errEnough
		}
	}
	return nil
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// settle looks at the suspects until all are acquitted or drift. Documents that do not stand still in good time, for as long as
// it takes to land what was recorded meanwhile, it lets go; and counts them, but for those that agreed at some look.
func (c *comparison) settle(ctx context.Context) error {
	const pause = 10 * time.Millisecond
	for begun := c.now(); ; {
		if err := c.look(ctx); err != nil {
			return err
		}
		if err := c.bringLevel(ctx, c.build); err != nil {
			return err
		}
		c.levels++
		if err := c.look(ctx); err != nil || len(c.suspects) == 0 {
			return err
		}
		if c.now().Sub(begun) > c.settleFor {
			break
		}
		if err := c.sleep(ctx, pause); err != nil {
			return err
		}
	}
	for doc, s := range c.suspects {
		if !s.agreed {
			c.restless[doc] = true
		}
	}
	clear(c.suspects)
	return nil
}

// look reads the suspects on both sides at once, and decides about those that have stood still.
func (c *comparison) look(ctx context.Context) error {
	const most = 500
	return c.insist(ctx, c.build, func() error {
		for docs := range slices.Chunk(slices.Sorted(maps.Keys(c.suspects)), most) {
			var live, other []side
			g, running := errgroup.WithContext(ctx)
			g.Go(func() (err error) {
				live, err = c.sideOf(c.live)(running, docs)
				return err
			})
			g.Go(func() (err error) {
				other, err = c.other(running, docs)
				return err
			})
			if err := g.Wait(); err != nil {
				return err
			}
			for i, doc := range docs {
				c.decide(doc, live[i], other[i])
			}
		}
		return nil
	})
}

// decide decides about a document if it stands as it did before the log was last brought level.
func (c *comparison) decide(doc string, live, other side) {
	h := fnv.New64a()
	for _, s := range []side{live, other} {
		fmt.Fprintf(h, "%q %t %d ", s.version, s.body == nil, len(s.body))
		h.Write(s.body)
	}
	s, sides, agree := c.suspects[doc], h.Sum64(), same(live.body, other.body)
	if s.sides != sides {
		c.suspects[doc] = suspect{sides, c.levels, s.agreed || agree}
		return
	}
	if s.level == c.levels {
		return
	}
	delete(c.suspects, doc)
	if agree {
		return
	}
	if c.drift == nil {
		c.drift = &DriftError{View: c.build.view.Name}
	}
	c.drift.Count++
	if len(c.drift.Diffs) < shownDiffs {
		c.drift.Diffs = append(c.drift.Diffs, Diff{Doc: doc, Live: live.body, New: other.body})
	}
}
