package e2e_test

import (
	"testing"

	"jangbu/test/program"
	"jangbu/test/servers"
	"jangbu/test/shopgen"
)

// replayVariants are the ways to run on which replays differ: what holds the views, and how many processes there are.
func replayVariants() []variant {
	return oneUnderRace([]variant{
		{"redis-server", func(t *testing.T) *shop { return openApart(t, program.InProcess, t.TempDir(), servers.RedisServer(t)) }},
		{"redis-cluster", func(t *testing.T) *shop { return openApart(t, program.InProcess, t.TempDir(), servers.RedisCluster(t)) }},
		{"dev as a process", func(t *testing.T) *shop { return openDev(t, program.AsProcess, t.TempDir()) }},
	})
}

const replays = 3

// While views are replayed, a reader sees whole and unchanged answers only.
func TestReplayIsNotNoticed(t *testing.T) {
	for _, v := range replayVariants() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			s := v.open(t)
			s.importFolder(t, demo)
			s.fill(t, shopgen.Config{Seed: 7, Events: 600})
			want := s.wantFold(t)
			before := s.views(t)
			readers := s.readers(want, unchanged(want))
			for range replays {
				from := readers.count.Load()
				s.replay(t, "--all")
				readers.awaitCount(t, from+100)
			}
			s.replay(t, "orders")
			if n := readers.end(t); n < 100*replays {
				t.Errorf("only %d reads", n)
			}
			s.wantViews(t, want)
			s.wantGenerations(t, before, replays, "orders")
		})
	}
}

// wantGenerations requires as many new generations, and one more of one view, with the documents there were before.
func (s *shop) wantGenerations(t *testing.T, before map[string]viewLine, more int64, andOneMoreOf string) {
	t.Helper()
	for name, now := range s.views(t) {
		want := before[name]
		want.Generation += more
		if name == andOneMoreOf {
			want.Generation++
		}
		if now != want {
			t.Errorf("after the replays view %s is %+v, want %+v", name, now, want)
		}
	}
}

// While commands flow and views are replayed, reads go on, and in the end nothing is missing.
func TestReplayUnderWrites(t *testing.T) {
	for _, v := range replayVariants() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			s := v.open(t)
			s.importFolder(t, demo)
			known := s.wantFold(t)
			writers, readers := s.writers(t, "live"), s.readers(known, served)
			for range replays {
				from := writers.count.Load()
				s.replay(t, "--all")
				writers.awaitCount(t, from+20)
			}
			if n := writers.end(t); n < 20*replays {
				t.Errorf("only %d rounds of writes", n)
			}
			readers.end(t)
			s.wantFold(t)
			for name, now := range s.views(t) {
				if now.Generation != 1+replays || now.Building != 0 {
					t.Errorf("view %s: %+v", name, now)
				}
			}
		})
	}
}
