// Package query is the GET API. An answer is one look-up of a document or a page of a list that was composed when it was
// written; nothing here joins. Only a tally of some months is added up here, of a document a month; and a search
// passes over the items of one list that lack another of its words.
//
//	GET ─► route names a view and a document ─► wait for the client's Consistency-Token, if it sent one
//	    ─► look the document up in the view's live generation ─► ETag, 304 or 200
//
// A view that has no live generation yet is 503 view-rebuilding, never an empty answer.
package query

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/labstack/echo/v4"

	"jangbu/domain/event"
	"jangbu/infra/web"
	"jangbu/query/row"
	"jangbu/query/view"
)

// Model is the read model as queries need it. It is safe for concurrent use; an error that a retry may cure wraps
// event.ErrUnavailable.
type Model interface {
	// Live names the generation that queries read, Number 0 if there is none. Unless fresh is asked for, the answer may
	// be a fraction of a second old; what it names can still be read.
	Live(ctx context.Context, view string, fresh bool) (row.Generation, error)
	// Document returns a composed document, nil if there is none.
	Document(ctx context.Context, g row.Generation, doc string) ([]byte, error)
	// Page returns up to limit items after a cursor, and whether the list exists. What can be no cursor is row.ErrCursor; of
	// which list one is, the caller must know.
	Page(ctx context.Context, g row.Generation, doc, after string, limit int) ([]row.Item, bool, error)
	// Landed returns the revisions up to which streams have landed, event.NoStream for none, in the streams' order.
	Landed(ctx context.Context, g row.Generation, streams []string) ([]int64, error)
}

// Config says how queries are answered. The zero Config is ready for use.
type Config struct {
	LookUp time.Duration // after which a look-up in the read model is given up, of which an answer may need several; 0: 3 s
}

// Service answers queries.
type Service struct {
	model   Model
	waiting Model // for as long as a client wants to wait
}

// New returns a Service over a read model.
func New(model Model, cfg Config) *Service {
	return &Service{model: bounded{model, cmp.Or(cfg.LookUp, 3*time.Second)}, waiting: model}
}

// bounded gives up look-ups in a read model that does not answer: each for itself, so that many in a row have time.
type bounded struct {
	Model
	limit time.Duration
}

func (b bounded) Live(ctx context.Context, view string, fresh bool) (row.Generation, error) {
	return b.Model.Live(b.until(ctx), view, fresh)
}

func (b bounded) Document(ctx context.Context, g row.Generation, doc string) ([]byte, error) {
	return b.Model.Document(b.until(ctx), g, doc)
}

func (b bounded) Page(ctx context.Context, g row.Generation, doc, after string, limit int) ([]row.Item, bool, error) {
	return b.Model.Page(b.until(ctx), g, doc, after, limit)
}

func (b bounded) until(ctx context.Context) context.Context {
	return until{ctx, time.Now().Add(b.limit)}
}

// until is a context with a deadline and no timer for it: the client of Redis only asks when that is, and two timers would be a twentieth of
// what a GET costs.
type until struct {
	context.Context
	deadline time.Time
}

func (u until) Deadline() (time.Time, bool) {
	if earlier, ok := u.Context.Deadline(); ok && earlier.Before(u.deadline) {
		return earlier, true
	}
	return u.deadline, true
}

// Register adds the routes of every view.
func (s *Service) Register(e *echo.Echo) {
	e.GET("/orders", s.orders)
	e.GET("/orders/:id", s.document(view.Orders, "order"))
	e.GET("/funnel", s.whole(view.Orders, view.Funnel, view.EmptyFunnel))
	e.GET("/members", s.members)
	e.GET("/members/:id", s.document(view.Members, "member"))
	e.GET("/members/:id/orders", s.memberOrders)
	e.GET("/products", s.products)
	e.GET("/products/:id", s.document(view.Products, "product"))
	e.GET("/categories", s.whole(view.Products, view.CategoryCounts, noItems))
	e.GET("/stock/low", s.whole(view.Products, view.LowStock, noItems))
	for _, tally := range []string{view.Days, view.Months, view.ByCategory, view.ByCountry, view.ByProduct} {
		e.GET("/sales/"+tally, s.sales(tally))
	}
}

