// Package e2e_test runs the whole program, in this process and as processes of its own, and looks at it from outside:
// through its command line, its HTTP, and the log in its event store. What every test compares with is either a file of
// expected answers, a sum made here from the CSV files, or view.Fold of the log.
package e2e_test

import (
	"os"
	"testing"

	"jangbu/test/program"
)

func TestMain(m *testing.M) { os.Exit(program.Main(m, buildFlags...)) }
