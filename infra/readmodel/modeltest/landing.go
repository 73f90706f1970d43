package modeltest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
)

func landByRevision(s *suite) {
	orders := [][]int64{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}, {0, 0, 2, 2, 1, 1}, {2, 0, 2}}
	for i, order := range orders {
		doc := fmt.Sprint("doc", i)
		for _, revision := range order {
			s.land(doc, from("a-1", revision, &row.Row{Part: row.PartOf(revision), Sums: map[string]int64{"n": 10 + revision}, Key: fmt.Sprint("k", revision), Item: revision}))
		}
		s.expect(doc, "a-1=2 n:12 [k2..k2]")
		s.expectItems(doc, "2")
	}
	s.land("equal", from("a-1", 3, part("first")))
	s.land("equal", from("a-1", 3, part("second")))
	s.expect("equal", `a-1="first" [..]`)
	with := func(skips int, revision int64, r *row.Row) row.Sourced {
		return row.Sourced{Source: "a-1", Revision: revision, Skips: skips, Row: r}
	}
	s.land("equal", with(1, 2, part("lower")))
	s.expect("equal", `a-1="first" [..]`)
	s.land("equal", with(9, 3, &row.Row{Part: row.PartOf("skipped"), Sums: map[string]int64{"n": 1}, Key: "k"}))
	s.land("equal", from("a-1", 3, part("late")), with(9, 3, part("late")))
	s.expect("equal", `a-1="skipped" n:1 [k..k]`)
	s.land("equal", with(10, 3, nil))
	s.land("equal", from("a-1", 3, part("late")), with(9, 3, part("late")))
	s.expect("equal", "[..]")
	s.land("equal", from("a-1", 4, part("next")))
	s.expect("equal", `a-1="next" [..]`)
}

func withdraw(s *suite) {
	whole := func(n int) *row.Row {
		return &row.Row{Part: row.PartOf(n), Sums: map[string]int64{"n": int64(n)}, Key: "k", Item: n}
	}
	s.land("late", from("a-1", 1, whole(7)), from("b-1", 0, sums("n", 5)))
	s.land("late", from("a-1", 2, nil))
	s.expect("late", "n:5 [..]")
	s.land("late", from("a-1", 1, whole(7)))
	s.land("late", from("a-1", 2, whole(8)))
	s.expect("late", "n:5 [..]")
	s.expectItems("late")

	s.land("early", from("a-1", 2, nil)) // before what it withdraws
	s.land("early", from("a-1", 1, whole(7)))
	s.expect("early", "[..]")
	s.land("early", from("a-1", 3, whole(9)))
	s.expect("early", "a-1=9 n:9 [k..k]")
}

func movePart(s *suite) {
	with := func(n int) *row.Row {
		return &row.Row{Part: row.PartOf(n), Sums: map[string]int64{"n": int64(n)}, Key: fmt.Sprint(n), Item: n}
	}
	without := func(n int) *row.Row {
		return &row.Row{Sums: map[string]int64{"n": int64(n)}, Key: fmt.Sprint(n), Item: n}
	}
	s.land("doc", from("a-1", 0, with(1)))
	s.expect("doc", "a-1=1 n:1 [1..1]")
	s.land("doc", from("a-1", 1, without(2)))
	s.expect("doc", "n:2 [2..2]")
	s.land("doc", from("a-1", 0, with(1)))
	s.expect("doc", "n:2 [2..2]")
	s.land("doc", from("a-1", 2, with(3)))
	s.expect("doc", "a-1=3 n:3 [3..3]")
	s.land("doc", from("a-1", 1, without(2)))
	s.expect("doc", "a-1=3 n:3 [3..3]")
	s.expectItems("doc", "3")
	s.land("doc", from("a-1", 3, nil))
	s.land("doc", from("a-1", 2, with(3)))
	s.expect("doc", "[..]")
}

