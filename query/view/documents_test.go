package view_test

import (
	"testing"

	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/query/view"
)

func TestOrders(t *testing.T) {
	const (
		lines = `"lines":[{"product_id":"pen","name":"Pen","category":"Desk","unit_price":150,"quantity":2,"discount_percent":0,"amount":300}],"units":2,"subtotal":300,"shipping_fee":0,"total":300,"currency":"USD","ship_to":null,`
		begin = `{"id":"1","status":"placed","placed_on":"2026-03-05","member":{"id":"M","name":"Mina","country":"Korea"},` + lines
	)
	play(t, view.Orders, []scene{
		{"nothing", nil, nil, nil},
		{"a member alone is no order", []step{mina}, nil, nil},
		{"placed", []step{mina, on("order-1", placed())}, map[string]string{"1": begin + `"revision":0}`}, nil},
		{"placed before its member is known", []step{on("order-1", placed()), mina}, map[string]string{"1": begin + `"revision":0}`}, nil},
		{"placed by nobody known", []step{on("order-1", placed())},
			map[string]string{"1": `{"id":"1","status":"placed","placed_on":"2026-03-05","member":{"id":"M","name":"","country":""},` + lines + `"revision":0}`}, nil},
		{"renamed", []step{mina, on("order-1", placed()), on("order-2", placed()), on("member-M", member.Renamed{Name: `"M" <&> 미나`})}, map[string]string{
			"1": `{"id":"1","status":"placed","placed_on":"2026-03-05","member":{"id":"M","name":"\"M\" \u003c\u0026\u003e 미나","country":"Korea"},` + lines + `"revision":0}`,
			"2": `{"id":"2","status":"placed","placed_on":"2026-03-05","member":{"id":"M","name":"\"M\" \u003c\u0026\u003e 미나","country":"Korea"},` + lines + `"revision":0}`,
		}, nil},
		{"shipped", []step{mina, on("order-1", placed(), order.Shipped{Carrier: "Post", Tracking: "T1", ShippedOn: "2026-03-09"})},
			map[string]string{"1": `{"id":"1","status":"shipped","placed_on":"2026-03-05","member":{"id":"M","name":"Mina","country":"Korea"},` + lines +
				`"carrier":"Post","tracking":"T1","shipped_on":"2026-03-09","revision":1}`}, nil},
		{"cancelled", []step{mina, on("order-1", placed(), cancelled)},
			map[string]string{"1": `{"id":"1","status":"cancelled","placed_on":"2026-03-05","member":{"id":"M","name":"Mina","country":"Korea"},` + lines +
				`"cancel_reason":"changed my mind","revision":1}`}, nil},
		{"everything an order can have", []step{mina, on("order-1", placed(func(e *order.Placed) {
			e.ShippingFee = 49
			e.ShipTo = &order.ShipTo{Name: "Mr. Lee", City: "Busan", Country: "Korea"}
			e.Lines = []order.Line{
				{ProductID: "pen", Name: "Pen", Category: "Desk", UnitPrice: 333, Quantity: 3, DiscountPercent: 15, Amount: 849},
				{ProductID: "gift", Name: "Gift", Category: "", UnitPrice: 0, Quantity: 1, DiscountPercent: 100},
			}
		}))}, map[string]string{"1": `{"id":"1","status":"placed","placed_on":"2026-03-05","member":{"id":"M","name":"Mina","country":"Korea"},` +
			`"lines":[{"product_id":"pen","name":"Pen","category":"Desk","unit_price":333,"quantity":3,"discount_percent":15,"amount":849},` +
			`{"product_id":"gift","name":"Gift","category":"","unit_price":0,"quantity":1,"discount_percent":100,"amount":0}],` +
			`"units":4,"subtotal":849,"shipping_fee":49,"total":898,"currency":"USD","ship_to":{"name":"Mr. Lee","city":"Busan","country":"Korea"},"revision":0}`}, nil},
	})
}

