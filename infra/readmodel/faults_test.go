package readmodel_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
	"jangbu/test/servers"
)

func open(t *testing.T, url string) *readmodel.Store {
	t.Helper()
	m, err := readmodel.Open(url, readmodel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

var (
	g        = row.Generation{View: "things", Number: 1}
	landings = []row.Landing{{Doc: "doc", Compose: true, Rows: []row.Sourced{{Source: "a-1", Revision: 3, Row: &row.Row{Part: row.PartOf("part")}}}}}
)

// calls is every call that goes to Redis.
func calls(m *readmodel.Store) map[string]func(context.Context) error {
	b := m.NewBuilder()
	return map[string]func(context.Context) error{
		"Ping": m.Ping,
		"Land": func(ctx context.Context) error { _, err := m.Land(ctx, g, landings); return err },
		"Compose": func(ctx context.Context) error {
			_, err := m.Compose(ctx, g, []row.Document{{Doc: "doc"}}, [][]byte{nil})
			return err
		},
		"States":       func(ctx context.Context) error { _, err := m.States(ctx, g, []string{"a-1"}); return err },
		"SaveStates":   func(ctx context.Context) error { return m.SaveStates(ctx, g, []row.State{{Stream: "a-1"}}) },
		"Refer":        func(ctx context.Context) error { return m.Refer(ctx, g, map[string][]string{"a-1": {"doc"}}) },
		"SharedParts":  func(ctx context.Context) error { _, err := m.SharedParts(ctx, g, []string{"a-1"}); return err },
		"Live":         func(ctx context.Context) error { _, err := m.Live(ctx, "things", true); return err },
		"Document":     func(ctx context.Context) error { _, err := m.Document(ctx, g, "doc"); return err },
		"Page":         func(ctx context.Context) error { _, _, err := m.Page(ctx, g, "doc", "", 1); return err },
		"Landed":       func(ctx context.Context) error { _, err := m.Landed(ctx, g, []string{"a-1"}); return err },
		"Registry":     func(ctx context.Context) error { _, err := m.Registry(ctx, "things"); return err },
		"Peek":         func(ctx context.Context) error { _, err := m.Peek(ctx, "things"); return err },
		"Advance":      func(ctx context.Context) error { return m.Advance(ctx, g, event.Recorded{}) },
		"Begin":        func(ctx context.Context) error { _, err := m.Begin(ctx, "things", 1, "x"); return err },
		"Renew":        func(ctx context.Context) error { return m.Renew(ctx, g, "x") },
		"DropGarbage":  func(ctx context.Context) error { return m.DropGarbage(ctx, "things") },
		"Documents":    func(ctx context.Context) error { _, err := m.Documents(ctx, g, true); return err },
		"Builder.Land": func(ctx context.Context) error { _, err := b.Land(ctx, g, landings); return err },
		"Builder.Compose": func(ctx context.Context) error {
			_, err := b.Compose(ctx, g, []row.Document{{Doc: "doc"}}, [][]byte{nil})
			return err
		},
		"Builder.SaveStates": func(ctx context.Context) error { return b.SaveStates(ctx, g, []row.State{{Stream: "a-1"}}) },
		"Builder.Put": func(ctx context.Context) error {
			return b.Put(ctx, g, row.Batch{States: []row.Save{{Stream: "a-1"}}})
		},
		"Builder.Held": func(ctx context.Context) error { _, err := b.Held(ctx, g, []string{"doc"}, true); return err },
		"Referrers": func(ctx context.Context) error {
			for _, err := range m.Referrers(ctx, g, []string{"a-1"}) {
				return err
			}
			return nil
		},
	}
}

// TestServerGone: every call says soon, and by the right name, that Redis is away; nothing that was never sent is astray.
func TestServerGone(t *testing.T) {
	for scheme, url := range map[string]string{"single": "redis://127.0.0.1:", "cluster": "redis+cluster://127.0.0.1:"} {
		t.Run(scheme, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // all of them, so far below the test's own limit
			defer cancel()
			for name, call := range calls(open(t, url+servers.Port(t))) {
				if err := call(ctx); !errors.Is(err, event.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, row.ErrAstray) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// TestReplies: what Redis answers decides whether trying again is of use.
func TestReplies(t *testing.T) {
	for _, test := range []struct {
		reply string
		again bool
	}{
		{"LOADING Redis is loading the dataset in memory", true},
		{"READONLY You can't write against a read only replica.", true},
		{"CLUSTERDOWN The cluster is down", true},
		{"OOM command not allowed when used memory > 'maxmemory'.", true},
		{"MISCONF Redis is configured to save RDB snapshots", true},
		{"BUSY Redis is busy running a script.", true},
		{"NOREPLICAS Not enough good replicas to write.", true},
		{"NOAUTH Authentication required.", true},
		{"WRONGPASS invalid username-password pair", true},
		{"NOPERM User shop has no permissions to run the 'hset' command", true},
		{"WRONGTYPE Operation against a key holding the wrong kind of value", false},
		{"ERR unknown command", false},
	} {
		t.Run(strings.Fields(test.reply)[0], func(t *testing.T) {
			redis := miniredis.RunT(t)
			m := open(t, "redis://"+redis.Addr()+"?max_retries=-1")
			redis.SetError(test.reply)
			for name, call := range calls(m) {
				err := call(t.Context())
				if err == nil || errors.Is(err, row.ErrAstray) || errors.Is(err, event.ErrUnavailable) != test.again || errors.Is(err, event.ErrNoRoom) != strings.HasPrefix(test.reply, "OOM") {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// TestNoRoom: that Redis has no room is said of a transaction, too, of which it refuses the commands and then only says that some were.
// (The one in the test's own process would refuse MULTI.)
func TestNoRoom(t *testing.T) {
	redis := servers.StartRedis(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	m := open(t, redis.URL())
	list := []row.Landing{{Doc: "list", Rows: []row.Sourced{{Source: "a-1", Revision: 3, Row: &row.Row{Key: "key"}}}}}
	if _, err := m.NewBuilder().Land(t.Context(), g, list); !errors.Is(err, event.ErrNoRoom) {
		t.Errorf("a row with a key: %v", err)
	}
}

// TestRestart: a Store goes on when its Redis comes back, even with nothing in it.
func TestRestart(t *testing.T) {
	redis := miniredis.RunT(t)
	m := open(t, "redis://"+redis.Addr())
	for range 2 {
		docs, err := m.Land(t.Context(), g, landings)
		if err != nil || len(docs) != 1 {
			t.Fatalf("land: %v, %v", docs, err)
		}
		redis.Close()
		if _, err := m.Land(t.Context(), g, landings); !errors.Is(err, event.ErrUnavailable) {
			t.Fatalf("land while Redis is away: %v", err)
		}
		redis.FlushAll()
		if err := redis.Restart(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:6379", "http://127.0.0.1", "redis+cluster://%zz"} {
		if m, err := readmodel.Open(url, readmodel.Config{}); err == nil {
			m.Close()
			t.Errorf("%q opens", url)
		}
	}
	_, err := readmodel.Open("http://user:secret@127.0.0.1", readmodel.Config{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error is %v, and must not hold the password", err)
	}
}
