package redis_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"

	"jangbu/infra/embedded/redis"
)

func start(t *testing.T, cfg redis.Config) (*redis.Server, *client.Client) {
	t.Helper()
	s, err := redis.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	opts, err := client.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	c := client.NewClient(opts)
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), s.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return s, c
}

func TestKeysExpireByThemselves(t *testing.T) {
	_, c := start(t, redis.Config{Tick: time.Millisecond})
	ctx := context.Background()
	if err := errors.Join(c.Set(ctx, "brief", "1", 20*time.Millisecond).Err(), c.Set(ctx, "lasting", "2", 0).Err(), c.Set(ctx, "long", "3", time.Hour).Err()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); c.Exists(ctx, "brief").Val() != 0; {
		if time.Now().After(deadline) {
			t.Fatal("the key never expired")
		}
	}
	if n := c.Exists(ctx, "lasting", "long").Val(); n != 2 {
		t.Errorf("%d of the other two keys are left", n)
	}
	if left := c.TTL(ctx, "long").Val(); left <= 50*time.Minute || left > time.Hour {
		t.Errorf("an hour's key has %v left", left)
	}
}

func TestScriptsRun(t *testing.T) {
	_, c := start(t, redis.Config{})
	script := client.NewScript(`redis.call('HSET', KEYS[1], 'n', ARGV[1]); return redis.call('HGET', KEYS[1], 'n')`)
	if got, err := script.Run(context.Background(), c, []string{"{d}"}, "42").Text(); err != nil || got != "42" {
		t.Errorf("script answered %q, %v", got, err)
	}
}

func TestATakenPortIsSaid(t *testing.T) {
	s, _ := start(t, redis.Config{})
	_, err := redis.Start(redis.Config{Addr: s.Addr()})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("error %v", err)
	}
}

func TestURLOfEveryInterfaceIsTheLoopback(t *testing.T) {
	s, c := start(t, redis.Config{Addr: ":0"})
	if !strings.HasPrefix(s.URL(), "redis://127.0.0.1:") {
		t.Errorf("URL %s", s.URL())
	}
	if err := c.Ping(context.Background()).Err(); err != nil {
		t.Error(err)
	}
}
