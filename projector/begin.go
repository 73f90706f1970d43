package projector

import (
	"context"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"jangbu/domain/event"
	"jangbu/query/row"
)

// begin takes the lease, and finds out what there is to go on with. What was assembled here and is not open yet is given up: to begin
// again means that Redis may have lost some of it, or may get more of it, or that it takes another way. So is what another left before
// anything was built, since only a fresh generation can be assembled; and what was made of another log.
func (r *Replay) begin(ctx context.Context, b *build, j job) error {
	b.phase, b.held = PhaseBuild, false
	b.ending.Store(false)
	err := r.insist(ctx, b, func() (err error) {
		if b.Build, err = j.begin(ctx, b.view.Name, b.view.Version, r.token); err != nil {
			if !errors.Is(err, row.ErrBusy) {
				r.makeRoom(ctx, b) // which may be all that is missing
			}
			return err
		}
		anew, err := r.anew(ctx, b, j)
		if err == nil && anew {
			if err = r.model.Abandon(ctx, b.Generation, r.token); err == nil {
				b.Build, err = j.begin(ctx, b.view.Name, b.view.Version, r.token)
			}
		}
		if err != nil {
			r.leave(ctx, []*build{b}, false)
		}
		return err
	})
	if err != nil {
		return err
	}
	if b.Fresh {
		r.makeRoom(ctx, b)
	}
	b.begun, b.held, b.at, b.result.Generation = true, true, b.Built, b.Number
	b.assembler, b.assembled, b.astray, b.unsettled = nil, false, false, false
	if b.Open {
		b.phase = PhaseCatchUp
	}
	r.equip(b)
	r.tell(b, nil)
	return nil
}

// anew reports whether what there is to go on with is to be given up. A rollback has nothing else, and gives back what was made of another log.
func (r *Replay) anew(ctx context.Context, b *build, j job) (bool, error) {
	switch {
	case b.Fresh:
		return false, nil
	case !b.begun && r.cfg.Restart:
		return true, nil
	case !b.begun:
		err := r.sameLog(ctx, b)
		another := errors.Is(err, ErrAnotherLog)
		switch {
		case another && j.revives:
			return false, errors.Join(err, r.model.Abandon(ctx, b.Generation, r.token))
		case another:
			return true, nil
		case err != nil:
			return false, err
		}
	}
	return !b.Open && (b.assembled || b.astray || b.Built == event.Position{}), nil
}

// sameLog is ErrAnotherLog where a build, or the live generation, which takes the same events once the build is open, has come further than the
// log goes.
func (r *Replay) sameLog(ctx context.Context, b *build) error {
	registry, err := r.model.Registry(ctx, b.view.Name)
	if err != nil {
		return err
	}
	at := b.Built
	if at.Compare(registry.At) < 0 {
		at = registry.At
	}
	end, ahead, err := Ahead(ctx, r.log, at)
	if err != nil || !ahead {
		return err
	}
	return fmt.Errorf("built up to %s, and the log ends at %s: %w; run jangbu replay %s --allow-drift", at, end, ErrAnotherLog, b.view.Name)
}

// heed finds out whether the switch of an attempt that Redis was restarted under has happened, unheard; then there is nothing to begin again,
// and what would be begun is another job: a second rollback, which undoes the first.
func (r *Replay) heed(ctx context.Context, b *build) error {
	var live row.Generation
	err := r.insist(ctx, b, func() error {
		registry, err := r.model.Registry(ctx, b.view.Name)
		live = registry.Live
		return err
	})
	if err != nil || b.Number == 0 || live.Number != b.Number || live.Salt != b.Salt {
		return err
	}
	b.result.Switched, b.done = true, true
	return r.drop(ctx, b)
}

// leave lets go of the leases, so that whoever resumes need not wait for them to end, and of what nobody could go on with. Where Redis is full
// it lets go of all that is not done: consumers, who write to what is open before they write to what is live, would get no further.
func (r *Replay) leave(ctx context.Context, builds []*build, full bool) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	useless := func(b *build) bool { return b.unsettled || full && !b.done }
	for _, b := range builds {
		if useless(b) {
			_ = r.model.Abandon(last, b.Generation, r.token)
		} else {
			_ = r.model.Leave(last, b.Generation, r.token) // else it ends by itself
		}
	}
	for _, b := range builds {
		if useless(b) {
			r.makeRoom(ctx, b) // Redis may have no memory for anything else
		}
	}
}

// makeRoom removes what builds that failed, or were killed, have left behind. Where it cannot, whoever succeeds does.
func (r *Replay) makeRoom(ctx context.Context, b *build) { _ = r.model.DropGarbage(ctx, b.view.Name) }

// equip gives a build what it is to be landed with.
func (r *Replay) equip(b *build) {
	switch {
	case b.Open || r.cfg.Builder == nil:
		b.applier = r.applier(b, r.model)
	case !b.Fresh || b.careful:
		b.applier = r.applier(b, r.cfg.Builder())
	default:
		b.assembled = true
		b.assembler = newAssembler(b.view, b.Generation, r.cfg.Builder(), r.log, r.room)
	}
}

func (r *Replay) applier(b *build, rows Rows) *Applier {
	cache, err := lru.New[string, cachedState](r.cacheStates)
	if err != nil {
		panic(err) // only for a size below 1
	}
	a := NewApplier(b.view, b.Generation, rows, r.log)
	a.cache, a.careful = cache, b.careful
	return a
}

// open ends the build phase: from here on, others write to the generation too.
func (r *Replay) open(ctx context.Context, b *build) error {
	if b.Open {
		return nil
	}
	err := r.insist(ctx, b, func() error { return r.model.OpenBuild(ctx, b.Generation, r.token) })
	if err != nil {
		return fmt.Errorf("replay %s: %w", b.view.Name, err)
	}
	b.phase, b.assembler, b.assembled = PhaseCatchUp, nil, false
	b.applier = r.applier(b, r.model)
	return nil
}