func exactSums(s *suite) {
	s.land("doc", from("a-1", 0, sums("n", 10, "m", 1)), from("b-1", 0, sums("n", -3)))
	s.expect("doc", "m:1 n:7 [..]")
	s.land("doc", from("a-1", 1, sums("n", -20)))
	s.expect("doc", "n:-23 [..]")
	s.land("doc", from("a-1", 2, sums("n", 3)))
	s.expect("doc", "[..]") // a sum of zero is no sum
	s.land("doc", from("b-1", 1, nil))
	s.expect("doc", "n:3 [..]")

	s.land("large", from("a-1", 0, sums("n", 1_000_000_000_000)), from("b-1", 0, sums("n", 1_000_000_000_000)), from("c-1", 0, sums("n", 1)))
	s.expect("large", "n:2000000000001 [..]")
	s.land("large", from("a-1", 1, nil))
	s.expect("large", "n:1000000000001 [..]")
}

func manyRows(s *suite) {
	for _, n := range []int{501, 4500} { // more than one call of the script takes
		doc := fmt.Sprint("doc", n)
		rows := make([]row.Sourced, n)
		for i := range rows {
			rows[i] = from(fmt.Sprint("a-", i), 0, &row.Row{Sums: map[string]int64{"n": 1, fmt.Sprint("m", i%7): 1_000_000_000_000}, Key: fmt.Sprintf("%05d", i), Item: i})
		}
		d := s.land(doc, rows...)
		if d == nil || d.Sums["n"] != int64(n) || d.First != "00000" || d.Last != fmt.Sprintf("%05d", n-1) {
			s.Fatalf("%d rows add up to %+v", n, d)
		}
		if want := int64((n+6)/7) * 1_000_000_000_000; d.Sums["m0"] != want {
			s.Errorf("m0 of %d rows is %d, want %d", n, d.Sums["m0"], want)
		}
		if got := len(s.items(doc)); got != n {
			s.Errorf("%d rows with a key make %d items", n, got)
		}
		for i := range rows {
			rows[i] = from(rows[i].Source, 1, nil)
		}
		if d := s.land(doc, rows...); d == nil || describe(*d) != "[..]" {
			s.Errorf("after all rows are withdrawn the document holds %+v", d)
		}
	}
}

func manyDocuments(s *suite) {
	const n = 3000 // some hundred in each bucket
	landings := make([]row.Landing, n)
	for i := range landings {
		landings[i] = row.Landing{Doc: fmt.Sprint("doc", i), Compose: i%2 == 0, Rows: []row.Sourced{from("a-1", 0, part(i)), from("b-1", 0, sums("n", i+1))}}
	}
	docs, err := s.m.Land(s.ctx, s.g, landings)
	s.must(err)
	if len(docs) != n/2 {
		s.Fatalf("%d documents wait to be composed, want %d", len(docs), n/2)
	}
	for _, d := range docs {
		var i int
		fmt.Sscanf(d.Doc, "doc%d", &i)
		if want := fmt.Sprintf("a-1=%d n:%d [..]", i, i+1); describe(d) != want {
			s.Fatalf("%s holds %s, want %s", d.Doc, describe(d), want)
		}
	}
	docs, err = s.m.Land(s.ctx, s.g, nil)
	if err != nil || docs != nil {
		s.Errorf("landing nothing: %v, %v", docs, err)
	}
}

func items(s *suite) {
	s.land("doc", from("a-1", 0, keyed("2026-03", "a")), from("b-1", 0, keyed("2026-01", "b")), from("c-1", 0, keyed("2026-02", "c")))
	s.expectItems("doc", `"b"`, `"c"`, `"a"`)
	s.expect("doc", "[2026-01..2026-03]")
	s.land("doc", from("b-1", 1, keyed("2026-01", "b, replaced")))
	s.expectItems("doc", `"b, replaced"`, `"c"`, `"a"`)
	s.land("doc", from("b-1", 2, keyed("2026-09", "b, moved")))
	s.expectItems("doc", `"c"`, `"a"`, `"b, moved"`)
	s.expect("doc", "[2026-02..2026-09]")
	s.land("doc", from("b-1", 3, nil), from("c-1", 1, sums("n", 1)))
	s.expectItems("doc", `"a"`)
	s.expect("doc", "n:1 [2026-03..2026-03]")
	s.land("doc", from("d-1", 0, keyed("2026-05", nil)))
	s.expect("doc", "n:1 [2026-03..2026-05]")
}

