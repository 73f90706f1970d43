package readmodel_test

import (
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"jangbu/query/row"
)

// TestClockPutBack: where the clock of Redis is put back, or a server whose clock is behind takes over, whoever died before keeps nobody
// waiting until it has caught up, and whoever is alive keeps what is theirs.
func TestClockPutBack(t *testing.T) {
	redis := miniredis.RunT(t)
	m := open(t, "redis://"+redis.Addr())
	lease := func(name, token string, want bool) {
		t.Helper()
		if held, err := m.Lease(t.Context(), name, token, 5*time.Second); err != nil || held != want {
			t.Errorf("lease of %s to %s: %v, %v; want %v", name, token, held, err, want)
		}
	}
	begin := func(view, token string) row.Build {
		t.Helper()
		b, err := m.Begin(t.Context(), view, 1, token)
		if err != nil {
			t.Fatalf("%s begins %s: %v", token, view, err)
		}
		return b
	}
	now := time.Now()
	redis.SetTime(now.Add(time.Hour))
	lease("sweep", "dead", true)
	lease("relay", "alive", true)
	left := begin("left", "dead")
	kept := begin("kept", "alive")

	redis.SetTime(now)
	lease("relay", "alive", true)
	if err := m.Renew(t.Context(), kept.Generation, "alive"); err != nil {
		t.Errorf("a living builder renews: %v", err)
	}
	for _, name := range []string{"relay", "sweep"} { // nobody's to give back
		if err := m.Release(t.Context(), name, "another"); err != nil {
			t.Error(err)
		}
	}
	lease("relay", "another", false)
	lease("sweep", "another", true)
	lease("sweep", "dead", false)
	if _, err := m.Begin(t.Context(), "kept", 1, "another"); !errors.Is(err, row.ErrBusy) {
		t.Errorf("the build of one who lives is begun anew: %v", err)
	}
	if b := begin("left", "another"); !b.Fresh || b.Number == left.Number { // the dead may only be slow, and write
		t.Errorf("after %+v another goes on with %+v", left, b)
	}
	if err := m.Renew(t.Context(), left.Generation, "dead"); !errors.Is(err, row.ErrLost) {
		t.Errorf("who was succeeded renews: %v", err)
	}
}

// TestClockPutBackALittle: a clock that is put back by less than a term takes nothing from who has just renewed.
func TestClockPutBackALittle(t *testing.T) {
	redis := miniredis.RunT(t)
	m := open(t, "redis://"+redis.Addr())
	now := time.Now()
	redis.SetTime(now)
	if held, err := m.Lease(t.Context(), "relay", "alive", 5*time.Second); err != nil || !held {
		t.Fatal(held, err)
	}
	if _, err := m.Begin(t.Context(), "things", 1, "alive"); err != nil {
		t.Fatal(err)
	}
	redis.SetTime(now.Add(-4 * time.Second))
	if held, err := m.Lease(t.Context(), "relay", "another", 5*time.Second); err != nil || held {
		t.Errorf("lease: %v, %v", held, err)
	}
	if _, err := m.Begin(t.Context(), "things", 1, "another"); !errors.Is(err, row.ErrBusy) {
		t.Errorf("build: %v", err)
	}
}
