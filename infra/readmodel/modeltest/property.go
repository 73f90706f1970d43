package modeltest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"jangbu/infra/readmodel"
	"jangbu/query/row"
)

// serially makes a function of a client one that several may call at once.
func (s *suite) serially(do func(*goredis.Client) error) func(context.Context, *goredis.Client) error {
	var mu sync.Mutex
	return func(_ context.Context, c *goredis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		return do(c)
	}
}

// reference is the rule of the read side, written down as plainly as can be.
type reference map[string]map[string]row.Sourced

func (r reference) land(landings []row.Landing) {
	for _, l := range landings {
		if r[l.Doc] == nil {
			r[l.Doc] = map[string]row.Sourced{}
		}
		for _, arrived := range l.Rows {
			if held, ok := r[l.Doc][arrived.Source]; !ok || held.Revision < arrived.Revision {
				r[l.Doc][arrived.Source] = arrived
			}
		}
	}
}

// read gives a document's contents as describe does, and its items in order.
func (r reference) read(doc string) (contents string, items []string) {
	d := row.Document{Parts: map[string]row.Part{}, Sums: map[string]int64{}}
	var places []string
	at := map[string]*row.Row{}
	for source, held := range r[doc] {
		if held.Row == nil {
			continue
		}
		if !held.Row.Part.Absent() {
			d.Parts[source] = held.Row.Part
		}
		for name, n := range held.Row.Sums {
			if d.Sums[name] += n; d.Sums[name] == 0 {
				delete(d.Sums, name)
			}
		}
		if held.Row.Key != "" {
			place := held.Row.Key + "\x00" + source
			places, at[place] = append(places, place), held.Row
		}
	}
	slices.Sort(places)
	for _, place := range places {
		items = append(items, string(row.JSON(at[place].Item)))
	}
	if len(places) > 0 {
		d.First, d.Last = at[places[0]].Key, at[places[len(places)-1]].Key
	}
	return describe(d), items
}

// batches draws landings of few documents and sources, so that they meet often.
func batches(t *rapid.T) [][]row.Landing {
	drawRow := rapid.Custom(func(t *rapid.T) *row.Row {
		if rapid.IntRange(0, 4).Draw(t, "withdrawn") == 0 {
			return nil
		}
		r := &row.Row{}
		if rapid.Bool().Draw(t, "has part") {
			r.Part = row.PartOf(rapid.StringMatching(`[a-z<"\n]{0,3}`).Draw(t, "part"))
		}
		if rapid.Bool().Draw(t, "has sums") {
			r.Sums = rapid.MapOfN(rapid.SampledFrom([]string{"n", "m/ä \"x\"", "o/a/b"}), rapid.Int64Range(-3, 3), 0, 3).Draw(t, "sums")
		}
		if rapid.Bool().Draw(t, "has key") {
			r.Key, r.Item = rapid.SampledFrom([]string{"1", "12", "2", "é"}).Draw(t, "key"), rapid.IntRange(0, 9).Draw(t, "item")
		}
		return r
	})
	var all [][]row.Landing
	for range rapid.IntRange(1, 8).Draw(t, "batches") {
		var landings []row.Landing
		for _, doc := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), 1, 4, rapid.ID).Draw(t, "docs") {
			l := row.Landing{Doc: doc, Compose: rapid.IntRange(0, 3).Draw(t, "compose") > 0}
			for _, source := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"s-1", "s-10", "s-2", "t-1"}), 1, 4, rapid.ID).Draw(t, "sources") {
				l.Rows = append(l.Rows, from(source, rapid.Int64Range(0, 6).Draw(t, "revision"), drawRow.Draw(t, "row")))
			}
			landings = append(landings, l)
		}
		all = append(all, landings)
	}
	return all
}

// expectDocuments compares every document of a generation with the reference, through readers' eyes and through those of
// a further landing.
func (s *suite) expectDocuments(t *rapid.T, l lander, g row.Generation, want reference) {
	for doc := range want {
		contents, items := want.read(doc)
		docs, err := l.Land(s.ctx, g, []row.Landing{{Doc: doc, Compose: true, Rows: []row.Sourced{from("probe-1", 1, part("probe"))}}})
		if err != nil || len(docs) != 1 {
			t.Fatalf("land a probe in %s: %v, %v", doc, docs, err)
		}
		delete(docs[0].Parts, "probe-1")
		if got := describe(docs[0]); got != contents {
			t.Fatalf("%s/%s\n got %s\nwant %s", g, doc, got, contents)
		}
		if got := pageItems(s, g, doc); !slices.Equal(got, items) {
			t.Fatalf("items of %s/%s\n got %q\nwant %q", g, doc, got, items)
		}
	}
}