// itemsOfOneKey also shows that a key or a source that starts another is not taken for it.
func itemsOfOneKey(s *suite) {
	s.land("doc", from("o-10", 0, keyed("k", 10)), from("o-1", 0, keyed("k", 1)), from("o-2", 0, keyed("k", 2)),
		from("o-3", 0, keyed("k1", 3)))
	s.expectItems("doc", "1", "10", "2", "3")
	s.land("doc", from("o-1", 1, keyed("k", "one")))
	s.expectItems("doc", `"one"`, "10", "2", "3")
	s.land("doc", from("o-1", 2, nil), from("o-3", 1, nil))
	s.expectItems("doc", "10", "2")
	s.expect("doc", "[k..k]")
}

func oddText(s *suite) {
	for i, text := range []string{`quotes " and \ and '`, "a/b/c", "emoji 🌶️, Ikura いくら", "line\nfeed\ttab", "<&>", "\u2028", "100%", "%d", "nul \x00 byte", ""} {
		doc, source := "doc/"+text, fmt.Sprint("a-", i)
		r := &row.Row{Part: row.PartOf(text), Sums: map[string]int64{"s/" + text: 5}, Key: "k", Item: map[string]string{"text": text}}
		s.land(doc, from(source, 0, r))
		want := fmt.Sprintf("%s=%s s/%s:5 [k..k]", source, row.JSON(text), text)
		s.expect(doc, want)
		s.expectItems(doc, string(row.JSON(map[string]string{"text": text})))
		s.land(doc, from(source, 1, nil))
		s.expect(doc, "[..]")
		s.expectItems(doc)
	}
}

func generationsApart(s *suite) {
	s.land("doc", from("a-1", 5, part("of 1")))
	for _, other := range []row.Generation{{View: "things", Number: 2}, {View: "things", Number: 11}, {View: "others", Number: 1}} {
		docs, err := s.m.Land(s.ctx, other, []row.Landing{{Doc: "doc", Compose: true, Rows: []row.Sourced{from("a-1", 0, part("of another"))}}})
		if err != nil || len(docs) != 1 || describe(docs[0]) != `a-1="of another" [..]` {
			s.Errorf("%s: %v, %v", other, docs, err)
		}
	}
	s.expect("doc", `a-1="of 1" [..]`)
}

// concurrentLandings: whoever comes first, the document ends as the rule says.
func concurrentLandings(s *suite) {
	const writers, revisions = 4, 25
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := range int64(revisions) {
				for _, source := range []string{"a-1", fmt.Sprint("w-", w)} {
					r := &row.Row{Part: row.PartOf(i), Sums: map[string]int64{"n": i}, Key: fmt.Sprintf("%02d", i), Item: i}
					if _, err := s.m.Land(s.ctx, s.g, []row.Landing{{Doc: "doc", Rows: []row.Sourced{from(source, i, r)}}}); err != nil {
						s.Error(err)
					}
				}
			}
		})
	}
	running.Wait()
	s.expect("doc", "a-1=24 w-0=24 w-1=24 w-2=24 w-3=24 n:120 [24..24]")
	s.expectItems("doc", "24", "24", "24", "24", "24")
}

func cancelled(s *suite) {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	_, err := s.m.Land(ctx, s.g, []row.Landing{{Doc: "doc", Rows: []row.Sourced{from("a-1", 0, part(1))}}})
	if !errors.Is(err, context.Canceled) || errors.Is(err, event.ErrUnavailable) {
		s.Errorf("land with a cancelled context: %v", err)
	}
}

var _ lander = (*readmodel.Builder)(nil)
