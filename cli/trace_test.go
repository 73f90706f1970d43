package cli

import (
	"strings"
	"testing"
	"time"

	"jangbu/domain/order"
	"jangbu/query/row"
	"jangbu/query/view"
)

func TestTrace(t *testing.T) {
	s := newOpsShop(t)
	began := time.Now()
	s.open(t)
	s.add(t, "order-2", order.Shipped{Carrier: "Post", ShippedOn: "2026-01-05"})
	got, _ := printed[trace](t, 0, "trace", "order-2")
	if len(got.Events) != 2 || got.Events[1].Type != "order.shipped.v1" || got.Events[1].Command != "c-1" || got.Events[1].Correlation != "k-1" ||
		got.Events[1].Recorded.Before(began.Add(-time.Minute)) {
		t.Errorf("events %+v", got.Events)
	}
	if len(got.Views) != readersOf("order-2") {
		t.Errorf("%d views read orders", len(got.Views))
	}
	for _, v := range got.Views {
		first, second := v.Arrivals[0], v.Arrivals[1]
		if v.Generation != 1 || v.Revision != 0 || v.Missing != 1 || first.State != arrived || first.At == nil || second.State != missing || second.At != nil {
			t.Errorf("%s: %+v", v.View, v)
		}
	}
	text := mustRun(t, "trace", "order-2")
	if strings.Count(text, "missing") != readersOf("order-2") || strings.Count(text, "order.shipped.v1") != 1 || strings.Count(text, "c-1") != 2 {
		t.Errorf("printed\n%s", text)
	}
	if got, _ := printed[trace](t, 0, "trace", "member-M"); len(got.Views) != readersOf("member-M") {
		t.Errorf("members are read by %+v", got.Views)
	}
}

// readersOf is how many views read a stream.
func readersOf(stream string) (n int) {
	for _, v := range view.All() {
		if _, reads := v.Source(stream); reads {
			n++
		}
	}
	return n
}

func TestTraceOfNothing(t *testing.T) {
	s := newOpsShop(t)
	s.put(t, "ballad-1", -1, proposed("{}", ""))
	code, stdout, stderr := quiet(t, "trace", "order-77")
	if code != 1 || stdout != "" {
		t.Errorf("code %d, %s", code, stdout)
	}
	wantOneLine(t, stderr, "no stream order-77", "category-id")
	if code, _, stderr := quiet(t, "trace", ""); code != exitUsage {
		t.Errorf("without a stream: code %d, %s", code, stderr)
	}
	if out := mustRun(t, "trace", "ballad-1"); !strings.Contains(out, "no view reads the streams of category ballad") {
		t.Error(out)
	}
	s.add(t, "order-1", placedOrder())
	if out := mustRun(t, "trace", "order-1"); !strings.Contains(out, "orders has not been built yet") || strings.Count(out, "missing") != readersOf("order-1") {
		t.Error(out)
	}
}

func TestArrival(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	few := row.State{Revision: 5, Saved: []row.SavedAt{{Revision: 5, Time: at(50)}, {Revision: 2, Time: at(20)}}}
	one := row.State{Revision: 3, Saved: []row.SavedAt{{Revision: 3, Time: at(30)}}}
	for name, tt := range map[string]struct {
		revision int64
		in       row.State
		state    string
		at, by   int
	}{
		"after the last":           {6, few, missing, 0, 0},
		"of the last saving":       {5, few, arrived, 50, 0},
		"within the last saving":   {3, few, arrived, 50, 0},
		"of the oldest known":      {2, few, arrived, 20, 0},
		"older than what is known": {1, few, arrived, 0, 20},
		"of the only one":          {3, one, arrived, 30, 0},
		"older than the only one":  {0, one, arrived, 0, 30},
		"of savings without times": {1, row.State{Revision: 1}, arrived, 0, 0},
		"of nothing":               {0, row.State{Revision: -1}, missing, 0, 0},
	} {
		got := arrivalOf(tt.revision, tt.in)
		same := func(have *time.Time, want int) bool {
			return have == nil && want == 0 || have != nil && have.Equal(at(want))
		}
		if got.State != tt.state || !same(got.At, tt.at) || !same(got.By, tt.by) {
			t.Errorf("%s: %+v, want %+v", name, got, tt)
		}
	}
}
