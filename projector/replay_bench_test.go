package projector

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/query/view"
	"jangbu/test/history"
	"jangbu/test/servers"
)

// shopHistory is a log as a shop writes it: each order is placed for three of 1000 products and shipped soon after.
func shopHistory(b *testing.B, n int) *history.History {
	r := rand.New(rand.NewPCG(3, 4))
	members, products := rand.NewZipf(r, 1.1, 10, 9999), rand.NewZipf(r, 1.1, 10, 999)
	h := &history.History{}
	for i := range uint64(1000) {
		h.Add(b, product.Stream(fmt.Sprint(i)), product.Created{Name: fmt.Sprintf("Product number %d", i), Category: fmt.Sprintf("Category %d", i%12), Price: 1999, Currency: "USD"})
	}
	for order_ := 0; h.Len() < n; order_++ {
		m := fmt.Sprint(members.Uint64())
		if h.Last(member.Stream(m)) < 0 {
			h.Add(b, member.Stream(m), member.Registered{Name: "A member called " + m, City: "Seoul", Country: "Korea"})
		}
		var lines []order.Line
		for range 3 {
			p := products.Uint64()
			lines = append(lines, order.Line{ProductID: fmt.Sprint(p), Name: fmt.Sprintf("Product number %d", p), Category: fmt.Sprintf("Category %d", p%12), UnitPrice: 1999, Quantity: 2, Amount: 3998})
		}
		h.Add(b, order.Stream(fmt.Sprint(order_)), order.Placed{MemberID: m, MemberCountry: "Korea", Currency: "USD", Lines: lines, ShippingFee: 300,
			ShipTo: &order.ShipTo{Name: "Somebody", City: "Seoul", Country: "Korea"}, PlacedOn: fmt.Sprintf("2026-%02d-%02d", 1+order_/3000%12, 1+order_/100%28)})
		if order_ >= 20 {
			h.Add(b, order.Stream(fmt.Sprint(order_-20)), order.Shipped{Carrier: "Post", Tracking: "T1", ShippedOn: "2026-12-31"})
		}
	}
	return h
}

// BenchmarkReplay reports events a second into all views, from a log in memory: at first, and with a live generation to verify
// what was built with.
func BenchmarkReplay(b *testing.B) {
	h := shopHistory(b, 100_000)
	for _, redis := range servers.Redises() {
		for _, verified := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s verified=%t", redis.Name, verified), func(b *testing.B) {
				m := openModel(b, redis.Start(b))
				replay := func() {
					if _, err := newReplay(m, h).Run(b.Context(), view.All()); err != nil {
						b.Fatal(err)
					}
				}
				if verified {
					replay()
				}
				for b.Loop() {
					replay()
					if verified {
						continue
					}
					b.StopTimer()
					for _, v := range view.All() {
						registry, err := m.Registry(b.Context(), v.Name)
						if err == nil {
							err = m.Forget(b.Context(), registry.Live)
						}
						if err == nil {
							err = m.DropGarbage(b.Context(), v.Name)
						}
						if err != nil {
							b.Fatal(err)
						}
					}
					b.StartTimer()
				}
				b.ReportMetric(float64(h.Len()*b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
