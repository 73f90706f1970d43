package eventstoredb

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
)

// sizeVar adds a size to BenchmarkBySize, such as 5000000.
const sizeVar = "EVENTSTOREDB_BENCH_EVENTS"

// BenchmarkBySize shows that opening a file and appending to it do not take longer the more events it holds.
func BenchmarkBySize(b *testing.B) {
	sizes := []int{10_000, 1_000_000}
	if n, err := strconv.Atoi(os.Getenv(sizeVar)); err == nil {
		sizes = append(sizes, n)
	}
	for _, size := range sizes {
		b.Run(fmt.Sprintf("events=%d", size), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "events.db")
			if _, err := Import(context.Background(), path, sequenceOf(size)); err != nil {
				b.Fatal(err)
			}
			begin := time.Now()
			s, err := Start(Config{Path: path})
			if err != nil {
				b.Fatal(err)
			}
			opened := time.Since(begin)
			defer s.Close()
			c := dial(b, s.URL())
			appendMany(b, c, 64, 1000)
			const each = 5000
			var took time.Duration
			for b.Loop() {
				took += appendMany(b, c, 64, each)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(opened.Milliseconds()), "ms-to-open")
			b.ReportMetric(float64(b.N*each)/took.Seconds(), "appends/s")
		})
	}
}

// sequenceOf yields n events of streams of ten.
func sequenceOf(n int) func(func(Event, error) bool) {
	data := []byte(`{"id":"0123456789","lines":[{"product":"a","quantity":1}],"note":"` + fmt.Sprintf("%0200d", 0) + `"}`)
	return func(yield func(Event, error) bool) {
		for i := range n {
			e := Event{
				ID: uuid.New(), Stream: fmt.Sprintf("order-%d", i/10), Revision: -1, Type: "order.placed.v1", JSON: true,
				Created: time.Unix(int64(i), 0), Data: data,
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}
