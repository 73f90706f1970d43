// Package race lets tests do less under the race detector.
package race

// Fewer is n, or under the race detector a quarter of it, and at least 1: a race shows in any history.
func Fewer(n int) int {
	if Enabled {
		return max(1, n/4)
	}
	return n
}
