package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/projector"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/servers"
)

func TestViews(t *testing.T) {
	s := newOpsShop(t)
	mustRun(t, "provision")
	for name, v := range viewsNow(t) {
		if v.Status != "not built yet" || v.Generation != 0 {
			t.Errorf("before anything was built, %s is %+v", name, v)
		}
	}
	s.open(t)
	documents := map[string]int64{
		"orders":      2 + 1,     // and the funnel
		"order-lists": 1 + 1 + 2, // the member's, all, and two statuses
		"members":     1,
		"products":    1 + 1, // and the categories
		"catalogue":   4 + 3, // by age and price, all and of a category; and the beginnings of "pen"
		"popular":     2,
		"sales":       3, // the total, and a month's two
	}
	for name := range viewsNow(t) {
		v := withQueue(t, name)
		if v.Status != statusOK || v.Generation != 1 || v.Version != versionOf(name) || v.Documents != documents[name] || v.LagEvents != 0 ||
			v.Position == "0/0" || *v.Queue != (queueStatus{}) {
			t.Errorf("%s is %+v", name, v)
		}
	}

	s.add(t, "order-2", order.Cancelled{Reason: "late"})
	s.add(t, "order-3", placedOrder())
	s.send(t, "jangbu-orders", "a message")
	s.send(t, "jangbu-orders-dlq", "a dead one")
	orders := withQueue(t, "orders")
	if orders.LagEvents != 2 || orders.LagSeconds < 0 || orders.LagSeconds > 600 || *orders.Queue != (queueStatus{Waiting: 1, Dead: 1}) {
		t.Errorf("orders is %+v, queue %+v", orders, orders.Queue)
	}
	table := mustRun(t, "views")
	fields := strings.Fields(table[strings.Index(table, "\norders")+1:])
	if want := []string{"orders", "1", fmt.Sprint(view.Orders.Version), "3"}; strings.Join(fields[:4], " ") != strings.Join(want, " ") || fields[5] != "2" || fields[7]+fields[8]+fields[9] != "1+0" {
		t.Errorf("the table is\n%s", table)
	}
}

func TestViewsOfFulfilment(t *testing.T) {
	s := newOpsShop(t)
	due, err := redisFlags{RedisURL: os.Getenv("REDIS_URL")}.openSchedule(shopFlags{Topic: "jangbu"})
	if err != nil {
		t.Fatal(err)
	}
	defer due.Close()
	mustRun(t, "provision")
	if f := fulfilmentNow(t); f.Status != statusOK || f.Position != "0/0" || f.LagEvents != 0 || f.Queue == nil {
		t.Errorf("in an empty shop it is %+v", f)
	}
	s.open(t)
	s.send(t, "jangbu-fulfilment", "a message")
	s.send(t, "jangbu-fulfilment-dlq", "a dead one")
	if f := fulfilmentNow(t); f.Status != "not run yet" || f.LagEvents != 3 || f.LagSeconds < 0 || f.LagSeconds > 600 || *f.Queue != (queueStatus{Waiting: 1, Dead: 1}) {
		t.Errorf("with three events of orders it is %+v, queue %+v", f, f.Queue)
	}
	head, err := s.Store.Head(t.Context())
	if err == nil {
		_, _, err = due.Advance(t.Context(), event.Position{}, head.Position)
	}
	if err != nil {
		t.Fatal(err)
	}
	if f := fulfilmentNow(t); f.Status != statusOK || f.LagEvents != 0 || f.Position != head.Position.String() {
		t.Errorf("when it has dealt with all, it is %+v", f)
	}
	s.add(t, "order-3", placedOrder())
	s.add(t, "product-P", product.Discontinued{})
	if f := fulfilmentNow(t); f.Status != statusOK || f.LagEvents != 1 {
		t.Errorf("with one more order it is %+v", f)
	}
	table := mustRun(t, "views")
	lines := strings.Split(strings.TrimSpace(table), "\n")
	last := strings.Fields(lines[len(lines)-1])
	if got := strings.Join(slices.Delete(last, 6, 7), " "); got != "fulfilment - - - "+head.Position.String()+" 1 1 + 0 1 - - ok" {
		t.Errorf("the last line is %q of\n%s", got, table)
	}

	queue := "jangbu-fulfilment"
	found, err := s.sqs.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &queue})
	if err == nil {
		_, err = s.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: found.QueueUrl})
	}
	if err != nil {
		t.Fatal(err)
	}
	if f := fulfilmentNow(t); f.Status != "no queue yet" || f.Queue != nil || f.LagEvents != 1 {
		t.Errorf("without a queue it is %+v", f)
	}
	if _, _, err = due.Advance(t.Context(), head.Position, event.Position{Commit: 1 << 62, Prepare: 1 << 62}); err != nil {
		t.Fatal(err)
	}
	if f := fulfilmentNow(t); f.Status != "ahead of the log, no queue yet" {
		t.Errorf("with the checkpoint of a longer log it is %+v", f)
	}
}