// document serves one document of a view by the id in the path.
func (s *Service) document(v *view.View, kind string) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := web.PathID(c)
		if _, err := parameters(c); err != nil {
			return err
		}
		return s.answer(c, v, "", func(ctx context.Context, g row.Generation) ([]byte, error) {
			if !isID(id) {
				return nil, web.NotFound(kind, id)
			}
			body, err := s.model.Document(ctx, g, id)
			if err == nil && body == nil {
				err = web.NotFound(kind, id)
			}
			return body, err
		})
	}
}

// isID reports whether a document may be about one thing of that id. Those about more have names that begin with a slash,
// which no id has.
func isID(id string) bool { return !strings.HasPrefix(id, "/") }

const noItems = `{"items":[]}`

// errEmpty says that there is nothing to show, because nothing has happened, or the generation is gone.
var errEmpty = errors.New("there is nothing yet")

// whole serves a document that is there before anything has happened, as empty says.
func (s *Service) whole(v *view.View, doc, empty string) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, err := parameters(c); err != nil {
			return err
		}
		return s.answer(c, v, empty, func(ctx context.Context, g row.Generation) ([]byte, error) {
			return notEmpty(s.model.Document(ctx, g, doc))
		})
	}
}

func notEmpty(body []byte, err error) ([]byte, error) {
	if err == nil && body == nil {
		err = errEmpty
	}
	return body, err
}

// answer is the walk every query shares: consistency, look-up, entity tag. Where look finds nothing, the answer is empty.
func (s *Service) answer(c echo.Context, v *view.View, empty string, look func(context.Context, row.Generation) ([]byte, error)) error {
	ctx := c.Request().Context()
	match, err := web.ParseMatch(c.Request().Header, web.HeaderIfNoneMatch)
	if err != nil {
		return err
	}
	g, err := s.await(c, v)
	if err != nil {
		return problem(err)
	}
	body, err := s.look(ctx, v, g, look)
	if errors.Is(err, errEmpty) {
		body, err = []byte(empty), nil
	}
	if err != nil {
		return problem(err)
	}
	etag := `"` + strconv.FormatUint(xxhash.Sum64(body), 16) + `"`
	h := c.Response().Header()
	h.Set(web.HeaderETag, etag)
	h.Set("Cache-Control", "no-cache") // caches may keep it, and must ask whether it is still so
	if match.Present && match.Weak(etag) {
		return c.NoContent(http.StatusNotModified)
	}
	return c.JSONBlob(http.StatusOK, body)
}

// look reads from g, or from the live generation where g is none. What that does not have is looked for once more in the
// one that is live now, so that a switch makes nothing disappear.
func (s *Service) look(ctx context.Context, v *view.View, g row.Generation, look func(context.Context, row.Generation) ([]byte, error)) ([]byte, error) {
	if g.Number == 0 {
		var err error
		if g, err = s.model.Live(ctx, v.Name, false); err != nil {
			return nil, err
		}
	}
	var absent error
	if g.Number > 0 {
		var p *web.Problem
		var body []byte
		body, absent = look(ctx, g)
		if !errors.As(absent, &p) && !errors.Is(absent, errEmpty) {
			return body, absent
		}
	}
	now, err := s.model.Live(ctx, v.Name, true)
	switch {
	case err != nil:
		return nil, err
	case now.Number == 0:
		return nil, rebuilding(v)
	case now == g:
		return nil, absent
	}
	return look(ctx, now)
}

func rebuilding(v *view.View) *web.Problem {
	return web.NewProblem(http.StatusServiceUnavailable, "view-rebuilding",
		"the view "+v.Name+" is being built and cannot be read yet").RetryAfter(time.Second)
}

// problem maps what a query can fail with to what a client is told.
func problem(err error) error {
	var p *web.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, context.Canceled):
		return web.Unavailable("this service is being stopped; ask again", err)
	case errors.Is(err, event.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return web.Unavailable("the read model cannot be reached", err)
	}
	return err
}
