package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"jangbu/test/servers"
)

// patience is how long a test waits for what must happen, an import of the whole demo shop with the race detector included.
const patience = 2 * time.Minute

// output is what a program under test writes, readable while it writes.
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

// program is a command line running inside the test.
type program struct {
	stdout, stderr output
	stop           context.CancelFunc
	code           chan int
}

// start runs the arguments until the test ends or stop is called.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &program{stop: stop, code: make(chan int, 1)}
	go func() { p.code <- Run(ctx, args, &p.stdout, &p.stderr) }()
	t.Cleanup(stop)
	return p
}

// wait returns the value printed after prefix in a whole line.
func (p *program) wait(t *testing.T, from *output, prefix string) string {
	t.Helper()
	var value string
	servers.Until(t, fmt.Sprintf("a line that begins with %q", prefix), func() error {
		for line := range strings.Lines(from.String()) {
			if rest, ok := strings.CutPrefix(line, prefix); ok && strings.HasSuffix(rest, "\n") {
				value = strings.TrimSpace(rest)
				return nil
			}
		}
		select {
		case code := <-p.code:
			t.Fatalf("ended with %d before it printed %q: %s", code, prefix, p.stderr.String())
		default:
		}
		return errors.New(p.stderr.String())
	})
	return value
}

// end waits for the exit code.
func (p *program) end(t *testing.T) int {
	t.Helper()
	select {
	case code := <-p.code:
		return code
	case <-time.After(patience):
		t.Fatalf("did not end: %s", p.stderr.String())
		return 0
	}
}

// run is a program that ends by itself.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := start(t, args...)
	code = p.end(t)
	return code, p.stdout.String(), p.stderr.String()
}

func wantOneLine(t *testing.T, stderr string, parts ...string) {
	t.Helper()
	if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "jangbu: ") {
		t.Errorf("stderr is not one line: %q", stderr)
	}
	for _, part := range parts {
		if !strings.Contains(stderr, part) {
			t.Errorf("stderr does not say %q: %s", part, stderr)
		}
	}
}

// modes lists every mode, and the modes within modes.
func modes() []*kong.Node {
	all := newParser(&grammar{}, io.Discard, io.Discard, func(int) {}).Model.Children
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].Children...)
	}
	return all
}

func TestEveryModeHasHelpWithAnExample(t *testing.T) {
	var names []string
	for _, mode := range modes() {
		name := strings.TrimPrefix(mode.FullPath(), "jangbu ")
		names = append(names, name)
		code, stdout, stderr := run(t, append(strings.Fields(name), "--help")...)
		if code != 0 || stderr != "" || !strings.Contains(stdout, "Examples:\n\n") || !strings.Contains(stdout, "    jangbu "+name) {
			t.Errorf("%s --help: code %d, %q, %s", name, code, stderr, stdout)
		}
	}
	for _, want := range []string{"dev", "stack", "command", "fulfilment", "projector", "query", "provision", "import", "replay", "views", "version", "health",
		"store backup", "parked list", "parked show", "parked retry", "parked skip", "dlq list", "dlq redrive", "dlq purge", "trace"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no mode %s", want)
		}
	}
	code, stdout, _ := run(t, "--help")
	if code != 0 || !strings.Contains(strings.Join(strings.Fields(stdout), " "), "Exit codes: 0 done, 1 failed, 2 wrong usage") {
		t.Errorf("--help: code %d, %s", code, stdout)
	}
}

