// Package bench_test measures the whole program: its processes, and a real redis-server, on one machine. What counts are ratios
// of figures of one run; docs/benchmarks.md has those of ours.
//
//	go test -bench . -benchtime 1x -timeout 1h ./test/bench
//
// JANGBU_BENCH_EVENTS are the sizes of the logs to replay, in events, and JANGBU_BENCH_ORDERS those of the shops to query, each with
// commas between them.
package bench_test

import (
	"flag"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"jangbu/infra/eventstore"
	"jangbu/test/program"
)

func TestMain(m *testing.M) {
	flag.Parse()
	switch {
	case os.Getenv(bareRedis) != "":
		os.Exit(serveBare())
	case flag.Lookup("test.bench").Value.String() == "":
		os.Exit(0) // there are no tests
	default:
		os.Exit(program.Main(m))
	}
}

// sizes reads a list of numbers from the environment.
func sizes(b *testing.B, variable, preset string) (sizes []int) {
	b.Helper()
	set := os.Getenv(variable)
	if set == "" {
		set = preset
	}
	for _, field := range strings.Split(set, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 {
			b.Fatalf("%s: %q is no size", variable, field)
		}
		sizes = append(sizes, n)
	}
	return sizes
}

// stack runs the embedded servers over a data folder.
func stack(b *testing.B, data string) (p *program.Program, eventstoreURL, aws string) {
	b.Helper()
	p = program.AsProcess(b, "stack", "--data", data, "--eventstore", "0", "--aws", "0", "--redis", "0", "--log-level", "warn")
	return p, p.Line(b, &p.Stderr, "EVENTSTORE_URL="), p.Line(b, &p.Stderr, "AWS_ENDPOINT_URL=")
}

// client is a client of a log.
func client(b *testing.B, url string) *eventstore.Store {
	b.Helper()
	store, err := eventstore.Open(url, eventstore.Config{Logger: slog.New(slog.DiscardHandler)})
	must(b, err)
	b.Cleanup(func() { must(b, store.Close()) })
	return store
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// rate is how many a second.
func rate(n int, since time.Time) float64 { return float64(n) / time.Since(since).Seconds() }
