// Package modeltest is the conformance suite of the read model: what projector and query rely on, whatever kind of
// Redis is behind it. It takes namespaces of its own and does not need an empty server.
package modeltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/infra/readmodel"
	"jangbu/query/row"
)

// patience is when a test that waits for something gives up.
const patience = time.Minute

// Run runs the suite against the Redis of that URL (see readmodel.Open).
func Run(t *testing.T, url string) {
	tests := []struct {
		name string
		test func(*suite)
	}{
		{"a row of a lower or equal revision never replaces one of a higher", landByRevision},
		{"a withdrawn row leaves its revision behind", withdraw},
		{"a row moves between having a part and having none", movePart},
		{"sums are exact", exactSums},
		{"sums of many rows in one landing", manyRows},
		{"many documents in one landing", manyDocuments},
		{"items stand in the order of their keys", items},
		{"items of one key stand in the order of their sources", itemsOfOneKey},
		{"any bytes that JSON knows", oddText},
		{"generations do not mix", generationsApart},
		{"compose", compose},
		{"compose only over the version it was made of", composeStale},
		{"compose answers what others have not composed yet", composeRaced},
		{"compose many", composeMany},
		{"states never go back", states},
		{"many states", manyStates},
		{"shared parts", sharedParts},
		{"referrers", referrers},
		{"pages", pages},
		{"cursors", cursors},
		{"concurrent landings", concurrentLandings},
		{"build from begin to switch", buildSwitch},
		{"build belongs to its holder", buildBusy},
		{"build left is resumed", buildLeft},
		{"build of a dead builder is given up", buildDead},
		{"build open to all is resumed in place", buildOpenResumed},
		{"build of other code is given up", buildVersion},
		{"switch may be repeated", switchTwice},
		{"garbage is dropped", garbage},
		{"positions only advance", advance},
		{"leases", leases},
		{"events healed are counted", healed},
		{"live pointer is cached", liveCached},
		{"documents are counted", documents},
		{"random landings", randomLandings},
		{"builder equals store", builderEqualsStore},
		{"put of many batches", putMany},
		{"connection cut half-way", cutOff},
		{"scripts come back", scriptsFlushed},
		{"no claim outlives a restart", claims},
		{"what was read before a restart allows no claim", readBefore},
		{"garbage of a former run is not dropped from the next", garbageBefore},
		{"a namesake is another generation", namesakes},
		{"rollback", revive},
		{"rollback that was interrupted", reviveInterrupted},
		{"rollback that is given up", reviveGivenUp},
		{"abandon and forget", abandonAndForget},
		{"silence", silence},
		{"parked streams", parkedStreams},
		{"contents of documents", contentsComposed},
		{"contents of lists", contentsLists},
		{"versions", versions},
		{"times of saving", savedTimes},
		{"cancelled context", cancelled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s := &suite{T: t, ctx: ctx, url: url, namespace: "test-" + uuid.NewString()}
			s.g = row.Generation{View: "things", Number: 1}
			s.m = s.open(readmodel.Config{})
			test.test(s)
		})
	}
}

// suite is what one test works with: a Store of its own namespace, and a generation nobody has written to.
type suite struct {
	*testing.T
	ctx       context.Context
	url       string
	namespace string
	m         *readmodel.Store
	g         row.Generation
}

// open opens another Store on the test's namespace.
func (s *suite) open(cfg readmodel.Config) *readmodel.Store {
	s.Helper()
	cfg.Namespace = s.namespace
	m, err := readmodel.Open(s.url, cfg)
	s.must(err)
	s.Cleanup(func() { m.Close() })
	return m
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// lander is what Store and Builder have in common.
type lander interface {
	Land(ctx context.Context, g row.Generation, landings []row.Landing) ([]row.Document, error)
	Compose(ctx context.Context, g row.Generation, docs []row.Document, compositions [][]byte) ([]row.Document, error)
}

// land lands rows in one document that is to be composed, and returns it, nil if it needs no composition.
func (s *suite) land(doc string, rows ...row.Sourced) *row.Document {
	s.Helper()
	docs, err := s.m.Land(s.ctx, s.g, []row.Landing{{Doc: doc, Compose: true, Rows: rows}})
	s.must(err)
	if len(docs) == 0 {
		return nil
	}
	return &docs[0]
}

// compose composes a document as the text of its contents.
func (s *suite) compose(d *row.Document) {
	s.Helper()
	again, err := s.m.Compose(s.ctx, s.g, []row.Document{*d}, [][]byte{[]byte(describe(*d))})
	s.must(err)
	if len(again) > 0 {
		s.Fatalf("%s was to be composed again: %+v", d.Doc, again)
	}
}

// expect compares what is landed in a document that has never been composed. It lands a withdrawal of nothing, which is
// how to ask without changing what the document adds up to.
func (s *suite) expect(doc, want string) {
	s.Helper()
	d := s.land(doc, row.Sourced{Source: "nobody-0", Revision: 0})
	if d == nil {
		s.Fatalf("%s needs no composition", doc)
	}
	if got := describe(*d); got != want {
		s.Errorf("%s holds\n got %s\nwant %s", doc, got, want)
	}
}

// describe is the contents of a document as text, without its version.
func describe(d row.Document) string {
	text := ""
	for _, source := range slices.Sorted(maps.Keys(d.Parts)) {
		text += fmt.Sprintf("%s=%s ", source, d.Parts[source].Bytes())
	}
	for _, name := range slices.Sorted(maps.Keys(d.Sums)) {
		text += fmt.Sprintf("%s:%d ", name, d.Sums[name])
	}
	return text + fmt.Sprintf("[%s..%s]", d.First, d.Last)
}

// items reads a whole list as text.
func (s *suite) items(doc string) []string {
	s.Helper()
	return pageItems(s, s.g, doc)
}

func pageItems(s *suite, g row.Generation, doc string) []string {
	s.Helper()
	page, _, err := s.m.Page(s.ctx, g, doc, "", 100_000)
	s.must(err)
	list := make([]string, len(page))
	for i, item := range page {
		list[i] = string(item.JSON)
	}
	return list
}

func (s *suite) expectItems(doc string, want ...string) {
	s.Helper()
	if got := s.items(doc); !slices.Equal(got, want) {
		s.Errorf("items of %s\n got %q\nwant %q", doc, got, want)
	}
}

func part(v any) *row.Row { return &row.Row{Part: row.PartOf(v)} }

func sums(keysAndValues ...any) *row.Row {
	r := &row.Row{Sums: map[string]int64{}}
	for i := 0; i < len(keysAndValues); i += 2 {
		r.Sums[keysAndValues[i].(string)] = int64(keysAndValues[i+1].(int))
	}
	return r
}

func keyed(key string, item any) *row.Row { return &row.Row{Key: key, Item: item} }

func from(source string, revision int64, r *row.Row) row.Sourced {
	return row.Sourced{Source: source, Revision: revision, Row: r}
}
