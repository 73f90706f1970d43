package projector

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"jangbu/query/row"
	"jangbu/query/view"
)

// TestRollback: back and forth, each time with all that the log holds.
func TestRollback(t *testing.T) {
	s := newSite(t, 100)
	s.views = s.views[:1]
	if _, err := s.newReplay(ReplayConfig{}).Rollback(t.Context(), view.Orders); !errors.Is(err, row.ErrNoPrevious) {
		t.Fatalf("rollback of a view that has no generation: %v", err)
	}
	s.again(s.log)
	first := s.registry(view.Orders).Live
	s.again(s.log)
	second := s.registry(view.Orders).Live
	for _, want := range []row.Generation{first, second, first} {
		s.log.Grow(t, rand.New(rand.NewPCG(9, uint64(s.log.Len()))), 50)
		result, err := s.newReplay(ReplayConfig{}).Rollback(t.Context(), view.Orders)
		if now := s.registry(view.Orders); err != nil || !result.Switched || now.Live != want || now.Previous == want || now.Previous.Number == 0 {
			t.Fatalf("rolled back to %+v (%v), want %s: %+v", now, err, want, result)
		}
		s.check()
	}
	newer := *view.Orders
	newer.Version++
	if _, err := s.newReplay(ReplayConfig{}).Rollback(t.Context(), &newer); !errors.Is(err, row.ErrNoPrevious) || !strings.Contains(err.Error(), "version") {
		t.Errorf("rollback by newer code: %v", err)
	}
}
