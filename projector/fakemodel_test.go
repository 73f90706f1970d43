package projector

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync/atomic"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
)

var errOutage = fmt.Errorf("the model is away just now: %w", event.ErrUnavailable)

// errKilled is what every call of a killed process would be: nothing.
var errKilled = errors.New("killed")

// faults decides how a call fares. It may be shared, and changed while it is in use.
type faults struct {
	outages   atomic.Int64 // in a thousand calls, before or after the call has happened
	down      atomic.Bool  // no call happens
	calls     atomic.Int64
	killAfter int64             // calls; 0: never
	atCall    func(count int64) // told of every call, before it happens
}

func (f *faults) before() (error, bool) {
	n := f.calls.Add(1)
	if f.atCall != nil {
		f.atCall(n)
	}
	switch {
	case f.killAfter > 0 && n > f.killAfter:
		return errKilled, false
	case f.down.Load():
		return errOutage, false
	case rand.Int64N(1000) < f.outages.Load():
		return errOutage, rand.IntN(2) == 0
	}
	return nil, true
}

// through makes a call that may fail, and if it does may have happened.
func through[T any](f *faults, call func() (T, error)) (T, error) {
	var zero T
	failed, happens := f.before()
	if !happens {
		return zero, failed
	}
	answer, err := call()
	if failed != nil {
		return zero, failed
	}
	return answer, err
}

func (f *faults) do(call func() error) error {
	_, err := through(f, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// faultyRows is Rows over a link that fails.
type faultyRows struct {
	Rows
	*faults
}

func (m faultyRows) States(ctx context.Context, g row.Generation, streams []string) ([]row.State, error) {
	return through(m.faults, func() ([]row.State, error) { return m.Rows.States(ctx, g, streams) })
}

func (m faultyRows) Refer(ctx context.Context, g row.Generation, docs map[string][]string) error {
	return m.do(func() error { return m.Rows.Refer(ctx, g, docs) })
}

func (m faultyRows) Referrers(ctx context.Context, g row.Generation, streams []string) iter.Seq2[[]row.Ref, error] {
	return func(yield func([]row.Ref, error) bool) {
		for refs, err := range m.Rows.Referrers(ctx, g, streams) {
			if failed, _ := m.before(); failed != nil {
				yield(nil, failed)
				return
			}
			if !yield(refs, err) {
				return
			}
		}
	}
}

func (m faultyRows) SharedParts(ctx context.Context, g row.Generation, streams []string) (map[string]row.Sourced, error) {
	return through(m.faults, func() (map[string]row.Sourced, error) { return m.Rows.SharedParts(ctx, g, streams) })
}

func (m faultyRows) Land(ctx context.Context, g row.Generation, landings []row.Landing) ([]row.Document, error) {
	return through(m.faults, func() ([]row.Document, error) { return m.Rows.Land(ctx, g, landings) })
}

func (m faultyRows) Compose(ctx context.Context, g row.Generation, docs []row.Document, compositions [][]byte) ([]row.Document, error) {
	return through(m.faults, func() ([]row.Document, error) { return m.Rows.Compose(ctx, g, docs, compositions) })
}

func (m faultyRows) SaveStates(ctx context.Context, g row.Generation, states []row.State) error {
	return m.do(func() error { return m.Rows.SaveStates(ctx, g, states) })
}

func (m faultyRows) Park(ctx context.Context, g row.Generation, parked []row.Parked) error {
	return m.do(func() error { return m.Rows.Park(ctx, g, parked) })
}

func (m faultyRows) Unpark(ctx context.Context, g row.Generation, streams []string) error {
	return m.do(func() error { return m.Rows.Unpark(ctx, g, streams) })
}

func (m faultyRows) ParkedIn(ctx context.Context, g row.Generation) ([]row.Parked, error) {
	return through(m.faults, func() ([]row.Parked, error) { return m.Rows.ParkedIn(ctx, g) })
}

func (m faultyRows) Skipped(ctx context.Context, view string) (row.Skipped, error) {
	return through(m.faults, func() (row.Skipped, error) { return m.Rows.Skipped(ctx, view) })
}

// faultyModel is a Model over a link that fails.
type faultyModel struct {
	faultyRows
	rest
	store    *readmodel.Store
	onRenew  func()
	onSwitch func(row.Generation)
	onRemove func()
}

// rest is what of a Model does not fail.
type rest struct{ Model }

func newFaultyModel(store *readmodel.Store) faultyModel {
	return faultyModel{faultyRows: faultyRows{Rows: store, faults: &faults{}}, rest: rest{store}, store: store, onRenew: func() {}, onSwitch: func(row.Generation) {}, onRemove: func() {}}
}

// builder writes as a replay does, over the same link.
func (m faultyModel) builder() Builder {
	inner := m.store.NewBuilder()
	return faultyBuilder{faultyRows: faultyRows{Rows: inner, faults: m.faults}, inner: inner}
}

type faultyBuilder struct {
	faultyRows
	inner Builder
}

func (b faultyBuilder) Put(ctx context.Context, g row.Generation, batch row.Batch) error {
	return b.do(func() error { return b.inner.Put(ctx, g, batch) })
}

func (b faultyBuilder) Held(ctx context.Context, g row.Generation, docs []string, ends bool) ([]row.Document, error) {
	return through(b.faults, func() ([]row.Document, error) { return b.inner.Held(ctx, g, docs, ends) })
}

func (m faultyModel) Registry(ctx context.Context, view string) (row.Registry, error) {
	return through(m.faults, func() (row.Registry, error) { return m.store.Registry(ctx, view) })
}

func (m faultyModel) Advance(ctx context.Context, g row.Generation, at event.Recorded) error {
	return m.do(func() error { return m.store.Advance(ctx, g, at) })
}

func (m faultyModel) Begin(ctx context.Context, view string, version int, token string) (row.Build, error) {
	return through(m.faults, func() (row.Build, error) { return m.store.Begin(ctx, view, version, token) })
}

func (m faultyModel) Renew(ctx context.Context, g row.Generation, token string) error {
	defer m.onRenew()
	return m.do(func() error { return m.store.Renew(ctx, g, token) })
}

func (m faultyModel) Built(ctx context.Context, g row.Generation, token string, to event.Position) error {
	return m.do(func() error { return m.store.Built(ctx, g, token, to) })
}

func (m faultyModel) OpenBuild(ctx context.Context, g row.Generation, token string) error {
	return m.do(func() error { return m.store.OpenBuild(ctx, g, token) })
}

func (m faultyModel) Switch(ctx context.Context, g row.Generation, token string) error {
	m.onSwitch(g)
	return m.do(func() error { return m.store.Switch(ctx, g, token) })
}

func (m faultyModel) Leave(ctx context.Context, g row.Generation, token string) error {
	return m.do(func() error { return m.store.Leave(ctx, g, token) })
}

// DropGarbage does nothing, as if the process had died before it. What it does is tested where it is not in the way.
func (m faultyModel) DropGarbage(context.Context, string) error {
	m.onRemove()
	return nil
}
