package modeltest

import (
	"errors"
	"fmt"
	"slices"

	"jangbu/domain/event"
	"jangbu/query/row"
)

func (s *suite) expectBody(doc, want string) {
	s.Helper()
	body, err := s.m.Document(s.ctx, s.g, doc)
	s.must(err)
	if string(body) != want || (want == "") != (body == nil) {
		s.Errorf("readers find %q at %s, want %q", body, doc, want)
	}
}

func compose(s *suite) {
	s.expectBody("doc", "")
	d := s.land("doc", from("a-1", 0, part(1)))
	s.expectBody("doc", "")
	s.compose(d)
	s.expectBody("doc", "a-1=1 [..]")
	if d := s.land("doc", from("a-1", 0, part(1))); d != nil {
		s.Errorf("a duplicate makes a composed document wait again: %+v", d)
	}
	d = s.land("doc", from("a-1", 1, nil))
	s.expectBody("doc", "a-1=1 [..]")
	again, err := s.m.Compose(s.ctx, s.g, []row.Document{*d}, [][]byte{nil})
	if err != nil || len(again) > 0 {
		s.Errorf("compose to nothing: %v, %v", again, err)
	}
	s.expectBody("doc", "")
	if d := s.land("doc", from("a-1", 1, nil)); d != nil {
		s.Errorf("a duplicate makes a document composed to nothing wait again: %+v", d)
	}
}

func composeStale(s *suite) {
	first := s.land("doc", from("a-1", 0, part(1)))
	second := s.land("doc", from("b-1", 0, part(2)))
	again, err := s.m.Compose(s.ctx, s.g, []row.Document{*first}, [][]byte{[]byte("stale")})
	s.must(err)
	if len(again) != 1 || again[0].Version != second.Version || describe(again[0]) != "a-1=1 b-1=2 [..]" {
		s.Fatalf("a stale composition is answered with %+v", again)
	}
	s.expectBody("doc", "")
	s.compose(&again[0])
	s.expectBody("doc", "a-1=1 b-1=2 [..]")

	// A landing whose composition never came is offered to whoever lands there next, even a duplicate.
	s.land("doc", from("a-1", 1, part(3)))
	left := s.land("doc", from("a-1", 1, part(3)))
	if left == nil || describe(*left) != "a-1=3 b-1=2 [..]" {
		s.Errorf("what a crash left to be composed is answered as %+v", left)
	}
}

func composeRaced(s *suite) {
	first := s.land("doc", from("a-1", 0, part(1)))
	second := s.land("doc", from("b-1", 0, part(2)))
	s.compose(second)
	again, err := s.m.Compose(s.ctx, s.g, []row.Document{*first}, [][]byte{[]byte("stale")})
	if err != nil || len(again) > 0 {
		s.Errorf("a composition overtaken by a newer one is answered with %+v, %v", again, err)
	}
	s.expectBody("doc", "a-1=1 b-1=2 [..]")

	// Composed by another at the same version, and changed since: it still waits.
	third := s.land("doc", from("a-1", 1, part(3)))
	s.compose(third)
	s.land("doc", from("a-1", 2, part(4)))
	again, err = s.m.Compose(s.ctx, s.g, []row.Document{*third}, [][]byte{[]byte("the same, later")})
	if err != nil || len(again) != 1 || describe(again[0]) != "a-1=4 b-1=2 [..]" {
		s.Fatalf("repeating a composition is answered with %+v, %v", again, err)
	}
	s.expectBody("doc", "a-1=3 b-1=2 [..]")
	s.compose(&again[0])
	s.expectBody("doc", "a-1=4 b-1=2 [..]")
	if again, err = s.m.Compose(s.ctx, s.g, again, [][]byte{[]byte("once more")}); err != nil || len(again) > 0 {
		s.Errorf("a composition that has been made is answered with %+v, %v", again, err)
	}
	s.expectBody("doc", "a-1=4 b-1=2 [..]")
}

func composeMany(s *suite) {
	const n = 2500
	landings := make([]row.Landing, n)
	for i := range landings {
		landings[i] = row.Landing{Doc: fmt.Sprint("doc", i), Compose: true, Rows: []row.Sourced{from("a-1", 0, part(i))}}
	}
	docs, err := s.m.Land(s.ctx, s.g, landings)
	s.must(err)
	bodies := make([][]byte, len(docs))
	for i, d := range docs {
		bodies[i] = []byte(d.Doc)
	}
	again, err := s.m.Compose(s.ctx, s.g, docs, bodies)
	if err != nil || len(again) > 0 {
		s.Fatalf("compose: %d again, %v", len(again), err)
	}
	for i := 0; i < n; i += 97 {
		s.expectBody(fmt.Sprint("doc", i), fmt.Sprint("doc", i))
	}
	if n, err := s.m.Documents(s.ctx, s.g, true); err != nil || n != int64(len(landings)) {
		s.Errorf("%d documents, %v", n, err)
	}
}

