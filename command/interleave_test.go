package command_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/domain/event"
	"jangbu/domain/stock"
)

// gated is a Store whose every operation waits for the scheduler's verdict before it is done.
type gated struct {
	log   *fakeLog
	gates chan<- chan verdict
}

type verdict int

const (
	proceed verdict = iota
	lose            // done, but the answer is lost
	refuse          // not done
)

func (g gated) ask() verdict {
	gate := make(chan verdict)
	g.gates <- gate
	return <-gate
}

func (g gated) ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	if g.ask() != proceed {
		return func(yield func(event.Recorded, error) bool) { yield(event.Recorded{}, event.ErrUnavailable) }
	}
	return g.log.ReadStream(ctx, stream, from)
}

func (g gated) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error) {
	v := g.ask()
	if v == refuse {
		return event.Position{}, event.ErrUnavailable
	}
	position, err := g.log.Append(ctx, stream, expected, events)
	if v == lose {
		return event.Position{}, event.ErrUnavailable
	}
	return position, err
}

func (g gated) Last(ctx context.Context, stream string) (event.Recorded, error) {
	if g.ask() != proceed {
		return event.Recorded{}, event.ErrUnavailable
	}
	return g.log.Last(ctx, stream)
}

func (g gated) SetMaxCount(context.Context, string, int) error { return nil }

// scene is a keyed command, and what goes on beside its attempts.
type scene struct {
	stream, path, body string
	setUp              func(shop *commandtest.Client, random *rand.Rand)
	rival              func(i int) (path, body string)
	ends               bool // the clock passes by the sale's end meanwhile
	aged               bool // the key was used before, and what was claimed with it has aged out
	leads              []string
	// takes says whether the stream's own events let the command have an effect after them; nil: what is refused once is refused for good.
	takes func(before []event.Recorded) bool
}

func (s scene) name() string {
	if s.aged {
		return s.stream + s.path + ", aged"
	}
	return s.stream + s.path
}

const (
	teaSale = `{"price":100,"from":"2026-02-01T00:00:00Z","until":"2026-03-01T00:00:00Z"}`
	teaSold = `{"id":"o","member_id":"m","manual":true,"lines":[{"product_id":"tea","quantity":1}]}`
)

func setUpTea(shop *commandtest.Client, _ *rand.Rand) {
	shop.Must("/members", `{"id":"m","name":"Ada"}`)
	shop.Must("/products", `{"id":"tea","name":"Tea","category":"Drinks","price":1250,"currency":"EUR"}`)
}

func renameTea(i int) (string, string) {
	return "/products/tea/rename", fmt.Sprintf(`{"name":"%c"}`, "XY"[i%2])
}

