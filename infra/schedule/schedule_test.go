package schedule_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/schedule"
	"jangbu/infra/schedule/scheduletest"
	"jangbu/test/servers"
)

func open(t *testing.T, url string, cfg schedule.Config) *schedule.Schedule {
	t.Helper()
	s, err := schedule.Open(url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	for _, r := range servers.Redises() {
		t.Run(r.Name, func(t *testing.T) {
			url := r.Start(t)
			scheduletest.Run(t, func(t *testing.T) scheduletest.Schedule {
				return open(t, url, schedule.Config{Namespace: t.Name()})
			})
		})
	}
}

// TestKeeps: a Redis that would throw the schedule away is told of; what else it may be set to, readmodel tests.
func TestKeeps(t *testing.T) {
	redis := servers.StartRedis(t)
	client := redis.Client()
	defer client.Close()
	s := open(t, redis.URL(), schedule.Config{})
	for _, policy := range []string{"allkeys-lru", "noeviction"} {
		for name, value := range map[string]string{"maxmemory": "100mb", "maxmemory-policy": policy} {
			if err := client.ConfigSet(t.Context(), name, value).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Keeps(t.Context()); (err == nil) != (policy == "noeviction") || err != nil && !strings.Contains(err.Error(), policy) {
			t.Errorf("%s: %v", policy, err)
		}
	}
}

func TestRedisAway(t *testing.T) {
	s := open(t, "redis://127.0.0.1:1", schedule.Config{})
	for name, call := range map[string]func(context.Context) error{
		"ping": s.Ping,
		"note": func(ctx context.Context) error { return s.Note(ctx, "o", time.Now()) },
		"take": func(ctx context.Context) error { _, err := s.Take(ctx, time.Now(), time.Now(), 1); return err },
		"done": func(ctx context.Context) error { return s.Done(ctx, "o", time.Now()) },
		"read": func(ctx context.Context) error { _, err := s.Checkpoint(ctx); return err },
		"write": func(ctx context.Context) error {
			_, _, err := s.Advance(ctx, event.Position{}, event.Position{})
			return err
		},
		"forget": func(ctx context.Context) error { return s.Forget(ctx, event.Position{}) },
	} {
		if err := call(t.Context()); !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongURL(t *testing.T) {
	for _, url := range []string{"http://user:secret@nowhere", "redis://user:secret%@nowhere", "redis+cluster://user:secret/@nowhere", "redis://user:secret #@nowhere"} {
		_, err := schedule.Open(url, schedule.Config{})
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "redis://127.0.0.1:6379") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestRestarted: a Redis that comes back with the checkpoint and without what was noted after it is no longer trusted, once.
func TestRestarted(t *testing.T) {
	single := servers.StartRedis(t)
	url, nodes := servers.StartRedisCluster(t)
	for name, redis := range map[string]struct {
		url   string
		nodes []*servers.RedisProcess
	}{"redis-server": {single.URL(), []*servers.RedisProcess{single}}, "redis-cluster": {url, nodes}} {
		t.Run(name, func(t *testing.T) {
			s := open(t, redis.url, schedule.Config{})
			at := event.Position{Commit: 9, Prepare: 9}
			advance := func() (lost bool) {
				t.Helper()
				var stands event.Position
				servers.Eventually(t, "the checkpoint can be moved", func() (ok bool) {
					var err error
					stands, lost, err = s.Advance(t.Context(), at, event.Position{Commit: 9, Prepare: 9})
					return err == nil
				})
				if !lost && stands != at {
					t.Errorf("it stands at %s", stands)
				}
				return lost
			}
			if _, lost, err := s.Advance(t.Context(), event.Position{}, at); lost || err != nil || advance() {
				t.Fatalf("lost %t, %v", lost, err)
			}
			for _, n := range redis.nodes {
				client := n.Client()
				defer client.Close()
				if err := client.Save(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Note(t.Context(), "o", time.Now()); err != nil {
				t.Fatal(err)
			}
			for _, n := range redis.nodes {
				n.Kill()
				n.Start()
			}
			servers.Eventually(t, "Redis answers again", func() bool { got, err := s.Checkpoint(t.Context()); return err == nil && got == at })
			if !advance() {
				t.Error("nobody hears that the note may be lost")
			}
			if advance() {
				t.Error("it is lost again")
			}
		})
	}
}

// TestPutBack: the same of a Redis that was put back to an earlier copy while it ran.
func TestPutBack(t *testing.T) {
	redis, other := servers.StartRedis(t), servers.StartRedis(t)
	other.Copy(redis) // the first time, a Redis gives its history another name
	s := open(t, redis.URL(), schedule.Config{})
	at := event.Position{Commit: 9, Prepare: 9}
	if _, lost, err := s.Advance(t.Context(), event.Position{}, at); lost || err != nil {
		t.Fatalf("lost %t, %v", lost, err)
	}
	other.Copy(redis)
	if err := s.Note(t.Context(), "o", time.Now()); err != nil {
		t.Fatal(err)
	}
	redis.Copy(other)
	for _, want := range []bool{true, false} {
		if _, lost, err := s.Advance(t.Context(), at, at); lost != want || err != nil {
			t.Errorf("lost %t, %v; want %t", lost, err, want)
		}
	}
}
