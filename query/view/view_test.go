package view_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/history"
)

// step records events of one stream.
type step struct {
	stream string
	events []any
}

func on(stream string, events ...any) step { return step{stream, events} }

func record(t *testing.T, steps []step) []event.Recorded {
	t.Helper()
	h := &history.History{}
	for _, s := range steps {
		h.Add(t, s.stream, s.events...)
	}
	return h.Events()
}

// placed is an order of member M for one pen, changed by whatever edits there are.
func placed(edits ...func(*order.Placed)) order.Placed {
	e := order.Placed{
		MemberID: "M", MemberCountry: "Korea", Currency: "USD", PlacedOn: "2026-03-05",
		Lines: []order.Line{{ProductID: "pen", Name: "Pen", Category: "Desk", UnitPrice: 150, Quantity: 2, Amount: 300}},
	}
	for _, edit := range edits {
		edit(&e)
	}
	return e
}

func dated(date string) func(*order.Placed) { return func(e *order.Placed) { e.PlacedOn = date } }
func inCurrency(c string) func(*order.Placed) {
	return func(e *order.Placed) { e.Currency = c }
}
func of(lines ...order.Line) func(*order.Placed) { return func(e *order.Placed) { e.Lines = lines } }
func line(product, category string, quantity, amount int64) order.Line {
	return order.Line{ProductID: product, Name: product, Category: category, UnitPrice: amount / max(1, quantity), Quantity: quantity, Amount: amount}
}

// some is units of one line.
func some(line int, quantity int64) []order.LineQuantity {
	return []order.LineQuantity{{Line: line, Quantity: quantity}}
}

func day(n int) time.Time { return time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC) }

var (
	mina      = on("member-M", member.Registered{Name: "Mina", Contact: "Mr. Kim", City: "Seoul", Country: "Korea", Phone: "02-123"})
	pen       = on("product-pen", product.Created{Name: "Pen", Category: "Desk", Price: 150, Currency: "USD"})
	cancelled = order.Cancelled{Reason: "changed my mind"}
)

// scene is what happened and what a view then holds: documents by name, or the items of its lists. Those about more than one
// thing, whose names begin with a slash, are compared only where the scene has them.
type scene struct {
	name  string
	steps []step
	docs  map[string]string
	lists map[string][]string
}

func play(t *testing.T, v *view.View, scenes []scene) {
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			got, err := view.Fold(v, record(t, s.steps))
			if err != nil {
				t.Fatal(err)
			}
			for doc, want := range s.docs {
				if string(got.Documents[doc]) != want {
					t.Errorf("%s\n got %s\nwant %s", doc, got.Documents[doc], want)
				}
			}
			lists := map[string][]string{}
			for doc, items := range got.Lists {
				lists[doc] = []string{}
				for _, item := range items {
					lists[doc] = append(lists[doc], string(item))
				}
			}
			for doc, want := range s.lists {
				if !slices.Equal(lists[doc], want) {
					t.Errorf("%s\n got %q\nwant %q", doc, lists[doc], want)
				}
			}
			maps.DeleteFunc(got.Documents, func(doc string, _ []byte) bool { return doc[0] == '/' && s.docs[doc] == "" })
			maps.DeleteFunc(lists, func(doc string, _ []string) bool { return doc[0] == '/' && s.lists[doc] == nil })
			if len(got.Documents) != len(s.docs) || len(lists) != len(s.lists) {
				t.Errorf("there are %d documents and %d lists, want %d and %d: %s", len(got.Documents), len(lists), len(s.docs), len(s.lists), got)
			}
		})
	}
}

// eachState folds random histories, stream by stream, and shows every state on the way.
func eachState(t *testing.T, show func(t *testing.T, v *view.View, src *view.Source, e event.Recorded, state any)) {
	history.Seeds(t, 5, func(t *testing.T, r *rand.Rand) {
		log := history.Random(t, r, 300).Events()
		for _, v := range view.All() {
			states := map[string]any{}
			for _, e := range log {
				src, ok := v.Source(e.Stream)
				if !ok {
					continue
				}
				decoded, err := src.Decode(e)
				if err != nil {
					t.Fatal(err)
				}
				states[e.Stream] = src.Fold(states[e.Stream], decoded)
				show(t, v, src, e, states[e.Stream])
			}
		}
	})
}

