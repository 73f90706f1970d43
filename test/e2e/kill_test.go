package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/program"
	"jangbu/test/servers"
	"jangbu/test/shopgen"
)

// kill -9 of everything in the middle of an import, more than once: what was acknowledged is there, and importing again
// completes it.
func TestKillDuringImport(t *testing.T) {
	for _, f := range folders() {
		t.Run(f.name, func(t *testing.T) {
			long(t, "the whole program starts three times")
			t.Parallel()
			dir, data := f.dir(t), t.TempDir()
			events := wantedEvents(t, dir)
			seed := seedOf(t)
			random := rand.New(rand.NewPCG(seed, 0))
			for round, from := range []int{0, 60} { // percent of the import that is done when the kill comes, at least
				s := openDev(t, program.AsProcess, data)
				after := events * (from + random.IntN(35)) / 100
				t.Logf("round %d: kill after %d of %d events", round, after, events)
				running := program.AsProcess(t, "import", dir, "--url", s.command, "--patience", "100ms")
				s.awaitEvents(t, after)
				s.programs["dev"].Kill(t)
				if code := running.Wait(t); code != 1 || !strings.Contains(running.Stderr.String(), "again to resume it") {
					t.Fatalf("the import ended with %d: %s", code, running.Stderr.String())
				}
			}
			s := openDev(t, program.AsProcess, data)
			s.wantFold(t)
			s.importFolder(t, dir)
			s.wantFold(t)
			s.wantExpectedFiles(t, dir)
			s.wantOracle(t, newOracle(t, dir))
		})
	}
}

// wantedEvents is how many members, products, orders and shipments the import of a folder comes to.
func wantedEvents(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	for _, file := range []string{"members.csv", "products.csv", "orders.csv"} {
		for _, r := range servers.ReadCSV(t, dir, file) {
			if n++; r["shipped_on"] != "" {
				n++
			}
		}
	}
	return n
}

// awaitEvents waits until the log holds that many of the events that wantedEvents counts.
func (s *shop) awaitEvents(t *testing.T, n int) {
	t.Helper()
	have, at := 0, event.Position{}
	servers.Until(t, fmt.Sprintf("%d events", n), func() error {
		for e, err := range s.store.ReadAll(t.Context(), at) {
			if err != nil {
				return err
			}
			at = e.Position
			for _, kind := range []string{"member.registered.", "product.created.", "order.placed.", "order.shipped."} {
				if strings.HasPrefix(e.Type, kind) { // of any version
					have++
				}
			}
		}
		if have < n {
			return fmt.Errorf("%d events", have)
		}
		return nil
	})
}

// kill -9 of the projector while commands flow, more than once.
func TestKillProjector(t *testing.T) {
	long(t, "what a killed projector had in its hands comes again after 30 s")
	t.Parallel()
	s := openApart(t, program.AsProcess, t.TempDir(), "")
	writers := s.writers(t, "kill")
	for range 3 {
		from := writers.count.Load()
		writers.awaitCount(t, from+40)
		s.programs["projector"].Kill(t)
		writers.awaitCount(t, from+80)
		s.restart(t, "projector")
	}
	if n := writers.end(t); n < 240 {
		t.Errorf("only %d rounds of writes", n)
	}
	s.wantFold(t)
}

// kill -9 of a replay while commands flow, wherever it is: readers see nothing of it. What it built alone is built anew, since
// nobody knows that it is dead; what it had opened to the consumers the next one completes. Every kind of Redis sees replays killed in
// test/property.
func TestKillReplay(t *testing.T) {
	long(t, "the lease of a killed replay ends after 15 s")
	t.Parallel()
	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 0))
	s := openApart(t, program.AsProcess, program.Filled(t, shopgen.Config{Seed: seed, Events: 10_000}), servers.RedisServer(t))
	log := s.readLog(t)
	want, _ := fold(t, log, 300)
	s.wantViews(t, want)
	want.withoutTotals()
	readers, writers := s.readers(want, unchanged(want)), s.writers(t, "live")
	s.killReplay(t, built(log[random.IntN(len(log))].Position))
	left := s.killReplay(t, func(r row.Registry) bool { return r.Open })
	s.replayOnceFree(t)
	writers.awaitCount(t, writers.count.Load()+20)
	writers.end(t)
	readers.awaitCount(t, readers.count.Load()+100)
	readers.end(t)
	for name, line := range s.views(t) {
		if line.Building != 0 || name == view.Orders.Name && line.Generation != left.Building.Number {
			t.Errorf("view %s: %+v", name, line)
		}
	}
	s.wantFold(t)
}

// built is true of a view that a replay has built up to a position.
func built(to event.Position) func(row.Registry) bool {
	return func(r row.Registry) bool { return r.Built.Compare(to) >= 0 }
}

// killReplay runs a replay, as soon as there is no other, and kills it when it has done something and the registry of orders is
// as wanted. It returns what is left.
func (s *shop) killReplay(t *testing.T, when func(row.Registry) bool) row.Registry {
	t.Helper()
	model, err := readmodel.Open(s.redis, readmodel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	registry := func() row.Registry {
		r, err := model.Registry(t.Context(), view.Orders.Name)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	between := time.NewTicker(time.Second)
	defer between.Stop()
	before, replay := registry(), s.startReplay(t)
	servers.Until(t, "the replay is where it is to be killed", func() error {
		select {
		case <-replay.Ended:
			wantBusy(t, replay)
			<-between.C
			replay = s.startReplay(t)
		default:
		}
		if now := registry(); now.Built == before.Built || !when(now) {
			return errNotYet
		}
		return nil
	})
	replay.Kill(t)
	left := registry()
	if left.Building.Number < 2 || left.Live.Number != 1 {
		t.Fatalf("the replay was to be killed in the middle, and left %+v", left)
	}
	return left
}

func (s *shop) startReplay(t *testing.T) *program.Program {
	t.Helper()
	return program.AsProcess(t, "replay", "--all", "--eventstore-url", s.eventstore, "--redis-url", s.redis)
}

// wantBusy requires that a replay ended because another one is at work.
func wantBusy(t *testing.T, p *program.Program) {
	t.Helper()
	if p.Code != 1 || !strings.Contains(p.Stderr.String(), "another replay of the view is at work") {
		t.Fatalf("exit code %d: %s", p.Code, p.Stderr.String())
	}
}

// replayOnceFree replays, as often as it takes until the lease of a killed replay has ended.
func (s *shop) replayOnceFree(t *testing.T) {
	t.Helper()
	between := time.NewTicker(time.Second)
	defer between.Stop()
	servers.Until(t, "the lease of the killed replay has ended", func() error {
		replay := s.startReplay(t)
		if replay.Wait(t) == 0 {
			return nil
		}
		wantBusy(t, replay)
		<-between.C
		return errNotYet
	})
}
