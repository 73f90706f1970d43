package query

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"jangbu/infra/web"
	"jangbu/query/row"
	"jangbu/query/view"
)

type page struct {
	Items []json.RawMessage `json:"items"`
	Next  *string           `json:"next"` // send it back as ?after=; null on the last page
}

const noPage = `{"items":[],"next":null}`

// span is which part of a list is asked for: at most limit items, after a cursor of the read model, "" for the first.
type span struct {
	order string // how the items of the list follow each other
	after string
	limit int
}

// The orders of lists beside those of a Shelf.
const (
	byDay         = "orders"
	byDayOfMember = "member-orders"
	byName        = "search"
)

// spanOf reads after and limit for a list in that order. A next is <order>.<cursor>, since in another order a cursor would stand at
// any place; in that of its own it may go on in another list.
func spanOf(values url.Values, order string) (span, error) {
	limit, err := limitOf(values, defaultLimit, maxLimit)
	if err != nil {
		return span{}, err
	}
	of, after, marked := strings.Cut(values.Get("after"), ".")
	if values.Get("after") != "" && (!marked || of != order || after == "") {
		return span{}, errAfter()
	}
	return span{order, after, limit}, nil
}

func (s span) next(cursor string) *string {
	next := s.order + "." + cursor
	return &next
}

func errAfter() error {
	return web.MalformedParameter("after", "must be the next of a page of this list")
}

// memberOrders serves a page of a member's orders.
func (s *Service) memberOrders(c echo.Context) error {
	id := web.PathID(c)
	values, err := parameters(c, "limit", "after")
	if err != nil {
		return err
	}
	asked, err := spanOf(values, byDayOfMember)
	if err != nil {
		return err
	}
	return s.answer(c, view.OrderLists, "", func(ctx context.Context, g row.Generation) ([]byte, error) {
		if !isID(id) {
			return nil, web.NotFound("member", id)
		}
		body, err := s.page(ctx, g, id, asked, nil)
		if errors.Is(err, errEmpty) {
			err = web.NotFound("member", id)
		}
		return body, err
	})
}

// orders serves a page of all orders, or those of a status, since a day.
func (s *Service) orders(c echo.Context) error {
	values, err := parameters(c, "status", "since", "limit", "after")
	if err != nil {
		return err
	}
	doc, ok := view.OrderList(values.Get("status"))
	if !ok {
		return web.MalformedParameter("status", "must be placed, confirmed, partly-shipped, shipped, delivered, cancelled or returned")
	}
	since, err := dateOf(values, "since")
	if err != nil {
		return err
	}
	asked, err := spanOf(values, byDay)
	if err != nil {
		return err
	}
	tooOld := func(item []byte) (bool, error) {
		var of struct {
			PlacedOn string `json:"placed_on"`
		}
		err := json.Unmarshal(item, &of)
		return of.PlacedOn < since, err
	}
	return s.answer(c, view.OrderLists, noPage, func(ctx context.Context, g row.Generation) ([]byte, error) {
		return s.page(ctx, g, doc, asked, tooOld)
	})
}

// page looks up a page of a list. The list ends at the first item of which over says so, if over is not nil. A list that
// does not exist is errEmpty.
func (s *Service) page(ctx context.Context, g row.Generation, doc string, asked span, over func(item []byte) (bool, error)) ([]byte, error) {
	items, err := s.some(ctx, g, doc, asked.after, asked.limit+1)
	if err != nil {
		return nil, err
	}
	p := page{Items: []json.RawMessage{}}
	for i, item := range items {
		if over != nil {
			end, err := over(item.JSON)
			if err != nil {
				return nil, err
			}
			if end {
				break
			}
		}
		if i == asked.limit {
			p.Next = asked.next(items[i-1].Cursor)
			break
		}
		p.Items = append(p.Items, item.JSON)
	}
	return json.Marshal(p)
}

// some returns items of a list, which is errEmpty if it does not exist.
func (s *Service) some(ctx context.Context, g row.Generation, doc, after string, n int) ([]row.Item, error) {
	items, exists, err := s.model.Page(ctx, g, doc, after, n)
	switch {
	case errors.Is(err, row.ErrCursor):
		return nil, errAfter()
	case err == nil && !exists:
		return nil, errEmpty
	}
	return items, err
}

