// Package guide holds the code of docs/views.md, word for word, apart from the views, so that whoever adds those of the guide meets nobody.
package guide

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"testing"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/query/row"
	"jangbu/query/view"
	"jangbu/test/history"
)

// What the guide's code has from the package that it is a part of.
type View = view.View
type Source = view.Source

func From[S any](category string, codec *event.Codec, apply func(S, any) S, rows func(string, S) []row.Row) Source {
	return view.From(category, codec, apply, rows)
}

func Sharing[S any](src Source, share func(string, S) any) Source { return view.Sharing(src, share) }

// What follows is the code of docs/views.md, word for word, which TestGuide makes sure of.

// Parcels serves one document an order that was shipped: its way to the member.
var Parcels = &View{
	Name:    "parcels",
	Version: 1,
	Sources: []Source{From(order.Category, order.Codec, parcel.apply, parcelRows)},
	Compose: composeParcel,
}

type parcel struct {
	City     string `json:"city"`
	Carrier  string `json:"carrier"`
	Tracking string `json:"tracking"`
	SentOn   string `json:"sent_on"`
}

func (p parcel) apply(e any) parcel {
	switch e := e.(type) {
	case order.Placed:
		if e.ShipTo != nil {
			p.City = e.ShipTo.City
		}
	case order.Shipped:
		p.Carrier, p.Tracking, p.SentOn = e.Carrier, e.Tracking, e.ShippedOn
	}
	return p
}

func parcelRows(id string, p parcel) []row.Row {
	if p.SentOn == "" {
		return nil
	}
	return []row.Row{{Doc: id, Part: row.PartOf(p)}}
}

func composeParcel(d row.Document) ([]byte, error) {
	return d.Parts[order.Stream(d.Doc)].Bytes(), nil
}

// CarrierParcels serves one list a carrier: what it was given, by day, then by order.
var CarrierParcels = &View{
	Name:    "carrier-parcels",
	Version: 1,
	Sources: []Source{From(order.Category, order.Codec, parcel.apply, func(id string, p parcel) []row.Row {
		if p.SentOn == "" {
			return nil
		}
		return []row.Row{{Doc: p.Carrier, Key: p.SentOn + " " + id, Item: carrierParcel{Order: id, City: p.City, SentOn: p.SentOn}}}
	})},
}

type carrierParcel struct {
	Order  string `json:"order"`
	City   string `json:"city"`
	SentOn string `json:"sent_on"`
}

// Backlog serves one document a country: how many orders came from there, and how many of them wait to be shipped.
var Backlog = &View{
	Name:    "backlog",
	Version: 1,
	Sources: []Source{From(order.Category, order.Codec, waiting.apply, func(_ string, w waiting) []row.Row {
		if w.Country == "" {
			return nil
		}
		sums := map[string]int64{"orders": 1}
		if w.Waits {
			sums["waiting"] = 1
		}
		return []row.Row{{Doc: w.Country, Sums: sums}}
	})},
	Compose: func(d row.Document) ([]byte, error) {
		return json.Marshal(map[string]int64{"orders": d.Sums["orders"], "waiting": d.Sums["waiting"]})
	},
}

type waiting struct {
	Country string `json:"c,omitempty"`
	Waits   bool   `json:"w,omitempty"`
}

func (w waiting) apply(e any) waiting {
	switch e := e.(type) {
	case order.Placed:
		return waiting{Country: e.MemberCountry, Waits: true}
	case order.Shipped, order.Cancelled:
		w.Waits = false
	}
	return w
}

// Labels serves one document an order: the label of its parcel.
var Labels = &View{
	Name:    "labels",
	Version: 1,
	Sources: []Source{
		From(order.Category, order.Codec, label.apply, func(id string, l label) []row.Row {
			if l.Member == "" {
				return nil
			}
			return []row.Row{{Doc: id, Part: row.PartOf(l), Refs: []string{member.Stream(l.Member)}}}
		}),
		Sharing(From(member.Category, member.Codec, member.Apply, nil), func(_ string, s member.State) any { return s.Name }),
	},
	Compose: composeLabel,
}

type label struct {
	Member string `json:"member"`
	Name   string `json:"name"`
	City   string `json:"city"`
}

func (l label) apply(e any) label {
	if e, ok := e.(order.Placed); ok && e.ShipTo != nil {
		return label{Member: e.MemberID, City: e.ShipTo.City}
	}
	return l
}

func composeLabel(d row.Document) ([]byte, error) {
	part, ok := d.Parts[order.Stream(d.Doc)]
	if !ok {
		return nil, nil
	}
	l, err := row.Decode[label](part)
	if err != nil {
		return nil, err
	}
	if shared, ok := d.Parts[member.Stream(l.Member)]; ok {
		if l.Name, err = row.Decode[string](shared); err != nil {
			return nil, err
		}
	}
	return json.Marshal(l)
}

// TestGuide: the code in the guide is the code above, and makes the documents in the guide.
func TestGuide(t *testing.T) {
	guide := read(t, "../../docs/views.md")
	here := read(t, "guide_test.go")
	code := fenced(guide, "go")
	for _, block := range code {
		if !bytes.Contains(here, block) {
			t.Errorf("the guide has code that guide_test.go does not have:\n%s", block)
		}
	}
	if len(code) != 4 {
		t.Errorf("%d blocks of code in the guide, want one a view", len(code))
	}

	placed := order.Placed{MemberID: "M", MemberCountry: "Korea", Currency: "USD", PlacedOn: "2026-03-05", ShipTo: &order.ShipTo{City: "Busan"}}
	h := &history.History{}
	h.Add(t, "order-1", placed, order.Shipped{Carrier: "Post", Tracking: "T1", ShippedOn: "2026-03-09"})
	h.Add(t, "order-2", placed)
	h.Add(t, "member-M", member.Registered{Name: "Mina"}, member.Renamed{Name: "Mina Lee"})
	var made [][]byte
	for _, v := range []*View{Parcels, CarrierParcels, Backlog, Labels} {
		folded, err := view.Fold(v, h.Events())
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, folded.Documents["1"], folded.Documents["Korea"])
		made = append(made, folded.Lists["Post"]...)
	}
	made = slices.DeleteFunc(made, func(body []byte) bool { return body == nil })
	shown := fenced(guide, "json")
	if len(shown) != len(made) {
		t.Fatalf("the guide shows %d documents, want %d", len(shown), len(made))
	}
	for i, want := range made {
		if got := bytes.TrimSpace(shown[i]); !bytes.Equal(got, want) {
			t.Errorf("the guide shows\n%s\nbut its code makes\n%s", got, want)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fenced returns the blocks of a Markdown text that are marked with a language.
func fenced(text []byte, language string) (blocks [][]byte) {
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}
