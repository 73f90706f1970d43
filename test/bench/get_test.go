package bench_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	goredis "github.com/redis/go-redis/v9"

	"jangbu/test/program"
	"jangbu/test/servers"
	"jangbu/test/shopgen"
)

// BenchmarkGet reads composed orders of shops of several sizes, and the same from a bare handler: echo and one GET of go-redis, which is
// told the key. Both are processes of their own, and read by turns, the same keys of the same Redis.
//
//	gets/s   of jangbu query
//	of-bare  that, as a part of the bare handler's
//	p99-µs   of jangbu query, and bare-p99-µs
//	cpu-µs   of jangbu query by GET, and bare-cpu-µs: of the process alone
func BenchmarkGet(b *testing.B) {
	for _, orders := range sizes(b, "JANGBU_BENCH_ORDERS", "1000,100000") {
		b.Run(fmt.Sprintf("orders=%d", orders), func(b *testing.B) {
			events := orders*102/100 + 20 // members and products, too, of which a small shop has ten each
			_, url, _ := stack(b, program.Written(b, shopgen.Config{Seed: 1, Events: events, Placed: true}))
			redis := servers.RedisServer(b)
			replay(b, url, redis, events)
			queries := program.AsProcess(b, "query", "--http", "0", "--redis-url", redis, "--log-level", "error")
			ids, keys := sample(b, redis, orders)
			self, err := os.Executable()
			must(b, err)
			command := exec.Command(self)
			command.Env = append(os.Environ(), bareRedis+"="+redis)
			bare := program.Run(b, "bare", command)
			for b.Loop() {
				var ours, theirs []time.Duration
				const rounds, each = 16, time.Second / 2 // short turns, since the machine is not always as fast
				ourCPU, theirCPU := cpu(b, queries), cpu(b, bare)
				for range rounds / 2 {
					ours = append(ours, load(b, queries.Ready(b), ids, each)...)
					theirs = append(theirs, load(b, bare.Ready(b), keys, 2*each)...)
					ours = append(ours, load(b, queries.Ready(b), ids, each)...)
				}
				b.ReportMetric((cpu(b, queries)-ourCPU)/float64(len(ours)), "cpu-µs")
				b.ReportMetric((cpu(b, bare)-theirCPU)/float64(len(theirs)), "bare-cpu-µs")
				b.ReportMetric(float64(len(ours))/(rounds*each).Seconds(), "gets/s")
				b.ReportMetric(float64(len(ours))/float64(len(theirs)), "of-bare")
				b.ReportMetric(percentile(ours, 99), "p99-µs")
				b.ReportMetric(percentile(theirs, 99), "bare-p99-µs")
			}
		})
	}
}

// sample draws orders, and finds the keys of their documents.
func sample(b *testing.B, redisURL string, orders int) (ids, keys []string) {
	b.Helper()
	options, err := goredis.ParseURL(redisURL)
	must(b, err)
	redis := goredis.NewClient(options)
	defer redis.Close()
	random := rand.New(rand.NewPCG(1, 1))
	drawn := map[string]bool{}
	for range min(orders, 5000) {
		drawn[fmt.Sprintf("o%d", random.IntN(orders))] = true
	}
	documents := redis.Scan(b.Context(), 0, "*:{orders.*}:j:o*", 10_000).Iterator()
	for documents.Next(b.Context()) {
		if id := documents.Val()[strings.LastIndexByte(documents.Val(), ':')+1:]; drawn[id] {
			ids, keys = append(ids, id), append(keys, documents.Val())
			delete(drawn, id)
		}
	}
	must(b, documents.Err())
	if len(drawn) > 0 {
		b.Fatalf("no document of %v", drawn)
	}
	return ids, keys
}

// load reads orders from eight connections, as fast as it can, and returns how long each took.
func load(b *testing.B, url string, ids []string, during time.Duration) (all []time.Duration) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var running sync.WaitGroup
	end := time.Now().Add(during)
	for range 8 {
		running.Go(func() {
			var took []time.Duration
			for time.Now().Before(end) {
				began := time.Now()
				response, err := client.Get(url + "/orders/" + ids[rand.IntN(len(ids))])
				if err != nil {
					b.Error(err)
					return
				}
				_, err = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if err != nil || response.StatusCode != http.StatusOK {
					b.Errorf("%s, %v", response.Status, err)
					return
				}
				took = append(took, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
		})
	}
	running.Wait()
	return all
}

// cpu is the CPU time that a process has taken, in microseconds.
func cpu(b *testing.B, p *program.Program) float64 {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Process.Pid))
	must(b, err)
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from the third on, by proc(5)
	const tick = 1e4
	user, err := strconv.Atoi(string(fields[14-3]))
	must(b, err)
	system, err := strconv.Atoi(string(fields[15-3]))
	must(b, err)
	return float64(user+system) * tick
}

// percentile is in microseconds.
func percentile(all []time.Duration, p float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return float64(all[min(len(all)-1, int(float64(len(all))*p/100))].Microseconds())
}

// bareRedis, set in the environment, makes this binary the bare handler over that Redis.
const bareRedis = "JANGBU_BENCH_BARE_REDIS"

func serveBare() int {
	options, err := goredis.ParseURL(os.Getenv(bareRedis))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	redis := goredis.NewClient(options)
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.GET("/orders/:id", func(c echo.Context) error { // the id is the key
		body, err := redis.Get(c.Request().Context(), c.Param("id")).Bytes()
		if err != nil {
			return err
		}
		return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, body)
	})
	if e.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = e.Close() })
	fmt.Printf("ready http://%s\n", e.Listener.Addr())
	if err := e.Start(""); ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
