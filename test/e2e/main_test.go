// Package e2e_test runs the whole program, in this process and as processes of its own, and looks at it from outside:
// through its command line, its HTTP, and the log in its event store. What every test compares with is either a file of
// expected answers, a sum made here from the CSV files, or view.Fold of the log.
package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// binary is the program, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	for _, variable := range os.Environ() { // the settings of whoever runs the tests are not the tests' settings
		name, _, _ := strings.Cut(variable, "=")
		ours := strings.HasPrefix(name, "JANGBU_") && !strings.HasPrefix(name, "JANGBU_TEST_")
		if ours || strings.HasPrefix(name, "AWS_") || name == "EVENTSTORE_URL" || name == "REDIS_URL" {
			if err := os.Unsetenv(name); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
	}
	dir, err := os.MkdirTemp("", "jangbu-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "jangbu")
	args := append([]string{"build", "-o", binary}, buildFlags...)
	if out, err := exec.Command("go", append(args, "jangbu")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
