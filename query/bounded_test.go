package query_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"jangbu/infra/readmodel"
	"jangbu/infra/web"
	"jangbu/query"
	"jangbu/query/row"
	"jangbu/test/servers"
)

// bounded serves from a model whose look-ups are given up after limit.
func (s *shop) bounded(m query.Model, limit time.Duration) {
	s.api = web.New(web.Config{Log: slog.New(slog.DiscardHandler)})
	query.New(m, query.Config{LookUp: limit}).Register(s.api)
}

// TestRedisFrozen: a Redis that takes connections and never answers, though its client would wait for ever, is 503 soon.
func TestRedisFrozen(t *testing.T) {
	frozen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { frozen.Close() })
	for scheme, url := range map[string]string{"single": "redis://", "cluster": "redis+cluster://"} {
		t.Run(scheme, func(t *testing.T) {
			s := newShop(t)
			m, err := readmodel.Open(url+frozen.Addr().String()+"?read_timeout=-1&write_timeout=-1", readmodel.Config{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { m.Close() })
			s.bounded(m, 10*time.Millisecond)
			for _, route := range routes {
				answered := make(chan answer, 1)
				go func() { answered <- s.get(route.path) }()
				servers.Eventually(t, route.path+" is answered", func() bool { return len(answered) > 0 })
				a := <-answered
				s.isProblem(a, 503, "unavailable")
				if a.Header().Get("Retry-After") == "" {
					t.Errorf("%s: no Retry-After", route.path)
				}
			}
		})
	}
}

// deadlines notes by when a model must have answered.
type deadlines struct {
	query.Model
	landed, documents []time.Time
}

func (m *deadlines) Landed(ctx context.Context, g row.Generation, streams []string) ([]int64, error) {
	at, _ := ctx.Deadline()
	m.landed = append(m.landed, at)
	return m.Model.Landed(ctx, g, streams)
}

func (m *deadlines) Document(ctx context.Context, g row.Generation, doc string) ([]byte, error) {
	at, _ := ctx.Deadline()
	m.documents = append(m.documents, at)
	return m.Model.Document(ctx, g, doc)
}

// TestBoundedEach: each look-up of an answer has the whole time for itself; a client that waits for a token has what it asked for.
func TestBoundedEach(t *testing.T) {
	s := openShop(t)
	m := &deadlines{Model: s.model}
	const limit = 10 * time.Second
	s.bounded(m, limit)
	began := time.Now()
	if a := s.get("/sales/days", header, "order-1@0", "Prefer", "wait=30"); a.Code != 200 {
		t.Fatalf("%d: %s", a.Code, a.Body)
	}
	if len(m.landed) != 1 || m.landed[0].Before(began.Add(30*time.Second)) {
		t.Errorf("a wait of 30 s ends at %v, and began at %v", m.landed, began)
	}
	if len(m.documents) < 2 {
		t.Fatalf("%d look-ups", len(m.documents))
	}
	for i, at := range m.documents {
		if at.Before(began.Add(limit)) || at.After(time.Now().Add(limit)) || i > 0 && !at.After(m.documents[i-1]) {
			t.Errorf("look-up %d ends at %v", i, m.documents)
		}
	}
}
