// Package e2e_test runs the whole program, in this process and as processes of its own, and looks at it from outside:
// through its command line, its HTTP, and the log in its event store. What every test compares with is either a file of
// expected answers, a sum made here from the CSV files, or view.Fold of the log.
package e2e_test

import (
	"os"
	"testing"

	"jangbu/test/program"
	"jangbu/test/race"
)

// Under the race detector, the processes run under it too: a race makes them end with an exit code that is not 0.
func TestMain(m *testing.M) {
	var buildFlags []string
	if race.Enabled {
		buildFlags = []string{"-race"}
	}
	os.Exit(program.Main(m, buildFlags...))
}

// long says why a test takes long, for which it is skipped by -short, and under the race detector, where it takes minutes.
func long(t *testing.T, why string) {
	t.Helper()
	if testing.Short() || race.Enabled {
		t.Skip("skipped with -short and under the race detector: " + why)
	}
}