func randomLandings(s *suite) {
	var number atomic.Int64
	rapid.Check(s.T, func(t *rapid.T) {
		g, want := row.Generation{View: view, Number: number.Add(1)}, reference{}
		for _, landings := range batches(t) {
			docs, err := s.m.Land(s.ctx, g, landings)
			if err != nil {
				t.Fatal(err)
			}
			want.land(landings)
			for _, d := range docs {
				if contents, _ := want.read(d.Doc); describe(d) != contents {
					t.Fatalf("landing answers\n got %s\nwant %s", describe(d), contents)
				}
			}
			if rapid.Bool().Draw(t, "composed") {
				s.composeAll(t, s.m, g, docs, want)
			}
		}
		s.expectDocuments(t, s.m, g, want)
	})
}

func (s *suite) composeAll(t *rapid.T, l lander, g row.Generation, docs []row.Document, want reference) {
	bodies := make([][]byte, len(docs))
	for i, d := range docs {
		bodies[i] = []byte(describe(d))
	}
	again, err := l.Compose(s.ctx, g, docs, bodies)
	if err != nil || len(again) > 0 {
		t.Fatalf("compose: %v, %v", again, err)
	}
	for _, d := range docs {
		contents, _ := want.read(d.Doc)
		if body, err := s.m.Document(s.ctx, g, d.Doc); err != nil || string(body) != contents {
			t.Fatalf("readers find %s (%v), want %s", body, err, contents)
		}
	}
}

// builderEqualsStore: the same landings through a Builder and through the scripts answer the same and leave the same,
// even when the builder dies between, or half-way through, any of them, and another goes on.
func builderEqualsStore(s *suite) {
	var number atomic.Int64
	s.m = s.open(readmodel.Config{Remember: 2}) // of the five documents, so that a builder forgets some
	rapid.Check(s.T, func(t *rapid.T) {
		plain := row.Generation{View: view, Number: number.Add(2)}
		built := row.Generation{View: view, Number: plain.Number - 1}
		b, want := s.m.NewBuilder(), reference{}
		for _, landings := range batches(t) {
			switch rapid.IntRange(0, 6).Draw(t, "builder dies") {
			case 0:
				b = s.m.NewBuilder()
			case 1: // with some of the next landings written
				some := landings[:rapid.IntRange(0, len(landings)).Draw(t, "written")]
				if _, err := b.Land(s.ctx, built, some); err != nil {
					t.Fatal(err)
				}
				if _, err := s.m.Land(s.ctx, plain, some); err != nil {
					t.Fatal(err)
				}
				b = s.m.NewBuilder()
			}
			fromBuilder, err := b.Land(s.ctx, built, landings)
			if err != nil {
				t.Fatal(err)
			}
			fromStore, err := s.m.Land(s.ctx, plain, landings)
			if err != nil {
				t.Fatal(err)
			}
			want.land(landings)
			if got, want := describeAll(fromBuilder), describeAll(fromStore); !slices.Equal(got, want) {
				t.Fatalf("builder answers\n%q\nstore answers\n%q", got, want)
			}
			if rapid.Bool().Draw(t, "composed") {
				s.composeAll(t, b, built, fromBuilder, want)
				s.composeAll(t, s.m, plain, fromStore, want)
			}
		}
		s.expectDocuments(t, s.m, plain, want)
		s.expectDocuments(t, b, built, want)
		s.expectSameReaders(t, built, plain, want)
	})
}

func (s *suite) expectSameReaders(t *rapid.T, a, b row.Generation, docs reference) {
	for doc := range docs {
		bodyA, errA := s.m.Document(s.ctx, a, doc)
		bodyB, errB := s.m.Document(s.ctx, b, doc)
		if errA != nil || errB != nil || string(bodyA) != string(bodyB) {
			t.Fatalf("%s/%s is %q (%v), %s/%s is %q (%v)", a, doc, bodyA, errA, b, doc, bodyB, errB)
		}
		_, existsA, errA := s.m.Page(s.ctx, a, doc, "", 1)
		_, existsB, errB := s.m.Page(s.ctx, b, doc, "", 1)
		if errA != nil || errB != nil || existsA != existsB {
			t.Fatalf("list %s/%s exists: %v (%v), list %s/%s exists: %v (%v)", a, doc, existsA, errA, b, doc, existsB, errB)
		}
	}
}

func describeAll(docs []row.Document) []string {
	all := make([]string, len(docs))
	for i, d := range docs {
		all[i] = fmt.Sprintf("%s@%d %s", d.Doc, d.Version, describe(d))
	}
	slices.Sort(all)
	return all
}