func states(s *suite) {
	save := func(revision int64, data string) {
		s.Helper()
		s.must(s.m.SaveStates(s.ctx, s.g, []row.State{{Stream: "a-1", Revision: revision, Data: []byte(data)}}))
	}
	expect := func(revision int64, data string) {
		s.Helper()
		got, err := s.m.States(s.ctx, s.g, []string{"b-1", "a-1"})
		s.must(err)
		if len(got) != 2 || got[0].Stream != "b-1" || got[0].Revision != event.NoStream || got[0].Data != nil {
			s.Errorf("a stream without a state: %+v", got)
		}
		if got[1].Stream != "a-1" || got[1].Revision != revision || string(got[1].Data) != data {
			s.Errorf("state is %+v, want revision %d, %s", got[1], revision, data)
		}
		if landed, err := s.m.Landed(s.ctx, s.g, []string{"a-1", "b-1"}); err != nil || !slices.Equal(landed, []int64{revision, event.NoStream}) {
			s.Errorf("landed at %d, %v, want %d and nothing", landed, err, revision)
		}
	}
	expect(event.NoStream, "")
	save(0, `{"n":0}`)
	expect(0, `{"n":0}`)
	save(10, "{\n\"text\":\"two\\nlines\"\n}")
	expect(10, "{\n\"text\":\"two\\nlines\"\n}")
	save(9, `{"n":9}`) // "9" is more than "10" as text
	save(10, `{"n":"again"}`)
	expect(10, "{\n\"text\":\"two\\nlines\"\n}")
	with := func(skips int, revision int64, data string) {
		s.Helper()
		s.must(s.m.SaveStates(s.ctx, s.g, []row.State{{Stream: "a-1", Revision: revision, Skips: skips, Data: []byte(data)}}))
	}
	with(1, 9, `{"n":9}`)
	expect(10, "{\n\"text\":\"two\\nlines\"\n}")
	with(9, 10, `{"n":9}`)
	expect(10, `{"n":9}`)
	with(9, 10, `{"n":"late"}`)
	save(10, `{"n":"late"}`)
	expect(10, `{"n":9}`)
	with(10, 10, `{"n":10}`)
	expect(10, `{"n":10}`)
	if got, err := s.m.States(s.ctx, s.g, []string{"a-1"}); err != nil || got[0].Skips != 10 || len(got[0].Saved) != 4 {
		s.Errorf("state is %+v, %v, want 10 skips, saved 4 times", got, err)
	}
	save(11, `{}`)
	expect(11, `{}`)
}

func manyStates(s *suite) {
	const n = 40_000 // more than one call of the script takes in each bucket
	all, streams := make([]row.State, n), make([]string, n)
	for i := range all {
		streams[i] = fmt.Sprint("a-", i)
		all[i] = row.State{Stream: streams[i], Revision: int64(i), Data: fmt.Append(nil, i)}
	}
	s.must(s.m.SaveStates(s.ctx, s.g, all))
	slices.Reverse(streams)
	got, err := s.m.States(s.ctx, s.g, streams)
	s.must(err)
	for i, st := range got {
		if want := int64(n - 1 - i); st.Stream != streams[i] || st.Revision != want || string(st.Data) != fmt.Sprint(want) {
			s.Fatalf("state %d is %+v", i, st)
		}
	}
	landed, err := s.m.Landed(s.ctx, s.g, streams[:1000])
	s.must(err)
	for i, at := range landed {
		if want := int64(n - 1 - i); at != want {
			s.Fatalf("stream %d has landed at %d, want %d", i, at, want)
		}
	}
	if landed, err := s.m.Landed(s.ctx, s.g, nil); err != nil || len(landed) > 0 {
		s.Errorf("no streams have landed at %v, %v", landed, err)
	}
	s.must(s.m.SaveStates(s.ctx, s.g, nil))
	if got, err := s.m.States(s.ctx, s.g, nil); err != nil || len(got) > 0 {
		s.Errorf("states of no streams: %v, %v", got, err)
	}
}

func sharedParts(s *suite) {
	share := func(stream string, revision int64, v any) {
		s.Helper()
		docs, err := s.m.Land(s.ctx, s.g, []row.Landing{{Doc: row.Shared(stream), Rows: []row.Sourced{from(stream, revision, part(v))}}})
		if err != nil || len(docs) > 0 {
			s.Errorf("a shared part waits to be composed: %v, %v", docs, err)
		}
	}
	share("m-1", 3, "three")
	share("m-1", 2, "two")
	share("m-2", 0, "zero")
	share("m-5", 0, nil)
	share("m-6", 1, "one")
	share("m-6", 4, nil)
	share("m-6", 3, "three")
	s.land(row.Shared("m-3"), from("other-1", 0, part("not its own")))
	parts, err := s.m.SharedParts(s.ctx, s.g, []string{"m-5", "m-2", "m-3", "m-1", "m-4", "m-6"})
	s.must(err)
	if len(parts) != 4 {
		s.Errorf("shared parts are %+v, want those of m-1, m-2, m-5 and m-6", parts)
	}
	for stream, want := range map[string]string{"m-1": `3 "three"`, "m-2": `0 "zero"`, "m-5": "0 ", "m-6": "4 "} {
		p := parts[stream]
		if got := fmt.Sprintf("%d %s", p.Revision, p.Row.Part.Bytes()); p.Source != stream || got != want {
			s.Errorf("shared part of %s is %s of %s, want %s", stream, got, p.Source, want)
		}
	}
	s.land("doc", parts["m-1"]) // and it lands as it came
	s.expect("doc", `m-1="three" [..]`)
	s.land("doc", from("m-6", 1, part("one")))
	s.land("doc", parts["m-6"])
	s.expect("doc", `m-1="three" [..]`)
	s.expectBody(row.Shared("m-1"), "")
}

