package query

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
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
	maxTokens  = 1000             // streams of a view that a query may wait for: as many as a batch has commands
	maxBehind  = 20               // tokens that a lenient answer names
	pollFirst  = time.Millisecond
	pollMost   = 25 * time.Millisecond
	pollLive   = 100 * time.Millisecond // between looks at which generation is live
	headerLate = "Consistency-Behind"   // which tokens a lenient answer does not yet hold, and what it holds instead
)

// await holds a query back until the view holds what the client has seen of the streams that feed it, as its
// Consistency-Token says (several, separated by commas). It waits as long as Prefer: wait=N allows, and not at all
// without it. A view still behind then is 503 view-behind, or with Prefer: handling=lenient the answer comes late and
// says so. It returns the generation that has what was asked for, which the look-up must read: one that is looked for
// again may be an older one. Number 0 means that nothing was asked for.
func (s *Service) await(c echo.Context, v *view.View) (row.Generation, error) {
	tokens, err := parseTokens(c.Request().Header.Values(web.HeaderConsistencyToken), v)
	if err != nil || len(tokens) == 0 {
		return row.Generation{}, err
	}
	prefer := web.ParsePrefer(c.Request().Header)
	wait := min(prefer.Wait, maxWait)
	ctx, cancel := context.WithTimeout(c.Request().Context(), wait+web.ProbeTimeout)
	defer cancel()
	g, missing, err := s.landed(ctx, v, tokens, time.Now().Add(wait))
	switch {
	case err != nil || len(missing) == 0:
		return g, err
	case g.Number == 0:
		return g, rebuilding(v)
	case !prefer.Lenient:
		return g, web.NewProblem(http.StatusServiceUnavailable, "view-behind",
			"the view "+v.Name+" does not yet hold "+missing[0].behind()).RetryAfter(time.Second)
	}
	h := c.Response().Header()
	for _, t := range missing[:min(len(missing), maxBehind)] {
		h.Add(headerLate, t.behind())
	}
	if more := len(missing) - maxBehind; more > 0 {
		h.Add(headerLate, fmt.Sprintf("more=%d", more))
	}
	h.Set(web.HeaderPreferenceApplied, "handling=lenient")
	return g, nil
}

// landed asks until every stream has landed at its token's revision or the deadline has passed, and returns the
// generation that it asked and the tokens which that lacks. While it waits it asks about one of them alone, after a
// tenth of the time that it has waited, so it finds out late by a tenth at most.
func (s *Service) landed(ctx context.Context, v *view.View, tokens []token, deadline time.Time) (row.Generation, []token, error) {
	g, err := s.waiting.Live(ctx, v.Name, false)
	if err != nil {
		return g, nil, err
	}
	began := time.Now()
	var looked time.Time
	missing, others := tokens, []token(nil) // the others were missing, and are asked about again when missing has landed
	for {
		if missing, err = s.missing(ctx, g, missing); err != nil {
			return g, nil, err
		}
		if len(missing) == 0 {
			if len(others) == 0 {
				return g, nil, nil
			}
			missing, others = others, nil
			continue
		}
		now := time.Now()
		if now.Sub(looked) >= pollLive { // a generation that is no longer live has not what came since
			was := g
			if g, err = s.waiting.Live(ctx, v.Name, true); err != nil {
				return g, nil, err
			}
			if looked = now; g != was { // and this one may lack what that one has
				missing, others = tokens, nil
				continue
			}
		}
		left := deadline.Sub(now)
		if left <= 0 {
			if len(others) == 0 {
				return g, missing, nil
			}
			missing, others = slices.Concat(missing, others), nil
			continue
		}
		if len(others) == 0 {
			missing, others = missing[:1], missing[1:]
		}
		timer := time.NewTimer(min(max(pollFirst, now.Sub(began)/10), pollMost, left))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return g, nil, ctx.Err()
		}
	}
}

// missing returns the tokens that a generation lacks, with where their streams are in it.
func (s *Service) missing(ctx context.Context, g row.Generation, tokens []token) ([]token, error) {
	if g.Number == 0 {
		return tokens, nil
	}
	streams := make([]string, len(tokens))
	for i, t := range tokens {
		streams[i] = t.stream
	}
	landed, err := s.waiting.Landed(ctx, g, streams)
	if err != nil {
		return nil, err
	}
	var missing []token
	for i, t := range tokens {
		if t.landed = landed[i]; t.landed < t.revision {
			missing = append(missing, t)
		}
	}
	return missing, nil
}

type token struct {
	stream   string
	revision int64
	landed   int64 // where the stream was when it was last asked about
}

// behind says which token is missing, and what there is instead.
func (t token) behind() string {
	landed := "nothing"
	if t.landed != event.NoStream {
		landed = strconv.FormatInt(t.landed, 10)
	}
	return web.ConsistencyToken(t.stream, t.revision) + "; landed=" + landed
}

// parseTokens reads the tokens of streams that feed the view, of each stream the highest; the others have nothing to
// wait for.
func parseTokens(headers []string, v *view.View) ([]token, error) {
	var tokens []token
	at := map[string]int{}
	for _, field := range strings.Split(strings.Join(headers, ","), ",") {
		field = strings.TrimSpace(field)
		if field == "" {
			continue
		}
		stream, revision, err := web.ParseConsistencyToken(field)
		_, feeds := v.Source(stream)
		if err != nil || feeds && !view.NamedByID(stream) { // for which one would wait in vain
			return nil, web.MalformedHeader(web.HeaderConsistencyToken, "must be the Consistency-Token that a command answered with")
		}
		if i, known := at[stream]; known {
			tokens[i].revision = max(tokens[i].revision, revision)
		} else if feeds {
			at[stream] = len(tokens)
			tokens = append(tokens, token{stream: stream, revision: revision})
		}
	}
	if len(tokens) > maxTokens {
		return nil, web.MalformedHeader(web.HeaderConsistencyToken,
			fmt.Sprintf("names %d streams of the view %s, which is more than %d", len(tokens), v.Name, maxTokens))
	}
	return tokens, nil
}
