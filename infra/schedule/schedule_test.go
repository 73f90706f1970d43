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

func TestRedisAway(t *testing.T) {
	s := open(t, "redis://127.0.0.1:1", schedule.Config{})
	for name, call := range map[string]func(context.Context) error{
		"ping": s.Ping,
		"note": func(ctx context.Context) error { return s.Note(ctx, "o", time.Now()) },
		"take": func(ctx context.Context) error { _, err := s.Take(ctx, time.Now(), time.Now(), 1); return err },
		"done": func(ctx context.Context) error { return s.Done(ctx, "o", time.Now()) },
		"read": func(ctx context.Context) error { _, err := s.Checkpoint(ctx); return err },
		"write": func(ctx context.Context) error {
			_, err := s.Advance(ctx, event.Position{}, event.Position{})
			return err
		},
	} {
		if err := call(t.Context()); !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongURL(t *testing.T) {
	_, err := schedule.Open("http://user:secret@nowhere", schedule.Config{})
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "redis://127.0.0.1:6379") {
		t.Errorf("%v", err)
	}
}