func TestEveryFlagHasAnEnvironmentVariable(t *testing.T) {
	seen := map[string]string{} // variable -> flag; modes share some
	for _, mode := range modes() {
		for _, flags := range mode.AllFlags(false) {
			for _, flag := range flags {
				switch {
				case flag.Name == "help":
				case len(flag.Tag.Envs) != 1:
					t.Errorf("%s --%s has no environment variable", mode.Name, flag.Name)
				case seen[flag.Tag.Envs[0]] != "" && seen[flag.Tag.Envs[0]] != flag.Name:
					t.Errorf("%s sets --%s and --%s", flag.Tag.Envs[0], seen[flag.Tag.Envs[0]], flag.Name)
				default:
					seen[flag.Tag.Envs[0]] = flag.Name
				}
			}
		}
	}
	for variable, flag := range map[string]string{"EVENTSTORE_URL": "eventstore-url", "REDIS_URL": "redis-url",
		"AWS_ENDPOINT_URL": "aws-endpoint-url", "AWS_REGION": "aws-region", "JANGBU_TOPIC": "topic", "JANGBU_DATA": "data"} {
		if seen[variable] != flag {
			t.Errorf("%s sets %q, not --%s", variable, seen[variable], flag)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"no mode":             {nil, "expected one of"},
		"unknown mode":        {[]string{"frobnicate"}, "frobnicate"},
		"unknown flag":        {[]string{"import", ".", "--colour"}, "unknown flag --colour"},
		"missing argument":    {[]string{"import"}, "<dir>"},
		"not a number":        {[]string{"import", ".", "--workers", "many"}, "--workers"},
		"too few workers":     {[]string{"import", ".", "--workers", "0"}, "--workers must be from 1"},
		"no patience":         {[]string{"import", ".", "--patience", "0s"}, "--patience"},
		"address without end": {[]string{"dev", "--http", "localhost"}, "is not an address such as"},
		"port too high":       {[]string{"stack", "--redis", "127.0.0.1:70000"}, "is not an address such as"},
		"nothing to replay":   {[]string{"replay"}, "--all"},
		"replay all and one":  {[]string{"replay", "--all", "orders"}, "not both"},
		"a sample of none":    {[]string{"audit", "orders", "--sample", "0"}, "--sample must be 1 or more"},
		"a sample of less":    {[]string{"audit", "orders", "--sample=-1"}, "--sample must be 1 or more"},
		"no shop to import":   {[]string{"import", "nowhere"}, "is not a folder"},
		"unknown log level":   {[]string{"version", "--log-level", "loud"}, "--log-level"},
		"no time to pay":      {[]string{"fulfilment", "--pay-within", "0s"}, "--pay-within"},
		"no time in dev":      {[]string{"dev", "--pay-within", "-1s"}, "--pay-within"},
		"unknown gateway":     {[]string{"fulfilment", "--gateway", "cash"}, "--gateway"},
		"stripe without key":  {[]string{"fulfilment", "--gateway", "stripe"}, "STRIPE_API_KEY"},
		"no workers at all":   {[]string{"fulfilment", "--workers", "0"}, "--workers must be at least 1"},
		"a projector of none": {[]string{"projector", "--workers", "0"}, "--workers must be at least 1"},
		"dev without workers": {[]string{"dev", "--workers=-1"}, "--workers must be at least 1"},
		"no such export":      {[]string{"store", "import", "nowhere.ndjson"}, "no such file"},
		"a folder to import":  {[]string{"store", "import", "."}, "is a directory"},
		"no such backup":      {[]string{"store", "restore", "nowhere.db"}, "no such file"},
		"no such store":       {[]string{"store", "verify", "nowhere.db"}, "no such file"},
		"health of nothing":   {[]string{"health", "127.0.0.1:8080"}, "is not a URL"},
		"health at once":      {[]string{"health", "http://127.0.0.1:1", "--timeout=-1s"}, "--timeout"},
		"no name of a queue":  {[]string{"query", "--topic", "a b"}, "--topic"},
		"a long name":         {[]string{"provision", "--topic", strings.Repeat("x", 65)}, "at most 64 characters"},
		"import to nothing":   {[]string{"import", ".", "--url", "localhost"}, "correct --url"},
		"no bus":              {[]string{"provision", "--aws-endpoint-url", "localhost:4566"}, "--aws-endpoint-url"},
		"no Stripe":           {[]string{"fulfilment", "--gateway", "stripe", "--stripe-key", "k", "--stripe-url", "localhost"}, "correct --stripe-url"},
		"Stripe by FTP":       {[]string{"fulfilment", "--gateway", "stripe", "--stripe-key", "k", "--stripe-url", "ftp://x"}, "correct --stripe-url"},
		"no simulator":        {[]string{"fulfilment", "--simulator-url", "localhost:9000"}, "correct --simulator-url"},
		"no simulator in dev": {[]string{"dev", "--simulator-url", "http:///x"}, "correct --simulator-url"},
		"money both ways":     {[]string{"fulfilment", "--gateway", "stripe", "--stripe-key", "k", "--simulator-url", "http://x"}, "--simulator-url"},
		"Stripe for nothing":  {[]string{"fulfilment", "--stripe-url", "http://x"}, "--gateway stripe"},
		"commands, stale":     {[]string{"command", "--http", "0", "--eventstore-url", "esdb://n1:2113,n2:2113?nodePreference=follower"}, "nodePreference=Follower"},
		"fulfilment, stale":   {[]string{"fulfilment", "--http", "0", "--eventstore-url", "esdb://n1:2113,n2:2113?nodePreference=random"}, "correct --eventstore-url"},
		"no store to back up": {[]string{"store", "backup", "x.db", "--eventstore-url", "postgres:x"}, "correct --eventstore-url"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := run(t, tt.args...)
			if code != 2 || stdout != "" {
				t.Errorf("code %d, stdout %q", code, stdout)
			}
			wantOneLine(t, stderr, tt.want)
		})
	}
}

