package projector

import (
	"context"
	"errors"

	"jangbu/query/view"
)

// ErrAnotherLog says that a view has come further than the log goes: the event store was put back to a backup, or is another one.
var ErrAnotherLog = errors.New("it is another log than the view was made of, or one restored from a backup")

// Rollback makes the generation that was live before live again: it is opened to consumers, brought up to the end of the log
// from where it stopped being live, and switched to, unverified, since what it would be compared with is what is being left.
// The generation that was live is then the previous one, so another rollback undoes this. It is row.ErrNoPrevious where
// there is no such generation, or other code built it, and ErrAnotherLog where that, or what is live, knows what the log does not. Interrupted,
// it is resumed by another.
func (r *Replay) Rollback(ctx context.Context, v *view.View) (Result, error) {
	results, err := r.run(ctx, []*view.View{v}, job{begin: r.model.Revive, revives: true, switches: func(Result) bool { return true }})
	return results[0], err
}
