package eventstore_test

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/eventstore"
	"jangbu/infra/eventstore/storetest"
)

func TestConformance(t *testing.T) {
	url := startServer(t, eventstoredb.Config{}).URL()
	storetest.Run(t, func(t *testing.T) *eventstore.Store {
		return open(t, url, eventstore.Config{Timeout: time.Minute}) // which an append over the limit needs some of, under the race detector
	})
}

func TestConformanceByURL(t *testing.T) {
	url := os.Getenv("JANGBU_TEST_EVENTSTORE_URL")
	if url == "" {
		t.Skip("JANGBU_TEST_EVENTSTORE_URL names no event store to test")
	}
	storetest.Run(t, func(t *testing.T) *eventstore.Store { return open(t, url, eventstore.Config{}) })
}

// refused opens a URL that cannot be opened, and returns the reason.
func refused(t *testing.T, url string) error {
	t.Helper()
	s, err := eventstore.Open(url, eventstore.Config{})
	if err == nil {
		_ = s.Close()
		t.Fatal("opened")
	}
	return err
}

func TestOpenRefusesABadURL(t *testing.T) {
	tests := []struct{ name, url, says string }{
		{"empty", "", ""},
		{"another scheme", "http://127.0.0.1:2113", ""},
		{"no host", "esdb://", ""},
		{"a port that is none", "esdb://127.0.0.1:port?tls=false", ""},
		{"a path", "esdb://127.0.0.1:2113/streams", ""},
		{"a user without a name", "esdb://:secret@127.0.0.1:2113", ""},
		{"tls neither true nor false", "esdb://127.0.0.1:2113?tls=maybe", ""},
		{"a CA file that is not there", "esdb://127.0.0.1:2113?tlsCaFile=/nowhere/ca.crt", ""},
		{"a certificate without its key", "esdb://127.0.0.1:2113?userCertFile=/etc/shop.crt", ""},
		{"a deadline with a unit", "esdb://127.0.0.1:2113?tls=false&defaultDeadline=10s", "milliseconds"},
		{"no deadline", "esdb://127.0.0.1:2113?tls=false&defaultDeadline=0", "milliseconds"},
		{"a negative deadline", "esdb://127.0.0.1:2113?tls=false&DefaultDeadline=-1", "milliseconds"},
		{"no time to connect", "esdb://127.0.0.1:2113?tls=false&gossipTimeout=0", "seconds"},
		{"a negative time to connect", "esdb://127.0.0.1:2113,127.0.0.1:2114?tls=false&gossipTimeout=-5", "seconds"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := refused(t, test.url)
			if !strings.HasPrefix(err.Error(), "event store URL: ") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %q", err)
			}
		})
	}
}

// A password that breaks the URL is in no error, nor is a piece of it; what else is wrong with a URL is said as it is.
func TestOpenKeepsThePasswordToItself(t *testing.T) {
	const encode = "percent-encoded"
	tests := []struct{ name, url, says string }{
		{"a percent sign", "esdb://admin:31%qx41@db:2113", encode},
		{"a percent sign, among several nodes", "esdb://admin:31%qx41@n1:2113,n2:2113", encode},
		{"a percent sign, by the newer scheme", "kurrentdb+discover://admin:31%qx41@db:2113", encode},
		{"a slash", "esdb://admin:31/qx41@db:2113", encode},
		{"a slash after what is no port", "esdb://admin:qx/41@db:2113", encode},
		{"a number sign", "esdb://admin:qx#31@db:2113", encode},
		{"an at sign and a percent sign", "esdb://admin:31@qx%z41@db:2113", encode},
		{"a comma and a percent sign", "esdb://admin:31,qx%ab%@db:2113", encode},
		{"a space", "esdb://admin:31 qx41@db:2113", encode},
		{"a port that is none", "esdb://admin:31%25qx41@db:port", "port"},
		{"an option that is none", "esdb://admin:31%25qx41@db:2113?tls=maybe", "'tls'"},
		{"an option that is none, among several nodes", "esdb://admin:31%25qx41@n1:2113,n2:2113?tls=maybe", "'tls'"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := refused(t, test.url)
			for _, piece := range []string{"31", "qx", "41"} {
				if strings.Contains(err.Error(), piece) {
					t.Errorf("%q is in %q", piece, err)
				}
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %q", err)
			}
		})
	}
}

func TestOpenReadsEveryKindOfURL(t *testing.T) {
	server := startServer(t, eventstoredb.Config{})
	addr := server.Addr()
	for _, url := range []string{
		"esdb://" + addr + "?tls=false",
		"esdb://shop:secret@" + addr + "?tls=false",
		"kurrentdb://" + addr + "?tls=false",
		"esdb+discover://" + addr + "?tls=false",
		"kurrentdb+discover://" + addr + "?tls=false",
		"esdb://" + addr + "," + addr + "?tls=false&nodePreference=leader",
	} {
		t.Run(url, func(t *testing.T) {
			s := open(t, url, eventstore.Config{})
			if err := s.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// startServer starts an embedded server that ends with the test.
func startServer(t testing.TB, cfg eventstoredb.Config) *eventstoredb.Server {
	t.Helper()
	var server *eventstoredb.Server
	// A port that was used a moment ago may take the system another moment to give again.
	eventually(t, func() (err error) {
		server, err = eventstoredb.Start(cfg)
		return err
	})
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// open opens a store that ends with the test.
func open(t testing.TB, url string, cfg eventstore.Config) *eventstore.Store {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s, err := eventstore.Open(url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// eventually calls f until it succeeds, and fails the test when that takes for ever.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// leakFree makes the test fail if goroutines outlive what it and its later cleanups started.
func leakFree(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		eventually(t, func() error {
			after := runtime.NumGoroutine()
			if after <= before {
				return nil
			}
			stacks := make([]byte, 1<<20)
			return fmt.Errorf("%d goroutines before, %d after:\n%s", before, after, stacks[:runtime.Stack(stacks, true)])
		})
	})
}

func proposed(n int) []event.Proposed {
	events := make([]event.Proposed, n)
	for i := range events {
		id := uuid.New()
		events[i] = event.Proposed{ID: id, Type: "thing.happened.v1", Data: fmt.Appendf(nil, `{"id":%q}`, id), Metadata: []byte(`{}`)}
	}
	return events
}
