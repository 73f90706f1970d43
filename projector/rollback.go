package projector

import (
	"context"

	"jangbu/query/view"
)

// Rollback makes the generation that was live before live again: it is opened to consumers, brought up to the end of the log
// from where it stopped being live, and switched to, unverified, since what it would be compared with is what is being left.
// The generation that was live is then the previous one, so another rollback undoes this. It is row.ErrNoPrevious where
// there is no such generation, or other code built it; interrupted, it is resumed by another.
func (r *Replay) Rollback(ctx context.Context, v *view.View) (Result, error) {
	results, err := r.run(ctx, []*view.View{v}, job{begin: r.model.Revive, revives: true, switches: func(*DriftError) bool { return true }})
	return results[0], err
}
