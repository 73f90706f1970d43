package readmodel_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"jangbu/domain/event"
	"jangbu/query/row"
	"jangbu/test/servers"
)

// TestRowsOfEarlierReleases: a row that remembers its whole member, and not its key alone, is taken away like any other.
func TestRowsOfEarlierReleases(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"redis-server": servers.RedisServer, "embedded": servers.EmbeddedRedis} {
		t.Run(name, func(t *testing.T) {
			url := url(t)
			m := open(t, url)
			g := goLive(t, m)
			ways := map[string]func(context.Context, row.Generation, []row.Landing) ([]row.Document, error){
				"scripts": m.Land, "builder": m.NewBuilder().Land,
			}
			for way, land := range ways {
				item := func(revision int64, item string) {
					t.Helper()
					r := row.Sourced{Source: "a-1", Revision: revision, Row: &row.Row{Doc: way, Key: "k", Item: item}}
					if _, err := land(t.Context(), g, []row.Landing{{Doc: way, Rows: []row.Sourced{r}}}); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := m.Land(t.Context(), g, []row.Landing{{Doc: way, Rows: []row.Sourced{{Source: "a-1", Row: &row.Row{Doc: way, Key: "k", Item: "old"}}}}}); err != nil {
					t.Fatal(err)
				}
				rememberWhole(t, url, way)
				item(1, "new")
				items, _, err := m.Page(t.Context(), g, way, "", 10)
				if err != nil || len(items) != 1 || string(items[0].JSON) != `"new"` {
					t.Errorf("%s: items %s, %v", way, items, err)
				}
			}
		})
	}
}

// TestSkipsOfEarlierReleases: a note without the event's id means any event of the revision.
func TestSkipsOfEarlierReleases(t *testing.T) {
	url := servers.EmbeddedRedis(t)
	m := open(t, url)
	if err := m.Skip(t.Context(), "orders", "order-1", row.Skip{Revision: 3}); err != nil {
		t.Fatal(err)
	}
	client := clientOf(t, url)
	keys, err := client.Keys(t.Context(), "*:skipped").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %q, %v", keys, err)
	}
	if err := client.Del(t.Context(), keys[0]).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.HSet(t.Context(), keys[0], "order-a@b@3", 1).Err(); err != nil {
		t.Fatal(err)
	}
	skipped, err := m.Skipped(t.Context(), "orders")
	if err != nil || !reflect.DeepEqual(skipped, row.Skipped{"order-a@b": {{Revision: 3}}}) {
		t.Errorf("%v, %v", skipped, err)
	}
	if e := (event.Recorded{ID: uuid.New(), Revision: 3}); !skipped["order-a@b"][0].Of(e) {
		t.Error("it is not of an event of the revision")
	}
}

func clientOf(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { client.Close() })
	return client
}

// rememberWhole makes the one row of a list what earlier releases wrote.
func rememberWhole(t *testing.T, url, doc string) {
	t.Helper()
	client := clientOf(t, url)
	keys, err := client.Keys(t.Context(), "*:r:"+doc).Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %q, %v", keys, err)
	}
	const whole = "0\n[\"k\\u0000a-1\\u0000\\\"old\\\"\"]\n"
	if was := client.HGet(t.Context(), keys[0], "a-1").Val(); was != "0\n[\"k\"]\n" {
		t.Fatalf("row %q", was)
	}
	if err := client.HSet(t.Context(), keys[0], "a-1", whole).Err(); err != nil {
		t.Fatal(err)
	}
}