// A bulk load puts many events between the checkpoint and the first order.
func TestFulfilmentBehindManyEvents(t *testing.T) {
	s := newOpsShop(t)
	for i := range 20 {
		s.add(t, fmt.Sprint("member-", i), member.Registered{Name: "Mina", Country: "Korea"})
	}
	s.add(t, "order-1", placedOrder())
	due, err := redisFlags{RedisURL: os.Getenv("REDIS_URL")}.openSchedule(shopFlags{Topic: "jangbu"})
	if err != nil {
		t.Fatal(err)
	}
	defer due.Close()
	o := &observer{store: s.Store, due: due, limit: 10}
	if f, err := o.lookAtFulfilment(t.Context()); err != nil || f.Status != "not run yet" || f.LagSeconds == 0 {
		t.Errorf("with an order behind twenty events it is %+v, %v", f, err)
	} else if cells := f.cells(); cells[5] != "0+" || cells[6] == "-" {
		t.Errorf("its line is %v", cells)
	}
	o.limit = 100
	if f, err := o.lookAtFulfilment(t.Context()); err != nil || f.LagEvents != 1 || f.more {
		t.Errorf("looked at further, it is %+v, %v", f, err)
	}
}

func TestStatusOfFulfilment(t *testing.T) {
	now := time.Date(2026, 3, 4, 20, 15, 0, 0, time.Local)
	ago := func(d time.Duration) projector.Lag { return projector.Lag{Events: 3, Since: now.Add(-d)} }
	at := event.Position{Commit: 7, Prepare: 7}
	for name, tt := range map[string]struct {
		at    event.Position
		lag   projector.Lag
		ahead bool
		want  string
	}{
		"well":            {at, projector.Lag{}, false, "ok"},
		"a little behind": {at, ago(30 * time.Second), false, "ok"},
		"stalled":         {at, ago(31 * time.Second), false, "stalled since 20:14:29"},
		"never run":       {event.Position{}, ago(time.Hour), false, "not run yet"},
		"nothing to do":   {event.Position{}, projector.Lag{}, false, "ok"},
		"no order so far": {at, projector.Lag{Since: now.Add(-31 * time.Second)}, false, "stalled since 20:14:29"},
		"another log":     {at, projector.Lag{}, true, "ahead of the log"},
	} {
		if got := statusOfFulfilment(tt.at, tt.lag, tt.ahead, now); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	s := fulfilmentStatus{reading{Status: "not run yet"}}
	if s.wrong("no queue yet"); s.Status != "not run yet, no queue yet" {
		t.Errorf("both: %q", s.Status)
	}
}

func versionOf(name string) int {
	v, _ := view.Named(name)
	return v.Version
}

func TestViewsWithoutQueues(t *testing.T) {
	newOpsShop(t).open(t)
	for name, url := range map[string]string{"no queues yet": startBus(t), "nobody answers": "http://127.0.0.1:1", "no region": ""} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_ENDPOINT_URL", url)
			all, stderr := printed[[]viewStatus](t, 0, "views")
			if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "no figures of the queues: ") || !strings.Contains(stderr, "--aws-endpoint-url") {
				t.Errorf("stderr: %s", stderr)
			}
			for _, v := range all {
				if v.Queue != nil || v.Generation != 1 && v.View != fulfilmentQueue {
					t.Errorf("%+v", v)
				}
			}
		})
	}
}

