package backoff

import (
	"cmp"
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Backoff
		for round := range 4 {
			if round == 2 {
				b = Backoff{First: time.Millisecond, Most: time.Hour}
			}
			for i := range 70 {
				began := time.Now()
				if !b.Wait(t.Context()) || !b.Failing() {
					t.Fatal("the context has not ended, and there was a failure")
				}
				longest := min(cmp.Or(b.First, first)<<min(i, 22), cmp.Or(b.Most, most))
				if waited := time.Since(began); waited < longest/2 || waited > longest {
					t.Errorf("round %d: after %d failures it waits %s, want %s at most and half of it at least", round, i, waited, longest)
				}
			}
			if b.Reset(); b.Failing() {
				t.Error("it fails after a Reset")
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := Sleep(ctx, time.Hour); err == nil || time.Since(began) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if b.Wait(ctx) {
			t.Error("it goes on after its context has ended")
		}
	})
}
