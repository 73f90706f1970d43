package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"jangbu/domain/event"
	"jangbu/query/view"
	"jangbu/test/program"
	"jangbu/test/servers"
)

// readLog reads the shop's events: all that views are made of, in order.
func (s *shop) readLog(t *testing.T) []event.Recorded {
	t.Helper()
	categories := view.Categories(view.All())
	var log []event.Recorded
	for e, err := range s.store.ReadAll(t.Context(), event.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(categories, event.Category(e.Stream)) {
			log = append(log, e)
		}
	}
	return log
}

// awaitLanded waits, by the tokens that a client of each of these streams would hold, until every view has landed all of
// the log.
func (s *shop) awaitLanded(t *testing.T, log []event.Recorded) {
	t.Helper()
	last := map[string]int64{}
	for _, e := range log {
		last[e.Stream] = e.Revision
	}
	const tokens = 1000 // a request: as many as a query takes
	var g errgroup.Group
	g.SetLimit(8)
	for _, v := range view.All() {
		var batch []string
		for stream, revision := range last {
			if _, feeds := v.Source(stream); feeds {
				batch = append(batch, fmt.Sprintf("%s@%d", stream, revision))
			}
		}
		for some := range slices.Chunk(batch, tokens) {
			g.Go(func() error { return s.awaitTokens(v, some) })
		}
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) awaitTokens(v *view.View, tokens []string) error {
	a, err := s.getLanded(anyPath[v], strings.Join(tokens, ", "))
	if err == nil && a.status != http.StatusOK && a.status != http.StatusNotFound {
		err = fmt.Errorf("view %s, asked for %d streams: %s", v.Name, len(tokens), a)
	}
	return err
}

// expectation is what the paths of the query API must answer. A list stands there as its items, joined by newlines.
type expectation map[string]string

// withoutTotals takes out what is about all orders or products, to which every one adds.
func (e expectation) withoutTotals() {
	maps.DeleteFunc(e, func(path, _ string) bool { return !aboutOne(path) })
}

// fold is what view.Fold makes of the log, by path. With a sample of n > 0, it is n documents a view at most.
func fold(t *testing.T, log []event.Recorded, n int) (want expectation, documents map[string]int) {
	t.Helper()
	want, documents = expectation{}, map[string]int{}
	for _, v := range view.All() {
		folded, err := view.Fold(v, log)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for doc, body := range folded.Documents {
			all[doc] = string(body)
		}
		for doc, items := range folded.Lists {
			all[doc] = join(items)
		}
		documents[v.Name] = len(all)
		names := slices.Sorted(maps.Keys(all))
		step := 1
		if n > 0 {
			step = max(1, len(names)/n)
		}
		for i := 0; i < len(names); i += step {
			maps.Copy(want, servedAt(t, v, names[i], all[names[i]]))
		}
	}
	return want, documents
}

func join[T ~[]byte](items []T) string {
	var b strings.Builder
	for _, item := range items {
		b.Write(item)
		b.WriteByte('\n')
	}
	return b.String()
}

// wantViews requires every path to answer exactly what is expected of it.
func (s *shop) wantViews(t *testing.T, want expectation) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(8)
	for path, body := range want {
		g.Go(func() error {
			got, err := s.read(path)
			if err == nil && got != body {
				err = fmt.Errorf("GET %s\n got %s\nwant %s", path, got, body)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// read gets a path as an expectation has it.
func (s *shop) read(path string) (string, error) {
	if paged(path) {
		pages, err := s.pages(path, 200)
		return join(slices.Concat(pages...)), err
	}
	a, err := tryGet(s.query, path)
	if err != nil {
		return "", err
	}
	if a.status != http.StatusOK {
		return "", &refusal{path, a}
	}
	return a.body, nil
}

// refusal is an answer other than 200.
type refusal struct {
	path string
	answer
}

func (r *refusal) Error() string { return fmt.Sprintf("GET %s: %s", r.path, r.answer) }

// pages follows the cursors of a list to its end.
func (s *shop) pages(path string, limit int) (pages [][]json.RawMessage, err error) {
	after, sep := "", "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	for {
		a, err := tryGet(s.query, fmt.Sprintf("%s%slimit=%d&after=%s", path, sep, limit, url.QueryEscape(after)))
		if err != nil {
			return nil, err
		}
		var page struct {
			Items []json.RawMessage `json:"items"`
			Next  *string           `json:"next"`
		}
		if a.status != http.StatusOK {
			return nil, &refusal{path, a}
		}
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			return nil, fmt.Errorf("GET %s: %w in %s", path, err, a)
		}
		if pages = append(pages, page.Items); page.Next == nil {
			return pages, nil
		}
		after = *page.Next
	}
}

// wantFold waits until the views have landed the log, and requires that they are its fold: each document, byte by byte,
// and no other document.
func (s *shop) wantFold(t *testing.T) expectation {
	t.Helper()
	s.awaitFulfilled(t)
	log := s.readLog(t)
	want, documents := fold(t, log, 0)
	s.awaitLanded(t, log)
	s.wantViews(t, want)
	for _, v := range s.views(t) {
		if v.Documents != documents[v.View] {
			t.Errorf("view %s has %d documents, the fold of the log %d", v.View, v.Documents, documents[v.View])
		}
	}
	return want
}

// viewLine is what views --json says of a view.
type viewLine struct {
	View       string `json:"view"`
	Generation int64  `json:"generation"`
	Building   int64  `json:"building"`
	Documents  int    `json:"documents"`
	LagEvents  int64  `json:"lag_events"`
	Status     string `json:"status"`
}

func (s *shop) views(t *testing.T) map[string]viewLine {
	t.Helper()
	var lines []viewLine
	var printed string
	servers.Until(t, "views are listed", func() error { // on a machine where the store has time to answer
		code, stdout, stderr := program.Execute(t, "views", "--json", "--eventstore-url", s.eventstore, "--redis-url", s.redis)
		if printed = stdout; code != 0 {
			return errors.New(stderr)
		}
		return json.Unmarshal([]byte(printed), &lines)
	})
	byName := map[string]viewLine{}
	for _, l := range lines {
		byName[l.View] = l
	}
	delete(byName, "fulfilment") // its line stands behind those of the views
	if len(byName) != len(view.All()) {
		t.Fatalf("views prints %s", printed)
	}
	return byName
}