func TestMembers(t *testing.T) {
	const who = `{"id":"M","name":"Mina","contact":"Mr. Kim","city":"Seoul","country":"Korea","phone":"02-123",`
	play(t, view.Members, []scene{
		{"without orders", []step{mina}, map[string]string{"M": who + `"orders":0,"spent":0,"first_order_on":null,"last_order_on":null}`}, nil},
		{"an order of nobody known", []step{on("order-1", placed())}, nil, nil},
		{"one order", []step{mina, on("order-1", placed(), order.Shipped{Carrier: "Post"})},
			map[string]string{"M": who + `"orders":1,"spent":300,"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"several orders", []step{mina, on("order-1", placed(dated("2026-05-01"))), on("order-2", placed(dated("2025-12-31"))), on("order-3", placed())},
			map[string]string{"M": who + `"orders":3,"spent":900,"first_order_on":"2025-12-31","last_order_on":"2026-05-01"}`}, nil},
		{"a shipping fee is not spent on goods", []step{mina, on("order-1", placed(func(e *order.Placed) { e.ShippingFee = 99 }))},
			map[string]string{"M": who + `"orders":1,"spent":300,"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"cancelled orders leave", []step{mina, on("order-1", placed(dated("2026-01-01")), cancelled), on("order-2", placed())},
			map[string]string{"M": who + `"orders":1,"spent":300,"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"all cancelled", []step{mina, on("order-1", placed(), cancelled)},
			map[string]string{"M": who + `"orders":0,"spent":0,"first_order_on":null,"last_order_on":null}`}, nil},
		{"orders for nothing", []step{mina, on("order-1", placed(of(line("gift", "", 1, 0))))},
			map[string]string{"M": who + `"orders":1,"spent":0,"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"two currencies", []step{mina, on("order-1", placed()), on("order-2", placed(inCurrency("JPY"))), on("order-3", placed(inCurrency("JPY")))},
			map[string]string{"M": who + `"orders":3,"spent":null,"spent_by_currency":{"JPY":600,"USD":300},"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"two currencies, one for nothing", []step{mina, on("order-1", placed()), on("order-2", placed(inCurrency("JPY"), of(line("gift", "", 1, 0))))},
			map[string]string{"M": who + `"orders":2,"spent":null,"spent_by_currency":{"JPY":0,"USD":300},"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"two currencies, one cancelled", []step{mina, on("order-1", placed()), on("order-2", placed(inCurrency("JPY")), cancelled)},
			map[string]string{"M": who + `"orders":1,"spent":300,"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"renamed", []step{mina, on("member-M", member.Renamed{Name: "Mina Kim"})},
			map[string]string{"M": `{"id":"M","name":"Mina Kim","contact":"Mr. Kim","city":"Seoul","country":"Korea","phone":"02-123","orders":0,"spent":0,"first_order_on":null,"last_order_on":null}`}, nil},
	})
}

func TestMemberOrders(t *testing.T) {
	const one = `{"id":"1","status":"placed","placed_on":"2026-03-05","units":2,"total":300}`
	play(t, view.MemberOrders, []scene{
		{"without orders", []step{mina}, nil, map[string][]string{"M": {}}},
		{"one", []step{mina, on("order-1", placed())}, nil, map[string][]string{"M": {one}}},
		{"total holds the fee", []step{mina, on("order-1", placed(func(e *order.Placed) { e.ShippingFee = 50 }))}, nil,
			map[string][]string{"M": {`{"id":"1","status":"placed","placed_on":"2026-03-05","units":2,"total":350}`}}},
		{"newest day first, then by id", []step{
			mina, on("order-b", placed(dated("2026-01-02"))), on("order-9", placed(dated("2025-12-31"))), on("order-a", placed(dated("2026-01-02"))),
			on("order-c", placed(dated("2026-01-10"))), on("order-10", placed(dated("2026-01-02"))),
		}, nil, map[string][]string{"M": {
			`{"id":"c","status":"placed","placed_on":"2026-01-10","units":2,"total":300}`,
			`{"id":"10","status":"placed","placed_on":"2026-01-02","units":2,"total":300}`,
			`{"id":"a","status":"placed","placed_on":"2026-01-02","units":2,"total":300}`,
			`{"id":"b","status":"placed","placed_on":"2026-01-02","units":2,"total":300}`,
			`{"id":"9","status":"placed","placed_on":"2025-12-31","units":2,"total":300}`,
		}}},
		{"shipped and cancelled stay", []step{mina, on("order-1", placed(), order.Shipped{Carrier: "Post"}), on("order-2", placed(), cancelled)}, nil, map[string][]string{"M": {
			`{"id":"1","status":"shipped","placed_on":"2026-03-05","units":2,"total":300}`, `{"id":"2","status":"cancelled","placed_on":"2026-03-05","units":2,"total":300}`,
		}}},
		{"each member their own", []step{mina, on("member-N", member.Registered{Name: "Nils"}), on("order-1", placed())}, nil, map[string][]string{"M": {one}, "N": {}}},
	})
}

func TestProducts(t *testing.T) {
	const what = `{"id":"pen","name":"Pen","category":"Desk","price":150,"currency":"USD","discontinued":false,`
	play(t, view.Products, []scene{
		{"not sold", []step{pen}, map[string]string{"pen": what + `"sold":{"orders":0,"units":0,"sales":0}}`}, nil},
		{"sold, and a product nobody has created", []step{pen, on("order-1", placed(of(line("pen", "Desk", 2, 300), line("ghost", "", 1, 1))))},
			map[string]string{"pen": what + `"sold":{"orders":1,"units":2,"sales":300}}`}, nil},
		{"twice in one order", []step{pen, on("order-1", placed(of(line("pen", "Desk", 2, 300), line("pen", "Desk", 1, 75)))), on("order-2", placed())},
			map[string]string{"pen": what + `"sold":{"orders":2,"units":5,"sales":675}}`}, nil},
		{"cancelled", []step{pen, on("order-1", placed(), cancelled), on("order-2", placed(), order.Shipped{})},
			map[string]string{"pen": what + `"sold":{"orders":1,"units":2,"sales":300}}`}, nil},
		{"changed in every way", []step{pen, on("order-1", placed()), on("product-pen", product.Renamed{Name: "Quill"}, product.Repriced{Price: 0}, product.Discontinued{})},
			map[string]string{"pen": `{"id":"pen","name":"Quill","category":"Desk","price":0,"currency":"USD","discontinued":true,"sold":{"orders":1,"units":2,"sales":300}}`}, nil},
		{"free", []step{on("product-gift", product.Created{Name: "Gift", Currency: "JPY"}), on("order-1", placed(of(line("gift", "", 3, 0))))},
			map[string]string{"gift": `{"id":"gift","name":"Gift","category":"","price":0,"currency":"JPY","discontinued":false,"sold":{"orders":1,"units":3,"sales":0}}`}, nil},
	})
}

func TestSales(t *testing.T) {
	odd := []string{`Grains/Cereals`, `"quoted"`, `🌶 hot`, `a//b`, ``, `<b>`}
	var oddLines []order.Line
	for i, c := range odd {
		oddLines = append(oddLines, line(c, c, 1, int64(i)))
	}
	play(t, view.Sales, []scene{
		{"members and products sell nothing", []step{mina, pen}, nil, nil},
		{"one order", []step{on("order-1", placed())}, map[string]string{
			"months":     `{"items":[{"month":"2026-03","orders":1,"units":2,"sales":300}]}`,
			"categories": `{"items":[{"category":"Desk","orders":1,"units":2,"sales":300}]}`,
			"countries":  `{"items":[{"country":"Korea","orders":1,"sales":300}]}`,
		}, nil},
		{"a category twice in one order counts one order", []step{on("order-1", placed(of(line("a", "Desk", 1, 10), line("b", "Desk", 2, 20), line("c", "Kitchen", 3, 30))))}, map[string]string{
			"months":     `{"items":[{"month":"2026-03","orders":1,"units":6,"sales":60}]}`,
			"categories": `{"items":[{"category":"Desk","orders":1,"units":3,"sales":30},{"category":"Kitchen","orders":1,"units":3,"sales":30}]}`,
			"countries":  `{"items":[{"country":"Korea","orders":1,"sales":60}]}`,
		}, nil},
		{"sorted by their keys", []step{
			on("order-1", placed(dated("2026-10-01"))), on("order-2", placed(dated("1999-12-31"), func(e *order.Placed) { e.MemberCountry = "Austria" })), on("order-3", placed(dated("2026-09-30"))),
		}, map[string]string{
			"months":     `{"items":[{"month":"1999-12","orders":1,"units":2,"sales":300},{"month":"2026-09","orders":1,"units":2,"sales":300},{"month":"2026-10","orders":1,"units":2,"sales":300}]}`,
			"categories": `{"items":[{"category":"Desk","orders":3,"units":6,"sales":900}]}`,
			"countries":  `{"items":[{"country":"Austria","orders":1,"sales":300},{"country":"Korea","orders":2,"sales":600}]}`,
		}, nil},
		{"cancelled orders leave", []step{on("order-1", placed(), cancelled), on("order-2", placed(dated("2026-04-01")), order.Shipped{})}, map[string]string{
			"months":     `{"items":[{"month":"2026-04","orders":1,"units":2,"sales":300}]}`,
			"categories": `{"items":[{"category":"Desk","orders":1,"units":2,"sales":300}]}`,
			"countries":  `{"items":[{"country":"Korea","orders":1,"sales":300}]}`,
		}, nil},
		{"two currencies", []step{on("order-1", placed()), on("order-2", placed(inCurrency("JPY")))}, map[string]string{
			"months":     `{"items":[{"month":"2026-03","currency":"JPY","orders":1,"units":2,"sales":300},{"month":"2026-03","currency":"USD","orders":1,"units":2,"sales":300}]}`,
			"categories": `{"items":[{"category":"Desk","currency":"JPY","orders":1,"units":2,"sales":300},{"category":"Desk","currency":"USD","orders":1,"units":2,"sales":300}]}`,
			"countries":  `{"items":[{"country":"Korea","currency":"JPY","orders":1,"sales":300},{"country":"Korea","currency":"USD","orders":1,"sales":300}]}`,
		}, nil},
		{"odd names", []step{on("order-1", placed(of(oddLines...)))}, map[string]string{
			"months": `{"items":[{"month":"2026-03","orders":1,"units":6,"sales":15}]}`,
			"categories": `{"items":[{"category":"","orders":1,"units":1,"sales":4},{"category":"\"quoted\"","orders":1,"units":1,"sales":1},{"category":"\u003cb\u003e","orders":1,"units":1,"sales":5},` +
				`{"category":"Grains/Cereals","orders":1,"units":1,"sales":0},{"category":"a//b","orders":1,"units":1,"sales":3},{"category":"🌶 hot","orders":1,"units":1,"sales":2}]}`,
			"countries": `{"items":[{"country":"Korea","orders":1,"sales":15}]}`,
		}, nil},
		{"the member's country is that of the moment", []step{mina, on("order-1", placed(func(e *order.Placed) { e.MemberCountry = "" }))}, map[string]string{
			"months":     `{"items":[{"month":"2026-03","orders":1,"units":2,"sales":300}]}`,
			"categories": `{"items":[{"category":"Desk","orders":1,"units":2,"sales":300}]}`,
			"countries":  `{"items":[{"country":"","orders":1,"sales":300}]}`,
		}, nil},
	})
}
