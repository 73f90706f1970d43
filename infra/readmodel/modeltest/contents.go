package modeltest

import (
	"fmt"
	"maps"
	"slices"

	"jangbu/query/row"
)

func contentsComposed(s *suite) {
	want := map[string]string{}
	for i := range 50 {
		doc := fmt.Sprint("d:o{c}", i)
		s.compose(s.land(doc, from("a-1", int64(i), part(i)), from("b-1", 0, sums("n", 1)), from("c-1", 0, nil)))
		want[doc] = s.body(doc)
	}
	s.land("uncomposed", from("a-1", 0, part(1)))
	s.land(row.Shared("a-1"), from("a-1", 0, part(1)))
	s.expectContents(true, want)
	sources, err := s.m.Sources(s.ctx, s.g, "d:o{c}7")
	if s.must(err); !slices.Equal(sources, []string{"a-1", "b-1", "c-1"}) {
		s.Errorf("sources are %q", sources)
	}
}

// versions: every change of a document, and its composition, gives it a version that it never had; what changes nothing does not.
func versions(s *suite) {
	of := func() string {
		s.Helper()
		all, err := s.m.Versions(s.ctx, s.g, []string{"nowhere", "d"})
		if s.must(err); len(all) != 2 || all[0] != "" {
			s.Fatalf("the versions of a document that is not there, and of another, are %q", all)
		}
		return all[1]
	}
	seen := []string{of()}
	for i, rows := range [][]row.Sourced{
		{from("a-1", 0, part(1))}, {from("b-1", 0, sums("n", 1))}, {from("b-1", 1, sums("n", 1))}, {from("a-1", 1, nil), from("b-1", 2, nil)},
		{from("a-1", 2, part(1))},
	} {
		for _, change := range []func(){func() { s.land("d", rows...) }, func() { s.compose(s.land("d", rows...)) }} {
			change()
			if slices.Contains(seen, of()) {
				s.Errorf("change %d gives version %q, and there were %q", i, of(), seen)
			}
			seen = append(seen, of())
		}
		if s.land("d", rows...); of() != seen[len(seen)-1] {
			s.Errorf("a landing that changes nothing gives version %q, and there were %q", of(), seen)
		}
	}
}

func contentsLists(s *suite) {
	want := map[string]string{"one": "1\n2", "empty": ""}
	s.land("one", from("a-1", 0, keyed("k1", 1)), from("a-2", 0, keyed("k2", 2)))
	s.land("empty", from("a-1", 0, part(1)))
	s.land("left", from("a-1", 0, keyed("k1", 1)), from("a-2", 0, part(1)))
	s.land("left", from("a-1", 1, nil), from("a-2", 1, nil)) // as if it had never been
	if bodies := s.bodies(false, "empty", "left", "one"); !slices.Equal(bodies, []string{"", "none", "1\n2"}) {
		s.Errorf("the bodies of three lists are %q", bodies)
	}
	if _, exists, err := s.m.Page(s.ctx, s.g, "left", "", 10); err != nil || exists {
		s.Errorf("a list that all have left exists: %v (%v)", exists, err)
	}
	if n, err := s.m.Documents(s.ctx, s.g, false); err != nil || n != 2 {
		s.Errorf("%d lists (%v), want two", n, err)
	}
	s.land(row.Shared("a-1"), from("a-1", 0, part(1)))
	s.expectContents(false, want)

	var rows []row.Sourced
	for i := range 1001 {
		rows = append(rows, from(fmt.Sprint("a-", i), 0, keyed(fmt.Sprintf("k%04d", i), i)))
	}
	s.land("long", rows...)
	long := s.bodies(false, "long")[0]
	s.land("long", from("a-500", 1, keyed("k0500", "other")))
	other := s.bodies(false, "long")[0]
	if len(long) > 100 || len(other) > 100 || long[:11] != "1001 items," || long == other {
		s.Errorf("a long list is %q, and after a change %q", long, other)
	}
}

func (s *suite) body(doc string) string {
	s.Helper()
	body, err := s.m.Document(s.ctx, s.g, doc)
	s.must(err)
	return string(body)
}

func (s *suite) bodies(composed bool, docs ...string) []string {
	s.Helper()
	bodies, err := s.m.Bodies(s.ctx, s.g, composed, docs)
	s.must(err)
	var texts []string
	for _, b := range bodies {
		if b == nil {
			b = []byte("none")
		}
		texts = append(texts, string(b))
	}
	return texts
}

func (s *suite) expectContents(composed bool, want map[string]string) {
	s.Helper()
	found := map[string]string{}
	for batch, err := range s.m.Contents(s.ctx, s.g, composed) {
		s.must(err)
		for _, c := range batch {
			found[c.Doc] = string(c.Body)
		}
	}
	if !maps.Equal(found, want) {
		s.Errorf("contents are %v, want %v", found, want)
	}
	for range s.m.Contents(s.ctx, s.g, composed) {
		break // a reader may stop
	}
	if none := s.bodies(composed, "nowhere"); none[0] != "none" {
		s.Errorf("a document that is not there: %q", none)
	}
}
