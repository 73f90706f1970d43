//go:build race

package race

// Enabled is true of tests that run under the race detector, five to ten times as slow. There a test of many kinds of
// server, or of many ways to run, is run with some of them; all of them are for a run without it.
const Enabled = true
