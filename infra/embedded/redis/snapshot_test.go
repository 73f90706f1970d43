package redis_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"jangbu/infra/embedded/redis"
)

func open(t *testing.T) (*redis.Server, *goredis.Client) {
	t.Helper()
	s, err := redis.Start(redis.Config{})
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(&goredis.Options{Addr: s.Addr()})
	t.Cleanup(func() {
		client.Close()
		s.Close()
	})
	return s, client
}

func fill(t *testing.T, c *goredis.Client) {
	t.Helper()
	ctx := t.Context()
	pipe := c.Pipeline()
	pipe.Set(ctx, "text", "zero \x00, line\n, 장부", 0)
	pipe.Set(ctx, "", "an empty name", 0)
	pipe.Set(ctx, "empty", "", 0)
	pipe.Set(ctx, "fleeting", "1", time.Hour)
	pipe.HSet(ctx, "hash", "a", "1", "", "2", "b", "")
	pipe.SAdd(ctx, "set", "x", "y", "")
	pipe.ZAdd(ctx, "zset", goredis.Z{Score: -1.5, Member: "low"}, goredis.Z{Score: 0, Member: "a\x00b"}, goredis.Z{Score: 1e300, Member: "high"})
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotKeepsEverything(t *testing.T) {
	s, c := open(t)
	fill(t, c)
	path := filepath.Join(t.TempDir(), "snapshot")
	if err := errors.Join(s.Close(), s.Save(path, "made by a test")); err != nil {
		t.Fatal(err)
	}
	s, c = open(t)
	if label, err := redis.Label(path); err != nil || label != "made by a test" {
		t.Fatalf("the label is %q, %v", label, err)
	}
	if err := s.Load(path); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for name, check := range map[string]struct{ got, want any }{
		"keys":   {c.DBSize(ctx).Val(), int64(7)},
		"text":   {c.Get(ctx, "text").Val(), "zero \x00, line\n, 장부"},
		"noname": {c.Get(ctx, "").Val(), "an empty name"},
		"empty":  {c.Exists(ctx, "empty").Val(), int64(1)},
		"hash":   {c.HGetAll(ctx, "hash").Val(), map[string]string{"a": "1", "": "2", "b": ""}},
		"set":    {c.SCard(ctx, "set").Val(), int64(3)},
		"zset":   {c.ZRangeWithScores(ctx, "zset", 0, -1).Val(), []goredis.Z{{Score: -1.5, Member: "low"}, {Score: 0, Member: "a\x00b"}, {Score: 1e300, Member: "high"}}},
	} {
		if fmt.Sprint(check.got) != fmt.Sprint(check.want) {
			t.Errorf("%s is %v, want %v", name, check.got, check.want)
		}
	}
	if ttl := c.TTL(ctx, "fleeting").Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("the TTL is %s, want some of an hour", ttl)
	}
}

func TestDamagedSnapshotLeavesNothing(t *testing.T) {
	s, c := open(t)
	fill(t, c)
	dir := t.TempDir()
	path := filepath.Join(dir, "snapshot")
	if err := s.Save(path, "label"); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{"empty": {}, "other": []byte("something else entirely, of some length")}
	for i := rand.IntN(4); i < len(whole); i += 4 {
		damaged[fmt.Sprintf("cut at %d", i)] = whole[:i]
		flipped := slices.Clone(whole)
		flipped[i] ^= 0x20
		damaged[fmt.Sprintf("flipped at %d", i)] = flipped
	}
	s, c = open(t)
	for name, content := range damaged {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Load(path); !errors.Is(err, redis.ErrSnapshot) {
			t.Errorf("%s: load says %v, want ErrSnapshot", name, err)
		}
		if n := c.DBSize(t.Context()).Val(); n != 0 {
			t.Errorf("%s: %d keys remain", name, n)
		}
	}
	if err := s.Load(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: load says %v, want fs.ErrNotExist", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("save left %v, %v; want the snapshot alone", left, err)
	}
}
