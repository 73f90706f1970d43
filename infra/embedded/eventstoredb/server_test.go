package eventstoredb

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

func TestEverythingSurvivesARestart(t *testing.T) {
	cfg := Config{Path: filepath.Join(t.TempDir(), "deep", "events.db")}
	events := numbered(4)
	var before []*esdb.ResolvedEvent
	var positions []esdb.Position
	for run := range 3 {
		s, err := Start(cfg)
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, s.URL())
		if run > 0 {
			now := mustReadAll(t, c, esdb.ReadAllOptions{}, 1000)
			if !slices.Equal(ids(now), ids(before)) || !slices.Equal(revisions(now), revisions(before)) {
				t.Fatalf("run %d: the log changed in the restart", run)
			}
			for i := range now {
				if now[i].Event.Position != before[i].Event.Position || !now[i].Event.CreatedDate.Equal(before[i].Event.CreatedDate) {
					t.Fatalf("run %d: event %d moved from %v to %v", run, i, before[i].Event.Position, now[i].Event.Position)
				}
			}
			if w := mustAppend(t, c, "s", anyRevision, events...); w.NextExpectedVersion != 3 {
				t.Errorf("run %d: a repetition from before the restart was appended again", run)
			}
			if got := len(mustRead(t, c, "s")); got != 4+run-1 {
				t.Errorf("run %d: %d events in the stream", run, got)
			}
			w := mustAppend(t, c, "s", exactly(uint64(3+run-1)), numbered(1)...)
			positions = append(positions, esdb.Position{Commit: w.CommitPosition})
		} else {
			mustAppend(t, c, "s", noStream, events...)
			mustAppend(t, c, "deleted", noStream, numbered(2)...)
			mustDelete(t, c, "deleted")
		}
		before = mustReadAll(t, c, esdb.ReadAllOptions{}, 1000)
		_ = c.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if positions[1].Commit <= positions[0].Commit {
		t.Errorf("positions went from %d to %d over a restart", positions[0].Commit, positions[1].Commit)
	}
	report, err := Verify(cfg.Path)
	if err != nil || len(report.Problems) > 0 || report.Events != uint64(len(before)) {
		t.Errorf("verify: %+v, %v; want %d events", report, err, len(before))
	}
}

func TestInMemoryLeavesNothingBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s, err := Start(Config{})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, dial(t, s.URL()), "s", noStream, numbered(1)...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestStartRefusals(t *testing.T) {
	dir := t.TempDir()
	held := serve(t, Config{Path: filepath.Join(dir, "held.db")})
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name string
		cfg  Config
		want error
	}{
		{"a taken port", Config{Addr: held.Addr()}, syscall.EADDRINUSE},
		{"a file in use", Config{Path: filepath.Join(dir, "held.db")}, ErrLocked},
		{"a file of something else", Config{Path: write("text.db", strings.Repeat("not an event store\n", 1000))}, ErrDamaged},
		{"a short file", Config{Path: write("short.db", "x")}, ErrDamaged},
		{"a folder", Config{Path: dir}, nil},
		{"no such address", Config{Addr: "256.0.0.1:0"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := Start(test.cfg)
			if err == nil {
				_ = s.Close()
				t.Fatal("started")
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("error %q, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of more than one line: %q", err)
			}
		})
	}
}

func TestCloseEndsEverythingAtOnce(t *testing.T) {
	s := serve(t, Config{})
	c := dial(t, s.URL())
	sub, err := c.SubscribeToAll(patient(t), esdb.SubscribeToAllOptions{From: esdb.Start{}})
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	dropped := make(chan error, 1)
	go func() {
		for {
			if e := sub.Recv(); e.SubscriptionDropped != nil {
				dropped <- e.SubscriptionDropped.Error
				return
			}
		}
	}()
	closed := make(chan error, 2)
	go func() { closed <- s.Close() }()
	go func() { closed <- s.Close() }()
	for range 2 {
		select {
		case err := <-closed:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("close hangs")
		}
	}
	if err := <-dropped; rpcCode(err) != codes.Unavailable && rpcCode(err) != codes.Canceled {
		t.Errorf("the subscription ended with %v", err)
	}
}

func TestDiscovery(t *testing.T) {
	s := serve(t, Config{})
	mustAppend(t, dial(t, "esdb+discover://"+s.Addr()+"?tls=false"), "s", noStream, numbered(1)...)
	c := dial(t, s.URL())
	v, err := c.GetServerVersion()
	if err != nil || v.Major != 24 || v.Minor != 10 {
		t.Errorf("version %+v, %v", v, err)
	}
}

func TestHTTPOnTheSamePort(t *testing.T) {
	s := serve(t, Config{})
	mustAppend(t, dial(t, s.URL()), "s", noStream, numbered(1)...)
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	for path, want := range map[string]int{
		"/health/live": 204, "/health/ready": 204, "/info": 200, "/stats": 200, "/gossip": 200, "/absent": 404,
	} {
		resp, err := client.Get("http://" + s.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != want {
			t.Errorf("%s: %d, %v; want %d", path, resp.StatusCode, err, want)
		}
		if want == 200 {
			var v map[string]any
			if err := json.Unmarshal(body, &v); err != nil || len(v) == 0 {
				t.Errorf("%s: %q is no JSON object: %v", path, body, err)
			}
		}
	}
}

func TestWhatIsNotServedIsRefusedAtOnce(t *testing.T) {
	s := serve(t, Config{})
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = persistent.NewPersistentSubscriptionsClient(conn).Create(patient(t), &persistent.CreateReq{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("persistent subscriptions: %v", err)
	}
	c := dial(t, s.URL())
	if _, err := c.ListAllPersistentSubscriptions(patient(t), esdb.ListPersistentSubscriptionsOptions{}); err == nil {
		t.Error("persistent subscriptions were listed")
	}
}

// An append that waits for the writer until its caller has given it up is not carried out later.
func TestDeadlines(t *testing.T) {
	s := serve(t, Config{})
	c := dial(t, s.URL())
	busy, err := s.store.db.Begin(true) // the writer waits with the first append that comes, and leaves the next where it is
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Rollback() }()
	for limit := 50 * time.Millisecond; len(s.writer.requests) == 0; limit *= 2 {
		ctx, cancel := context.WithTimeout(patient(t), limit)
		if _, err := c.AppendToStream(ctx, "s", anyRevision, numbered(1)...); rpcCode(err) != codes.DeadlineExceeded {
			t.Fatalf("append after its deadline: %v", err)
		}
		cancel()
	}
	mustReadAll(t, c, esdb.ReadAllOptions{}, 10) // what is answered now came after the server heard that the appends are given up
	if err := busy.Rollback(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, c, "after", noStream, numbered(1)...)
	if got := mustReadAll(t, c, esdb.ReadAllOptions{}, 10); len(got) != 1 {
		t.Errorf("%d events: they were appended all the same", len(got))
	}
}
