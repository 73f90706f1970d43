package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"jangbu/infra/web"
)

// The bounds of a batch.
const (
	MaxBatch      = 1000    // commands
	MaxBatchBytes = 8 << 20 // of its body
	batchParallel = 32      // commands of one batch that run at once

	// maxBatchStates is how many bytes of answers a batch has before no more of them say what the command left the thing as: an order
	// may have a thousand lines, and all answers are held together.
	maxBatchStates = 4 << 20
)

const batchPath = "/batch"

// batchCommand is one command of a batch: what would be a POST of its own.
type batchCommand struct {
	Path           string          `json:"path"`
	Body           json.RawMessage `json:"body,omitempty"`
	IdempotencyKey *string         `json:"idempotency_key,omitempty"`
	IfMatch        *string         `json:"if_match,omitempty"`
}

// batchAnswer is what that POST would be answered.
type batchAnswer struct {
	Status           int             `json:"status"`
	ETag             string          `json:"etag,omitempty"`
	Location         string          `json:"location,omitempty"`
	ConsistencyToken string          `json:"consistency_token,omitempty"`
	Body             json.RawMessage `json:"body,omitempty"`
}

// batch handles POST /batch: many commands in one request, each of which runs as if it came alone. Those for one thing
// run in their order, the others side by side. The answers are in the order of the commands.
func (s *Service) batch(c echo.Context) error {
	for _, name := range []string{web.HeaderIdempotencyKey, web.HeaderIfMatch} {
		if len(c.Request().Header.Values(name)) > 0 { // who sends one relies on it
			return web.MalformedHeader(name, "must not come with a batch: each command has its own, idempotency_key and if_match.")
		}
	}
	commands, lines, err := web.DecodeMany[batchCommand](c, MaxBatch)
	if err != nil {
		return err
	}
	if len(commands) > MaxBatch {
		return web.NewProblem(http.StatusRequestEntityTooLarge, "batch-too-large",
			fmt.Sprintf("A batch may have at most %d commands; this one has more. Nothing was done.", MaxBatch))
	}
	for i := range commands {
		if string(commands[i].Body) == "null" { // as in any other optional field
			commands[i].Body = nil
		}
	}
	if err := checkBatch(commands); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.cfg.BatchTimeout)
	defer cancel()
	answers, err := runBatch(ctx, c, commands)
	if err != nil {
		return err
	}
	if !lines {
		return c.JSON(http.StatusOK, answers)
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body) // which ends every value with a line feed
	for _, a := range answers {
		if err := encoder.Encode(a); err != nil {
			return fmt.Errorf("encode answers: %w", err)
		}
	}
	return c.Blob(http.StatusOK, web.MediaTypeLines, body.Bytes())
}

// maxBatchErrors bounds the answer to a batch that is wrong throughout.
const maxBatchErrors = 20

// checkBatch finds what can be no command at all.
func checkBatch(commands []batchCommand) error {
	p := web.NewProblem(http.StatusBadRequest, "malformed-body", "The batch names paths that no command can have. Nothing was done.")
	for i, command := range commands {
		u, err := url.Parse(command.Path)
		detail := ""
		switch {
		case err != nil || u.Host != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || !strings.HasPrefix(command.Path, "/"):
			detail = "must be the path of a command, such as /orders"
		case strings.TrimRight(u.Path, "/") == batchPath:
			detail = "must not be a batch"
		default:
			continue
		}
		if p.Errors = append(p.Errors, web.FieldError{Pointer: fmt.Sprintf("/%d/path", i), Detail: detail}); len(p.Errors) == maxBatchErrors {
			break
		}
	}
	if len(p.Errors) > 0 {
		return p
	}
	return nil
}

// runBatch runs the commands. Those that have not been begun when ctx ends are not; each is answered so, since of the others there may be
// somebody who waits for the answers.
func runBatch(ctx context.Context, c echo.Context, commands []batchCommand) ([]batchAnswer, error) {
	answers := make([]batchAnswer, len(commands))
	id := web.RequestID(c) // which is for one goroutine to ask
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(batchParallel)
	var held atomic.Int64
	for _, group := range groups(commands) {
		all.Go(func() error {
			for _, i := range group {
				var err error
				if answers[i], err = runOfBatch(ctx, c, fmt.Sprintf("%s.%d", id, i), commands[i], held.Load() < maxBatchStates); err != nil {
					return err
				}
				held.Add(int64(len(answers[i].Body)))
			}
			return nil
		})
	}
	err := all.Wait()
	return answers, err
}

// groups are the commands for one thing each, by their place in the batch. A product and its stock count as one thing.
func groups(commands []batchCommand) [][]int {
	var groups [][]int
	of := map[string]int{}
	for i, command := range commands {
		thing := command.thing()
		at, ok := of[thing]
		if !ok || thing == "" {
			at = len(groups)
			groups = append(groups, nil)
			of[thing] = at
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// thing is /<kind>/<id>, "" where the server makes the id.
func (b batchCommand) thing() string {
	path, err := url.PathUnescape(b.Path) // one id has many spellings
	if err != nil {
		path = b.Path
	}
	kind, rest, _ := strings.Cut(strings.Trim(path, "/"), "/")
	id, _, _ := strings.Cut(rest, "/")
	if id == "" {
		var body struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(b.Body, &body) // what is no JSON object with an id makes nothing that others could name
		id = body.ID
	}
	if id == "" {
		return ""
	}
	return "/" + kind + "/" + id
}

// runOfBatch sends one command through the router, as a request of its own with what the batch's headers say of all. Without
// states it is answered as if it did not prefer one.
func runOfBatch(ctx context.Context, c echo.Context, id string, command batchCommand, states bool) (_ batchAnswer, err error) {
	defer recovered(&err) // the server recovers handlers, but for those that have begun to answer
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, command.Path, bytes.NewReader(command.Body))
	if err != nil {
		return batchAnswer{}, fmt.Errorf("command %s of the batch: %w", id, err)
	}
	r.RemoteAddr = c.Request().RemoteAddr
	for _, name := range []string{HeaderActor, HeaderCorrelationID, HeaderTraceparent, web.HeaderPrefer} {
		if values := c.Request().Header.Values(name); len(values) > 0 {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	if !states && web.ParsePrefer(r.Header).Return == web.ReturnRepresentation {
		r.Header.Del(web.HeaderPrefer)
	}
	r.Header.Set(web.HeaderRequestID, id)
	r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	if command.IdempotencyKey != nil {
		r.Header.Set(web.HeaderIdempotencyKey, *command.IdempotencyKey)
	}
	if command.IfMatch != nil {
		r.Header.Set(web.HeaderIfMatch, *command.IfMatch)
	}
	w := &recorder{header: http.Header{}}
	c.Echo().ServeHTTP(w, r)
	return batchAnswer{
		Status: w.status, ETag: w.header.Get(web.HeaderETag), Location: w.header.Get("Location"),
		ConsistencyToken: w.header.Get(web.HeaderConsistencyToken), Body: bytes.TrimSpace(w.body.Bytes()),
	}, nil
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}
