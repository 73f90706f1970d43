package importer_test

import (
	"strings"
	"testing"

	"jangbu/cli/importer"
)

// threeOrders are not shipped, which takes fulfilment.
const threeOrders = orderHead + "1,M,2024-01-01,,0,,,,\n2,N,2024-01-02,,0,,,,\n3,M,2024-01-03,,0,,,,\n"

// A folder with a bad row is imported, corrected and imported again. The order that was left out is then placed at the
// price of its own time, although the shop's prices have moved on since, and they end where they were.
func TestACorrectedRowIsPlacedAtItsOwnPrice(t *testing.T) {
	right := lineHead + "1,P,2.00,1,0\n2,P,2.00,1,0\n2,Q,3.00,1,0\n3,P,2.50,1,0\n3,Q,3.10,1,0\n"
	dir := write(t, map[string]string{"orders.csv": threeOrders, "lines.csv": strings.Replace(right, "2,P,2.00,1,0", "2,P,2.00,one,0", 1)})
	s := newRealShop(t)
	if report, err := run(t, dir, s.url, nil); err != nil || len(report.Problems) != 3 || s.price(t, "P") != 250 {
		t.Fatalf("first run: %v, %v", err, report.Problems)
	}
	s.wantCharged(t, map[string]string{"2": ""})
	overwrite(t, dir, map[string]string{"lines.csv": right})
	mustRun(t, dir, s.url, nil)
	s.wantCharged(t, map[string]string{"1": "P 200", "2": "P 200 Q 300", "3": "P 250 Q 310"})
	if p, q := s.price(t, "P"), s.price(t, "Q"); p != 250 || q != 310 {
		t.Errorf("prices end at %d and %d", p, q)
	}
	events := s.events(t)
	mustRun(t, dir, s.url, nil)
	if n := s.events(t); n != events {
		t.Errorf("the third run added %d events", n-events)
	}
}

// What the shop has repriced since stays, but for a price that an order of the folder names: that is what a run leaves which
// is killed after it has set the price of an order that was missing.
func TestPricesOfTheShopStay(t *testing.T) {
	dir := write(t, map[string]string{"orders.csv": threeOrders, "lines.csv": lineHead + "1,Q,3.20,1,0\n2,P,2.00,1,0\n3,Q,3.10,1,0\n"})
	for name, tt := range map[string]struct{ now, want int64 }{
		"one of its own":          {999, 999},
		"the list price":          {300, 300},
		"that of the last order":  {310, 310},
		"that of an order before": {320, 310},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRealShop(t)
			mustRun(t, dir, s.url, nil)
			s.reprice(t, "Q", tt.now)
			s.reprice(t, "P", 777)
			mustRun(t, dir, s.url, nil)
			if q, p := s.price(t, "Q"), s.price(t, "P"); q != tt.want || p != 777 {
				t.Errorf("the prices are %d and %d, want %d and 777", q, p, tt.want)
			}
		})
	}
}

// A resumed run is killed at each of its commands; however far it came, the next brings every price to where it was.
func TestAKilledCorrectionLeavesNoPrice(t *testing.T) {
	right := lineHead + "1,P,2.00,1,0\n2,P,2.20,1,0\n3,P,2.50,1,0\n"
	for commands, killed := 0, true; killed; commands++ {
		dir := write(t, map[string]string{"orders.csv": threeOrders, "lines.csv": strings.Replace(right, "2,P,2.20,1,0", "2,P,2.20,one,0", 1)})
		s := newRealShop(t)
		if _, err := run(t, dir, s.url, nil); err != nil || s.price(t, "P") != 250 {
			t.Fatalf("%v, P costs %d", err, s.price(t, "P"))
		}
		overwrite(t, dir, map[string]string{"lines.csv": right})
		ctx := s.dieAfter(t, commands)
		_, err := importer.Run(ctx, dir, importer.Config{URL: s.url, Workers: 1})
		if killed = ctx.Err() != nil; err != nil && !killed {
			t.Fatal(err)
		}
		s.live()
		mustRun(t, dir, s.url, nil)
		s.wantCharged(t, map[string]string{"1": "P 200", "2": "P 220", "3": "P 250"})
		if price := s.price(t, "P"); price != 250 {
			t.Errorf("killed after %d commands: the price is %d", commands, price)
		}
	}
}
