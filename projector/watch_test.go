package projector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// outpost is a watch over a built shop, whose clock is the test's.
type outpost struct {
	*yard
	watch *watch
}

func newOutpost(t *testing.T) *outpost {
	y := newYard(t, history.Random(t, rand.New(rand.NewPCG(1, 2)), 60))
	return &outpost{yard: y, watch: &watch{model: y.model, store: fakeStore{History: y.log}, now: func() time.Time { return y.now },
		cfg: Config{Views: view.All()}, standing: map[string]standing{}, building: map[string]*Replay{}}}
}

// judge says what the watch thinks of the orders.
func (o *outpost) judge(version int) (build bool, fault string) {
	o.Helper()
	v := *view.Orders
	v.Version = version
	o.watch.cfg.Views = []*view.View{&v}
	o.watch.cfg.Report = func(_ string, err error) {
		if err != nil {
			fault = err.Error()
		}
	}
	_, wanted, err := o.watch.look(o.Context())
	if err != nil {
		o.Fatal(err)
	}
	return len(wanted) > 0, fault
}

func (o *outpost) expect(version int, build bool, words ...string) {
	o.Helper()
	got, fault := o.judge(version)
	for _, w := range words {
		if !strings.Contains(fault, w) {
			o.Errorf("the fault %q does not say %q", fault, w)
		}
	}
	if got != build || len(words) == 0 && fault != "" {
		o.Errorf("to be built: %v, for %q", got, fault)
	}
}

func TestWatchVersions(t *testing.T) {
	o := newOutpost(t)
	now := view.Orders.Version
	o.expect(now, false)
	o.expect(now+1, false, fmt.Sprintf("version %d", now+1), "jangbu replay orders", "--auto-replay")
	o.expect(now-1, false, "upgrade or stop it")
	o.watch.cfg.AutoReplay = true
	o.expect(now+1, true, "is being built")
	o.expect(now-1, false, "upgrade or stop it")
}

func TestWatchStalled(t *testing.T) {
	o := newOutpost(t)
	since := o.now
	o.expect(view.Orders.Version, false)
	o.log.Grow(t, rand.New(rand.NewPCG(3, 4)), 10)
	o.now = since.Add(stalledAfter - time.Millisecond)
	o.expect(view.Orders.Version, false)
	o.now = since.Add(stalledAfter)
	o.expect(view.Orders.Version, false, "verified only up to", since.UTC().Format(time.RFC3339))
	at := o.now
	if err := errors.Join(o.after(0), o.after(sweepMargin)); err != nil {
		t.Fatal(err)
	}
	o.expect(view.Orders.Version, false)
	o.now = at.Add(time.Hour) // a shop at rest
	o.expect(view.Orders.Version, false)
}

// TestWatchAheadOfTheLog: an event store that was put back to a backup no longer has what was verified.
func TestWatchAheadOfTheLog(t *testing.T) {
	o := newOutpost(t)
	faults := map[string]error{}
	o.watch.cfg.Report = func(check string, err error) { faults[check] = err }
	look := func() error {
		t.Helper()
		if _, _, err := o.watch.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		return faults["view "+view.Orders.Name]
	}
	if err := look(); err != nil {
		t.Fatal(err)
	}
	backup := &history.History{}
	for _, log := range []*history.History{{}, backup} {
		o.watch.store = fakeStore{History: log}
		if err := look(); err == nil || !strings.Contains(err.Error(), "jangbu replay orders --allow-drift") {
			t.Errorf("with %d events in the log: %v", log.Len(), err)
		}
		backup.Grow(t, rand.New(rand.NewPCG(1, 2)), 30)
	}
	o.watch.store = fakeStore{History: o.log}
	if err := look(); err != nil {
		t.Error(err)
	}
}

// TestSilence: a view whose messages stay away is silent since the sweep had to land everything again, until one comes; so it is where the
// clock has been put back since the last one came.
func TestSilence(t *testing.T) {
	for name, later := range map[string]time.Duration{"long after": time.Hour, "clock put back": -time.Hour} {
		t.Run(name, func(t *testing.T) { testSilence(t, later) })
	}
}

