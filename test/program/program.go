// Package program runs jangbu's command lines for tests, in their process or as processes of their own.
package program

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"jangbu/cli"
)

// binary is the program that AsProcess runs.
var binary string

// Main is the TestMain of tests that run the program: it builds it, with flags for go build, and runs the tests without the
// settings of whoever runs them. It returns their exit code.
func Main(m *testing.M, flags ...string) int {
	flag.Parse()
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		ours := strings.HasPrefix(name, "JANGBU_") && !strings.HasPrefix(name, "JANGBU_TEST_") && !strings.HasPrefix(name, "JANGBU_BENCH_")
		if ours || strings.HasPrefix(name, "AWS_") || name == "EVENTSTORE_URL" || name == "REDIS_URL" {
			if err := os.Unsetenv(name); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
	}
	dir, err := os.MkdirTemp("", "jangbu-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "jangbu")
	args := append([]string{"build", "-o", binary}, flags...)
	if out, err := exec.Command("go", append(args, "jangbu")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// Output is what a program has written so far.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Program is a command line that runs, in this process or as one of its own.
type Program struct {
	name           string
	Stdout, Stderr Output
	Process        *exec.Cmd // nil when it runs in this process
	Ended          chan struct{}
	Code           int // once ended
	interrupt      func() error
}

// Launcher starts a command line. The program is stopped at the end of the test, and must then end with exit code 0.
type Launcher func(t testing.TB, args ...string) *Program

// InProcess is a Launcher.
func InProcess(t testing.TB, args ...string) *Program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &Program{name: args[0], Ended: make(chan struct{}), interrupt: func() error { cancel(); return nil }}
	go func() {
		p.Code = cli.Run(ctx, args, &p.Stdout, &p.Stderr)
		close(p.Ended)
	}()
	t.Cleanup(func() { p.Stop(t) })
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

// AsProcess is a Launcher.
func AsProcess(t testing.TB, args ...string) *Program {
	t.Helper()
	return Run(t, args[0], exec.Command(binary, args...))
}

// Run runs any command as AsProcess runs jangbu.
func Run(t testing.TB, name string, command *exec.Cmd) *Program {
	t.Helper()
	p := &Program{name: name, Ended: make(chan struct{}), Process: command}
	p.Process.Stdout, p.Process.Stderr = &p.Stdout, &p.Stderr
	p.Process.SysProcAttr = endsWithParent()
	p.interrupt = func() error { return p.Process.Process.Signal(syscall.SIGTERM) }
	if err := parent(p.Process.Start); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.Process.Wait()
		p.Code = p.Process.ProcessState.ExitCode()
		close(p.Ended)
	}()
	t.Cleanup(func() { p.Stop(t) })
	return p
}

// Stop asks the program to end (SIGTERM) and requires that it does, with exit code 0. One that has ended is left alone.
func (p *Program) Stop(t testing.TB) {
	t.Helper()
	select {
	case <-p.Ended:
		return
	default:
	}
	if err := p.interrupt(); err != nil {
		t.Errorf("stop %s: %v", p.name, err)
	}
	select {
	case <-p.Ended:
		if p.Code != 0 {
			t.Errorf("%s ended with %d after SIGTERM: %s", p.name, p.Code, p.Stderr.String())
		}
	case <-time.After(time.Minute):
		t.Errorf("%s does not end: %s", p.name, p.Stderr.String())
		if p.Process != nil {
			_ = p.Process.Process.Kill()
		}
	}
}

// Kill is kill -9.
func (p *Program) Kill(t testing.TB) {
	t.Helper()
	if err := p.Process.Process.Kill(); err != nil {
		t.Fatalf("kill %s: %v", p.name, err)
	}
	<-p.Ended
}

// Wait waits for the program to end by itself, and returns its exit code.
func (p *Program) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.Ended:
		return p.Code
	case <-time.After(2 * time.Minute):
		t.Fatalf("%s does not end: %s", p.name, p.Stderr.String())
		return -1
	}
}

// Line waits for a whole line that begins with prefix and returns the rest of it.
func (p *Program) Line(t testing.TB, from *Output, prefix string) string {
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
		case <-p.Ended:
			t.Fatalf("%s ended with %d and never printed %q: %s", p.name, p.Code, prefix, p.Stderr.String())
		case <-deadline:
			t.Fatalf("%s never printed %q: %s", p.name, prefix, p.Stderr.String())
		}
	}
}

// Ready waits for the address at which the program serves.
func (p *Program) Ready(t testing.TB) string {
	t.Helper()
	return p.Line(t, &p.Stdout, "ready ")
}

// Execute runs a command line to its end inside this process.
func Execute(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log Output
	code = cli.Run(t.Context(), args, &out, &log)
	return code, out.String(), log.String()
}

// MustExecute requires success and returns what was printed.
func MustExecute(t testing.TB, args ...string) string {
	t.Helper()
	code, stdout, stderr := Execute(t, args...)
	if code != 0 {
		t.Fatalf("%s: exit code %d: %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// Memory is a figure of /proc/PID/status of a program that runs as a process, such as VmHWM, in MB; 0 where there is none.
func (p *Program) Memory(name string) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			_, _ = fmt.Sscan(rest, &kilobytes)
			return kilobytes / 1024
		}
	}
	return 0
}
