package readmodel_test

import (
	"testing"

	"jangbu/infra/readmodel/modeltest"
	"jangbu/test/servers"
)

func TestModel(t *testing.T) {
	for _, redis := range servers.Redises() {
		t.Run(redis.Name, func(t *testing.T) { modeltest.Run(t, redis.Start(t)) })
	}
}

// TestPeek: it sees what the registry says, vouches for nothing, and leaves no script behind, which Redis would keep until it ends.
func TestPeek(t *testing.T) {
	redis := servers.StartRedis(t)
	client := redis.Client()
	defer client.Close()
	live := goLive(t, open(t, redis.URL()))
	scripts := func() string {
		t.Helper()
		info, err := client.InfoMap(t.Context(), "memory").Result()
		if err != nil {
			t.Fatal(err)
		}
		return info["Memory"]["number_of_cached_scripts"]
	}
	before := scripts()
	live.Fence = ""
	if r, err := open(t, redis.URL()).Peek(t.Context(), "things"); err != nil || r.Live != live || r.Version != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if after := scripts(); after != before || before == "" {
		t.Errorf("%q scripts, before that %q", after, before)
	}
}
