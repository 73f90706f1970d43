package command

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"jangbu/domain"
	"jangbu/domain/event"
	"jangbu/domain/stock"
	"jangbu/infra/web"
)

// answer is the body of every command that was carried out.
type answer struct {
	ID       string `json:"id"`
	Stream   string `json:"stream"`
	Revision *int64 `json:"revision,omitempty"` // nil: the command changed nothing, and there is no stream yet
	State    any    `json:"state,omitempty"`    // with Prefer: return=representation, what the command left the thing as
}

// run carries the operation out and answers, as much as the client prefers. A creation is at <its own path>/<id> from then on.
func (s *Service) run(c echo.Context, o *operation) error {
	prefer := web.ParsePrefer(c.Request().Header).Return
	o.wantsState = prefer == web.ReturnRepresentation
	revision, err := s.execute(c.Request().Context(), o)
	if err != nil {
		return problem(err)
	}
	status := http.StatusOK
	h := c.Response().Header()
	if o.creates {
		status = http.StatusCreated
		h.Set("Location", c.Path()+"/"+o.id)
	}
	body := answer{ID: o.id, Stream: o.stream, State: representation(o.state)}
	if revision != event.NoStream {
		h.Set(web.HeaderETag, web.ETag(revision))
		h.Set(web.HeaderConsistencyToken, web.ConsistencyToken(o.stream, revision))
		body.Revision = &revision
	}
	if prefer != "" {
		h.Set(web.HeaderPreferenceApplied, "return="+prefer)
	}
	if prefer == web.ReturnMinimal {
		if status == http.StatusOK {
			status = http.StatusNoContent
		}
		return c.NoContent(status)
	}
	return c.JSON(status, body)
}

// representation is what a client is shown of a state. Of stock it is not for whom it is reserved, which may be a hundred thousand orders.
func representation(state any) any {
	if s, ok := state.(stock.State); ok {
		s.For = stock.Held{}
		return s
	}
	return state
}

// aggregate is what running a command needs to know of an aggregate.
type aggregate[S, C any] struct {
	category string
	codec    *event.Codec
	apply    func(S, any) S
	decide   func(S, C) ([]any, error)
}

// creating handles the POST that makes a thing.
func creating[S, C any, B interface{ clientID() string }](s *Service, a aggregate[S, C], command func(id string, body B) C) echo.HandlerFunc {
	return func(c echo.Context) error {
		id, body, r, err := readCreation[B](c)
		if err != nil {
			return err
		}
		o := a.operation(r, id, command(id, body))
		o.creates = true
		o.check = func() error {
			_, err := a.decide(*new(S), command(id, body))
			return err
		}
		return s.run(c, o)
	}
}

// readCreation reads a POST that makes a thing. Its id is the client's, or the server's where the client gave none.
func readCreation[B interface{ clientID() string }](c echo.Context) (id string, body B, r request, err error) {
	if err = web.Decode(c, &body); err != nil {
		return "", body, r, err
	}
	if r, err = readRequest(c, body); err != nil {
		return "", body, r, err
	}
	if id = body.clientID(); id == "" {
		id = newThingID(r)
	}
	return id, body, r, nil
}

// changing handles the POST that changes the thing whose id is in the path; decode is web.Decode, web.DecodeOptional
// or decodeComplete.
func changing[S, C, B any](s *Service, a aggregate[S, C], decode func(echo.Context, any) error, command func(id string, body B) C) echo.HandlerFunc {
	return func(c echo.Context) error {
		id, body, r, err := readChange[B](c, a.category, decode)
		if err != nil {
			return err
		}
		return s.run(c, a.operation(r, id, command(id, body)))
	}
}

// readChange reads a POST about the thing whose id is in the path.
func readChange[B any](c echo.Context, category string, decode func(echo.Context, any) error) (id string, body B, r request, err error) {
	if err = decode(c, &body); err != nil {
		return "", body, r, err
	}
	if r, err = readRequest(c, body); err != nil {
		return "", body, r, err
	}
	if id = web.PathID(c); !domain.ValidID(id) {
		return "", body, r, web.NotFound(category, id)
	}
	return id, body, r, nil
}

// operation is the command on the thing of that id.
func (a aggregate[S, C]) operation(r request, id string, command C) *operation {
	return a.deciding(r, id, func(state S) ([]any, error) { return a.decide(state, command) })
}

// deciding is an operation with a decision of its own.
func (a aggregate[S, C]) deciding(r request, id string, decide func(S) ([]any, error)) *operation {
	return &operation{
		request: r, id: id, stream: event.StreamName(a.category, id), codec: a.codec, folder: a,
		decide: func(_ context.Context, state any, _ int64) ([]any, error) { return decide(state.(S)) },
	}
}
