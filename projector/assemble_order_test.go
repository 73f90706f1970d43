package projector

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"jangbu/domain/event"
	"jangbu/domain/product"
	"jangbu/domain/stock"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/folded"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// shuffled records the events of a log in another order, which only keeps each stream's own, with some in between that no codec reads.
func shuffled(t *testing.T, r *rand.Rand, h *history.History, broken int) *history.History {
	t.Helper()
	left := map[string][]event.Recorded{}
	var next []string // a stream as often as it has events, mostly where they are
	for _, e := range h.Events() {
		left[e.Stream] = append(left[e.Stream], e)
		next = append(next, e.Stream)
	}
	far := []int{1, 10, len(next)}[r.IntN(3)]
	for i := range next {
		k := min(len(next)-1, i+r.IntN(far))
		next[i], next[k] = next[k], next[i]
	}
	log := &history.History{}
	for _, stream := range next {
		e := left[stream][0]
		left[stream] = left[stream][1:]
		if r.IntN(len(next)) < broken {
			log.AddRaw(stream, "broken.v1", []byte("{}"))
		}
		if _, err := log.Append(t.Context(), stream, event.Any, []event.Proposed{{ID: e.ID, Type: e.Type, Data: e.Data, Metadata: e.Metadata}}); err != nil {
			t.Fatal(err)
		}
	}
	return log
}

// lagging is a log whose end is seen later than its streams': what a store is to a reader while others write.
type lagging struct {
	*history.History
	end atomic.Uint64 // of the next reading
}

func (l *lagging) ReadAll(ctx context.Context, after event.Position) iter.Seq2[event.Recorded, error] {
	end := l.end.Swap(math.MaxUint64)
	return func(yield func(event.Recorded, error) bool) {
		for e, err := range l.History.ReadAll(ctx, after) {
			if err == nil && e.Position.Commit > end || !yield(e, err) {
				return
			}
		}
	}
}

// heldIn is all that a generation says of its streams and shows of its documents.
func heldIn(t *testing.T, m *readmodel.Store, v *view.View, streams []string) map[string]string {
	t.Helper()
	live, all := liveOf(t, m, v), map[string]string{}
	for contents, err := range m.Contents(t.Context(), live, v.Compose != nil) {
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range contents {
			all["document "+c.Doc] = string(c.Body)
		}
	}
	states, err := m.States(t.Context(), live, streams)
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range states {
		all["state of "+st.Stream] = fmt.Sprintf("%d %s", st.Revision, st.Data)
	}
	parked, err := m.ParkedIn(t.Context(), live)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parked {
		all["parked "+p.Stream] = fmt.Sprintf("%d %s %s", p.Revision, p.Type, p.Reason)
	}
	return all
}

// rowsIn is all rows, sums and orders that a namespace of a single Redis holds, without what tells how they came there: versions,
// revisions, and what withdrawn rows leave behind.
func rowsIn(t *testing.T, url, namespace string) map[string]string {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, key := range keys {
		rest, ours := strings.CutPrefix(key, namespace+":{")
		generation, doc, _ := strings.Cut(rest, "}:")
		doc = strings.Split(generation, ".")[0] + " " + doc
		switch kind, _, _ := strings.Cut(doc[strings.IndexByte(doc, ' ')+1:], ":"); {
		case !ours:
		case kind == "z":
			members, err := client.ZRange(t.Context(), key, 0, -1).Result()
			if err != nil {
				t.Fatal(err)
			}
			all[doc] = strings.Join(members, "\n")
		case kind == "d" || kind == "r":
			fields, err := client.HGetAll(t.Context(), key).Result()
			if err != nil {
				t.Fatal(err)
			}
			for field, value := range fields {
				contribution, part := "", value
				if lines := strings.SplitN(value, "\n", 3); len(lines) == 3 {
					contribution, part = sortedPairs(t, lines[1]), lines[2]
				}
				if field != "v" && contribution+part != "" {
					all[doc+" "+field] = contribution + part
				}
			}
		}
	}
	return all
}

// sortedPairs is a row's contribution with its sums in order.
func sortedPairs(t *testing.T, contribution string) string {
	t.Helper()
	if contribution == "" {
		return ""
	}
	var list []string
	if err := json.Unmarshal([]byte(contribution), &list); err != nil {
		t.Fatal(err)
	}
	sums := []string{}
	for pair := range slices.Chunk(list[1:], 2) {
		sums = append(sums, strings.Join(pair, "="))
	}
	slices.Sort(sums)
	return fmt.Sprintf("%q %q ", list[0], sums)
}

func alike(t *testing.T, name string, assembled, landed map[string]string) {
	t.Helper()
	for key, text := range landed {
		if assembled[key] != text {
			t.Errorf("%s: %s\nassembled %q\n   landed %q", name, key, assembled[key], text)
		}
	}
	for key, text := range assembled {
		if _, ok := landed[key]; !ok {
			t.Errorf("%s: %s is %q, and is nothing where it was landed", name, key, text)
		}
	}
}

