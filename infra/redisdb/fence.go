package redisdb

import (
	"context"
	_ "embed"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// Fence guards claims: what rests on earlier writes ("this state has landed", "looked through up to here", "nobody reads this any more")
// must not be written to a Redis that may have lost them since. A Redis forgets its scripts when it ends (from version 7
// on, persistent or not) and a replica that takes over has none. So claims are made only by scripts whose text bears the fence's name,
// loaded when it was drawn and never again: a Redis that does not know them is another. One that was made a replica, and then a primary
// again, knows them, and goes by another history: there they answer as if it did not (NOSCRIPT).
// docs/adr/0007-fence.md has the reasoning.
type Fence struct {
	Name    string
	scripts map[string]*redis.Script
}

//go:embed history.lua
var historyLua string

var askHistory = redis.NewScript(historyLua + "\nreturn history()")

// ofHistories begins a script that does nothing where Redis says that it goes by another history than those named.
func ofHistories(names []string) string {
	return historyLua + "\nif not string.find('" + strings.Join(names, " ") + "', history(), 1, true) then\n" +
		"  return redis.error_reply('NOSCRIPT Redis was failed over since this was loaded')\nend\n"
}

// Hash is the SHA-1, for EVALSHA, by which Redis knows one of the scripts.
func (f *Fence) Hash(lua string) string { return f.scripts[lua].Hash() }

// Fences draws fences around some scripts. It is safe for concurrent use.
type Fences struct {
	client  redis.UniversalClient
	scripts []string
	present atomic.Pointer[Fence] // nil until it is needed, and after Redis was restarted or failed over
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
	names, err := histories(ctx, f.client)
	if err != nil {
		return nil, err
	}
	fence := &Fence{Name: uuid.NewString(), scripts: map[string]*redis.Script{}}
	check := ""
	if !slices.Contains(names, "") { // what hides it, or has no replicas, is trusted as far as its scripts go
		check = ofHistories(names)
	}
	var all []*redis.Script
	for _, lua := range f.scripts {
		fence.scripts[lua] = redis.NewScript("-- fence " + fence.Name + "\n" + check + lua)
		all = append(all, fence.scripts[lua])
	}
	if err := Load(ctx, f.client, all...); err != nil {
		return nil, err
	}
	f.present.Store(fence)
	return fence, nil
}

// histories asks every primary which history it goes by, as the scripts will: what one says elsewhere, or a proxy for it, may be another name.
func histories(ctx context.Context, client redis.UniversalClient) ([]string, error) {
	primaries, err := Primaries(ctx, client)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(primaries))
	for i, c := range primaries {
		if names[i], err = askHistory.Eval(ctx, c, nil).Text(); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// Stands reports whether nobody has noticed that Redis was restarted, or failed over, since a fence was drawn.
func (f *Fences) Stands(fence *Fence) bool { return f.present.Load() == fence }

// Fell says that Redis does not know a script of a fence, or answered that it does not.
func (f *Fences) Fell(fence *Fence) { f.present.CompareAndSwap(fence, nil) }
