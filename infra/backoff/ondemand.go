package backoff

import (
	"context"
	"time"
)

// OnDemand does a thing that has to be done now and then, such as creating what is found missing. It is safe for concurrent use.
type OnDemand chan struct{}

func NewOnDemand() OnDemand { return make(OnDemand, 1) }

// Ask has it done once more. It never blocks; who asks while another has asked shares that turn.
func (o OnDemand) Ask() {
	select {
	case o <- struct{}{}:
	default:
	}
}

// Run does it, at the start and whenever it is asked for, until ctx ends: each time until it goes well, and report hears how each attempt
// went. Then it pauses before it hears who asks, since what was done a moment ago they may not see yet.
func (o OnDemand) Run(ctx context.Context, pause time.Duration, do func(context.Context) error, report func(error)) {
	var retry Backoff
	for {
		err := do(ctx)
		if ctx.Err() != nil {
			return
		}
		report(err)
		if err != nil {
			retry.Wait(ctx)
			continue
		}
		retry.Reset()
		if Sleep(ctx, pause) != nil {
			return
		}
		select {
		case <-o:
		case <-ctx.Done():
			return
		}
	}
}
