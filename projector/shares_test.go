package projector

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/folded"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// secretive is a view of orders, each for itself and by the day, that show their members' names while those have no secrets. An order's member may
// change.
func secretive() *view.View {
	type placed struct {
		Member string `json:"member"`
		Day    string `json:"day"`
	}
	return &view.View{
		Name: "orders", Version: view.Orders.Version,
		Sources: []view.Source{
			view.From(order.Category, order.Codec,
				func(s placed, e any) placed {
					switch e := e.(type) {
					case order.Placed:
						return placed{e.MemberID, e.PlacedOn}
					case order.Cancelled:
						s.Member = e.Reason
					}
					return s
				},
				func(id string, s placed) []row.Row {
					refs := []string{member.Stream(s.Member)}
					return []row.Row{{Doc: id, Part: row.PartOf(s), Refs: refs}, {Doc: "on" + s.Day, Part: row.PartOf(s), Refs: refs}}
				}),
			view.Sharing(view.From(member.Category, member.Codec, member.Apply, nil), func(_ string, s member.State) any {
				if strings.HasPrefix(s.Name, "secret") {
					return nil
				}
				return s.Name
			}),
		},
		Compose: func(d row.Document) ([]byte, error) {
			var all []string
			for source, part := range d.Parts {
				if !strings.HasPrefix(source, order.Category) {
					continue
				}
				s, err := row.Decode[placed](part)
				if err != nil {
					return nil, err
				}
				name := "?"
				if shared, ok := d.Parts[member.Stream(s.Member)]; ok {
					if name, err = row.Decode[string](shared); err != nil {
						return nil, err
					}
				}
				all = append(all, source+" "+name)
			}
			slices.Sort(all)
			return json.Marshal(all)
		},
	}
}

// TestSharesComeAndGo: what a stream shares no longer is shown no longer, and shown again when it is shared again, live and in a replay.
func TestSharesComeAndGo(t *testing.T) {
	for _, redis := range servers.Redises() {
		t.Run(redis.Name, func(t *testing.T) {
			m := openModel(t, redis.Start(t))
			history.Seeds(t, 4, func(t *testing.T, r *rand.Rand) {
				v, h := secretive(), &history.History{}
				grow := func(events int) {
					for range events {
						id := fmt.Sprint(r.IntN(5))
						placed := order.Placed{MemberID: fmt.Sprint(r.IntN(4)), PlacedOn: fmt.Sprint(r.IntN(2))}
						names := []string{"secret", fmt.Sprint("secret ", h.Len()), fmt.Sprint("Kim ", h.Len()), "Lee"}
						name := names[r.IntN(len(names))]
						isMember, isPlaced := h.Last(member.Stream(id)) >= 0, h.Last(order.Stream(id)) >= 0
						switch {
						case r.IntN(3) > 0 && isMember:
							h.Add(t, member.Stream(id), member.Renamed{Name: name})
						case r.IntN(2) > 0 && !isMember:
							h.Add(t, member.Stream(id), member.Registered{Name: name})
						case isPlaced:
							h.Add(t, order.Stream(id), order.Cancelled{Reason: placed.MemberID})
						default:
							h.Add(t, order.Stream(id), placed)
						}
					}
				}
				replay := func() {
					model := newFaultyModel(m)
					rebuild := NewReplay(model, h, ReplayConfig{Builder: model.builder, AllowDrift: true})
					rebuild.chunkEvents, rebuild.room = 1+r.IntN(20), randomRoom(r)
					if _, err := rebuild.Run(t.Context(), []*view.View{v}); err != nil {
						t.Fatal(err)
					}
					folded.Want(t, m, v, liveOf(t, m, v), h.Events())
				}
				for range 3 {
					grow(5 + r.IntN(60))
					replay()
					landed := h.Len()
					grow(5 + r.IntN(40))
					events := slices.Clone(h.Events()[landed:])
					r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
					for some := range slices.Chunk(events, 1+r.IntN(8)) {
						if err := NewApplier(v, liveOf(t, m, v), m, h).Apply(t.Context(), some); err != nil {
							t.Fatal(err)
						}
					}
					folded.Want(t, m, v, liveOf(t, m, v), h.Events())
				}
				replay()
			})
		})
	}
}
