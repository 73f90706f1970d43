package importer

import (
	"cmp"
	"context"
	"net/http"
	"time"
)

// Defaults of Config.
const (
	DefaultWorkers  = 8
	DefaultPatience = 30 * time.Second
	DefaultConfirm  = 30 * time.Second
	DefaultBackoff  = 50 * time.Millisecond
)

// Config says where to import to, and how hard to try. Zero fields stand for the defaults.
type Config struct {
	URL      string        // of the API, such as http://127.0.0.1:8080
	Workers  int           // batches in flight
	Patience time.Duration // how long the server may stay without answering anything before the run stops
	Confirm  time.Duration // how long an order may stay unconfirmed, with nothing else answered, before the run stops; at least Patience
	Backoff  time.Duration // pause after the first failed try; it doubles up to 2 s
	HTTP     *http.Client  // default: keep-alive, as many idle connections as workers

	// Progress, if set, is called with each step that ends: how many of that kind have ended, of how many. Calls
	// come one after another, and first once for each kind with done 0.
	Progress func(kind Kind, done, total int)
}

// Report is what came of a run.
type Report struct {
	Counts   []Count   // in a fixed order of kinds
	Problems []Problem // every row that is not in the shop: the wrong ones first, then those skipped because of them
	Resumed  bool      // an earlier run had left something in the shop
	Elapsed  time.Duration
}

// Count is how many steps of a kind succeeded, of how many the plan has. Steps an earlier run did count again.
type Count struct {
	Kind        Kind
	Done, Total int
}

// Done is the number of steps that succeeded.
func (r Report) Done() (n int) {
	for _, c := range r.Counts {
		n += c.Done
	}
	return n
}

// Total is the number of steps of the plan.
func (r Report) Total() (n int) {
	for _, c := range r.Counts {
		n += c.Total
	}
	return n
}

// Run imports the folder. What is wrong with single rows is in the Report, also when there is an error. The error says
// why the run could not be brought to its end: ErrNoURL, before anything was read; ctx ended; ErrNoAPI, or ErrStopped. In each
// case the run may be repeated.
func Run(ctx context.Context, dir string, cfg Config) (Report, error) {
	cfg.Workers = cmp.Or(cfg.Workers, DefaultWorkers)
	cfg.Patience = cmp.Or(cfg.Patience, DefaultPatience)
	cfg.Confirm = cmp.Or(cfg.Confirm, DefaultConfirm)
	cfg.Backoff = cmp.Or(cfg.Backoff, DefaultBackoff)
	began := time.Now()
	c, err := newClient(cfg)
	if err != nil {
		return Report{}, err
	}
	defer c.http.CloseIdleConnections()
	f := readFolder(dir)
	r := &runner{cfg: cfg, client: c, problems: f.problems}
	err = r.run(ctx, f)
	return Report{Counts: r.counts(), Problems: r.problems.sorted(), Resumed: r.resumed, Elapsed: time.Since(began)}, err
}
