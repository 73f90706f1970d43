package modeltest

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
)

const view = "things"

func (s *suite) begin(m *readmodel.Store, version int, token string) row.Build {
	s.Helper()
	b, err := m.Begin(s.ctx, view, version, token)
	s.must(err)
	return b
}

func (s *suite) registry() row.Registry {
	s.Helper()
	r, err := s.m.Registry(s.ctx, view)
	s.must(err)
	return r
}

// dying opens a Store whose builders lose their lease at once, as if they had been killed.
func (s *suite) dying() *readmodel.Store { return s.open(readmodel.Config{Lease: time.Millisecond}) }

// takeOver begins as soon as a dead builder's lease has ended.
func (s *suite) takeOver(version int, token string) row.Build {
	s.Helper()
	for {
		b, err := s.m.Begin(s.ctx, view, version, token)
		if !errors.Is(err, row.ErrBusy) {
			s.must(err)
			return b
		}
	}
}

// live builds the next generation and switches to it.
func (s *suite) live() row.Generation {
	s.Helper()
	b := s.begin(s.m, 1, "builder")
	s.must(s.m.OpenBuild(s.ctx, b.Generation, "builder"))
	s.must(s.m.Switch(s.ctx, b.Generation, "builder"))
	return b.Generation
}

func buildSwitch(s *suite) {
	if r := s.registry(); r.Live.Number != 0 || r.Building.Number != 0 || r.Previous.Number != 0 || r.Open {
		s.Errorf("registry of a view nobody has built: %+v", r)
	}
	b := s.begin(s.m, 7, "x")
	if b.Number < 1 || b.View != view || !b.Fresh || b.Open || b.Built != (event.Position{}) {
		s.Errorf("first build is %+v", b)
	}
	at := event.Position{Commit: 1 << 52, Prepare: 3}
	s.must(s.m.Built(s.ctx, b.Generation, "x", at))
	if r := s.registry(); r.Building != b.Generation || r.Open || r.Live.Number != 0 || r.Built != at {
		s.Errorf("registry while it is built: %+v", r)
	}
	s.must(s.m.Renew(s.ctx, b.Generation, "x"))
	if r := s.registry(); r.Built != at {
		s.Errorf("renewing moved the position to %s", r.Built)
	}
	s.must(s.m.OpenBuild(s.ctx, b.Generation, "x"))
	if r := s.registry(); !r.Open || r.Building != b.Generation {
		s.Errorf("registry after it was opened: %+v", r)
	}
	s.must(s.m.Switch(s.ctx, b.Generation, "x"))
	if r := s.registry(); r.Live != b.Generation || r.Building.Number != 0 || r.Open || r.Version != 7 {
		s.Errorf("registry after the switch: %+v", r)
	}
	next := s.begin(s.m, 8, "y") // the lease ended with the switch
	if next.Number <= b.Number || !next.Fresh || next.Built != (event.Position{}) {
		s.Errorf("next build is %+v", next)
	}
	if r := s.registry(); r.Live != b.Generation || r.Version != 7 {
		s.Errorf("registry while the next is built: %+v", r)
	}
}

func buildBusy(s *suite) {
	b := s.begin(s.m, 1, "x")
	_, err := s.m.Begin(s.ctx, view, 1, "y")
	if !errors.Is(err, row.ErrBusy) || !errors.Is(err, event.ErrUnavailable) {
		s.Errorf("begin while another builds: %v", err)
	}
	other := row.Generation{View: view, Number: b.Number + 1}
	steps := map[string]func(row.Generation, string) error{
		"built":  func(g row.Generation, token string) error { return s.m.Built(s.ctx, g, token, event.Position{}) },
		"renew":  func(g row.Generation, token string) error { return s.m.Renew(s.ctx, g, token) },
		"open":   func(g row.Generation, token string) error { return s.m.OpenBuild(s.ctx, g, token) },
		"switch": func(g row.Generation, token string) error { return s.m.Switch(s.ctx, g, token) },
		"leave":  func(g row.Generation, token string) error { return s.m.Leave(s.ctx, g, token) },
	}
	for name, step := range steps {
		if err := step(b.Generation, "y"); !errors.Is(err, row.ErrLost) || errors.Is(err, event.ErrUnavailable) {
			s.Errorf("%s by another: %v", name, err)
		}
		if err := step(other, "x"); !errors.Is(err, row.ErrLost) {
			s.Errorf("%s of another generation: %v", name, err)
		}
	}
	if again := s.begin(s.m, 1, "x"); again.Generation != b.Generation { // an answer that was lost on the way
		s.Errorf("its own holder begins again with %+v", again)
	}
	if r := s.registry(); r.Building != b.Generation || r.Open || r.Live.Number != 0 {
		s.Errorf("registry: %+v", r)
	}
}

