package modeltest

import (
	"fmt"
	"strings"

	"jangbu/query/row"
)

// putMany: of a batch that is longer than any command, and of those that follow it, everything arrives, and nothing of one in another.
func putMany(s *suite) {
	build := s.begin(s.m, 1, "x")
	g, builder := build.Generation, s.m.NewBuilder()
	const n, rounds = 2500, 3
	source := func(i int) string { return fmt.Sprintf("o-%d", i) }
	rowAt := func(i, round int) *row.Row {
		return &row.Row{Doc: "list", Key: fmt.Sprintf("k%05d", i), Item: round, Sums: map[string]int64{"n": int64(round)}}
	}
	for round := 1; round <= rounds; round++ {
		batch := row.Batch{Docs: []row.Put{{Doc: "list", Version: int64(round), Sums: map[string]int64{"n": int64(n * round)}}}}
		for i := range n {
			placed := row.Placed{Doc: "list", Sourced: row.Sourced{Source: source(i), Revision: int64(round), Row: rowAt(i, round)}, First: round == 1}
			if round > 1 {
				placed.Was = rowAt(i, round-1)
			}
			batch.Rows = append(batch.Rows, placed)
			batch.States = append(batch.States, row.Save{Stream: source(i), Revision: int64(round), State: i * round})
			batch.Refs = append(batch.Refs, row.Ref{Stream: fmt.Sprint("m-", round), Doc: fmt.Sprint(round, "-", i)})
		}
		s.must(builder.Put(s.ctx, g, batch))
		s.must(builder.Put(s.ctx, g, row.Batch{States: []row.Save{{Stream: "short", Revision: int64(round)}}}))
	}

	streams, items, cursor := []string{"short"}, 0, ""
	for {
		page, _, err := s.m.Page(s.ctx, g, "list", cursor, 1000)
		s.must(err)
		if len(page) == 0 {
			break
		}
		for _, item := range page {
			if string(item.JSON) != fmt.Sprint(rounds) {
				s.Fatalf("item %d is %s", items, item.JSON)
			}
			streams, items, cursor = append(streams, source(items)), items+1, item.Cursor
		}
	}
	client := s.client()
	for _, key := range s.keys() {
		if strings.HasSuffix(key, "}:s") {
			left, err := client.HExists(s.ctx, key, "").Result()
			if s.must(err); left {
				s.Fatalf("%s has a field without a name", key)
			}
		}
	}
	states, err := s.m.States(s.ctx, g, streams)
	s.must(err)
	for i, st := range states {
		if st.Revision != rounds || i > 0 && string(st.Data) != fmt.Sprint((i-1)*rounds) {
			s.Fatalf("state of %s: %d, %s", st.Stream, st.Revision, st.Data)
		}
	}
	refs := map[string]int{}
	for some, err := range s.m.Referrers(s.ctx, g, []string{"m-1", "m-2", "m-3"}) {
		s.must(err)
		for _, ref := range some {
			if ref.Doc[:2] != ref.Stream[2:]+"-" {
				s.Fatalf("%s is shown in %s", ref.Stream, ref.Doc)
			}
			refs[ref.Stream]++
		}
	}
	if items != n || refs["m-1"] != n || refs["m-2"] != n || refs["m-3"] != n {
		s.Errorf("%d items and %v references, want %d", items, refs, n)
	}

	var old row.Landing
	for i := range n { // each row is known to have landed at its revision
		old.Doc, old.Rows = "list", append(old.Rows, row.Sourced{Source: source(i), Revision: rounds - 1, Row: rowAt(i, 99)})
	}
	_, err = s.m.Land(s.ctx, g, []row.Landing{old})
	s.must(err)
	held, err := builder.Held(s.ctx, g, []string{"list"}, false)
	if s.must(err); held[0].Version != rounds || held[0].Sums["n"] != n*rounds {
		s.Errorf("the document is %+v", held[0])
	}
}