// TestStatesSurvive: a state that was saved and loaded is the same, and yields the same rows and the same shared part.
func TestStatesSurvive(t *testing.T) {
	eachState(t, func(t *testing.T, v *view.View, src *view.Source, e event.Recorded, state any) {
		data, err := src.Save(state)
		if err != nil {
			t.Fatal(err)
		}
		if data == nil { // not kept, but folded again
			return
		}
		loaded, err := src.Load(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(loaded, state) {
			t.Fatalf("%s, %s@%d\nsaved  %+v\nloaded %+v", v.Name, e.Stream, e.Revision, state, loaded)
		}
		want, got := src.Rows(e.Stream, state, e.Revision), src.Rows(e.Stream, loaded, e.Revision)
		if describe(want) != describe(got) {
			t.Fatalf("%s, %s@%d\nrows before %s\nrows after  %s", v.Name, e.Stream, e.Revision, describe(want), describe(got))
		}
		if want, got := src.Shared(e.Stream, state).Bytes(), src.Shared(e.Stream, loaded).Bytes(); string(want) != string(got) {
			t.Fatalf("%s, %s@%d shares %s before and %s after", v.Name, e.Stream, e.Revision, want, got)
		}
	})
}

// TestStill: of a state that is said to contribute the same at any revision the rows are the same at any revision.
func TestStill(t *testing.T) {
	still := 0
	eachState(t, func(t *testing.T, v *view.View, src *view.Source, e event.Recorded, state any) {
		if !src.Still(state, state) {
			return
		}
		still++
		if now, later := describe(src.Rows(e.Stream, state, e.Revision)), describe(src.Rows(e.Stream, state, e.Revision+1)); now != later {
			t.Fatalf("%s, %s@%d\nrows %s\nlater %s", v.Name, e.Stream, e.Revision, now, later)
		}
	})
	if still == 0 {
		t.Error("no state is still")
	}
}

func describe(rows []row.Row) string {
	text := ""
	for _, r := range rows {
		text += fmt.Sprintf("%s part %s sums %v key %q item %s refs %v; ", r.Doc, r.Part.Bytes(), r.Sums, r.Key, row.JSON(r.Item), r.Refs)
	}
	return text
}

// TestRows: a stream yields at most one row a document, within the bounds that package row names.
func TestRows(t *testing.T) {
	eachState(t, func(t *testing.T, v *view.View, src *view.Source, e event.Recorded, state any) {
		docs := map[string]bool{}
		for _, r := range src.Rows(e.Stream, state, e.Revision) {
			if docs[r.Doc] || r.Doc == "" || r.Doc[0] == '~' {
				t.Fatalf("%s, %s@%d yields two rows for %q, or one for a name that is not free", v.Name, e.Stream, e.Revision, r.Doc)
			}
			docs[r.Doc] = true
			for _, c := range r.Key {
				if c < ' ' {
					t.Fatalf("%s: key %q", v.Name, r.Key)
				}
			}
			for name, n := range r.Sums {
				if n > row.MaxSum || n < -row.MaxSum {
					t.Fatalf("%s, %s@%d adds %d to %s of %s", v.Name, e.Stream, e.Revision, n, name, r.Doc)
				}
			}
			for _, ref := range r.Refs {
				if to, ok := v.Source(ref); !ok || !to.Shares() {
					t.Fatalf("%s refers to %s, which shares nothing", v.Name, ref)
				}
			}
		}
	})
}

// TestComposeLooksUp: parts of streams that no row of a document refers to, which a document may keep, change nothing in it.
func TestComposeLooksUp(t *testing.T) {
	history.Seeds(t, 2, func(t *testing.T, r *rand.Rand) {
		log := history.Random(t, r, 200).Events()
		for _, v := range view.All() {
			if v.Compose == nil {
				continue
			}
			states, strays := map[string]any{}, map[string]row.Part{}
			for _, e := range log {
				src, ok := v.Source(e.Stream)
				if !ok || !src.Shares() {
					continue
				}
				decoded, err := src.Decode(e)
				if err != nil {
					t.Fatal(err)
				}
				states[e.Stream] = src.Fold(states[e.Stream], decoded)
				strays[e.Stream] = src.Shared(e.Stream, states[e.Stream])
			}
			littered := *v
			littered.Compose = func(d row.Document) ([]byte, error) {
				parts := maps.Clone(strays)
				maps.Copy(parts, d.Parts)
				d.Parts = parts
				return v.Compose(d)
			}
			want, err := view.Fold(v, log)
			if err != nil {
				t.Fatal(err)
			}
			got, err := view.Fold(&littered, log)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Documents) != len(want.Documents) {
				t.Errorf("%s has %d documents with parts that nobody refers to, %d without", v.Name, len(got.Documents), len(want.Documents))
			}
			for doc, body := range want.Documents {
				if string(got.Documents[doc]) != string(body) {
					t.Errorf("%s/%s with parts that nobody refers to\n%s\nwithout\n%s", v.Name, doc, got.Documents[doc], body)
				}
			}
		}
	})
}

