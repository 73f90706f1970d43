package bench_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/program"
	"jangbu/test/servers"
	"jangbu/test/shopgen"
)

// BenchmarkVisible posts 200 commands a second to jangbu dev, for ten seconds, and measures from the answer of each POST until a
// GET with its Consistency-Token answers: commands that cause one event each, and orders, each of which fulfilment sees through to where it is
// confirmed, beside the next ones. The CPU time of jangbu dev is by command, its start included.
func BenchmarkVisible(b *testing.B) {
	const of = 50 // members, and products
	member := func(n int) string { return fmt.Sprintf("/members/m%d", n%of) }
	product := func(n int) string { return fmt.Sprintf("/products/p%d", n%of) }
	commands := map[string]func(n int) (path, body, get string){
		"changes": func(n int) (path, body, get string) {
			switch n % 3 {
			case 0:
				return member(n/3) + "/rename", fmt.Sprintf(`{"name":"Mina %d"}`, n), member(n / 3)
			case 1:
				return product(n/3) + "/reprice", fmt.Sprintf(`{"price":%d}`, 2+n), product(n / 3)
			}
			return product(n/3) + "/restock", `{"quantity":1}`, product(n / 3)
		},
		"orders": func(n int) (path, body, get string) {
			id := fmt.Sprintf("o%d", n)
			return "/orders", fmt.Sprintf(`{"id":%q,"member_id":"m%d","lines":[{"product_id":"p%d","quantity":1}]}`, id, n%of, n/of%of), "/orders/" + id
		},
	}
	for _, kind := range []string{"changes", "orders"} {
		b.Run(kind, func(b *testing.B) {
			dev := program.AsProcess(b, "dev", "--data", b.TempDir(), "--http", "0", "--eventstore", "0", "--aws", "0", "--redis", "0", "--log-level", "warn")
			shop := &client200{url: dev.Ready(b), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
			for n := range of {
				for path, body := range map[string]string{
					"/members":  fmt.Sprintf(`{"id":"m%d","name":"Mina"}`, n),
					"/products": fmt.Sprintf(`{"id":"p%d","name":"Pen","category":"Pens","price":1,"currency":"USD"}`, n),
				} {
					_, err := shop.post(path, body)
					must(b, err)
				}
				_, err := shop.post(product(n)+"/restock", `{"quantity":100000}`)
				must(b, err)
			}
			n := 0
			for b.Loop() {
				n = shop.measure(b, n, commands[kind])
			}
			dev.Stop(b)
			b.ReportMetric(micros(dev)/float64(n), "µs-dev")
		})
	}
}

// client200 is a client that sends 200 commands a second.
type client200 struct {
	url  string
	http *http.Client
}

func (c *client200) post(path, body string) (token string, err error) {
	response, err := c.http.Post(c.url+path, "application/json", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return "", fmt.Errorf("POST %s: %s", path, response.Status)
	}
	return response.Header.Get("Consistency-Token"), nil
}

func (c *client200) see(path, token string) error {
	request, err := http.NewRequest(http.MethodGet, c.url+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Consistency-Token", token)
	request.Header.Set("Prefer", "wait=30")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, response.Status)
	}
	return nil
}

// measure sends 2,000 commands, numbered from n, and returns the number that comes next.
func (c *client200) measure(b *testing.B, n int, command func(n int) (path, body, get string)) int {
	var mu sync.Mutex
	var running sync.WaitGroup
	var posts, visible []time.Duration
	ticker := time.NewTicker(time.Second / 200)
	defer ticker.Stop()
	for range 2000 {
		<-ticker.C
		path, body, get := command(n)
		n++
		running.Go(func() {
			began := time.Now()
			token, err := c.post(path, body)
			accepted := time.Now()
			if err == nil {
				err = c.see(get, token)
			}
			if err != nil {
				b.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			posts, visible = append(posts, accepted.Sub(began)), append(visible, time.Since(accepted))
		})
	}
	running.Wait()
	b.ReportMetric(percentile(posts, 50), "post-p50-µs")
	b.ReportMetric(percentile(visible, 50), "p50-µs")
	b.ReportMetric(percentile(visible, 99), "p99-µs")
	b.ReportMetric(percentile(visible, 99.9), "p99.9-µs")
	return n
}

// BenchmarkLive appends a shop to the log as fast as it can, while a projector lands it through relay, SNS and SQS in a real Redis,
// and measures until all of it has landed in all views. CPU time is by event and process: the stack is the event store and the
// SNS/SQS endpoint.
func BenchmarkLive(b *testing.B) {
	const events = 30_000
	for b.Loop() {
		redis := servers.StartRedis(b)
		stackProcess, url, aws := stack(b, b.TempDir())
		projector := program.AsProcess(b, "projector", "--http", "0", "--eventstore-url", url, "--redis-url", redis.URL(), "--aws-endpoint-url", aws, "--log-level", "error")
		ready := projector.Ready(b)
		servers.Eventually(b, "the projector is ready", func() bool {
			response, err := http.Get(ready + "/readyz")
			if err == nil {
				response.Body.Close()
			}
			return err == nil && response.StatusCode == http.StatusOK
		})
		store, last := client(b, url), map[string]int64{}
		began := time.Now()
		written, err := shopgen.Fill(b.Context(), store, shopgen.Appends(shopgen.Config{Seed: 2, Events: events}), 64)
		must(b, err)
		appended := time.Since(began)
		for e, err := range store.ReadAll(b.Context(), event.Position{}) {
			must(b, err)
			last[e.Stream] = e.Revision
		}
		model, err := readmodel.Open(redis.URL(), readmodel.Config{})
		must(b, err)
		for _, v := range view.All() {
			awaitLanded(b, model, v, last)
		}
		landed := time.Since(began)
		must(b, model.Close())
		client := redis.Client()
		cpu, err := client.InfoMap(b.Context(), "cpu").Result()
		must(b, err)
		must(b, client.Close())
		projector.Stop(b)
		must(b, store.Close())
		stackProcess.Stop(b)
		b.ReportMetric(float64(written)/landed.Seconds(), "events/s")
		b.ReportMetric(float64(written)/appended.Seconds(), "appends/s")
		b.ReportMetric(micros(projector)/float64(written), "µs-projector")
		b.ReportMetric(micros(stackProcess)/float64(written), "µs-stack")
		b.ReportMetric((seconds(b, cpu, "used_cpu_user")+seconds(b, cpu, "used_cpu_sys"))*1e6/float64(written), "µs-redis")
	}
}

// awaitLanded waits until a view has landed streams at those revisions. It asks for many at once: this is measured, too.
func awaitLanded(b *testing.B, model *readmodel.Store, v *view.View, last map[string]int64) {
	b.Helper()
	registry, err := model.Registry(b.Context(), v.Name)
	must(b, err)
	var streams []string
	for stream := range last {
		if _, feeds := v.Source(stream); feeds {
			streams = append(streams, stream)
		}
	}
	for part := range slices.Chunk(streams, 2000) {
		servers.Eventually(b, "all has landed in "+v.Name, func() bool {
			states, err := model.States(b.Context(), registry.Live, part)
			return err == nil && !slices.ContainsFunc(states, func(st row.State) bool { return st.Revision < last[st.Stream] })
		})
	}
}

// micros is the CPU time of an ended program.
func micros(p *program.Program) float64 {
	ended := p.Process.ProcessState
	return float64((ended.UserTime() + ended.SystemTime()).Microseconds())
}

func seconds(b *testing.B, info map[string]map[string]string, name string) (s float64) {
	b.Helper()
	_, err := fmt.Sscan(info["CPU"][name], &s)
	must(b, err)
	return s
}
