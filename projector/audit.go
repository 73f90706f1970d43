package projector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"jangbu/domain/event"
	"jangbu/query/row"
	"jangbu/query/view"
)

// ErrRestless says that documents changed too often to be compared: whether they are right is not known.
var ErrRestless = errors.New("changed all the time, and could not be compared")

// Audit folds the log into a generation of its own, beside the live one, and compares the two as a replay does. Then it drops
// what it built; or switches to it, to repair what differs, or may differ: what it built is the fold of the log. Drift that is not
// repaired is a *DriftError; else documents that were not compared are ErrRestless. What a replay, or another audit, has left
// unfinished is given up: consumers may have written to it what it is to be compared with.
func (r *Replay) Audit(ctx context.Context, v *view.View, repair bool) (Result, error) {
	r.cfg.Restart = true
	if _, err := r.audited(ctx, &build{view: v}); err != nil {
		return Result{View: v.Name}, err
	}
	results, err := r.run(ctx, []*view.View{v}, job{
		begin: r.model.Begin, verify: true, abandon: true,
		switches: func(found Result) bool { return repair && (found.Drift != nil || found.Restless > 0) },
	})
	if result := results[0]; err == nil && result.Restless > 0 && !result.Switched {
		err = restless(result)
	}
	return results[0], err
}

func restless(r Result) error {
	return fmt.Errorf("view %s: %d of its documents %w", r.View, r.Restless, ErrRestless)
}

// audited returns the live generation, if this view's code can tell what it should hold.
func (r *Replay) audited(ctx context.Context, b *build) (live row.Generation, err error) {
	v := b.view
	var registry row.Registry
	err = r.insist(ctx, b, func() (err error) {
		registry, err = r.model.Registry(ctx, v.Name)
		return err
	})
	switch {
	case err != nil:
		return live, err
	case registry.Live.Number == 0:
		return live, fmt.Errorf("view %s has no live generation to audit: build it (jangbu replay %s)", v.Name, v.Name)
	case registry.Version != v.Version:
		return live, fmt.Errorf("version %d of the code of view %s built the live generation, and this is version %d: "+
			"audit it with the release that built it, or build it anew (jangbu replay %s)", registry.Version, v.Name, v.Version, v.Name)
	}
	return registry.Live, nil
}

// sample is one document that is folded from its streams alone.
type sample struct {
	*comparison
	streams map[string][]event.Recorded // what was read of them
}

// sampleStreams is how many streams a document may have rows of, to be sampled: each is read for itself. Of longer lists
// Contents shows a hash.
const sampleStreams = 1000

// Sample audits n documents of the live generation, drawn at random: it reads from the log the streams that each has rows of,
// and folds them. It builds nothing, and cannot notice a stream that never arrived. Documents of very many streams are left
// out, as the result says. Drift is a *DriftError; else documents that were not compared are ErrRestless.
func (r *Replay) Sample(ctx context.Context, v *view.View, n int) (Result, error) {
	b := &build{view: v, phase: PhaseVerify}
	b.result.View = v.Name
	live, err := r.audited(ctx, b)
	if err != nil {
		return b.result, err
	}
	b.Generation, b.result.Generation = live, live.Number
	if err := r.insist(ctx, b, func() error { return r.beginLevel(ctx, b) }); err != nil {
		return b.result, err
	}
	docs, err := r.draw(ctx, b, n)
	if err != nil {
		return b.result, err
	}
	c := &comparison{Replay: r, build: b, live: live, suspects: map[string]suspect{}, restless: map[string]bool{}}
	left := 0
	for _, doc := range docs {
		var sources []string
		err := r.insist(ctx, b, func() (err error) {
			sources, err = r.model.Sources(ctx, live, doc)
			return err
		})
		if err != nil {
			return b.result, err
		}
		if len(sources) > sampleStreams {
			left++
			continue
		}
		s := &sample{c, map[string][]event.Recorded{}}
		c.other, c.suspects[doc] = s.fold, suspect{}
		if err := c.settle(ctx); err != nil {
			return b.result, err
		}
		if !c.restless[doc] {
			b.result.Verified++
		}
		r.tell(b, nil)
	}
	b.result.Restless = len(c.restless)
	if left > 0 {
		b.result.Unverified = fmt.Sprintf("documents that more than %d streams contribute to: %d were left out", sampleStreams, left)
	}
	switch {
	case c.drift != nil:
		b.result.Drift = c.drift
		return b.result, c.drift
	case b.result.Restless > 0:
		return b.result, restless(b.result)
	}
	return b.result, nil
}

// draw draws documents, each with the same chance.
func (r *Replay) draw(ctx context.Context, b *build, n int) (docs []string, err error) {
	err = r.insist(ctx, b, func() error {
		docs = nil
		seen := 0
		for batch, err := range r.model.Contents(ctx, b.Generation, b.view.Compose != nil) {
			if err != nil {
				return err
			}
			for _, content := range batch {
				seen++
				if len(docs) < n {
					docs = append(docs, content.Doc)
				} else if at := rand.IntN(seen); at < n {
					docs[at] = content.Doc
				}
			}
		}
		return nil
	})
	return docs, err
}

// fold gives a document as the log has it, as far as its streams have landed at least. Its version is how many events that is.
func (s *sample) fold(ctx context.Context, docs []string) (folded []side, err error) {
	defer func() {
		if failed := recover(); failed != nil {
			err = fmt.Errorf("the code of view %s cannot fold %s: %v", s.build.view.Name, docs[0], failed)
		}
	}()
	sources, err := s.model.Sources(ctx, s.live, docs[0])
	if err != nil {
		return nil, err
	}
	parked, err := s.model.ParkedIn(ctx, s.live)
	if err != nil {
		return nil, err
	}
	skipped, err := s.model.Skipped(ctx, s.build.view.Name)
	if err != nil {
		return nil, err
	}
	until := map[string]int64{}
	for _, p := range parked {
		until[p.Stream] = p.Revision
	}
	states, err := s.model.States(ctx, s.live, sources)
	if err != nil {
		return nil, err
	}
	var events []event.Recorded
	for i, stream := range sources {
		if err := s.read(ctx, stream, states[i].Revision); err != nil {
			return nil, err
		}
		for _, e := range s.streams[stream] {
			if revision, isParked := until[stream]; !isParked || e.Revision < revision {
				events = append(events, e)
			}
		}
	}
	contents, err := view.FoldWithout(s.build.view, events, skipped)
	if err != nil {
		return nil, err
	}
	is := side{version: strconv.Itoa(len(events))}
	if s.build.view.Compose != nil {
		is.body = contents.Documents[docs[0]]
	} else if items, ok := contents.Lists[docs[0]]; ok {
		is.body = bytes.Join(items, []byte("\n"))
	}
	return []side{is}, nil
}

// read reads a stream, at first whole, then on where more of it has landed.
func (s *sample) read(ctx context.Context, stream string, landed int64) error {
	held, known := s.streams[stream]
	from := int64(0)
	if len(held) > 0 {
		from = held[len(held)-1].Revision + 1
	}
	if known && landed < from {
		return nil
	}
	for e, err := range s.log.ReadStream(ctx, stream, from) {
		if errors.Is(err, event.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		held = append(held, e)
	}
	s.streams[stream] = held
	return nil
}