// TestFoldInto: a state that is changed in its place becomes what Fold makes of it, and is as it was when the fold panics.
func TestFoldInto(t *testing.T) {
	states := map[string]any{}
	eachState(t, func(t *testing.T, v *view.View, src *view.Source, e event.Recorded, state any) {
		stream := v.Name + " " + e.Stream
		decoded, err := src.Decode(e)
		if err != nil {
			t.Fatal(err)
		}
		if e.Revision == 0 {
			states[stream] = src.Fold(nil, decoded)
		} else {
			src.FoldInto(states[stream], decoded)
		}
		if !reflect.DeepEqual(states[stream], state) {
			t.Fatalf("%s, %s@%d\nin its place %+v\nfolded       %+v", v.Name, e.Stream, e.Revision, states[stream], state)
		}
	})
	brittle := view.From(order.Category, order.Codec, func(n int, e any) int {
		if _, ok := e.(order.Confirmed); ok {
			panic("brittle")
		}
		return n + 1
	}, nil)
	state, err := brittle.Load([]byte("7"))
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := brittle.Decode(event.Recorded{Type: "order.confirmed.v1", Data: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		brittle.FoldInto(state, decoded)
		t.Error("a fold that panics returned")
	}()
	if got := string(row.JSON(state)); got != "7" {
		t.Errorf("after a fold that panicked the state is %s, and was 7", got)
	}
}

// TestFoldLeavesStates: folding does not change the state it starts from, which caches rely on.
func TestFoldLeavesStates(t *testing.T) {
	type kept struct {
		state any
		saved string
	}
	var all []kept
	eachState(t, func(t *testing.T, _ *view.View, src *view.Source, _ event.Recorded, state any) {
		for _, k := range all[max(0, len(all)-50):] {
			if now := row.JSON(k.state); string(now) != k.saved {
				t.Fatalf("a state became %s, and was %s", now, k.saved)
			}
		}
		all = append(all, kept{state, string(row.JSON(state))})
	})
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range view.All() {
		if got, ok := view.Named(v.Name); !ok || got != v || seen[v.Name] || v.Version < 1 {
			t.Errorf("view %q version %d is found as %v", v.Name, v.Version, got)
		}
		seen[v.Name] = true
		if _, ok := v.Source("elsewhere-1"); ok {
			t.Errorf("%s reads streams of elsewhere", v.Name)
		}
	}
	if _, ok := view.Named("none"); ok {
		t.Error("there is a view named none")
	}
	all := view.Categories(view.All())
	slices.Sort(all)
	if want := []string{"member", "order", "product", "stock"}; !slices.Equal(all, want) {
		t.Errorf("the views read %v, want %v", all, want)
	}
}

func TestFoldRefuses(t *testing.T) {
	h := &history.History{}
	h.AddRaw("order-1", "order.teleported.v1", []byte("{}"))
	if _, err := view.Fold(view.Orders, h.Events()); err == nil {
		t.Error("an event of no known type was folded")
	}
	if got, err := view.Fold(view.Products, record(t, []step{mina})); err != nil || len(got.Documents) > 0 {
		t.Errorf("a stream that does not feed the view: %v, %v", got, err)
	}
}

// TestOrdersRest: an order rests in every view when all of it is delivered and paid, or when its payment is none of ours.
func TestOrdersRest(t *testing.T) {
	shipped, delivered, captured := order.Shipped{Carrier: "Post"}, order.Delivered{Parcel: 1}, order.PaymentCaptured{Amount: 300}
	histories := map[string][]any{
		"paid before":  {placed(), order.Confirmed{}, shipped, captured, delivered},
		"paid after":   {placed(), order.Confirmed{}, shipped, delivered, captured},
		"none of ours": {placed(func(e *order.Placed) { e.Manual = true }), shipped, delivered},
		"returned":     {placed(), order.Confirmed{}, shipped, captured, delivered, order.Returned{Lines: some(1, 1), Amount: 150}},
	}
	for name, events := range histories {
		log := record(t, []step{{order.Stream("o"), events}})
		for _, v := range []*view.View{view.Orders, view.OrderLists, view.Members, view.Products, view.Sales} {
			src, _ := v.Source(order.Stream("o"))
			var state any
			for i, e := range log {
				decoded, err := src.Decode(e)
				if err != nil {
					t.Fatal(err)
				}
				state = src.Fold(state, decoded)
				if rests, want := src.Rests(state), i >= len(log)-1 || name == "returned" && i == len(log)-2; rests != want {
					t.Errorf("%s, %s: rests %v after event %d of %d", v.Name, name, rests, i+1, len(log))
				}
			}
		}
	}
}

// TestRestsPanics: a state of which the view's code cannot say whether its stream rests is kept.
func TestRestsPanics(t *testing.T) {
	src := view.Resting(view.From(order.Category, order.Codec, func(s int, _ any) int { return s + 1 }, nil), func(int) bool { panic("brittle") })
	state, err := src.Load([]byte("7"))
	if err != nil {
		t.Fatal(err)
	}
	if saved, err := src.Save(state); err != nil || string(saved) != "7" || src.Rests(state) {
		t.Errorf("saved %q, %v", saved, err)
	}
}
