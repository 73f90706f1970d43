package term_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"jangbu/cli/term"
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

func start(terminal bool) (*clock, *bytes.Buffer, *term.Progress) {
	c, out := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, &bytes.Buffer{}
	return c, out, term.NewProgress(out, term.Options{Terminal: terminal, Now: c.Now})
}

func draw(t *testing.T, p *term.Progress) {
	t.Helper()
	if err := p.Draw(); err != nil {
		t.Fatal(err)
	}
}

func wantText(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestBarsRedrawInPlace(t *testing.T) {
	c, out, p := start(true)
	orders, members := p.Bar("orders", 1200), p.Bar("회원", 0)
	orders.Phase("build")
	draw(t, p)
	wantText(t, out.String(), "\x1b[?7l"+
		"orders  build  ░░░░░░░░░░░░░░░░░░░░░░░░  0/1,200    0%        0/s\x1b[K\n"+
		"회원           ░░░░░░░░░░░░░░░░░░░░░░░░        0              0/s\x1b[K\n\x1b[?7h")

	out.Reset()
	c.pass(2 * time.Second)
	orders.Set(600)
	members.Add(5000)
	draw(t, p)
	wantText(t, out.String(), "\x1b[2A\r\x1b[?7l"+
		"orders  build  ████████████░░░░░░░░░░░░  600/1,200   50%      300/s  ETA 2.0s\x1b[K\n"+
		"회원           ░░░░░░░░░░░░░░░░░░░░░░░░      5,000          2,500/s\x1b[K\n\x1b[?7h")

	out.Reset()
	c.pass(time.Second)
	orders.Set(1200)
	orders.Phase("done")
	members.Total(20_000)
	c.pass(time.Minute) // the time an ended bar took stands still
	draw(t, p)
	wantText(t, out.String(), "\x1b[2A\r\x1b[?7l"+
		"orders  done  ████████████████████████   1,200/1,200  100%      400/s  in 3.0s\x1b[K\n"+
		"회원          ██████░░░░░░░░░░░░░░░░░░  5,000/20,000   25%        0/s\x1b[K\n\x1b[?7h")
}

func TestPlainLinesAreFew(t *testing.T) {
	c, out, p := start(false)
	a, b := p.Bar("orders", 10), p.Bar("members", 4)
	step := func(d time.Duration, want string) {
		t.Helper()
		out.Reset()
		c.pass(d)
		draw(t, p)
		wantText(t, out.String(), want)
	}
	a.Add(1)
	step(time.Second, "")
	step(4*time.Second, "orders   1/10   10%      0.2/s  ETA 45s\n")
	a.Add(1)
	step(time.Second, "")
	b.Add(4)
	step(0, "members   4/4  100%      0.7/s  in 6.0s\n")
	step(4*time.Second, "orders   2/10   20%      0.2/s  ETA 40s\n")
	step(time.Minute, "")

	a.Add(1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	out.Reset()
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "orders   3/10   30%") || strings.Count(got, "\n") != 1 {
		t.Errorf("the end says %q", got)
	}
}

func TestProgressIsSafeForConcurrentUse(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		var out bytes.Buffer
		p := term.NewProgress(&out, term.Options{Terminal: terminal, Redraw: time.Microsecond, Plain: time.Microsecond})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- p.Run(ctx) }()
		var workers sync.WaitGroup
		for range 4 {
			workers.Go(func() {
				b := p.Bar("x", 1000)
				for range 1000 {
					b.Add(1)
				}
				b.Phase("whole")
			})
		}
		workers.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(out.String(), "1,000/1,000  100%"); got < 4 {
			t.Errorf("terminal %t: %d whole bars in the end", terminal, got)
		}
	}
}

func TestTable(t *testing.T) {
	table := term.NewTable("VIEW", "GEN>", "DOCUMENTS>", "NOTE")
	table.Row("orders", "3", "830", "")
	table.Row("장부", "12", "1,000,000", "a\nline\x1b[31m")
	table.Row("cafe\u0301", "1")
	var out bytes.Buffer
	if _, err := table.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	wantText(t, out.String(), ""+
		"VIEW    GEN  DOCUMENTS  NOTE\n"+
		"orders    3        830\n"+
		"장부     12  1,000,000  a line [31m\n"+
		"cafe\u0301      1\n")
}

func TestDurationAndCount(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0s", 440 * time.Millisecond: "0.4s", 12500 * time.Millisecond: "12s", 185 * time.Second: "3m05s",
		2*time.Hour + 10*time.Minute + 59*time.Second: "2h10m",
	} {
		if got := term.Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := term.Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}
