//go:build !race

package race

// Enabled is true of tests that run under the race detector.
const Enabled = false
