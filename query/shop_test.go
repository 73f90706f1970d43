package query_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/labstack/echo/v4"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/domain/stock"
	"jangbu/infra/readmodel"
	"jangbu/infra/web"
	"jangbu/projector"
	"jangbu/query"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/history"
)

// shop is a log, the read model of it, and the API over that.
type shop struct {
	*testing.T
	log   *history.History
	redis *miniredis.Miniredis
	model *readmodel.Store
	api   *echo.Echo

	mu  sync.Mutex
	now time.Time // of the model's clock
}

func newShop(t *testing.T) *shop {
	s := &shop{T: t, log: &history.History{}, redis: miniredis.RunT(t), now: time.UnixMilli(1_000_000)}
	var err error
	s.model, err = readmodel.Open("redis://"+s.redis.Addr()+"?max_retries=-1", readmodel.Config{Now: func() time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.now
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.model.Close() })
	s.over(s.model)
	return s
}

// over serves from a model from now on.
func (s *shop) over(m query.Model) {
	s.api = web.New(web.Config{Log: slog.New(slog.DiscardHandler)})
	query.New(m, query.Config{}).Register(s.api)
}

// openShop is a shop with a member, a product in stock and three orders, which has been built.
func openShop(t *testing.T) *shop {
	s := newShop(t)
	s.log.Add(t, "member-M", member.Registered{Name: "Mina", Email: "mina@shop.example", City: "Seoul", Country: "Korea"})
	s.log.Add(t, "product-P", product.Created{Name: "Pen", Category: "Desk", Price: 150, Currency: "USD", Tags: []string{"blue"}})
	s.log.Add(t, "stock-P", stock.Restocked{Quantity: 2})
	for i := 1; i <= 3; i++ {
		s.log.Add(t, order.Stream(fmt.Sprint(i)), s.order(i))
	}
	s.log.Add(t, "stock-P", stock.LowWaterSet{LowWater: 5})
	s.replay()
	return s
}

func (s *shop) order(day int) order.Placed {
	return order.Placed{
		MemberID: "M", MemberCountry: "Korea", Currency: "USD", PlacedOn: fmt.Sprintf("2026-01-%02d", day),
		Lines: []order.Line{{ProductID: "P", Name: "Pen", Category: "Desk", UnitPrice: 150, Quantity: 2, Amount: 300}},
	}
}

// replay builds every view anew.
func (s *shop) replay() {
	s.Helper()
	if _, err := projector.NewReplay(s.model, s.log, projector.ReplayConfig{}).Run(s.Context(), view.All()); err != nil {
		s.Fatal(err)
	}
}

// land lands what has been recorded since in the live generation of a view.
func (s *shop) land(v *view.View) {
	s.Helper()
	g, err := s.model.Live(s.Context(), v.Name, true)
	if err == nil {
		err = s.landIn(v, g, s.log.Events())
	}
	if err != nil {
		s.Fatal(err)
	}
}

func (s *shop) landIn(v *view.View, g row.Generation, events []event.Recorded) error {
	return projector.NewApplier(v, g, s.model, s.log).Apply(s.Context(), events)
}

func (s *shop) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

type answer struct {
	*httptest.ResponseRecorder
}

// get asks, with headers as name, value, …
func (s *shop) get(path string, headers ...string) answer {
	return s.ask(http.MethodGet, path, headers...)
}

func (s *shop) ask(method, path string, headers ...string) answer {
	return s.askContext(s.Context(), method, path, headers...)
}

func (s *shop) askContext(ctx context.Context, method, path string, headers ...string) answer {
	r := httptest.NewRequestWithContext(ctx, method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	a := answer{httptest.NewRecorder()}
	s.api.ServeHTTP(a, r)
	return a
}

// is compares an answer's status and body.
func (s *shop) is(a answer, status int, body string) {
	s.Helper()
	if a.Code != status || a.Body.String() != body {
		s.Errorf("answer\n got %d %s\nwant %d %s", a.Code, a.Body, status, body)
	}
	if status == 200 && a.Header().Get("Content-Type") != "application/json" {
		s.Errorf("content type %q", a.Header().Get("Content-Type"))
	}
}

// isProblem compares an answer with a problem's status and code.
func (s *shop) isProblem(a answer, status int, code string) {
	s.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	err := json.Unmarshal(a.Body.Bytes(), &p)
	if err != nil || a.Code != status || p.Status != status || p.Type != "urn:jangbu:problem:"+code || p.Detail == "" {
		s.Errorf("answer %d %s, want the problem %d %s", a.Code, a.Body, status, code)
	}
	if got := a.Header().Get("Content-Type"); got != web.MediaTypeProblem {
		s.Errorf("content type %q", got)
	}
	if retry := a.Header().Get("Retry-After"); (status == 503) != (retry != "") {
		s.Errorf("Retry-After %q with %d", retry, status)
	}
	if etag := a.Header().Get("ETag"); etag != "" {
		s.Errorf("a problem has the entity tag %s", etag)
	}
}

// token is what a command answers for the newest event of a stream.
func (s *shop) token(stream string) string { return web.ConsistencyToken(stream, s.log.Last(stream)) }