// TestDamagedStoreIsOneLine: whoever starts on a file that is broken hears how to mend it.
func TestDamagedStoreIsOneLine(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, storeFile), []byte("what a broken disk has left"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"dev", "stack"} {
		code, stdout, stderr := run(t, mode, "--data", data, "--eventstore", "0", "--aws", "0", "--redis", "0")
		if code != 1 || stdout != "" {
			t.Errorf("%s: code %d, stdout %q", mode, code, stdout)
		}
		wantOneLine(t, stderr, "jangbu store verify", "jangbu store restore FILE --force", "--data "+data)
	}
}

// TestNothingIsProvisioned: a bus that is away is a line on stderr, without a table of nothing.
func TestNothingIsProvisioned(t *testing.T) {
	code, stdout, stderr := run(t, "provision", "--aws-endpoint-url", "http://127.0.0.1:1")
	if code != 1 || stdout != "" {
		t.Errorf("code %d, stdout %q", code, stdout)
	}
	wantOneLine(t, stderr, "refused", "--aws-endpoint-url")
}

func TestAFolderThatIsMissingIsToBeMade(t *testing.T) {
	for _, mode := range []string{"backup", "export"} {
		code, stdout, stderr := run(t, "store", mode, filepath.Join(t.TempDir(), "missing", "shop"))
		if code != 1 || stdout != "" {
			t.Errorf("%s: code %d, stdout %q", mode, code, stdout)
		}
		wantOneLine(t, stderr, "make the folder")
	}
}

func TestWrongEnvironmentIsWrongUsage(t *testing.T) {
	t.Setenv("JANGBU_HTTP", "nowhere")
	code, _, stderr := run(t, "dev")
	if code != 2 {
		t.Errorf("code %d", code)
	}
	wantOneLine(t, stderr, "nowhere")
}

func TestATakenPortIsOneLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := map[string]string{"--eventstore": "0", "--aws": "0", "--redis": "0", "--http": "0"}
	tests := map[string][]string{
		"dev":        {"--eventstore", "--aws", "--redis", "--http"},
		"stack":      {"--eventstore", "--aws", "--redis"},
		"command":    {"--http"},
		"query":      {"--http"},
		"projector":  {"--http"},
		"fulfilment": {"--http"},
	}
	for mode, flags := range tests {
		for _, flag := range flags {
			t.Run(mode+" "+flag, func(t *testing.T) {
				args := []string{mode}
				if slices.Contains(flags, "--eventstore") {
					args = append(args, "--data", t.TempDir())
				}
				for _, other := range flags {
					if other == flag {
						args = append(args, other, taken.Addr().String())
					} else {
						args = append(args, other, free[other])
					}
				}
				code, stdout, stderr := run(t, args...)
				if code != 1 || stdout != "" {
					t.Errorf("code %d, stdout %q", code, stdout)
				}
				wantOneLine(t, stderr, taken.Addr().String()+" is taken", flag)
			})
		}
	}
}

