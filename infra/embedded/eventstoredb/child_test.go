//go:build unix

package eventstoredb

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"jangbu/test/race"
)

// The environment that makes the test binary a server instead: a process of its own that tests can kill.
const (
	childPath  = "EVENTSTOREDB_TEST_CHILD"
	childLimit = "EVENTSTOREDB_TEST_FILE_LIMIT" // bytes a file may have, until SIGUSR1
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		os.Exit(beChild(path))
	}
	if err := flag.Set("rapid.checks", strconv.Itoa(race.Fewer(100))); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// beChild serves until its standard input ends, as it does when the test dies.
func beChild(path string) int {
	if limit, err := strconv.ParseUint(os.Getenv(childLimit), 10, 64); err == nil {
		var whole syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &whole); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		raise := make(chan os.Signal, 1)
		signal.Notify(raise, syscall.SIGUSR1)
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: whole.Max}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		go func() {
			<-raise
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &whole); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			fmt.Println("raised")
		}()
	}
	s, err := Start(Config{Path: path})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(s.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// child is a server in a process of its own.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Reader
	addr  string
}

func startChild(t testing.TB, path string, env ...string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), childPath+"="+path), env...)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, lines: bufio.NewReader(out)}
	t.Cleanup(c.kill)
	c.addr = c.line(t)
	return c
}

// line is the next line the child prints.
func (c *child) line(t testing.TB) string {
	t.Helper()
	s, err := c.lines.ReadString('\n')
	if err != nil {
		t.Fatalf("the server process ended: %v", err)
	}
	return strings.TrimSpace(s)
}

// kill is kill -9. Killing again does nothing.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
}
