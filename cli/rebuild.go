package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"jangbu/cli/term"
	"jangbu/domain/event"
	"jangbu/projector"
	"jangbu/query/view"
)

// rebuilt is what came of one view, as JSON.
type rebuilt struct {
	View       string  `json:"view"`
	Generation int64   `json:"generation"` // that was built, or looked at
	Events     int64   `json:"events"`     // read from the log
	Seconds    float64 `json:"seconds"`
	Verified   int64   `json:"verified"`             // documents
	Unverified string  `json:"unverified,omitempty"` // why there are none, or not all
	Drift      *drift  `json:"drift,omitempty"`
	Switched   bool    `json:"switched"`
	Parked     int     `json:"parked"` // streams
}

type drift struct {
	Documents int    `json:"documents"`
	More      bool   `json:"more,omitempty"` // there may be more
	First     []diff `json:"first"`
}

// diff is a document that differs; null is a document that there is not.
type diff struct {
	Document string  `json:"document"`
	Live     *string `json:"live"`
	New      *string `json:"new"`
}

// rebuild does work with a bar a view on stderr, and prints what came of it on stdout. Its error is the work's.
func (f rebuildFlags) rebuild(ctx context.Context, a *app, views []*view.View, cfg projector.ReplayConfig,
	work func(*projector.Replay) ([]projector.Result, error)) (err error) {
	store, model, closeBoth, err := f.openBoth(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBoth()) }()
	saveCollections()
	var results []projector.Result
	b := &rebuildBars{bars: map[string]*term.Bar{}, took: map[string]time.Duration{}, from: map[string]event.Position{}}
	var failed error
	err = drawProgress(ctx, a, func(p *term.Progress) error {
		for _, v := range views {
			b.bars[v.Name] = p.Bar(v.Name, 0)
		}
		head, err := awaitHead(ctx, f.Patience, func(ctx context.Context) (event.Recorded, error) {
			head, err := store.Head(ctx)
			if errors.Is(err, event.ErrUnavailable) {
				for _, bar := range b.bars {
					bar.Phase(waiting(err))
				}
			}
			return head, err
		})
		if err != nil && !errors.Is(err, event.ErrStreamNotFound) {
			return err
		}
		b.head, b.began = head.Position, time.Now()
		cfg.Builder, cfg.Patience, cfg.Progress = builder(model), f.Patience, b.show
		results, failed = work(projector.NewReplay(model, store, cfg))
		return nil
	})
	results = slices.DeleteFunc(results, func(r projector.Result) bool { return r.Generation == 0 }) // nothing was begun
	return errors.Join(failed, err, f.print(a, results, b.took))
}

// saveCollections makes the collector run less often than is good for a service, since a rebuild makes much garbage and ends soon: as seldom
// as fits a quarter of a gigabyte. GOGC and GOMEMLIMIT in the environment have precedence.
func saveCollections() {
	const limit, percent = 250 << 20, 400
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(percent)
		}
	}
}

// rebuildBars shows a rebuild, with a logBar a view.
type rebuildBars struct {
	bars  map[string]*term.Bar
	head  event.Position
	began time.Time

	mu   sync.Mutex
	took map[string]time.Duration
	from map[string]event.Position // where the read began, or began anew
}

func (b *rebuildBars) show(p projector.Progress) {
	b.mu.Lock()
	b.took[p.View] = time.Since(b.began)
	if p.Events == 0 || p.At.Compare(b.from[p.View]) < 0 {
		b.from[p.View] = p.At
	}
	bar := b.bars[p.View]
	log := logBar{bar: bar, head: b.head, from: b.from[p.View]}
	b.mu.Unlock()
	phase := string(p.Phase)
	if p.Phase == projector.PhaseVerify {
		phase += " (" + term.Count(p.Verified) + " documents)"
	}
	if p.Note != nil {
		phase += " " + waiting(p.Note)
	}
	bar.Phase(phase)
	if p.Phase == projector.PhaseSwitch || p.Phase == projector.PhaseDone {
		bar.Before(1)
		log.end(p.Events)
		return
	}
	if b.head.Commit > 0 {
		bar.Before(min(1, float64(log.from.Commit)/float64(b.head.Commit)))
	}
	log.at(p.Events, p.At)
}

func waiting(err error) string { return "(waiting: " + err.Error() + ")" }

// print tells what was done: a table, why something was not verified, and what differs.
func (f rebuildFlags) print(a *app, results []projector.Result, took map[string]time.Duration) error {
	if f.JSON {
		all := make([]rebuilt, len(results))
		for i, r := range results {
			all[i] = rebuilt{View: r.View, Generation: r.Generation, Events: r.Events, Seconds: took[r.View].Seconds(),
				Verified: r.Verified, Unverified: r.Unverified, Drift: driftOf(r.Drift), Switched: r.Switched, Parked: r.Parked}
		}
		return json.NewEncoder(a.stdout).Encode(all)
	}
	if len(results) == 0 {
		return nil
	}
	table := term.NewTable("VIEW", "GENERATION>", "EVENTS>", "TIME>", "VERIFIED>", "DIFFERENT>", "PARKED>", "LIVE")
	for _, r := range results {
		live, different := "as it was", "-"
		if r.Switched {
			live = "switched"
		}
		if r.Drift != nil {
			different = term.Count(int64(r.Drift.Count))
		} else if r.Verified > 0 {
			different = "0"
		}
		table.Row(r.View, fmt.Sprint(r.Generation), term.Count(r.Events), term.Duration(took[r.View]), term.Count(r.Verified), different,
			term.Count(int64(r.Parked)), live)
	}
	if _, err := table.WriteTo(a.stdout); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	for _, r := range results {
		if err := printNotes(a.stdout, r); err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
	}
	return nil
}

func printNotes(w io.Writer, r projector.Result) (err error) {
	say := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	if r.Unverified != "" {
		say("%s was not verified, or not all of it: %s", r.View, r.Unverified)
	}
	if r.Parked > 0 {
		say("%s has parked streams, %d in all: jangbu parked list %s", r.View, r.Parked, r.View)
	}
	if r.Drift == nil {
		return err
	}
	for _, d := range r.Drift.Diffs {
		say("\n%s/%s", r.View, printable(d.Doc))
		for _, line := range diffLines(d) {
			say("%s", line)
		}
	}
	if more := r.Drift.Count - len(r.Drift.Diffs); more > 0 || r.Drift.More {
		say("\nand more: %s documents of %s differ in all", atLeast(r.Drift), r.View)
	}
	return err
}

func atLeast(d *projector.DriftError) string {
	if d.More {
		return "at least " + term.Count(int64(d.Count))
	}
	return term.Count(int64(d.Count))
}

func driftOf(e *projector.DriftError) *drift {
	if e == nil {
		return nil
	}
	text := func(body []byte) *string {
		if body == nil {
			return nil
		}
		s := string(body)
		return &s
	}
	d := &drift{Documents: e.Count, More: e.More, First: []diff{}}
	for _, one := range e.Diffs {
		d.First = append(d.First, diff{Document: one.Doc, Live: text(one.Live), New: text(one.New)})
	}
	return d
}
