package importer_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jangbu/cli/importer"
)

// inProcess answers requests without a network, which a bubble does not have.
type inProcess struct{ *shop }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}

// inBubble imports the demo shop in a bubble.
func (s *shop) inBubble(ctx context.Context, change func(*importer.Config)) (importer.Report, error) {
	cfg := importer.Config{URL: "http://shop", Workers: 4, HTTP: &http.Client{Transport: inProcess{s}}}
	if change != nil {
		change(&cfg)
	}
	return importer.Run(ctx, demo, cfg)
}

func never(string, int) bool { return true }

func TestShippingWaitsForConfirmation(t *testing.T) {
	s := newShop()
	s.unconfirmed = func(_ string, asked int) bool { return asked < 3 }
	mustRun(t, demo, s.serve(t).URL, func(c *importer.Config) { c.Patience = 1 }) // which is about a silent server
	check(t, s, demo)
}

// TestNobodyWaitsForAnOrder: the only worker goes on with what comes later in the files while an order is not confirmed.
func TestNobodyWaitsForAnOrder(t *testing.T) {
	dir := write(t, map[string]string{
		"orders.csv": "id,member_id,placed_on,shipped_on,shipping_fee,carrier,ship_name,ship_city,ship_country\n" +
			"1,M,2024-01-01,2024-01-02,0,C,,,\n2,M,2024-01-02,2024-01-02,0,C,,,\n3,M,2024-01-03,2024-01-04,0,C,,,\n",
		"lines.csv": "order_id,product_id,unit_price,quantity,discount_percent\n1,P,2.00,1,0\n2,P,2.50,1,0\n3,P,3.00,1,0\n",
	})
	s := newShop()
	s.unconfirmed = func(id string, _ int) bool { return id == "1" && s.orders["3"] == nil }
	mustRun(t, dir, s.serve(t).URL, func(c *importer.Config) { c.Workers = 1 })
	check(t, s, dir)
	if s.asked["1"] == 0 {
		t.Error("order 1 was confirmed from the beginning")
	}
}

// TestOrdersAreAskedForMoreAndMoreRarely: but not too rarely, and each until it is confirmed.
func TestOrdersAreAskedForMoreAndMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		asked := map[string][]time.Time{}
		s.unconfirmed = func(id string, _ int) bool {
			asked[id] = append(asked[id], time.Now())
			return time.Since(asked[id][0]) < 20*time.Second
		}
		report, err := s.inBubble(t.Context(), nil)
		if err != nil || len(report.Problems) > 0 || report.Done() != report.Total() {
			t.Fatalf("%v, %+v", err, report)
		}
		check(t, s, demo)
		if report.Elapsed > 23*time.Second {
			t.Errorf("it took %v", report.Elapsed)
		}
		for id, at := range asked {
			if n := len(at); n < 14 || n > 32 {
				t.Errorf("order %s was asked for %d times", id, n)
			}
			for i := range at[1:] {
				if pause := at[i+1].Sub(at[i]); pause > 2*time.Second+importer.DefaultBackoff || pause < min(importer.DefaultBackoff<<i, 2*time.Second)/2 {
					t.Errorf("order %s was asked for again after %v, at try %d", id, pause, i+1)
				}
			}
		}
	})
}

// TestStoppedWhileOrdersAreNotConfirmed: the run ends at once, and the next one resumes it.
func TestStoppedWhileOrdersAreNotConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.unconfirmed = never
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := s.inBubble(ctx, func(c *importer.Config) { c.Confirm = time.Hour })
			ended <- err
		}()
		time.Sleep(10 * time.Minute) // of the bubble's clock
		stop()
		synctest.Wait()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		default:
			t.Fatal("it goes on")
		}
		s.unconfirmed = nil
		if report, err := s.inBubble(t.Context(), nil); err != nil || len(report.Problems) > 0 || !report.Resumed {
			t.Errorf("%v, %+v", err, report)
		}
		check(t, s, demo)
	})
}

func TestAnOrderThatIsNeverConfirmedStopsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.unconfirmed = never
		report, err := s.inBubble(t.Context(), nil)
		if !errors.Is(err, importer.ErrStopped) || !strings.Contains(err.Error(), "not confirmed yet") || !strings.Contains(err.Error(), "nothing for 30s") {
			t.Fatalf("error %v", err)
		}
		if report.Elapsed < importer.DefaultConfirm || report.Elapsed > importer.DefaultConfirm+5*time.Second {
			t.Errorf("it took %v", report.Elapsed)
		}
		for _, c := range report.Counts {
			if c.Kind != importer.Shipments && c.Done != c.Total {
				t.Errorf("%d of %d %s were done", c.Done, c.Total, c.Kind)
			}
		}
	})
}