func buildLeft(s *suite) {
	b := s.begin(s.m, 1, "x")
	at := event.Position{Commit: 10, Prepare: 10}
	s.must(s.m.Built(s.ctx, b.Generation, "x", at))
	s.must(s.m.Leave(s.ctx, b.Generation, "x"))
	if err := s.m.Built(s.ctx, b.Generation, "x", at); !errors.Is(err, row.ErrLost) {
		s.Errorf("a step after leaving: %v", err)
	}
	resumed := s.begin(s.m, 1, "y")
	if resumed.Generation != b.Generation || resumed.Fresh || resumed.Open || resumed.Built != at {
		s.Errorf("resumed build is %+v, after %+v", resumed, b)
	}
}

func buildDead(s *suite) {
	dying := s.dying()
	b := s.begin(dying, 1, "x")
	next := s.takeOver(1, "y")
	if next.Number == b.Number || !next.Fresh {
		s.Errorf("after a builder that may still write, the build is %+v", next)
	}
	if err := dying.Built(s.ctx, b.Generation, "x", event.Position{Commit: 1}); !errors.Is(err, row.ErrLost) {
		s.Errorf("a step of the one that was taken over: %v", err)
	}
	if r := s.registry(); r.Building != next.Generation {
		s.Errorf("registry: %+v", r)
	}
}

func buildOpenResumed(s *suite) {
	dying := s.dying()
	b := s.begin(dying, 1, "x")
	at := event.Position{Commit: 10, Prepare: 10}
	s.must(dying.Built(s.ctx, b.Generation, "x", at))
	s.must(dying.OpenBuild(s.ctx, b.Generation, "x"))
	next := s.takeOver(1, "y")
	if unfenced(next.Generation) != unfenced(b.Generation) || next.Fresh || !next.Open || next.Built != at {
		s.Errorf("an open build is resumed as %+v", next)
	}
	s.must(s.m.Switch(s.ctx, next.Generation, "y"))
}

// unfenced is what a generation is called, whoever read it.
func unfenced(g row.Generation) row.Generation {
	g.Fence = ""
	return g
}

func buildVersion(s *suite) {
	b := s.begin(s.m, 1, "x")
	s.must(s.m.OpenBuild(s.ctx, b.Generation, "x"))
	s.must(s.m.Leave(s.ctx, b.Generation, "x"))
	next := s.begin(s.m, 2, "y")
	if next.Number == b.Number || !next.Fresh || next.Open || next.Built != (event.Position{}) {
		s.Errorf("a build of newer code is %+v", next)
	}
	if r := s.registry(); r.Building != next.Generation || r.Open {
		s.Errorf("registry: %+v", r)
	}
}

func switchTwice(s *suite) {
	first, second := s.live(), s.live()
	for range 2 {
		s.must(s.m.Switch(s.ctx, second, "builder"))
		if r := s.registry(); r.Live != second || r.Previous != first {
			s.Errorf("registry: %+v", r)
		}
	}
	if err := s.m.Switch(s.ctx, first, "builder"); !errors.Is(err, row.ErrLost) {
		s.Errorf("switching back to what was live: %v", err)
	}
}

// garbage shows that only what nobody reads goes, and that a number which starts another is not taken for it.
func garbage(s *suite) {
	var generations []row.Generation
	for range 11 {
		s.g = s.live()
		for i := range 40 {
			s.compose(s.land(fmt.Sprint("doc", i), from("a-1", 0, &row.Row{Part: row.PartOf(1), Key: "k"}), from("b-1", 0, nil)))
		}
		s.must(s.m.SaveStates(s.ctx, s.g, []row.State{{Stream: "a-1"}}))
		s.must(s.m.Refer(s.ctx, s.g, map[string][]string{"m-1": {"doc1"}}))
		generations = append(generations, s.g)
	}
	abandoned := s.begin(s.m, 1, "x")
	s.g = abandoned.Generation
	s.land("doc", from("a-1", 0, part(1)))
	s.must(s.m.Leave(s.ctx, s.g, "x"))
	s.begin(s.m, 2, "y")
	var many []any // builds that failed, more than a script may unpack at once
	for i := range 10_000 {
		many = append(many, fmt.Sprint("version:1-", i), 1)
	}
	for some := range slices.Chunk(many, 2000) {
		s.must(s.client().HSet(s.ctx, s.namespace+":{"+view+"}:registry", some...).Err())
	}

	s.must(s.m.DropGarbage(s.ctx, view))
	s.must(s.m.DropGarbage(s.ctx, view))
	kept := map[string]bool{"registry": true}
	for _, g := range generations[9:] { // the live one and the one before
		kept[fmt.Sprintf("%s.%d-%s", g.View, g.Number, g.Salt)] = true
	}
	found := map[string]bool{}
	for _, key := range s.keys() {
		of, _, _ := strings.Cut(key[strings.IndexByte(key, '{')+1:], "}")
		if of == view {
			of = "registry"
		} else {
			of = of[:strings.LastIndexByte(of, '.')]
		}
		if !kept[of] {
			s.Errorf("%s is still there", key)
		}
		found[of] = true
	}
	if len(found) != len(kept) {
		s.Errorf("keys are left of %v, want %v", found, kept)
	}
	fields, err := s.client().HKeys(s.ctx, s.namespace+":{"+view+"}:registry").Result()
	s.must(err)
	for _, f := range fields {
		if strings.HasPrefix(f, "version:1-") {
			s.Errorf("the registry still has %s", f)
		}
	}
}

