package importer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"jangbu/cli/importer"
	"jangbu/test/servers"
)

const demo = "../../test/testdata/shop"

// folders are the shops to import: our own always, Northwind where the machine has it.
func folders(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{"demo": demo}
	if northwind := "../../../shared/data/northwind"; exists(northwind) {
		out["northwind"] = northwind
	} else {
		t.Log("northwind is not there: only the demo shop is imported")
	}
	return out
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func minor(t *testing.T, amount string) int64 {
	t.Helper()
	if !strings.Contains(amount, ".") {
		amount += ".00"
	}
	n, err := strconv.ParseInt(strings.Replace(amount, ".", "", 1), 10, 64)
	if err != nil {
		t.Fatalf("amount %q in the test data", amount)
	}
	return n
}

// check is the invariant of every whole import: all is there once, each line was charged the price its row names,
// shipping and discontinuing are as the files say.
func check(t *testing.T, s *shop, dir string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	members, products, orders, lines := servers.ReadCSV(t, dir, "members.csv"), servers.ReadCSV(t, dir, "products.csv"), servers.ReadCSV(t, dir, "orders.csv"), servers.ReadCSV(t, dir, "lines.csv")
	if len(s.members) != len(members) || len(s.products) != len(products) || len(s.orders) != len(orders) {
		t.Fatalf("the shop has %d members, %d products, %d orders; the files %d, %d, %d", len(s.members), len(s.products), len(s.orders),
			len(members), len(products), len(orders))
	}
	for _, ln := range lines {
		got := s.orders[ln["order_id"]].prices[ln["product_id"]]
		if want := minor(t, ln["unit_price"]); got != want {
			t.Errorf("order %s was charged %d for product %s, its row says %d", ln["order_id"], got, ln["product_id"], want)
		}
	}
	for _, row := range orders {
		o := s.orders[row["id"]]
		if o.shippedOn != row["shipped_on"] || o.placedOn != row["placed_on"] || o.fee != minor(t, row["shipping_fee"]) || o.shipTo != row["ship_name"] {
			t.Errorf("order %s is %+v, its row says %v", row["id"], o, row)
		}
	}
	for _, row := range products {
		left := minor(t, row["opening_stock"]) / 100
		for _, ln := range lines {
			if ln["product_id"] == row["id"] {
				left -= minor(t, ln["quantity"]) / 100
			}
		}
		if p := s.products[row["id"]]; p.discontinued != (row["discontinued"] == "1") || p.stock != left {
			t.Errorf("product %s: discontinued is %t, stock is %d, want %d", row["id"], p.discontinued, p.stock, left)
		}
	}
	seen := map[string]bool{}
	for _, e := range s.effects {
		if seen[e] && !strings.HasSuffix(e, " reprice") {
			t.Errorf("%s took effect twice", e)
		}
		seen[e] = true
	}
}

func run(t *testing.T, dir, url string, change func(*importer.Config)) (importer.Report, error) {
	t.Helper()
	cfg := importer.Config{URL: url, Workers: 16, Backoff: time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	return importer.Run(context.Background(), dir, cfg)
}

// mustRun imports a folder in which everything is right.
func mustRun(t *testing.T, dir, url string, change func(*importer.Config)) importer.Report {
	t.Helper()
	report, err := run(t, dir, url, change)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Errorf("problem: %s", p)
	}
	if report.Done() != report.Total() {
		t.Errorf("%d of %d steps done", report.Done(), report.Total())
	}
	return report
}

func TestASecondRunAddsNothing(t *testing.T) {
	for name, dir := range folders(t) {
		t.Run(name, func(t *testing.T) {
			s := newShop()
			srv := s.serve(t)
			if first := mustRun(t, dir, srv.URL, nil); first.Resumed {
				t.Error("the first run found something in an empty shop")
			}
			check(t, s, dir)
			effects, before := s.effectCount(), s.snapshot()
			if second := mustRun(t, dir, srv.URL, nil); !second.Resumed {
				t.Error("the second run found the shop empty")
			}
			if s.effectCount() != effects || s.snapshot() != before {
				t.Errorf("the second run changed the shop: %v", s.effects[effects:])
			}
		})
	}
}

func TestFaultsOfTheServerLeaveNoTrace(t *testing.T) {
	for name, dir := range folders(t) {
		t.Run(name, func(t *testing.T) {
			s, random := newShop(), rand.New(rand.NewPCG(1, 2))
			crashed := map[string]bool{}
			s.fault = func(n int, r *http.Request) misdeed {
				if key := r.Header.Get("Idempotency-Key"); n%97 == 0 && !crashed[key] {
					crashed[key] = true
					return crash
				}
				if n%3 == 0 {
					return [...]misdeed{busy, hangUp, loseAnswer}[random.IntN(3)]
				}
				return behave
			}
			srv := s.serve(t)
			mustRun(t, dir, srv.URL, nil)
			check(t, s, dir)
		})
	}
}

func TestARunThatDiedIsResumed(t *testing.T) {
	for name, dir := range folders(t) {
		whole := newShop()
		total := mustRun(t, dir, whole.serve(t).URL, nil).Total()
		for _, part := range []int{1, 3, 5, 7, 9} {
			t.Run(fmt.Sprintf("%s at %d tenths", name, part), func(t *testing.T) {
				s := newShop()
				srv := s.serve(t)
				ctx, kill := context.WithCancel(context.Background())
				defer kill()
				s.fault = func(int, *http.Request) misdeed {
					if len(s.effects) >= total*part/10 {
						kill() // the importer dies with requests on their way, which may or may not arrive
					}
					return behave
				}
				if _, err := importer.Run(ctx, dir, importer.Config{URL: srv.URL, Workers: 16}); !errors.Is(err, context.Canceled) {
					t.Fatalf("killed run ended with %v", err)
				}
				s.mu.Lock()
				s.fault = nil
				s.mu.Unlock()
				mustRun(t, dir, srv.URL, nil)
				check(t, s, dir)
				if s.snapshot() != whole.snapshot() {
					t.Error("the resumed shop differs from one imported at a stroke")
				}
			})
		}
	}
}

func TestOrdersOfUnchangedPricesRunSideBySide(t *testing.T) {
	dir := write(t, map[string]string{
		"orders.csv": "id,member_id,placed_on,shipped_on,shipping_fee,carrier,ship_name,ship_city,ship_country\n" +
			"1,M,2024-01-01,,0,,,,\n2,M,2024-01-02,,0,,,,\n3,M,2024-01-03,,0,,,,\n",
		"lines.csv": "order_id,product_id,unit_price,quantity,discount_percent\n1,P,2.00,1,0\n2,P,2.00,1,0\n3,P,2.50,1,0\n",
	})
	s := newShop()
	var both sync.WaitGroup // released only when orders 1 and 2 are in the server's hands at once
	both.Add(2)
	s.gate = func(id string) {
		if id != "3" {
			both.Done()
			both.Wait()
		}
	}
	srv := s.serve(t)
	mustRun(t, dir, srv.URL, nil)
	check(t, s, dir)
}

func TestAServerThatStaysAwayStopsTheRun(t *testing.T) {
	s := newShop()
	s.fault = func(n int, _ *http.Request) misdeed {
		if n > 40 {
			return busy
		}
		return behave
	}
	srv := s.serve(t)
	report, err := run(t, demo, srv.URL, func(c *importer.Config) { c.Patience = 50 * time.Millisecond })
	if !errors.Is(err, importer.ErrStopped) || !strings.Contains(err.Error(), "the event store is away") {
		t.Fatalf("error %v", err)
	}
	if report.Done() == 0 || report.Done() == report.Total() {
		t.Errorf("%d of %d steps done", report.Done(), report.Total())
	}
	s.mu.Lock()
	s.fault = nil
	s.mu.Unlock()
	mustRun(t, demo, srv.URL, nil)
	check(t, s, demo)
}

func TestNobodyListening(t *testing.T) {
	srv := newShop().serve(t)
	srv.Close()
	_, err := run(t, demo, srv.URL, func(c *importer.Config) { c.Patience = 20 * time.Millisecond })
	if !errors.Is(err, importer.ErrStopped) || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("error %v", err)
	}
}

func TestWrongURL(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:8080", "ftp://x", "http://"} {
		if _, err := run(t, demo, url, nil); !errors.Is(err, importer.ErrNoURL) {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestProgressCountsEveryStep(t *testing.T) {
	s := newShop()
	srv := s.serve(t)
	last := map[importer.Kind][2]int{}
	report := mustRun(t, demo, srv.URL, func(c *importer.Config) {
		c.Progress = func(kind importer.Kind, done, total int) {
			if before, told := last[kind]; told && done != before[0]+1 || !told && done != 0 {
				t.Errorf("%s went from %v to %d", kind, before, done)
			}
			last[kind] = [2]int{done, total}
		}
	})
	for _, c := range report.Counts {
		if got := last[c.Kind]; got != [2]int{c.Total, c.Total} {
			t.Errorf("%s ended at %v, the report says %d", c.Kind, got, c.Total)
		}
	}
}
