package query

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"jangbu/domain/event"
	"jangbu/infra/web"
	"jangbu/query/row"
	"jangbu/query/view"
)

const (
	maxWait    = 30 * time.Second // of a Prefer: wait=N
	pollFirst  = time.Millisecond
	pollMost   = 25 * time.Millisecond
	pollLive   = 100 * time.Millisecond // between looks at which generation is live
	headerLate = "Consistency-Behind"   // which token a lenient answer does not yet hold, and what it holds instead
)

// await holds a query back until the view holds what the client has seen of the streams that feed it, as its
// Consistency-Token says (several, separated by commas). It waits as long as Prefer: wait=N allows, and not at all
// without it. A view still behind then is 503 view-behind, or with Prefer: handling=lenient the answer comes late and
// says so. It returns the generation that has what was asked for, which the look-up must read: one that is looked for
// again may be an older one. Number 0 means that nothing was asked for.
func (s *Service) await(c echo.Context, v *view.View) (row.Generation, error) {
	var g row.Generation
	tokens, err := parseTokens(c.Request().Header.Values(web.HeaderConsistencyToken), v)
	if err != nil || len(tokens) == 0 {
		return g, err
	}
	prefer := web.ParsePrefer(c.Request().Header)
	wait := min(prefer.Wait, maxWait)
	ctx, cancel := context.WithTimeout(c.Request().Context(), wait+web.ProbeTimeout)
	defer cancel()
	deadline := time.Now().Add(wait)
	for _, t := range tokens {
		var landed int64
		if g, landed, err = s.landed(ctx, v, t, deadline); err != nil {
			return g, err
		}
		if landed >= t.revision {
			continue
		}
		if g.Number == 0 {
			return g, rebuilding(v)
		}
		behind := fmt.Sprintf("%s; landed=%s", web.ConsistencyToken(t.stream, t.revision), landedText(landed))
		if !prefer.Lenient {
			return g, web.NewProblem(http.StatusServiceUnavailable, "view-behind",
				"the view "+v.Name+" does not yet hold "+behind).RetryAfter(time.Second)
		}
		c.Response().Header().Add(headerLate, behind)
		c.Response().Header().Set("Preference-Applied", "handling=lenient")
	}
	return g, nil
}

func landedText(revision int64) string {
	if revision == event.NoStream {
		return "nothing"
	}
	return fmt.Sprint(revision)
}

// landed asks until the stream has landed at the token's revision or the deadline has passed, and returns where it is. It asks
// again after a tenth of the time that it has waited, so it finds out late by a tenth at most.
func (s *Service) landed(ctx context.Context, v *view.View, t token, deadline time.Time) (row.Generation, int64, error) {
	g, err := s.model.Live(ctx, v.Name, false)
	if err != nil {
		return g, 0, err
	}
	began := time.Now()
	var looked time.Time
	for {
		revision := int64(event.NoStream)
		if g.Number > 0 {
			if revision, err = s.model.Landed(ctx, g, t.stream); err != nil {
				return g, 0, err
			}
		}
		if revision >= t.revision {
			return g, revision, nil
		}
		now := time.Now()
		if now.Sub(looked) >= pollLive { // a generation that is no longer live has not what came since
			was := g
			if g, err = s.model.Live(ctx, v.Name, true); err != nil {
				return g, 0, err
			}
			if looked = now; g != was {
				continue
			}
		}
		left := deadline.Sub(now)
		if left <= 0 {
			return g, revision, nil
		}
		timer := time.NewTimer(min(max(pollFirst, now.Sub(began)/10), pollMost, left))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return g, 0, ctx.Err()
		}
	}
}

type token struct {
	stream   string
	revision int64
}

// parseTokens reads the tokens of streams that feed the view; the others have nothing to wait for.
func parseTokens(headers []string, v *view.View) ([]token, error) {
	var tokens []token
	for _, field := range strings.Split(strings.Join(headers, ","), ",") {
		field = strings.TrimSpace(field)
		if field == "" {
			continue
		}
		stream, revision, err := web.ParseConsistencyToken(field)
		if err != nil {
			return nil, web.MalformedHeader(web.HeaderConsistencyToken, "must be the Consistency-Token that a command answered with")
		}
		if _, feeds := v.Source(stream); feeds {
			tokens = append(tokens, token{stream, revision})
		}
	}
	return tokens, nil
}