func testSilence(t *testing.T, later time.Duration) {
	o := newOutpost(t)
	r := rand.New(rand.NewPCG(3, 4))
	if err := o.model.store.Heard(t.Context(), o.registry(view.Orders).Live); err != nil {
		t.Fatal(err)
	}
	o.now = time.Now().Add(later)
	grow := func() {
		t.Helper()
		o.log.Grow(t, r, 30)
		if err := errors.Join(o.after(time.Second), o.after(sweepMargin)); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.after(0); err != nil {
		t.Fatal(err)
	}
	grow()
	if r := o.registry(view.Orders); !r.Silent.IsZero() || r.Healed == 0 {
		t.Errorf("what was lost once makes a view silent: %+v", r)
	}
	o.now = o.now.Add(silentAfter)
	grow()
	since := o.registry(view.Orders).Silent
	if since.IsZero() {
		t.Fatal("a view is not silent though no message brought what the sweep had to land")
	}
	o.expect(view.Orders.Version, false, "silent since "+since.Format(time.RFC3339), "jangbu provision")
	grow()
	if now := o.registry(view.Orders).Silent; !now.Equal(since) {
		t.Errorf("silent since %s, not %s", now, since)
	}
	if err := o.model.store.Heard(t.Context(), o.registry(view.Orders).Live); err != nil {
		t.Fatal(err)
	}
	o.expect(view.Orders.Version, false)
	o.now = o.now.Add(silentAfter)
	grow()
	o.expect(view.Orders.Version, false)
}

// TestLostAfterARestore: a Redis that is put back to the same backup twice makes no view silent.
func TestLostAfterARestore(t *testing.T) {
	s := &sweep{losses: map[string]loss{}}
	heard := time.Now()
	now := heard
	for _, round := range []struct {
		verified uint64
		again    bool
	}{{500, false}, {500, false}, {700, true}, {600, false}, {700, true}} {
		now = now.Add(silentAfter)
		b := &sweeping{view: view.Orders, registry: row.Registry{Heard: heard, At: event.Position{Commit: round.verified, Prepare: round.verified}}}
		if again := s.lostAgain(b, now); again != round.again {
			t.Errorf("from %d on: lost again %v", round.verified, again)
		}
	}
}

// lateModel hears of a message of every view while a sweep is under way.
type lateModel struct{ faultyModel }

func (m lateModel) Advance(ctx context.Context, g row.Generation, at event.Recorded) error {
	return errors.Join(m.faultyModel.Advance(ctx, g, at), m.store.Heard(ctx, g))
}

// TestHeardWhileSwept: a message that comes after the sweep has read when the last one came, and before it says that none comes, is heard.
func TestHeardWhileSwept(t *testing.T) {
	o := newOutpost(t)
	o.now = time.Now().Add(time.Hour) // long after any message
	if err := o.after(0); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	o.log.Grow(t, r, 30)
	if err := errors.Join(o.after(time.Second), o.after(sweepMargin)); err != nil {
		t.Fatal(err)
	}
	o.sweep.model = lateModel{o.model}
	o.log.Grow(t, r, 30)
	if err := errors.Join(o.after(silentAfter), o.after(sweepMargin)); err != nil {
		t.Fatal(err)
	}
	if r := o.registry(view.Orders); !r.Silent.IsZero() || r.Healed == 0 {
		t.Errorf("registry: %+v", r)
	}
}

// TestLateIsNotSilent: while messages come, a sweep that is faster than they are says nothing against the queue.
func TestLateIsNotSilent(t *testing.T) {
	o := newOutpost(t)
	o.now = time.Now()
	if err := errors.Join(o.after(0), o.model.store.Heard(t.Context(), o.registry(view.Orders).Live)); err != nil {
		t.Fatal(err)
	}
	o.log.Grow(t, rand.New(rand.NewPCG(3, 4)), 30)
	if err := errors.Join(o.after(time.Second), o.after(sweepMargin)); err != nil {
		t.Fatal(err)
	}
	if r := o.registry(view.Orders); !r.Silent.IsZero() || r.Healed == 0 {
		t.Errorf("registry: %+v", r)
	}
}

// halved is a model a part of which is gone.
type halved struct {
	faultyModel
	gone error
}

func (m halved) Intact(_ context.Context, g row.Generation) error {
	if g.Number > 1 {
		return nil
	}
	return m.gone
}

// TestWatchHalf: a generation of which a part is gone is no longer served, and built anew; one that may have lost something
// is built anew beside it.
func TestWatchHalf(t *testing.T) {
	for _, gone := range []error{row.ErrHalf, row.ErrDoubt, event.ErrUnavailable} {
		o := newOutpost(t)
		o.watch.model = halved{o.model, gone}
		o.expect(view.Orders.Version-1, false, "upgrade or stop it") // it would put the view back to its code
		if gone == row.ErrDoubt {
			o.expect(view.Orders.Version+1, false, gone.Error(), "jangbu replay orders")
			o.watch.cfg.AutoReplay = true
			o.expect(view.Orders.Version+1, true, gone.Error())
		}
		if o.registry(view.Orders).Live.Number == 0 {
			t.Errorf("%v: forgotten by other code than built it", gone)
		}
		o.expect(view.Orders.Version, gone != event.ErrUnavailable, gone.Error())
		if forgotten := o.registry(view.Orders).Live.Number == 0; forgotten != errors.Is(gone, row.ErrHalf) {
			t.Errorf("%v: forgotten %v", gone, forgotten)
		}
	}
}

// TestNewerVersionTakesOver: a projector with newer code leaves the messages alone until it has a generation of its own,
// which it builds by itself if it may, and switches to.
func TestNewerVersionTakesOver(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	p := newPlant(t, history.Random(t, r, 60), servers.MiniRedis(t))
	stop := p.run(nil)
	p.landed()
	stop()
	for _, v := range view.All() {
		newer := *v
		newer.Version++
		p.views = append(p.views, &newer)
	}
	p.log.Grow(t, r, 20)
	p.feed.wake()
	stop = p.run(nil)
	for _, v := range p.views {
		servers.Eventually(t, v.Name+" says what to do", func() bool {
			err, _ := p.report("view " + v.Name)
			return err != nil && strings.Contains(err.Error(), "jangbu replay "+v.Name)
		})
	}
	servers.Eventually(t, "messages wait", func() bool { return p.queues["orders"].left() > 0 })
	if p.queues["orders"].handedOut() {
		t.Error("a projector took what it cannot land")
	}
	stop()
	p.autoReplay = true
	stop = p.run(nil)
	defer stop()
	for _, v := range p.views {
		servers.Eventually(t, v.Name+" is switched", func() bool {
			r, err := p.model.store.Registry(t.Context(), v.Name)
			return err == nil && r.Version == v.Version
		})
	}
	p.landed()
	p.check()
}

// keeper runs a watch over a shop that has no views yet.
type keeper struct {
	*testing.T
	log   *history.History
	redis *miniredis.Miniredis
	store *readmodel.Store
	watch *watch
}

func newKeeper(t *testing.T) *keeper {
	k := &keeper{T: t, log: history.Random(t, rand.New(rand.NewPCG(1, 2)), 60), redis: miniredis.RunT(t)}
	k.store = openModel(t, "redis://"+k.redis.Addr())
	k.watch = &watch{
		model: k.store, store: fakeStore{History: k.log}, now: time.Now, standing: map[string]standing{}, building: map[string]*Replay{},
		cfg: Config{Views: view.All(), Report: func(string, error) {}, Builder: func() Builder { return k.store.NewBuilder() }},
	}
	return k
}

func (k *keeper) run() (stop func()) {
	ctx, cancel := context.WithCancel(k.Context())
	done := make(chan error)
	go func() { done <- k.watch.Run(ctx) }()
	return func() {
		k.Helper()
		cancel()
		if err := <-done; err != nil {
			k.Error(err)
		}
	}
}

// live waits until views are live, and says in which generations.
func (k *keeper) live(views ...*view.View) (numbers []int64) {
	k.Helper()
	for _, v := range views {
		servers.Eventually(k, v.Name+" is live", func() bool {
			r, err := k.store.Registry(k.Context(), v.Name)
			if err != nil || r.Live.Number == 0 {
				return false
			}
			numbers = append(numbers, r.Live.Number)
			return true
		})
	}
	return numbers
}

// others are all views but one.
func others(but *view.View) []*view.View {
	return slices.DeleteFunc(view.All(), func(v *view.View) bool { return v == but })
}

// TestWatchBesideAnothersBuild: a view that another builds keeps no other view waiting, and when it is given up it is built here.
func TestWatchBesideAnothersBuild(t *testing.T) {
	k := newKeeper(t)
	another, err := readmodel.Open("redis://"+k.redis.Addr(), readmodel.Config{Lease: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer another.Close()
	theirs, err := another.Begin(t.Context(), view.Sales.Name, view.Sales.Version, "another")
	if err != nil {
		t.Fatal(err)
	}
	defer k.run()()
	for i, n := range k.live(others(view.Sales)...) {
		if n != 1 {
			t.Errorf("%s was begun %d times", others(view.Sales)[i].Name, n)
		}
	}
	if r, err := k.store.Registry(t.Context(), view.Sales.Name); err != nil || r.Building.Number != theirs.Number || r.Building.Salt != theirs.Salt {
		t.Errorf("what another builds: %+v, %v", r, err)
	}
	if err := k.store.Abandon(t.Context(), theirs.Generation, "another"); err != nil {
		t.Fatal(err)
	}
	k.live(view.Sales)
}

// beginningModel tells of a view that a build of it has begun.
type beginningModel struct {
	Model
	begun func(view string)
}

func (m beginningModel) Begin(ctx context.Context, view string, version int, token string) (row.Build, error) {
	b, err := m.Model.Begin(ctx, view, version, token)
	m.begun(view)
	return b, err
}

// TestWatchBesideItsOwnBuild: a view that goes missing while another is built does not wait for that.
func TestWatchBesideItsOwnBuild(t *testing.T) {
	k := newKeeper(t)
	stop := k.run()
	k.live(view.All()...)
	stop()
	k.watch.building, k.watch.tries = map[string]*Replay{}, tries{} // another process
	held, release := make(chan struct{}), make(chan struct{})
	hold, free := sync.OnceFunc(func() { close(held) }), sync.OnceFunc(func() { close(release) })
	k.watch.model = beginningModel{k.store, func(v string) {
		if v == view.Sales.Name {
			hold()
			<-release
		}
	}}
	newer := *view.Sales
	newer.Version++
	k.watch.cfg.Views, k.watch.cfg.AutoReplay = append(others(view.Sales), &newer), true
	defer k.run()()
	defer free()
	servers.Eventually(t, "it is built", func() bool {
		select {
		case <-held:
			return true
		default:
			return false
		}
	})
	k.redis.FlushAll()
	k.live(others(view.Sales)...)
	free()
	k.live(&newer)
}
