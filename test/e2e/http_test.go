package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// client reaches all services; its time limit is above the longest wait that a query may be asked for.
var client = &http.Client{
	Timeout:   time.Minute,
	Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second},
}

// answer is what HTTP brought.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// problem is the code of the problem in the answer, after checking that it is one in due form.
func (a answer) problem(t *testing.T) string {
	t.Helper()
	var p struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q of %s", got, a)
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Errorf("%v in %s", err, a)
	}
	if p.Status != a.status || p.Title == "" || p.Detail == "" {
		t.Errorf("problem %s", a)
	}
	if a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After beside %s", a)
	}
	code, ok := strings.CutPrefix(p.Type, "urn:jangbu:problem:")
	if !ok {
		t.Errorf("type %q", p.Type)
	}
	return code
}

// wantProblem requires one status and one code.
func (a answer) wantProblem(t *testing.T, status int, code string) {
	t.Helper()
	if got := a.problem(t); a.status != status || got != code {
		t.Errorf("%s, want %d %s", a, status, code)
	}
}

// into unmarshals a 200.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("%s", a)
	}
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%v in %s", err, a)
	}
}

// tryRequest sends one request. Headers are "Name: value".
func tryRequest(method, url, body string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, url, bytes.NewBufferString(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(read)}, err
}

func tryGet(base, path string, headers ...string) (answer, error) {
	return tryRequest(http.MethodGet, base+path, "", headers...)
}

func (s *shop) get(t *testing.T, path string, headers ...string) answer {
	t.Helper()
	a, err := tryGet(s.query, path, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (s *shop) post(t *testing.T, path, body string, headers ...string) answer {
	t.Helper()
	a, err := tryRequest(http.MethodPost, s.command+path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// done requires that a command succeeded, and returns its Consistency-Token as a request header.
func (a answer) done(t *testing.T) string {
	t.Helper()
	token := a.header.Get("Consistency-Token")
	if a.status != http.StatusOK && a.status != http.StatusCreated || token == "" {
		t.Fatalf("%s", a)
	}
	return "Consistency-Token: " + token
}