// client is a raw connection, for what no Store does.
func (s *suite) client() goredis.UniversalClient {
	s.Helper()
	u, err := url.Parse(s.url)
	s.must(err)
	var c goredis.UniversalClient = goredis.NewClient(&goredis.Options{Addr: u.Host})
	if strings.Contains(u.Scheme, "+cluster") {
		c = goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{u.Host}})
	}
	s.Cleanup(func() { c.Close() })
	return c
}

// each runs do on every primary, one at a time.
func (s *suite) each(do func(*goredis.Client) error) {
	s.Helper()
	switch c := s.client().(type) {
	case *goredis.Client:
		s.must(do(c))
	case *goredis.ClusterClient:
		s.must(c.ForEachMaster(s.ctx, s.serially(do)))
	}
}

// keys lists every key of the test's namespace.
func (s *suite) keys() []string {
	s.Helper()
	var all []string
	s.each(func(c *goredis.Client) error {
		keys, err := c.Keys(s.ctx, s.namespace+":*").Result()
		all = append(all, keys...)
		return err
	})
	return all
}

func advance(s *suite) {
	g := s.live()
	to := func(commit, prepare uint64) {
		s.Helper()
		s.must(s.m.Advance(s.ctx, g, event.Recorded{Position: event.Position{Commit: commit, Prepare: prepare}, Time: time.UnixMilli(int64(commit))}))
	}
	expect := func(commit, prepare uint64) {
		s.Helper()
		if r := s.registry(); r.At != (event.Position{Commit: commit, Prepare: prepare}) || !r.AtTime.Equal(time.UnixMilli(int64(commit))) {
			s.Errorf("position is %s at %s, want %d/%d", r.At, r.AtTime, commit, prepare)
		}
	}
	expect0 := s.registry()
	if expect0.At != (event.Position{}) || !expect0.AtTime.IsZero() {
		s.Errorf("position before any event: %+v", expect0)
	}
	to(9, 9)
	to(10, 5)
	expect(10, 5)
	to(9, 99)
	to(10, 4)
	to(10, 5)
	expect(10, 5)
	to(10, 6)
	expect(10, 6)
	to(math.MaxInt32*1000, 1)
	expect(math.MaxInt32*1000, 1)
}

func liveCached(s *suite) {
	var mu sync.Mutex
	now := time.UnixMilli(1_000_000)
	pass := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	m := s.open(readmodel.Config{Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}})
	expect := func(fresh bool, want row.Generation) {
		s.Helper()
		if g, err := m.Live(s.ctx, view, fresh); err != nil || g != unfenced(want) {
			s.Errorf("live (fresh %v) is %v, %v; want %v", fresh, g, err, want)
		}
	}
	expect(false, row.Generation{View: view})
	first := s.live()
	expect(false, first) // that there is none is not remembered
	second := s.live()
	pass(249 * time.Millisecond)
	expect(false, first)
	pass(time.Millisecond)
	expect(false, second)
	third := s.live()
	expect(false, second)
	expect(true, third)
	expect(false, third) // what was asked for freshly is remembered too
	if g, err := m.Live(s.ctx, "another view", false); err != nil || g.Number != 0 {
		s.Errorf("live generation of another view: %v, %v", g, err)
	}
}

func documents(s *suite) {
	for i := range 30 {
		d := s.land(fmt.Sprint("doc", i), from("a-1", 0, part(1)))
		if i < 20 {
			s.compose(d)
		}
	}
	for composed, want := range map[bool]int64{true: 20, false: 30} {
		if n, err := s.m.Documents(s.ctx, s.g, composed); err != nil || n != want {
			s.Errorf("documents (composed %v): %d, %v; want %d", composed, n, err, want)
		}
	}
	if n, err := s.m.Documents(s.ctx, row.Generation{View: view, Number: 11}, true); err != nil || n != 0 {
		s.Errorf("documents of another generation: %d, %v", n, err)
	}
}

// scriptsFlushed: a Redis that has forgotten the scripts is taught them again.
func scriptsFlushed(s *suite) {
	for i := range int64(3) {
		s.forgetScripts()
		d := s.land("doc", from("a-1", i, part(i)))
		s.forgetScripts()
		s.compose(d)
		s.expectBody("doc", fmt.Sprintf("a-1=%d [..]", i))
		s.forgetScripts()
		s.begin(s.m, 1, "x")
	}
}

func (s *suite) forgetScripts() {
	s.Helper()
	s.each(func(c *goredis.Client) error { return c.ScriptFlush(s.ctx).Err() })
}
