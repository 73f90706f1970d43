package eventstoredb

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkAppendFloor compares one caller's append with the least that it could cost: the same call, answered once a
// page of the same size as its commit's has been written to a file and synced. "times-floor" is how many times that an
// append takes.
func BenchmarkAppendFloor(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, os.Getpagesize())
	_, url := startBareWith(b, func(s *bare) {
		for r := range s.requests {
			if _, err := f.Write(page); err != nil {
				panic(err)
			}
			if err := f.Sync(); err != nil {
				panic(err)
			}
			r.done <- 0
		}
	})
	floor, ours := dial(b, url), connected(b)
	const each = 500
	appendMany(b, ours, 1, each)
	appendMany(b, floor, 1, each)
	var mine, least time.Duration
	for b.Loop() {
		mine += appendMany(b, ours, 1, each)
		least += appendMany(b, floor, 1, each)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(mine.Seconds()/least.Seconds(), "times-floor")
	b.ReportMetric(float64(b.N*each)/mine.Seconds(), "events/s")
}
