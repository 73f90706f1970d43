// Package folded compares what Redis holds with the plain fold of a log.
package folded

import (
	"testing"

	"jangbu/domain/event"
	"jangbu/infra/readmodel"
	"jangbu/query/row"
	"jangbu/query/view"
)

// Want requires a generation to hold what the fold of the log holds, byte for byte, and nothing else.
func Want(t testing.TB, m *readmodel.Store, v *view.View, g row.Generation, log []event.Recorded) {
	t.Helper()
	want, err := view.Fold(v, log)
	if err != nil {
		t.Fatal(err)
	}
	for doc, body := range want.Documents {
		if got, err := m.Document(t.Context(), g, doc); err != nil || string(got) != string(body) {
			t.Errorf("%s/%s (err %v)\n got %s\nwant %s", g, doc, err, got, body)
		}
	}
	for doc, items := range want.Lists {
		got, _, err := m.Page(t.Context(), g, doc, "", len(items)+10)
		if err != nil || len(got) != len(items) {
			t.Errorf("%s/%s has %d items (err %v), want %d", g, doc, len(got), err, len(items))
			continue
		}
		for i := range items {
			if string(got[i].JSON) != string(items[i]) {
				t.Errorf("%s/%s item %d\n got %s\nwant %s", g, doc, i, got[i].JSON, items[i])
			}
		}
	}
	n, err := m.Documents(t.Context(), g, v.Compose != nil)
	if err != nil || n != int64(len(want.Documents)+len(want.Lists)) {
		t.Errorf("%s holds %d documents (err %v), want %d", g, n, err, len(want.Documents)+len(want.Lists))
	}
}
