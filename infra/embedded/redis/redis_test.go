package redis_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
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

// What runs scripts here is ours, so it is compared with miniredis, which runs them inside a transaction.
func TestScriptsAnswerAsInATransaction(t *testing.T) {
	_, c := start(t, redis.Config{})
	ctx := context.Background()
	for _, lua := range []string{
		`return {1, 'two', false, true, {3.9, {}}, nil, 'unseen'}`,
		`return`,
		`return {ok = 'FINE'}`,
		`return {err = 'MINE of my own'}`,
		`redis.call('HSET', KEYS[1], 'a', 1, 'b', ARGV[1]); return redis.call('HGETALL', KEYS[1])`,
		`return redis.call('HMGET', KEYS[1], 'a', 'none')`,
		`return redis.call('SET', 'string', '\r\n' .. ARGV[1])`,
		`return redis.call('GET', 'string')`,
		`redis.call('HSET', KEYS[1], 'a', 1); return redis.call('HINCRBY', KEYS[1], 'a', string.format('%.0f', 41))`,
		`local l = cjson.decode(ARGV[2]); return {l[1], #l, tonumber(l[2]) + 1}`,
		`return redis.call('GET', 'nothing')`,
		`return #KEYS + #ARGV`,
		`return {unpack({1, 2, 3})}`,
		`return {unpack({1, 2, 3}, 2)}`,
		`return {unpack({1, 2, 3}, 2, 5)}`,
		`return {unpack({1, 2, 3}, 3, 2)}`,
		`return {unpack({})}`,
		`redis.call('SET', 'n', 99999999999999); return redis.call('INCRBY', 'n', -99999999999999)`,
	} {
		sha, err := c.ScriptLoad(ctx, lua).Result()
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.EvalSha(ctx, sha, []string{"{d}"}, "42", `["x","7"]`).Result()
		pipe := c.TxPipeline()
		want := pipe.EvalSha(ctx, sha, []string{"{d}"}, "42", `["x","7"]`)
		_, _ = pipe.Exec(ctx)
		if !reflect.DeepEqual(answer, want.Val()) || fmt.Sprint(err) != fmt.Sprint(want.Err()) {
			t.Errorf("%s\n got %#v, %v\nwant %#v, %v", lua, answer, err, want.Val(), want.Err())
		}
	}
}

// TestUnpackHasALimit: a script that a real Redis would refuse is refused here.
func TestUnpackHasALimit(t *testing.T) {
	_, c := start(t, redis.Config{})
	script := client.NewScript(`local t = {}; for i = 1, tonumber(ARGV[1]) do t[i] = i end; return redis.call('RPUSH', KEYS[1], unpack(t))`)
	if err := script.Load(t.Context(), c).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := script.Run(t.Context(), c, []string{"l"}, 7000).Int(); err != nil || n != 7000 {
		t.Errorf("7,000: %d, %v", n, err)
	}
	if n, err := script.Run(t.Context(), c, []string{"l"}, 7001).Int(); err == nil || !strings.Contains(err.Error(), "too many results to unpack") {
		t.Errorf("7,001: %d, %v", n, err)
	}
}

func TestAScriptThatFailsLeavesNothingBehind(t *testing.T) {
	_, c := start(t, redis.Config{})
	ctx := context.Background()
	for lua, says := range map[string]string{
		`x = 1`:                                "global variable 'x'",
		`return y`:                             "global variable 'y'",
		`return redis.call('GET')`:             "wrong number of arguments",
		`return redis.call('GET', {})`:         "must be strings",
		`return redis.call()`:                  "needs a command",
		`return redis.call('NOSUCH', 1)`:       "unknown command",
		`local t = nil; return t.field`:        "index",
		`return redis.pcall('GET').err`:        "wrong number", // miniredis runs it
		`error('as it pleases')`:               "as it pleases",
		`return redis.call('SET', 'n', 0.1)`:   "must be given to redis.call as a string",
		`return redis.call('SET', 'n', 0/0)`:   "must be given to redis.call as a string",
		`return redis.call('SET', 'n', 1e14)`:  "must be given to redis.call as a string",
		`return redis.call('SET', 'n', -1e14)`: "must be given to redis.call as a string",
		`return redis.call('HGET', 'k', 1)`:    "WRONGTYPE",
	} {
		c.Set(ctx, "k", "v", 0)
		sha := c.ScriptLoad(ctx, lua).Val()
		got, err := c.EvalSha(ctx, sha, nil).Result()
		if said := fmt.Sprint(got, err); !strings.Contains(said, says) {
			t.Errorf("%s: %s, and nothing of %q", lua, said, says)
		}
	}
	if err := c.ScriptFlush(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.EvalSha(ctx, client.NewScript(`x = 1`).Hash(), nil).Err(); !client.HasErrorPrefix(err, "NOSCRIPT") {
		t.Errorf("a script of before SCRIPT FLUSH: %v", err)
	}
}

func TestAScriptRunsInTheDatabaseOfItsConnection(t *testing.T) {
	s, _ := start(t, redis.Config{})
	ctx := context.Background()
	c := client.NewClient(&client.Options{Addr: s.Addr(), DB: 3})
	defer c.Close()
	sha := c.ScriptLoad(ctx, `return redis.call('SET', 'k', 'in three')`).Val()
	if err := c.EvalSha(ctx, sha, nil).Err(); err != nil {
		t.Fatal(err)
	}
	if got := c.Get(ctx, "k").Val(); got != "in three" {
		t.Errorf("database 3 has %q", got)
	}
	pipe := c.TxPipeline()
	pipe.Del(ctx, "k")
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.EvalSha(ctx, sha, nil).Err(); err != nil || c.Exists(ctx, "k").Val() != 1 {
		t.Errorf("after a transaction the script wrote elsewhere, %v", err)
	}
}

func TestAScriptCallsNoScript(t *testing.T) {
	_, c := start(t, redis.Config{})
	ctx := context.Background()
	sha := c.ScriptLoad(ctx, `return 1`).Val()
	calls := `return redis.call('EVALSHA', '` + sha + `', 0)`
	for name, run := range map[string]func() error{
		"EVAL":    func() error { return c.Eval(ctx, calls, nil).Err() },
		"EVALSHA": func() error { return c.EvalSha(ctx, c.ScriptLoad(ctx, calls).Val(), nil).Err() },
	} {
		if err := run(); err == nil || !strings.Contains(err.Error(), "not allowed from script") {
			t.Errorf("%s: %v", name, err)
		}
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
