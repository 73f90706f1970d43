//go:build race

package e2e_test

// Under the race detector, the processes run under it too: a race makes them end with an exit code that is not 0.
var buildFlags = []string{"-race"}

// A process under the race detector is several times slower and larger.
const manyEvents = 10_000

const underRace = true