// scenes are commands whose outcome rests on their own streams, one whose refusal rests on another, and some that rest on the clock.
var scenes = []scene{
	{stream: "member-m", path: "/members/m/rename", body: `{"name":"X"}`,
		setUp: func(shop *commandtest.Client, random *rand.Rand) {
			shop.Must("/members", fmt.Sprintf(`{"id":"m","name":"%c"}`, "XY"[random.IntN(2)]))
		},
		rival: func(i int) (string, string) { return "/members/m/rename", fmt.Sprintf(`{"name":"%c"}`, "XYZX"[i%4]) },
		leads: []string{"effect", "no effect"}},
	{stream: "member-m", path: "/members/m/rename", body: `{"name":"X"}`, aged: true,
		setUp: func(shop *commandtest.Client, random *rand.Rand) {
			shop.Must("/members", `{"id":"m","name":"Ada"}`)
			shop.Must("/members/m/rename", fmt.Sprintf(`{"name":"%c"}`, "XY"[random.IntN(2)]), interleavedKey)
		},
		rival: func(i int) (string, string) { return "/members/m/rename", fmt.Sprintf(`{"name":"%c"}`, "XYZX"[i%4]) },
		leads: []string{"effect", "no effect"}},
	{stream: "order-o", path: "/orders", body: teaSold, setUp: setUpTea,
		rival: func(i int) (string, string) {
			if i%4 == 0 {
				return renameTea(i)
			}
			return "/products/tea/discontinue", ``
		},
		leads: []string{"effect", "refused"}},
	{stream: "product-tea", path: "/products/tea/sale", body: teaSale, setUp: setUpTea, rival: renameTea, ends: true,
		leads: []string{"effect", "refused"}},
	{stream: "product-tea", path: "/products/tea/sale/end", setUp: func(shop *commandtest.Client, random *rand.Rand) {
		setUpTea(shop, random)
		shop.Must("/products/tea/sale", teaSale)
	}, rival: renameTea, ends: true, leads: []string{"effect", "no effect"}},
	{stream: "order-o", path: "/orders/o/ship", body: `{"carrier":"Post"}`,
		setUp: func(shop *commandtest.Client, random *rand.Rand) {
			setUpTea(shop, random)
			shop.Must("/orders", teaSold)
		},
		rival: func(int) (string, string) { return "/orders/o/cancel", `{"reason":"No."}` },
		leads: []string{"effect", "refused"}},
	{stream: "stock-tea", path: "/products/tea/restock", body: fmt.Sprintf(`{"quantity":%d}`, stock.MaxOnHand), setUp: setUpTea,
		rival: func(i int) (string, string) {
			return "/products/tea/count", fmt.Sprintf(`{"on_hand":%d,"reason":"a look"}`, (i+1)%2)
		},
		leads: []string{"effect", "refused"}, takes: func(before []event.Recorded) bool { return onHand(before) == 0 }},
	{stream: "member-m", path: "/members", body: `{"id":"m","name":"X"}`, setUp: func(*commandtest.Client, *rand.Rand) {},
		rival: func(int) (string, string) { return "/members", `{"id":"m","name":"Y"}` },
		leads: []string{"effect", "refused"}},
	{stream: "member-e", path: "/members", body: `{"id":"e","name":"X","email":"a@example.com"}`, setUp: func(*commandtest.Client, *rand.Rand) {},
		rival: func(i int) (string, string) {
			return "/members", fmt.Sprintf(`{"id":"m%d","name":"Y","email":"a@example.com"}`, i)
		},
		leads: []string{"effect", "refused"}},
}

func onHand(events []event.Recorded) int64 {
	var s stock.State
	for _, recorded := range events {
		e, err := stock.Codec.Decode(recorded.Type, recorded.Data)
		if err != nil {
			panic(err)
		}
		s = stock.Apply(s, e)
	}
	return s.OnHand
}

// TestAnyInterleaving runs several attempts of one keyed command, in one process or several, so that they meet in rows or on
// the log, beside rivals, and beside a clock, that make it an effect, no effect, or
// refused, in an order of steps drawn from a seed, with steps that fail and answers that get lost. Whoever is
// answered is answered alike, unless what refused the command has passed, and the answer is true: the revision of the one effect, or that
// there is none.
func TestAnyInterleaving(t *testing.T) {
	seeds := uint64(2400)
	if testing.Short() {
		seeds = 240
	}
	outcomes := map[string]int{}
	for seed := range seeds {
		s := scenes[seed%uint64(len(scenes))]
		synctest.Test(t, func(t *testing.T) { outcomes[s.name()+": "+interleave(t, s, seed)]++ })
		if t.Failed() {
			t.Fatalf("%s, seed %d", s.name(), seed)
		}
	}
	t.Log(outcomes)
	for _, s := range scenes {
		for _, o := range s.leads {
			if outcomes[s.name()+": "+o] < int(seeds)/len(scenes)/20 {
				t.Errorf("the seeds hardly ever lead %s to %s: %v", s.name(), o, outcomes)
			}
		}
	}
}

const interleavedKey = "Idempotency-Key: k"

