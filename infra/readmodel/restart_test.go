package readmodel_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
	"jangbu/test/servers"
)

// goLive builds and switches to a generation.
func goLive(t *testing.T, m *readmodel.Store) row.Generation {
	t.Helper()
	b, err := m.Begin(t.Context(), "things", 1, "x")
	if err == nil {
		err = errors.Join(m.OpenBuild(t.Context(), b.Generation, "x"), m.Switch(t.Context(), b.Generation, "x"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Generation
}

// save writes to disk what a server holds. What it is told later it forgets when it is killed.
func save(t *testing.T, p *servers.RedisProcess) {
	t.Helper()
	client := p.Client()
	defer client.Close()
	servers.Until(t, "it is saved", func() error { return client.Save(t.Context()).Err() }) // one for a replica may be under way
}

// TestRestartBetweenLandingAndSaving: a Redis that lost a row is not told that the row has landed; nor, after that, that
// everything has. It loses it when it is killed, or when it is put back to an earlier copy while it runs.
func TestRestartBetweenLandingAndSaving(t *testing.T) {
	type deed func(t *testing.T, redis, other *servers.RedisProcess)
	for way, does := range map[string]struct{ keep, lose deed }{
		"killed": {
			keep: func(t *testing.T, redis, _ *servers.RedisProcess) { save(t, redis) },
			lose: func(_ *testing.T, redis, _ *servers.RedisProcess) {
				redis.Kill()
				redis.Start()
			},
		},
		"put back": {
			keep: func(_ *testing.T, redis, other *servers.RedisProcess) { other.Copy(redis) },
			lose: func(_ *testing.T, redis, other *servers.RedisProcess) { redis.Copy(other) },
		},
	} {
		t.Run(way, func(t *testing.T) {
			redis, other := servers.StartRedis(t), servers.StartRedis(t)
			other.Copy(redis) // the first time, a Redis gives its history another name
			m := open(t, redis.URL())
			g := goLive(t, m)
			begun, err := m.Begin(t.Context(), "things", 1, "x")
			if err != nil {
				t.Fatal(err)
			}
			does.keep(t, redis, other)
			claims := map[string]func(g, build row.Generation) error{
				"save the state": func(g, _ row.Generation) error {
					return m.SaveStates(t.Context(), g, []row.State{{Stream: "a-1", Revision: 3}})
				},
				"advance": func(g, _ row.Generation) error {
					return m.Advance(t.Context(), g, event.Recorded{Position: event.Position{Commit: 9}})
				},
				"put": func(_, g row.Generation) error {
					return m.NewBuilder().Put(t.Context(), g, row.Batch{States: []row.Save{{Stream: "z-1", Revision: 3}}})
				},
				"built": func(_, g row.Generation) error { return m.Built(t.Context(), g, "x", event.Position{Commit: 9}) },
			}
			build := begun.Generation
			for name, claim := range claims {
				if _, err := m.Land(t.Context(), g, landings); err != nil {
					t.Fatal(err)
				}
				does.lose(t, redis, other)
				if err := claim(g, build); !errors.Is(err, row.ErrRestarted) {
					t.Errorf("%s: %v", name, err)
				}
				r, err := m.Registry(t.Context(), "things")
				if err != nil || r.Live.Salt != g.Salt || r.Live.Fence == g.Fence || r.At != (event.Position{}) || r.Built != (event.Position{}) {
					t.Fatalf("%s: registry %+v, %v", name, r, err)
				}
				g, build = r.Live, r.Building
				if at, err := m.Landed(t.Context(), g, []string{"a-1"}); err != nil || at[0] != event.NoStream {
					t.Errorf("%s: the stream stands at %d, %v", name, at, err)
				}
			}
			for name, claim := range claims {
				if err := claim(g, build); err != nil {
					t.Errorf("%s, with what the registry says now: %v", name, err)
				}
			}
		})
	}
}

// TestReplicaAttached: a Redis that takes a replica has lost nothing. The first time it gives its history another name, which costs one claim.
func TestReplicaAttached(t *testing.T) {
	redis, replica := servers.StartRedis(t), servers.StartRedis(t)
	m := open(t, redis.URL())
	was := goLive(t, m)
	g := was
	for n := range uint64(3) {
		replica.Copy(redis)
		claim := func() error {
			return m.Advance(t.Context(), g, event.Recorded{Position: event.Position{Commit: n + 1}})
		}
		if err := claim(); n > 0 && err != nil || err != nil && !errors.Is(err, row.ErrRestarted) {
			t.Errorf("claim %d: %v", n, err)
		}
		r, err := m.Registry(t.Context(), "things")
		if err != nil || r.Live.Number != was.Number || r.Live.Salt != was.Salt || r.At.Commit < n {
			t.Fatalf("after %d: registry %+v, %v", n, r, err)
		}
		g = r.Live
		if err := errors.Join(claim(), m.Intact(t.Context(), g)); err != nil {
			t.Errorf("claim %d, with what the registry says now: %v", n, err)
		}
	}
}

// TestHistoryHidden: where Redis lets its user ask for no INFO, at first or later, claims go on.
func TestHistoryHidden(t *testing.T) {
	redis := servers.StartRedis(t)
	admin := redis.Client()
	defer admin.Close()
	may := func(rule string) {
		t.Helper()
		if err := admin.Do(t.Context(), "ACL", "SETUSER", "shop", "on", ">pw", "~*", "+@all", rule).Err(); err != nil {
			t.Fatal(err)
		}
	}
	commit := uint64(0)
	for _, rules := range [][]string{{"-info", "-info"}, {"-info", "+info"}, {"+info", "-info"}} {
		may(rules[0])
		m := open(t, strings.Replace(redis.URL(), "://", "://shop:pw@", 1))
		goLive(t, m)
		r, err := m.Registry(t.Context(), "things")
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range rules {
			may(rule)
			commit++
			if err := m.Advance(t.Context(), r.Live, event.Recorded{Position: event.Position{Commit: commit}}); err != nil {
				t.Errorf("%q, now %s: %v", rules, rule, err)
			}
		}
	}
}

// TestClusterNodeRestarts: a node that comes back may have lost its last writes; one that comes back empty has lost all.
func TestClusterNodeRestarts(t *testing.T) {
	for _, test := range []struct {
		name string
		kept bool
		want error
	}{{"with its data", true, row.ErrDoubt}, {"empty", false, row.ErrHalf}} {
		t.Run(test.name, func(t *testing.T) {
			url, nodes := servers.StartRedisCluster(t)
			m := open(t, url)
			g := goLive(t, m)
			if err := m.Intact(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			left, err := m.Begin(t.Context(), "things", 1, "x")
			if err == nil {
				err = errors.Join(m.OpenBuild(t.Context(), left.Generation, "x"), m.Leave(t.Context(), left.Generation, "x"))
			}
			if err != nil {
				t.Fatal(err)
			}
			registry := nodeOf(t, nodes, "jangbu:{things}:registry")
			node := nodes[(registry+1)%len(nodes)]
			if test.kept {
				save(t, node)
			}
			node.Kill()
			node.Start()
			held := notes(t, nodes[registry], g)
			servers.Eventually(t, "the loss is noticed", func() bool { return errors.Is(m.Intact(t.Context(), g), test.want) })
			if now := notes(t, nodes[registry], g); test.kept && now == held {
				t.Errorf("the doubt would end if the former node, %s, came back with what the other had", now)
			}
			var next row.Build
			servers.Eventually(t, "the cluster is well again", func() bool {
				next, err = m.Begin(t.Context(), "things", 1, "y")
				return err == nil
			})
			if next.Number == left.Number || !next.Fresh {
				t.Errorf("after %+v, of which a part may be gone, the build is %+v", left, next)
			}
			servers.Eventually(t, "the new generation is whole", func() bool {
				return m.Switch(t.Context(), next.Generation, "y") == nil && m.Intact(t.Context(), next.Generation) == nil
			})
		})
	}
}

// TestClusterFailback: a node that was a replica in between knows the scripts of before, and is told nothing by them.
func TestClusterFailback(t *testing.T) {
	url, nodes := servers.StartRedisCluster(t)
	goLive(t, open(t, url))
	node := nodes[nodeOf(t, nodes, "jangbu:{things}:registry")]
	replica := servers.StartReplica(t, node)
	claim := func(m *readmodel.Store, g row.Generation) error {
		return m.Advance(t.Context(), g, event.Recorded{Position: event.Position{Commit: 9}})
	}
	m := open(t, url) // it knows nothing of the time before there was a replica
	r, err := m.Registry(t.Context(), "things")
	if err := errors.Join(err, claim(m, r.Live)); err != nil {
		t.Fatal(err)
	}
	replica.TakeOver()
	node.TakeOver()
	servers.Eventually(t, "the claim is refused", func() bool { return errors.Is(claim(m, r.Live), row.ErrRestarted) })
	servers.Eventually(t, "what the registry says now can be claimed", func() bool {
		r, err := m.Registry(t.Context(), "things")
		return err == nil && claim(m, r.Live) == nil
	})
}

// notes is which processes are said to have held a generation.
func notes(t *testing.T, node *servers.RedisProcess, g row.Generation) string {
	t.Helper()
	client := node.Client()
	defer client.Close()
	held, err := client.HGet(t.Context(), "jangbu:{things}:registry", fmt.Sprintf("nodes:%d-%s", g.Number, g.Salt)).Result()
	if err != nil {
		t.Fatal(err)
	}
	return held
}

// nodeOf finds the node that holds a key.
func nodeOf(t *testing.T, nodes []*servers.RedisProcess, key string) int {
	t.Helper()
	for i, n := range nodes {
		client := n.Client()
		defer client.Close()
		if found, err := client.Exists(t.Context(), key).Result(); err == nil && found == 1 {
			return i
		}
	}
	t.Fatalf("no node holds %s", key)
	return 0
}
