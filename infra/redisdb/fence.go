package redisdb

import (
	"context"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// Fence guards claims: what rests on earlier writes ("this state has landed", "looked through up to here", "nobody reads this any more")
// must not be written to a Redis that was restarted since and may have lost them. A Redis forgets its scripts when it ends (from version 7
// on, persistent or not) and a replica that takes over has none. So claims are made only by scripts whose text bears the fence's name,
// loaded when it was drawn and never again: a Redis that does not know them is another.
// docs/adr/0007-fence.md has the reasoning.
type Fence struct {
	Name    string
	scripts map[string]*redis.Script
}

// Hash is the SHA-1, for EVALSHA, by which Redis knows one of the scripts.
func (f *Fence) Hash(lua string) string { return f.scripts[lua].Hash() }

// Fences draws fences around some scripts. It is safe for concurrent use.
type Fences struct {
	client  redis.UniversalClient
	scripts []string
	present atomic.Pointer[Fence] // nil until it is needed, and after a restart of Redis
	drawing chan struct{}         // held by who draws one
}

// NewFences makes no call yet.
func NewFences(client redis.UniversalClient, scripts ...string) *Fences {
	return &Fences{client: client, scripts: scripts, drawing: make(chan struct{}, 1)}
}

// Present returns the fence of the present run of Redis, as far as anybody has noticed. One caller draws it while the others wait, each no
// longer than its context lasts. Errors are as go-redis gives them.
func (f *Fences) Present(ctx context.Context) (*Fence, error) {
	if fence := f.present.Load(); fence != nil {
		return fence, nil
	}
	select {
	case f.drawing <- struct{}{}:
		defer func() { <-f.drawing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if fence := f.present.Load(); fence != nil {
		return fence, nil
	}
	fence := &Fence{Name: uuid.NewString(), scripts: map[string]*redis.Script{}}
	var all []*redis.Script
	for _, lua := range f.scripts {
		fence.scripts[lua] = redis.NewScript("-- fence " + fence.Name + "\n" + lua)
		all = append(all, fence.scripts[lua])
	}
	if err := Load(ctx, f.client, all...); err != nil {
		return nil, err
	}
	f.present.Store(fence)
	return fence, nil
}

// Stands reports whether nobody has noticed that Redis was restarted since a fence was drawn.
func (f *Fences) Stands(fence *Fence) bool { return f.present.Load() == fence }

// Fell says that Redis does not know a script of a fence.
func (f *Fences) Fell(fence *Fence) { f.present.CompareAndSwap(fence, nil) }
