package e2e_test

import (
	"testing"
	"time"
)

// eventually waits until a condition holds, for as long as the slowest recovery may take: a lease and a visibility
// timeout, on a busy machine. The condition's error says what is missing.
func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("never happened: %s: %v", what, err)
		}
	}
}