// TestAssembledLikeLanded: in whatever order streams come, however far the store is ahead of the log, whatever is parked or skipped,
// assembling ends where the careful way does.
func TestAssembledLikeLanded(t *testing.T) {
	for _, server := range servers.Redises() {
		t.Run(server.Name, func(t *testing.T) {
			url := server.Start(t)
			history.Seeds(t, 3, func(t *testing.T, r *rand.Rand) {
				log := shuffled(t, r, history.Random(t, r, 20+r.IntN(200)), r.IntN(5))
				var streams []string
				names := []string{fmt.Sprint("assembled-", r.Uint64()), fmt.Sprint("landed-", r.Uint64())}
				open := func(name string) *readmodel.Store {
					m, err := readmodel.Open(url, readmodel.Config{Namespace: name})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { m.Close() })
					return m
				}
				assembled, landed := open(names[0]), open(names[1])
				for _, e := range log.Events() {
					if !slices.Contains(streams, e.Stream) {
						streams = append(streams, e.Stream)
					}
					if e.Type != "broken.v1" || r.IntN(2) == 0 {
						continue
					}
					for _, v := range view.All() {
						for _, m := range []*readmodel.Store{assembled, landed} {
							if err := m.Skip(t.Context(), v.Name, e.Stream, row.Skip{Revision: e.Revision, ID: e.ID}); err != nil {
								t.Fatal(err)
							}
						}
					}
				}
				if _, err := NewReplay(landed, log, ReplayConfig{}).Run(t.Context(), view.All()); err != nil {
					t.Fatal(err)
				}
				model, lag := newFaultyModel(assembled), &lagging{History: log}
				run := func(ctx context.Context) error {
					lag.end.Store(uint64(10 * r.IntN(2*log.Len())))
					replay := NewReplay(model, lag, ReplayConfig{Builder: model.builder, Patience: time.Minute})
					replay.chunkEvents, replay.cacheStates = 1+r.IntN(50), 1+r.IntN(20)
					replay.room = randomRoom(r)
					_, err := replay.Run(ctx, view.All())
					return err
				}
				if r.IntN(2) == 0 {
					interruptedAt(t, model, r.Int64N(200), run)
				}
				model.outages.Store(r.Int64N(50))
				if err := run(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, v := range view.All() {
					alike(t, v.Name, heldIn(t, assembled, v, streams), heldIn(t, landed, v, streams))
				}
				if strings.HasPrefix(url, "redis://") {
					rows, want := rowsIn(t, url, names[0]), rowsIn(t, url, names[1])
					for key := range rows { // documents keep parts that some revision referred to, which the other way may not have seen
						v, _ := view.Named(key[:strings.IndexByte(key, ' ')])
						source, ok := v.Source(key[strings.LastIndexByte(key, ':')+1:])
						if _, kept := want[key]; !kept && ok && source.Shares() {
							delete(rows, key)
						}
					}
					alike(t, "rows", rows, want)
				}
			})
		})
	}
}

// TestAssembledAhead: a stream that a document refers to is assembled as far as the store has it, which may be all of what the log brings
// only after the generation is open. Coming then from its first event on, it leaves nothing behind of what it once contributed.
func TestAssembledAhead(t *testing.T) {
	m := openModel(t, servers.MiniRedis(t))
	log := &lagging{History: &history.History{}}
	log.Add(t, "stock-P", stock.LowWaterSet{LowWater: 5})
	log.end.Store(10)
	for _, p := range []string{"P", "Q"} {
		log.Add(t, "product-"+p, product.Created{Name: p, Category: "tea", Currency: "USD"})
	}
	log.Add(t, "product-P", product.Discontinued{})
	replay := NewReplay(m, log, ReplayConfig{Builder: func() Builder { return m.NewBuilder() }})
	replay.chunkEvents, replay.cacheStates = 1, 1
	if _, err := replay.Run(t.Context(), []*view.View{view.Products}); err != nil {
		t.Fatal(err)
	}
	folded.Want(t, m, view.Products, liveOf(t, m, view.Products), log.Events())
}

// TestAssembledLong: a stream that documents refer to may be longer than what is read of it at once.
func TestAssembledLong(t *testing.T) {
	for _, builder := range []bool{true, false} {
		m := openModel(t, servers.MiniRedis(t))
		log := &lagging{History: &history.History{}}
		log.Add(t, "product-P", product.Created{Name: "P", Category: "tea", Currency: "USD"})
		log.end.Store(10)
		for range 2*wholeStreamBlock + 1 {
			log.Add(t, "stock-P", stock.Shipped{Quantity: 1})
		}
		var cfg ReplayConfig
		if builder {
			cfg.Builder = func() Builder { return m.NewBuilder() }
		}
		if _, err := NewReplay(m, log, cfg).Run(t.Context(), []*view.View{view.Popular}); err != nil {
			t.Fatal(err)
		}
		folded.Want(t, m, view.Popular, liveOf(t, m, view.Popular), log.Events())
	}
}
