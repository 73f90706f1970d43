package e2e_test

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jangbu/domain/event"
	"jangbu/test/program"
	"jangbu/test/servers"
)

// A store that was written before the shop had stock and payments (the demo folder, imported; order 1018 cancelled) is
// served as it is: its order.placed.v1 are read as the newest version, of orders that are fulfilled by hand, and
// fulfilment leaves them alone. New orders beside them go the new way.
func TestOldStore(t *testing.T) {
	s := openDev(t, program.AsProcess, oldStore(t))
	before := s.readLog(t)
	if n := count(before, "order.placed.v1"); n != 25 {
		t.Fatalf("the old store holds %d orders of version 1, want 25", n)
	}
	s.awaitLanded(t, before)
	for _, r := range servers.ReadCSV(t, demo, "expected", "orders.csv") {
		var d orderDoc
		s.get(t, "/orders/"+r["order_id"]).into(t, &d)
		want := r["status"]
		switch {
		case r["order_id"] == "1018":
			want = "cancelled"
		case want == "confirmed":
			want = "placed" // nobody confirmed orders then
		}
		if d.Status != want || d.Total != whole(t, r["total_cents"]) || d.Member.Name != r["member_name"] {
			t.Errorf("order %+v\nwant %s of %v", d, want, r)
		}
	}

	s.post(t, "/orders/1021/ship", `{"carrier":"Post"}`).done(t) // as it always could be
	s.post(t, "/products/P-1/restock", `{"quantity":5}`).done(t)
	token := s.post(t, "/orders", `{"id":"new","member_id":"HANBIT","lines":[{"product_id":"P-1","quantity":2}]}`).done(t)
	servers.Until(t, "the new order is confirmed", func() error {
		a, err := tryGet(s.query, "/orders/new", token, wait)
		if err == nil && (a.status != 200 || !strings.Contains(a.body, `"status":"confirmed"`)) {
			err = errors.New(a.String())
		}
		return err
	})
	log := s.readLog(t)
	if v1, v2 := count(log, "order.placed.v1"), count(log, "order.placed.v2"); v1 != 25 || v2 != 1 {
		t.Errorf("%d orders of version 1 and %d of version 2, want 25 and 1", v1, v2)
	}
	old := map[string]bool{}
	for _, e := range before {
		old[e.Stream] = true
	}
	for _, e := range log[len(before):] {
		if event.Category(e.Stream) == "order" && old[e.Stream] && e.Stream != "order-1021" {
			t.Errorf("an order of before got %s", e.Type)
		}
	}
	s.replay(t, "--all")
	s.wantFold(t)
}

func count(log []event.Recorded, name string) (n int) {
	for _, e := range log {
		if e.Type == name {
			n++
		}
	}
	return n
}

// oldStore unpacks the store into a data folder.
func oldStore(t *testing.T) string {
	t.Helper()
	packed, err := os.Open("../testdata/v1/events.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	var data strings.Builder
	if _, err := io.Copy(&data, r); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "events.db"), []byte(data.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
