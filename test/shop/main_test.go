// Package shop_test runs a whole shop under load and under kill -9, and checks its books afterwards: the log alone, and
// the log against what the payment gateway holds. It reads no view.
package shop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"jangbu/test/books"
	"jangbu/test/history"
	"jangbu/test/program"
)

func TestMain(m *testing.M) { os.Exit(program.Main(m)) }

// number is a setting of the environment.
func number(t testing.TB, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, which is no number", variable, text)
	}
	return n
}

// seedOf is JANGBU_TEST_SEED, or a random seed, that the test's log tells.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed, given := history.Seed()
	if !given {
		seed = rand.Uint64()
	}
	t.Logf("JANGBU_TEST_SEED=%d repeats what the clients and the kills do", seed)
	return seed
}

var client = &http.Client{
	Timeout:   30 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 512, MaxConnsPerHost: 512},
}

// post sends a command once. Without an answer the status is 0.
func post(url, path, body, key string) (status int, answer string) {
	r, err := http.NewRequest(http.MethodPost, url+path, bytes.NewBufferString(body))
	if err != nil {
		return 0, err.Error()
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(data)
}

// insist sends a command under a key until it is answered for good. What is not in all that time is answered with 503.
func insist(url, path, body, key string) (status int, answer string) {
	const patience = 3 * time.Minute
	for deadline := time.Now().Add(patience); ; {
		status, answer = post(url, path, body, key)
		if status != 0 && status != http.StatusServiceUnavailable && !strings.Contains(answer, ":concurrent-change") {
			return status, answer
		}
		if time.Now().After(deadline) {
			return http.StatusServiceUnavailable, fmt.Sprintf("not answered for good in %s, at last with %d %s", patience, status, answer)
		}
		time.Sleep(20 * time.Millisecond) // a service that was killed is back in a moment
	}
}

// must is insist for what has to succeed.
func must(t testing.TB, url, path string, body map[string]any) {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := insist(url, path, string(data), "setting of "+path+string(data)); status >= 300 {
		t.Fatalf("POST %s %s: %d %s", path, data, status, answer)
	}
}

// code is the code of a problem.
func code(answer string) string {
	var p struct {
		Type string `json:"type"`
	}
	if json.Unmarshal([]byte(answer), &p) != nil {
		return ""
	}
	return strings.TrimPrefix(p.Type, "urn:jangbu:problem:")
}

// eventually waits until nothing is wrong any more, for as long as the slowest recovery may take: visibility timeouts and
// pauses that have grown.
func eventually(t testing.TB, limit time.Duration, wrong func() []error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		all := wrong()
		if len(all) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, err := range all[:min(len(all), 20)] {
				t.Error(err)
			}
			t.Fatalf("after %v %d things are still wrong", limit, len(all))
		}
		<-ticker.C
	}
}

// tally counts orders by how they ended.
func tally(b *books.Books) map[string]int {
	n := map[string]int{}
	for _, o := range b.Orders {
		n[strings.TrimSpace(fmt.Sprint(o.Status, " ", o.CancelCode))]++
	}
	return n
}