// members looks a member up by their e-mail address.
func (s *Service) members(c echo.Context) error {
	values, err := parameters(c, "email")
	if err != nil {
		return err
	}
	doc, ok := view.MemberEmail(values.Get("email"))
	if !ok {
		return web.MalformedParameter("email", "must be an address of the form local@domain; members are found by it alone")
	}
	return s.answer(c, view.Members, noItems, func(ctx context.Context, g row.Generation) ([]byte, error) {
		return notEmpty(s.model.Document(ctx, g, doc))
	})
}

// products serves a page of the products of a shelf, or of those whose names match a search.
func (s *Service) products(c echo.Context) error {
	values, err := parameters(c, "category", "tag", "sort", "q", "limit", "after")
	if err != nil {
		return err
	}
	sort := values.Get("sort")
	shelf := view.ShelfOf(values.Get("category"), values.Get("tag"))
	if q := values.Get("q"); q != "" {
		if sort != "" || shelf != (view.Shelf{}) {
			return web.MalformedParameter("q", "cannot be combined with category, tag or sort")
		}
		asked, err := spanOf(values, byName)
		if err != nil {
			return err
		}
		return s.search(c, q, asked)
	}
	switch sort {
	case "":
		sort = view.Newest
	case view.Newest, view.ByPrice, view.MostSold:
	default:
		return web.MalformedParameter("sort", "must be newest, price or popular")
	}
	asked, err := spanOf(values, sort)
	if err != nil {
		return err
	}
	if sort == view.MostSold {
		return s.answer(c, view.Popular, noPage, func(ctx context.Context, g row.Generation) ([]byte, error) {
			body, err := notEmpty(s.model.Document(ctx, g, shelf.List(sort)))
			if err != nil {
				return nil, err
			}
			return rankedPage(body, asked)
		})
	}
	return s.answer(c, view.Catalogue, noPage, func(ctx context.Context, g row.Generation) ([]byte, error) {
		return s.page(ctx, g, shelf.List(sort), asked, nil)
	})
}

// rankedPage cuts a page out of a document of view.Popular.
func rankedPage(body []byte, asked span) ([]byte, error) {
	var doc view.Ranked
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("a document of popular: %w", err)
	}
	from := 0
	if asked.after != "" {
		key, err := base64.RawURLEncoding.DecodeString(asked.after)
		if err != nil || !strings.Contains(string(key), " ") {
			return nil, errAfter()
		}
		at, found := slices.BinarySearch(doc.Keys, string(key))
		if from = at; found {
			from++
		}
	}
	to := min(from+asked.limit, len(doc.Items))
	p := page{Items: append([]json.RawMessage{}, doc.Items[from:to]...)}
	if to < len(doc.Items) && to > from {
		p.Next = asked.next(base64.RawURLEncoding.EncodeToString([]byte(doc.Keys[to-1])))
	}
	return json.Marshal(p)
}

// The bounds of a search: how many words it may have, and how many products of its longest word a page looks at.
const (
	maxWords  = 8
	maxLooked = 1000
)

// search serves a page of the products in whose names each of the words begins a word. It pages through the list of the
// longest word and passes over what lacks another, so a page may hold fewer items than its limit and yet not be the last.
func (s *Service) search(c echo.Context, q string, asked span) error {
	words := view.Words(q)
	if len(words) < 1 || len(words) > maxWords {
		return web.MalformedParameter("q", fmt.Sprintf("must have 1 to %d different words of letters or digits", maxWords))
	}
	return s.answer(c, view.Catalogue, noPage, func(ctx context.Context, g row.Generation) ([]byte, error) {
		p := page{Items: []json.RawMessage{}}
		for at, looked := asked.after, 0; ; {
			some, err := s.some(ctx, g, view.SearchList(words[0]), at, maxLimit+1)
			if err != nil {
				return nil, err
			}
			for i, item := range some[:min(len(some), maxLimit)] {
				var of struct{ Name string }
				if err := json.Unmarshal(item.JSON, &of); err != nil {
					return nil, err
				}
				if view.Matches(of.Name, words) {
					p.Items = append(p.Items, item.JSON)
				}
				at, looked = item.Cursor, looked+1
				last := i == len(some)-1
				if !last && (len(p.Items) == asked.limit || looked == maxLooked) {
					p.Next = asked.next(at)
					return json.Marshal(p)
				}
				if last {
					return json.Marshal(p)
				}
			}
			if len(some) == 0 {
				return json.Marshal(p)
			}
		}
	})
}
