package query

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"jangbu/infra/web"
	"jangbu/query/row"
	"jangbu/query/view"
)

// The bounds of a tally: the entries of an answer, of products those of each currency, and the months that are looked up for it.
const (
	maxTally  = 1000
	maxMonths = 120
)

// period is what a tally is of: days or months, both included; "" is no bound.
type period struct{ from, to string }

func (p period) holds(key string) bool {
	return (p.from == "" || key >= p.from) && (p.to == "" || key <= p.to)
}

// months is the period in whole months.
func (p period) months() period {
	const month = len("2006-01")
	return period{p.from[:min(len(p.from), month)], p.to[:min(len(p.to), month)]}
}

// sales serves a tally.
func (s *Service) sales(tally string) echo.HandlerFunc {
	return func(c echo.Context) error {
		values, err := parameters(c, "from", "to", "limit")
		if err != nil {
			return err
		}
		limit, err := limitOf(values, maxTally, maxTally)
		if err != nil {
			return err
		}
		of, err := periodOf(values, tally)
		if err != nil {
			return err
		}
		return s.answer(c, view.Sales, noItems, func(ctx context.Context, g row.Generation) ([]byte, error) {
			all, err := s.tally(ctx, g, tally, of, limit)
			if err != nil {
				return nil, err
			}
			return view.TallyBody(tally, all, limit)
		})
	}
}

// tally looks up a tally of a period. What the total does not tell is added up of the months in which something was sold.
func (s *Service) tally(ctx context.Context, g row.Generation, tally string, of period, limit int) ([]view.Tallied, error) {
	body, err := notEmpty(s.model.Document(ctx, g, view.SalesTotal))
	if err != nil {
		return nil, err
	}
	if of == (period{}) && (tally == view.ByCategory || tally == view.ByCountry) {
		return view.TalliedIn(body, tally)
	}
	sold, err := view.TalliedIn(body, view.Months)
	if err != nil {
		return nil, err
	}
	sold = within(sold, of.months())
	if tally == view.Months {
		return sold, nil
	}
	var all []view.Tallied
	last, months := "", 0
	for _, m := range sold {
		if m.Key == last {
			continue // in another currency
		}
		if tally == view.Days && len(all) > limit && m.Key != of.months().to {
			all = append(all, m) // a whole month, later than all that is shown; it tells whether there is another currency
			continue
		}
		last = m.Key
		if months++; months > maxMonths {
			return nil, web.MalformedParameter("from", fmt.Sprintf("and to must leave at most %d months in which something was sold", maxMonths))
		}
		doc := view.SalesMonth(m.Key)
		if tally == view.ByProduct {
			doc = view.SalesProducts(m.Key)
		}
		body, err := s.model.Document(ctx, g, doc)
		if err != nil {
			return nil, err
		}
		list, err := view.TalliedIn(body, tally)
		if err != nil {
			return nil, err
		}
		if tally == view.Days {
			list = within(list, of)
		}
		all = append(all, list...)
	}
	return view.AddUp(all), nil
}

func within(all []view.Tallied, of period) []view.Tallied {
	var some []view.Tallied
	for _, t := range all {
		if of.holds(t.Key) {
			some = append(some, t)
		}
	}
	return some
}

// periodOf reads from and to. Days are bounded by days; the other tallies by months, which may be given as a month's first
// day, and its last.
func periodOf(values url.Values, tally string) (of period, err error) {
	of = period{values.Get("from"), values.Get("to")}
	var wrong error
	if of.from, wrong = bound(of.from, false, tally == view.Days); wrong != nil {
		return of, web.MalformedParameter("from", wrong.Error())
	}
	if of.to, wrong = bound(of.to, true, tally == view.Days); wrong != nil {
		return of, web.MalformedParameter("to", wrong.Error())
	}
	if of.from != "" && of.to != "" && of.from > of.to {
		return of, web.MalformedParameter("from", "must not be after to")
	}
	return of, nil
}

// bound makes a day of a date or a month: the month's last for an end, else its first.
func bound(s string, end, days bool) (string, error) {
	if s == "" || days && isDate(s) {
		return s, nil
	}
	if isDate(s) {
		if edge, err := bound(s[:len("2006-01")], end, true); err != nil || s != edge {
			return "", errors.New("must be a month, YYYY-MM, or the day on which one begins (from) or ends (to): this tally knows whole months")
		}
		return s, nil
	}
	month, err := time.Parse("2006-01", s)
	if err != nil || month.Format("2006-01") != s {
		if days {
			return "", errors.New("must be a date, YYYY-MM-DD, or a month, YYYY-MM")
		}
		return "", errors.New("must be a month of the form YYYY-MM")
	}
	if end {
		month = month.AddDate(0, 1, -1)
	}
	return month.Format(time.DateOnly), nil
}