func interleave(t *testing.T, s scene, seed uint64) string {
	random := rand.New(rand.NewPCG(seed, 7))
	log := &fakeLog{}
	s.setUp(commandtest.NewClient(t, log, command.Config{}), random)
	before := len(log.Stream(s.stream))
	if s.aged {
		for _, e := range log.Events() {
			if event.Category(e.Stream) == "idempotency" {
				log.Truncate(e.Stream, e.Revision+1)
			}
		}
	}

	var over atomic.Bool // the sale is
	cfg := command.Config{Now: func() time.Time {
		if over.Load() {
			return commandtest.Now.AddDate(0, 1, 0)
		}
		return commandtest.Now
	}}
	gates := make(chan chan verdict)
	keyed := make(chan commandtest.Answer, 4)
	running := make(chan struct{}, 8)
	processes := make([]*commandtest.Client, 1+random.IntN(3))
	for i := range processes {
		cfg.MaxRow = random.IntN(4)
		processes[i] = commandtest.NewClient(t, gated{log, gates}, cfg)
	}
	left := 0
	start := func(path, body string, answers chan<- commandtest.Answer, headers ...string) {
		c := processes[random.IntN(len(processes))]
		left++
		go func() {
			a := c.Post(path, body, headers...)
			if answers != nil {
				if a.Status >= 300 && a.Status != 503 && len(effectsIn(log.Stream(s.stream), before)) > 0 {
					t.Errorf("there is an effect, answered %d %s", a.Status, a.Body)
				}
				answers <- a
			}
			running <- struct{}{}
		}()
	}
	for range 2 + random.IntN(2) {
		start(s.path, s.body, keyed, interleavedKey)
	}
	for i := range 1 + random.IntN(4) {
		path, body := s.rival(int(seed)/len(scenes) + i)
		start(path, body, nil)
	}
	faults := random.IntN(2) == 0
	schedule(random, gates, running, left, func() verdict {
		if s.ends && random.IntN(12) == 0 {
			over.Store(true)
		}
		if faults && random.IntN(6) == 0 {
			return lose + verdict(random.IntN(2))
		}
		return proceed
	}, func() {})
	close(keyed)
	return judge(t, s, commandtest.NewClient(t, log, cfg), log.Stream(s.stream), before, keyed)
}

// effectsIn are the events of a keyed command.
func effectsIn(stream []event.Recorded, before int) (effects []event.Recorded) {
	for _, recorded := range stream[min(before, len(stream)):] {
		if recorded.Meta().RequestHash != "" {
			effects = append(effects, recorded)
		}
	}
	return effects
}

// judge compares the answers with the log, and with what the same request is answered from now on.
func judge(t *testing.T, s scene, last *commandtest.Client, stream []event.Recorded, before int, answers <-chan commandtest.Answer) string {
	effects := effectsIn(stream, before)
	var given []commandtest.Answer
	for a := range answers {
		if a.Status != 503 {
			given = append(given, a)
		}
	}
	final := last.Post(s.path, s.body, interleavedKey)
	for _, a := range given {
		if passed := s.takes != nil && a.Status >= 300; !passed && (a.Status != final.Status || a.Status < 300 && !a.Equal(final)) {
			t.Errorf("answers differ:\n%+v\n%+v", a, final)
		}
	}
	if len(effects) > 1 {
		t.Errorf("%d effects", len(effects))
	}
	if len(effects) > 0 && s.takes != nil && !s.takes(stream[:effects[0].Revision]) {
		t.Errorf("effect at %d, where it is refused", effects[0].Revision)
	}
	if final.Status >= 300 {
		if len(effects) > 0 {
			t.Errorf("effect at %d, answered %d %s", effects[0].Revision, final.Status, final.Body)
		}
		return "refused"
	}
	d := final.Done(t)
	if len(effects) == 1 && effects[0].Revision != d.Revision {
		t.Errorf("effect at %d, answered %d", effects[0].Revision, d.Revision)
	}
	if d.Revision < int64(len(stream)) && stream[d.Revision].Type == "member.renamed.v1" && string(stream[d.Revision].Data) != s.body {
		t.Errorf("answered revision %d: %s", d.Revision, stream[d.Revision].Data)
	}
	if len(effects) == 1 || d.Revision == int64(len(stream)) { // by now, if nobody had got through
		return "effect"
	}
	return "no effect"
}