func TestViewsWithoutRedis(t *testing.T) {
	newOpsShop(t)
	t.Setenv("REDIS_URL", "redis://127.0.0.1:1")
	code, stdout, stderr := quiet(t, "views")
	if code != 1 || stdout != "" {
		t.Errorf("code %d, %s", code, stdout)
	}
	wantOneLine(t, stderr, "--redis-url", "--eventstore-url")
}

func TestStatus(t *testing.T) {
	now := time.Date(2026, 3, 4, 20, 15, 0, 0, time.Local)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	live := func(change func(*row.Registry)) row.Registry {
		r := row.Registry{Live: row.Generation{View: "orders", Number: 1}, Version: 2}
		change(&r)
		return r
	}
	for name, tt := range map[string]struct {
		registry row.Registry
		parked   int64
		behind   time.Time
		ahead    bool
		want     string
	}{
		"well":             {live(func(*row.Registry) {}), 0, time.Time{}, false, "ok"},
		"a little behind":  {live(func(*row.Registry) {}), 0, ago(30 * time.Second), false, "ok"},
		"stalled":          {live(func(*row.Registry) {}), 0, ago(31 * time.Second), false, "stalled since 20:14:29"},
		"stalled for days": {live(func(*row.Registry) {}), 0, ago(48 * time.Hour), false, "stalled since 2026-03-02 20:15:00"},
		"silent":           {live(func(r *row.Registry) { r.Silent = ago(time.Minute) }), 0, time.Time{}, false, "silent since 20:14:00"},
		"parked":           {live(func(*row.Registry) {}), 1200, time.Time{}, false, "parked 1,200"},
		"other code":       {live(func(r *row.Registry) { r.Version = 1 }), 0, time.Time{}, false, "version 1, code 2"},
		"all of it": {live(func(r *row.Registry) { r.Version, r.Silent = 3, ago(time.Minute) }), 1, ago(time.Minute), true,
			"version 3, code 2, stalled since 20:14:00, ahead of the log, silent since 20:14:00, parked 1"},
		"being rebuilt": {live(func(r *row.Registry) { r.Building.Number = 2 }), 0, time.Time{}, false, "ok"},
		"not built":     {row.Registry{}, 0, ago(time.Hour), false, "not built yet"},
		"being built":   {row.Registry{Building: row.Generation{View: "orders", Number: 1}}, 0, ago(time.Hour), false, "building"},
	} {
		if got := statusOf(&view.View{Name: "orders", Version: 2}, tt.registry, tt.parked, tt.behind, tt.ahead, now); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// Watching goes on while a dependency is away, and an interruption is its proper end.
func TestViewsWatch(t *testing.T) {
	s := newOpsShop(t)
	s.open(t)
	p := start(t, "views", "--watch", "--log-level", "error")
	blocks := func(n int, prefix string) {
		t.Helper()
		servers.Eventually(t, "a block that begins with "+prefix, func() bool {
			whole := strings.Split(p.stdout.String(), "\n\n")
			return len(whole) > n && strings.HasPrefix(whole[len(whole)-2], prefix)
		})
	}
	blocks(2, "VIEW ")
	s.stop(t)
	blocks(3, "jangbu: ")
	p.stop()
	if code := p.end(t); code != 0 || p.stderr.String() != "" {
		t.Errorf("code %d, %s", code, p.stderr.String())
	}
}

func TestViewsWatchJSON(t *testing.T) {
	newOpsShop(t).open(t)
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	p := start(t, "views", "--watch", "--json", "--log-level", "error")
	servers.Eventually(t, "two lines", func() bool { return strings.Count(p.stdout.String(), "\n") >= 2 })
	p.stop()
	if code := p.end(t); code != 0 || strings.Count(p.stderr.String(), "\n") != 1 {
		t.Errorf("code %d, and the note is to be said once: %s", code, p.stderr.String())
	}
	for line := range strings.Lines(p.stdout.String()) {
		var all []viewStatus
		if err := json.Unmarshal([]byte(line), &all); err != nil || len(all) != len(view.All())+1 {
			t.Errorf("%v in %s", err, line)
		}
	}
}

func TestTerminalFrame(t *testing.T) {
	if got, want := redden("a\nb\nc\n", func(line int) bool { return line == 1 }), "a\n\x1b[31mb\x1b[0m\nc\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := frame("a\nb\n", true), "\x1b[?7l\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J\x1b[?7h"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := frame("a\nb\n", false), "a\nb\n\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
