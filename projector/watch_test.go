package projector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"jangbu/domain/event"
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
		cfg: Config{Views: view.All()}, standing: map[string]standing{}}}
}

// judge says what the watch thinks of the orders.
func (o *outpost) judge(version int) (build bool, fault string) {
	o.Helper()
	v := *view.Orders
	v.Version = version
	build, err := o.watch.judge(o.Context(), &v, o.registry(view.Orders), o.log.Events()[o.log.Len()-1].Position)
	if err != nil {
		fault = err.Error()
	}
	return build, fault
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

// TestSilence: a view whose messages stay away is silent since the sweep first had to land everything, until one comes.
func TestSilence(t *testing.T) {
	o := newOutpost(t)
	r := rand.New(rand.NewPCG(3, 4))
	o.now = time.Now().Add(time.Hour) // long after any message
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
