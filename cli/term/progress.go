package term

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Defaults of Options.
const (
	DefaultRedraw = 100 * time.Millisecond
	DefaultPlain  = 5 * time.Second
)

// Options of a Progress. Zero fields stand for the defaults.
type Options struct {
	Terminal bool             // redraw in place; see IsTerminal
	Redraw   time.Duration    // between two frames on a terminal
	Plain    time.Duration    // between two lines of one bar elsewhere
	Now      func() time.Time // default time.Now
}

// Progress shows bars, one below the other, in the order in which they were added. Its methods and those of its bars
// are safe for concurrent use. Nothing else may write to the terminal between Run's start and end.
type Progress struct {
	w    io.Writer
	opts Options

	mu    sync.Mutex
	bars  []*Bar
	drawn int // lines of the last frame, all above the cursor
}

// Bar is the progress of one thing. What it shows changes with the next frame.
type Bar struct {
	p       *Progress
	label   string
	phase   string
	done    int64
	total   int64
	before  float64 // the part of the whole that was there before
	began   time.Time
	ended   time.Time // when done reached total
	samples []sample  // of the recent past, for the rate
	said    string    // the last plain line
	saidAt  time.Time
}

type sample struct {
	at   time.Time
	done int64
}

// rateSpan is the recent past over which a rate is measured.
const rateSpan = 10 * time.Second

// NewProgress makes a Progress that writes to w once Run or Draw is called.
func NewProgress(w io.Writer, opts Options) *Progress {
	if opts.Redraw == 0 {
		opts.Redraw = DefaultRedraw
	}
	if opts.Plain == 0 {
		opts.Plain = DefaultPlain
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Progress{w: w, opts: opts}
}

// Bar adds a bar. A total of zero or less is unknown.
func (p *Progress) Bar(label string, total int64) *Bar {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.opts.Now()
	b := &Bar{p: p, label: oneLine(label), total: total, began: now, saidAt: now, samples: []sample{{now, 0}}}
	b.said = b.state()
	p.bars = append(p.bars, b)
	return b
}

// Set says how much is done.
func (b *Bar) Set(done int64) { b.change(func() { b.done = done }) }

// Add says how much more is done.
func (b *Bar) Add(n int64) { b.change(func() { b.done += n }) }

// Total says how much there is to do.
func (b *Bar) Total(total int64) { b.change(func() { b.total = total }) }

// Before says what part of the whole, from 0 to 1, was done before the bar began. What is done and the total leave it out, and the percentage
// is of the whole.
func (b *Bar) Before(part float64) { b.change(func() { b.before = part }) }

// Phase names what is being done.
func (b *Bar) Phase(phase string) { b.change(func() { b.phase = oneLine(phase) }) }

func (b *Bar) change(f func()) {
	b.p.mu.Lock()
	defer b.p.mu.Unlock()
	f()
	switch whole := b.total > 0 && b.done >= b.total; {
	case !whole:
		b.ended = time.Time{}
	case b.ended.IsZero():
		b.ended = b.p.opts.Now()
	}
}

// Run draws until ctx ends, and then once more, so that what remains on the screen is true.
func (p *Progress) Run(ctx context.Context) error {
	tick := time.NewTicker(p.opts.Redraw)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return p.draw(true)
		case <-tick.C:
			if err := p.draw(false); err != nil {
				return fmt.Errorf("draw progress: %w", err)
			}
		}
	}
}

// Draw draws one frame now.
func (p *Progress) Draw() error { return p.draw(false) }

func (p *Progress) draw(last bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opts.Terminal {
		return p.frame()
	}
	return p.plain(last)
}

// frame moves up over the last frame and writes over it. Wrapping is off meanwhile, because a line that wraps would
// make the way up longer.
func (p *Progress) frame() error {
	var out strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA\r", p.drawn)
	}
	if len(p.bars) > 0 {
		out.WriteString("\x1b[?7l")
		for _, line := range p.lines(p.bars, true) {
			out.WriteString(line + "\x1b[K\n")
		}
		out.WriteString("\x1b[?7h")
	}
	p.drawn = len(p.bars)
	_, err := io.WriteString(p.w, out.String())
	return err
}

// plain writes a line for each bar that has moved and was silent long enough, or has just come to its end.
func (p *Progress) plain(last bool) error {
	now := p.opts.Now()
	var due []*Bar
	for _, b := range p.bars {
		b.sample(now)
		moved := b.said != b.state()
		if moved && (last || !b.ended.IsZero() || now.Sub(b.saidAt) >= p.opts.Plain) {
			b.said, b.saidAt = b.state(), now
			due = append(due, b)
		}
	}
	var out strings.Builder
	for _, line := range p.lines(due, false) {
		out.WriteString(line + "\n")
	}
	if out.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(p.w, out.String())
	return err
}

// state is what a plain line must differ in to be worth writing.
func (b *Bar) state() string { return fmt.Sprint(b.phase, "|", b.done, "/", b.total) }

// lines renders bars with their columns aligned over all bars, so that lines written at different times align too.
func (p *Progress) lines(bars []*Bar, drawBar bool) []string {
	now := p.opts.Now()
	var label, phase, amount int
	for _, b := range p.bars {
		label, phase, amount = max(label, Width(b.label)), max(phase, Width(b.phase)), max(amount, len(b.amount()))
	}
	out := make([]string, len(bars))
	for i, b := range bars {
		b.sample(now)
		parts := []string{pad(b.label, label, false)}
		if phase > 0 {
			parts = append(parts, pad(b.phase, phase, false))
		}
		if drawBar {
			parts = append(parts, b.gauge())
		}
		parts = append(parts, pad(b.amount(), amount, true), b.percent(), b.pace(now))
		out[i] = strings.TrimRight(strings.Join(parts, "  "), " ")
	}
	return out
}
