package query

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"jangbu/infra/web"
)

// The bounds of a page.
const (
	defaultLimit = 20
	maxLimit     = 200
)

// parameters reads the query of a request, which may hold no others than these, each once. One without a value is as if
// it were not there.
func parameters(c echo.Context, known ...string) (url.Values, error) {
	if c.Request().URL.RawQuery == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return nil, web.MalformedParameter("the query", "cannot be read")
	}
	for name, all := range values {
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			return nil, web.MalformedParameter(strconv.Quote(name), "is no parameter of this route; it has none")
		case !slices.Contains(known, name):
			return nil, web.MalformedParameter(strconv.Quote(name), "is no parameter of this route; it has "+strings.Join(known, ", "))
		case len(all) > 1:
			return nil, web.MalformedParameter(name, "must be given once")
		case !utf8.ValidString(all[0]):
			return nil, web.MalformedParameter(name, "must be valid UTF-8")
		}
	}
	return values, nil
}

// limitOf reads limit.
func limitOf(values url.Values, standard, most int) (int, error) {
	q := values.Get("limit")
	if q == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(q)
	if err != nil || n < 1 || n > most {
		return 0, web.MalformedParameter("limit", fmt.Sprintf("must be a whole number from 1 to %d", most))
	}
	return n, nil
}

// dateOf reads a calendar day, "" where there is none.
func dateOf(values url.Values, name string) (string, error) {
	s := values.Get(name)
	if s == "" {
		return "", nil
	}
	if !isDate(s) {
		return "", web.MalformedParameter(name, "must be a date of the form YYYY-MM-DD")
	}
	return s, nil
}

func isDate(s string) bool {
	day, err := time.Parse(time.DateOnly, s)
	return err == nil && day.Format(time.DateOnly) == s
}
