package e2e_test

import (
	"bytes"
	"context"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"jangbu/cli"
)

// output is what a program has written so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// program is a command line that runs, in this process or as one of its own.
type program struct {
	name           string
	stdout, stderr output
	interrupt      func() error
	process        *exec.Cmd // nil when it runs in this process
	ended          chan struct{}
	code           int // once ended
}

// launcher starts a command line. The program is stopped at the end of the test, and must then end with exit code 0.
type launcher func(t *testing.T, args ...string) *program

func inProcess(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{name: args[0], ended: make(chan struct{}), interrupt: func() error { cancel(); return nil }}
	go func() {
		p.code = cli.Run(ctx, args, &p.stdout, &p.stderr)
		close(p.ended)
	}()
	t.Cleanup(func() { p.stop(t) })
	return p
}

// parent runs start on a thread that lives as long as the tests: Pdeathsig is sent when the thread that started a process
// ends, not when its process does.
var parent = func() func(start func() error) error {
	starts, started := make(chan func() error), make(chan error)
	go func() {
		runtime.LockOSThread()
		for start := range starts {
			started <- start()
		}
	}()
	var one sync.Mutex
	return func(start func() error) error {
		one.Lock()
		defer one.Unlock()
		starts <- start
		return <-started
	}
}()

func asProcess(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{name: args[0], ended: make(chan struct{}), process: exec.Command(binary, args...)}
	p.process.Stdout, p.process.Stderr = &p.stdout, &p.stderr
	p.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // nothing outlives tests that crash
	p.interrupt = func() error { return p.process.Process.Signal(syscall.SIGTERM) }
	if err := parent(p.process.Start); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.process.Wait()
		p.code = p.process.ProcessState.ExitCode()
		close(p.ended)
	}()
	t.Cleanup(func() { p.stop(t) })
	return p
}

// stop asks the program to end (SIGTERM) and requires that it does, with exit code 0. One that has ended is left alone.
func (p *program) stop(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
		return
	default:
	}
	if err := p.interrupt(); err != nil {
		t.Errorf("stop %s: %v", p.name, err)
	}
	select {
	case <-p.ended:
		if p.code != 0 {
			t.Errorf("%s ended with %d after SIGTERM: %s", p.name, p.code, p.stderr.String())
		}
	case <-time.After(time.Minute):
		t.Errorf("%s does not end: %s", p.name, p.stderr.String())
		if p.process != nil {
			_ = p.process.Process.Kill()
		}
	}
}

// kill is kill -9.
func (p *program) kill(t *testing.T) {
	t.Helper()
	if err := p.process.Process.Kill(); err != nil {
		t.Fatalf("kill %s: %v", p.name, err)
	}
	<-p.ended
}

// wait waits for the program to end by itself, and returns its exit code.
func (p *program) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.code
	case <-time.After(2 * time.Minute):
		t.Fatalf("%s does not end: %s", p.name, p.stderr.String())
		return -1
	}
}

// line waits for a whole line that begins with prefix and returns the rest of it.
func (p *program) line(t *testing.T, from *output, prefix string) string {
	t.Helper()
	deadline := time.After(time.Minute)
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		for line := range strings.Lines(from.String()) {
			if rest, ok := strings.CutPrefix(line, prefix); ok && strings.HasSuffix(rest, "\n") {
				return strings.TrimSpace(rest)
			}
		}
		select {
		case <-ticker.C:
		case <-p.ended:
			t.Fatalf("%s ended with %d and never printed %q: %s", p.name, p.code, prefix, p.stderr.String())
		case <-deadline:
			t.Fatalf("%s never printed %q: %s", p.name, prefix, p.stderr.String())
		}
	}
}

// ready waits for the address at which the program serves.
func (p *program) ready(t *testing.T) string {
	t.Helper()
	return p.line(t, &p.stdout, "ready ")
}

// execute runs a command line to its end inside this process.
func execute(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log output
	code = cli.Run(t.Context(), args, &out, &log)
	return code, out.String(), log.String()
}

// mustExecute requires success and returns what was printed.
func mustExecute(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := execute(t, args...)
	if code != 0 {
		t.Fatalf("%s: exit code %d: %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}