func TestAFolderInUseIsOneLine(t *testing.T) {
	data := t.TempDir()
	args := []string{"stack", "--data", data, "--eventstore", "0", "--aws", "0", "--redis", "0"}
	first := start(t, args...)
	first.wait(t, &first.stderr, "AWS_ENDPOINT_URL=")
	code, _, stderr := run(t, args...)
	if code != 1 {
		t.Errorf("code %d", code)
	}
	wantOneLine(t, stderr, "in use", "--data", filepath.Base(data))
	first.stop()
	if code := first.end(t); code != 0 {
		t.Errorf("the first ended with %d", code)
	}
}

func TestASignalStopsAServiceCleanly(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := &program{code: make(chan int, 1)}
		args := []string{"stack", "--data", t.TempDir(), "--eventstore", "0", "--aws", "0", "--redis", "0"}
		go func() { p.code <- Main(args, &p.stdout, &p.stderr) }()
		p.wait(t, &p.stderr, "AWS_ENDPOINT_URL=")
		if err := syscall.Kill(os.Getpid(), signal); err != nil {
			t.Fatal(err)
		}
		if code := p.end(t); code != 0 {
			t.Errorf("%v: code %d, %s", signal, code, p.stderr.String())
		}
	}
}

func TestVersion(t *testing.T) {
	code, stdout, _ := run(t, "version")
	if code != 0 || !strings.HasPrefix(stdout, "jangbu ") || !strings.Contains(stdout, " go1.") {
		t.Errorf("code %d, %q", code, stdout)
	}
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}}
	if got := versionLine(info, true); !strings.HasPrefix(got, "jangbu v1.2.3 0123456789ab+changes go1.") {
		t.Error(got)
	}
	if got := versionLine(nil, false); !strings.HasPrefix(got, "jangbu (unknown) go1.") {
		t.Error(got)
	}
}

func TestReachable(t *testing.T) {
	for addr, want := range map[string]string{"127.0.0.1:1": "127.0.0.1:1", "[::]:2": "127.0.0.1:2", "0.0.0.0:3": "127.0.0.1:3",
		"10.1.2.3:4": "10.1.2.3:4", "[::1]:5": "[::1]:5"} {
		if got := reachable(addr); got != want {
			t.Errorf("reachable(%s) = %s, want %s", addr, got, want)
		}
	}
}

// Who interrupts a look is not told to look into what did not answer.
func TestInterruptedLooks(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	s.send(t, deadOrders, message("order-1", 1))
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	for _, args := range [][]string{{"views"}, {"trace", "order-1"}, {"parked", "list"}, {"parked", "show", "orders", "order-1"},
		{"dlq", "list", "orders"}, {"dlq", "redrive", "orders"}, {"provision"}, {"health", "http://127.0.0.1:1"}} {
		var stdout, stderr output
		if code := Run(ctx, args, &stdout, &stderr); code != 130 {
			t.Errorf("%v: code %d", args, code)
		}
		wantOneLine(t, stderr.String(), "interrupted")
	}
	if err := orInterrupted(ctx, errors.New("the disk is full")); codeOf(err) != 1 {
		t.Errorf("what failed by itself meanwhile: %v", err)
	}
	if err := orInterrupted(t.Context(), context.Canceled); codeOf(err) != 1 {
		t.Errorf("what nobody interrupted: %v", err)
	}
	if err := orInterrupted(ctx, &failure{3, context.Canceled}); codeOf(err) != 3 {
		t.Errorf("what the mode has a code for: %v", err)
	}
}
