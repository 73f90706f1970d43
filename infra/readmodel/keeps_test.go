package readmodel_test

import (
	"strings"
	"testing"

	"jangbu/test/servers"
)

// TestKeeps: a Redis that would throw away what has no end is told of; one that would not, or does not say, is not.
func TestKeeps(t *testing.T) {
	redis := servers.StartRedis(t)
	client := redis.Client()
	defer client.Close()
	m := open(t, redis.URL())
	for _, test := range []struct {
		memory, policy string
		fine           bool
	}{
		{"0", "allkeys-lru", true},
		{"100mb", "allkeys-lru", false},
		{"100mb", "allkeys-random", false},
		{"100mb", "volatile-lru", true},
		{"100mb", "noeviction", true},
	} {
		for name, value := range map[string]string{"maxmemory": test.memory, "maxmemory-policy": test.policy} {
			if err := client.ConfigSet(t.Context(), name, value).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Keeps(t.Context()); (err == nil) != test.fine || err != nil && !strings.Contains(err.Error(), test.policy) {
			t.Errorf("%+v: %v", test, err)
		}
	}
	url, nodes := servers.StartRedisCluster(t)
	node := nodes[2].Client()
	defer node.Close()
	for name, value := range map[string]string{"maxmemory": "100mb", "maxmemory-policy": "allkeys-lfu"} {
		if err := node.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(t, url).Keeps(t.Context()); err == nil {
		t.Error("a node of a cluster throws away what it likes, and nothing is said")
	}
	for _, silent := range []string{servers.EmbeddedRedis(t), "redis://127.0.0.1:" + servers.Port(t)} {
		if err := open(t, silent).Keeps(t.Context()); err != nil {
			t.Errorf("%s: %v", silent, err)
		}
	}
}