func referrers(s *suite) {
	read := func(streams ...string) map[string][]string {
		s.Helper()
		all := map[string][]string{}
		for refs, err := range s.m.Referrers(s.ctx, s.g, streams) {
			s.must(err)
			for _, ref := range refs {
				all[ref.Stream] = append(all[ref.Stream], ref.Doc)
			}
		}
		for stream, docs := range all {
			slices.Sort(docs)
			all[stream] = slices.Compact(docs)
		}
		return all
	}
	if got := read("m-1"); len(got) > 0 {
		s.Errorf("referrers of a stream that nothing refers to: %v", got)
	}
	var want []string
	for i := range 5000 { // more than a page of SSCAN
		want = append(want, fmt.Sprint("doc", i))
	}
	slices.Sort(want)
	s.must(s.m.Refer(s.ctx, s.g, map[string][]string{"m-1": want, "m-2": {"doc1"}}))
	s.must(s.m.Refer(s.ctx, s.g, map[string][]string{"m-1": {"doc7", "doc8"}, "m-2": {"doc2"}}))
	if got := read("m-1")["m-1"]; !slices.Equal(got, want) {
		s.Errorf("m-1 has %d referrers, want %d", len(got), len(want))
	}
	many := []string{"m-2", "m-3"}
	for i := range 200 { // more than are asked for at once
		many = append(many, fmt.Sprint("none-", i))
	}
	got := read(append(many, "m-1")...)
	if len(got) != 2 || !slices.Equal(got["m-1"], want) || !slices.Equal(got["m-2"], []string{"doc1", "doc2"}) {
		s.Errorf("%d of many streams have referrers; m-1 %d, want %d, m-2 %v", len(got), len(got["m-1"]), len(want), got["m-2"])
	}
	for range s.m.Referrers(s.ctx, s.g, []string{"m-1"}) {
		break // a reader may stop early
	}
}

func pages(s *suite) {
	if got, exists, err := s.m.Page(s.ctx, s.g, "list", "", 10); err != nil || exists || len(got) > 0 {
		s.Errorf("a list that is not there: %v, %v, %v", got, exists, err)
	}
	s.land("list", from("owner-1", 0, part(struct{}{})))
	if got, exists, err := s.m.Page(s.ctx, s.g, "list", "", 10); err != nil || !exists || len(got) > 0 {
		s.Errorf("an empty list: %v, %v, %v", got, exists, err)
	}
	const n = 25
	for i := range n { // three items a key, so that pages end within one
		s.land("list", from(fmt.Sprintf("o-%02d", i), 0, keyed(fmt.Sprintf("k%d", i/3), i)))
	}
	for _, limit := range []int{1, 2, 3, 7, n, n + 1} {
		var got []string
		after, rounds := "", 0
		for {
			page, exists, err := s.m.Page(s.ctx, s.g, "list", after, limit)
			s.must(err)
			if !exists || len(page) > limit {
				s.Fatalf("page of %d after %q: %d items, exists %v", limit, after, len(page), exists)
			}
			if len(page) == 0 {
				break
			}
			for _, item := range page {
				got = append(got, string(item.JSON))
			}
			after, rounds = page[len(page)-1].Cursor, rounds+1
		}
		if len(got) != n || rounds != (n+limit-1)/limit {
			s.Errorf("pages of %d give %d items in %d rounds", limit, len(got), rounds)
		}
		for i := range got {
			if got[i] != fmt.Sprint(i) {
				s.Fatalf("pages of %d: item %d is %s", limit, i, got[i])
			}
		}
	}
	// A cursor stays good when what it stands on has gone or changed.
	page, _, err := s.m.Page(s.ctx, s.g, "list", "", 5)
	s.must(err)
	s.land("list", from("o-04", 1, nil), from("o-05", 1, keyed("k1", "changed")))
	page, _, err = s.m.Page(s.ctx, s.g, "list", page[4].Cursor, 2)
	if err != nil || len(page) != 2 || string(page[0].JSON) != `"changed"` || string(page[1].JSON) != "6" {
		s.Errorf("the page after an item that has gone: %s, %v", page, err)
	}
}

func cursors(s *suite) {
	s.land("list", from("o-1", 0, keyed("k", 1)))
	for _, bad := range []string{"!", "a", "k", "azE", "AAAA", "aw==", "a\x00b", "%00", "🌶", "YQBiAGM"} {
		_, _, err := s.m.Page(s.ctx, s.g, "list", bad, 10)
		if !errors.Is(err, row.ErrCursor) || errors.Is(err, event.ErrUnavailable) {
			s.Errorf("cursor %q: %v", bad, err)
		}
	}
}
