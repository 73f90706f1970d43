//go:build !race

package e2e_test

var buildFlags []string

const manyEvents = 100_000

const underRace = false
