package view_test

import (
	"testing"

	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/domain/stock"
	"jangbu/query/view"
)

func TestMembers(t *testing.T) {
	const (
		who  = `{"id":"M","name":"Mina","email":"","contact":"Mr. Kim","city":"Seoul","country":"Korea","phone":"02-123","addresses":[],"closed":false,`
		desk = `"favourite_category":"Desk",`
	)
	play(t, view.Members, []scene{
		{"without orders", []step{mina}, map[string]string{"M": who + `"orders":0,"open_orders":0,"spent":0,"favourite_category":null,"first_order_on":null,"last_order_on":null}`}, nil},
		{"an address given up by who was never registered", []step{on("member-M", member.EmailGivenUp{Email: "m@shop.example"})}, nil, nil},
		{"an address given up, and then registered", []step{on("member-M", member.EmailGivenUp{Email: "m@shop.example"}, member.Registered{Name: "Mina"}, member.EmailGivenUp{Email: "m@shop.example"})},
			map[string]string{"M": `{"id":"M","name":"Mina","email":"","contact":"","city":"","country":"","phone":"","addresses":[],"closed":false,` +
				`"orders":0,"open_orders":0,"spent":0,"favourite_category":null,"first_order_on":null,"last_order_on":null}`}, nil},
		{"an order of nobody known", []step{on("order-1", placed())}, nil, nil},
		{"one order", []step{mina, on("order-1", placed(), order.Shipped{Carrier: "Post"})},
			map[string]string{"M": who + `"orders":1,"open_orders":1,"spent":300,` + desk + `"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"several orders", []step{mina, on("order-1", placed(dated("2026-05-01"))), on("order-2", placed(dated("2025-12-31"))), on("order-3", placed())},
			map[string]string{"M": who + `"orders":3,"open_orders":3,"spent":900,` + desk + `"first_order_on":"2025-12-31","last_order_on":"2026-05-01"}`}, nil},
		{"a shipping fee is not spent on goods", []step{mina, on("order-1", placed(func(e *order.Placed) { e.ShippingFee = 99 }))},
			map[string]string{"M": who + `"orders":1,"open_orders":1,"spent":300,` + desk + `"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"cancelled orders leave", []step{mina, on("order-1", placed(dated("2026-01-01")), cancelled), on("order-2", placed())},
			map[string]string{"M": who + `"orders":1,"open_orders":1,"spent":300,` + desk + `"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"all cancelled", []step{mina, on("order-1", placed(), cancelled)},
			map[string]string{"M": who + `"orders":0,"open_orders":0,"spent":0,"favourite_category":null,"first_order_on":null,"last_order_on":null}`}, nil},
		{"orders for nothing", []step{mina, on("order-1", placed(of(line("gift", "", 1, 0))))},
			map[string]string{"M": who + `"orders":1,"open_orders":1,"spent":0,"favourite_category":"","first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"two currencies", []step{mina, on("order-1", placed()), on("order-2", placed(inCurrency("JPY"))), on("order-3", placed(inCurrency("JPY")))},
			map[string]string{"M": who + `"orders":3,"open_orders":3,"spent":null,"spent_by_currency":{"JPY":600,"USD":300},` + desk + `"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"two currencies, one for nothing", []step{mina, on("order-1", placed()), on("order-2", placed(inCurrency("JPY"), of(line("gift", "", 1, 0))))},
			map[string]string{"M": who + `"orders":2,"open_orders":2,"spent":null,"spent_by_currency":{"JPY":0,"USD":300},` + desk + `"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"two currencies, one cancelled", []step{mina, on("order-1", placed()), on("order-2", placed(inCurrency("JPY")), cancelled)},
			map[string]string{"M": who + `"orders":1,"open_orders":1,"spent":300,` + desk + `"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"renamed", []step{mina, on("member-M", member.Renamed{Name: "Mina Kim"})},
			map[string]string{"M": `{"id":"M","name":"Mina Kim","email":"","contact":"Mr. Kim","city":"Seoul","country":"Korea","phone":"02-123","addresses":[],"closed":false,"orders":0,"open_orders":0,"spent":0,"favourite_category":null,"first_order_on":null,"last_order_on":null}`}, nil},
		{"delivered, and cancelled, and returned: nothing is open", []step{mina,
			on("order-1", placed(), order.Confirmed{}, order.Shipped{}, order.Delivered{Parcel: 1}), on("order-2", placed(), cancelled),
			on("order-3", placed(), order.Shipped{}, order.Returned{Lines: some(1, 2)}), on("order-4", placed(), order.Shipped{Lines: some(1, 1)})},
			map[string]string{"M": who + `"orders":2,"open_orders":1,"spent":600,` + desk + `"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"what was returned is not spent, nor liked", []step{mina, on("order-1", placed(of(line("pen", "Desk", 3, 100), line("pan", "Kitchen", 2, 999))),
			order.Shipped{}, order.Returned{Lines: some(1, 2), Amount: 66})},
			map[string]string{"M": who + `"orders":1,"open_orders":1,"spent":1033,"favourite_category":"Kitchen","first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"of two favourites the first by name", []step{mina, on("order-1", placed(of(line("pan", "Kitchen", 2, 1), line("pen", "Desk", 2, 1))))},
			map[string]string{"M": who + `"orders":1,"open_orders":1,"spent":2,` + desk + `"first_order_on":"2026-03-05","last_order_on":"2026-03-05"}`}, nil},
		{"all that can change", []step{on("member-M", member.Registered{Name: "Mina", Email: "mina@shop.example"},
			member.ContactChanged{Contact: "Lee", City: "Busan", Country: "Korea", Phone: "1"}, member.EmailChanged{Email: "m@shop.example"},
			member.AddressSet{Address: member.Address{Label: "work", Name: "Mina Kim", Street: "1 Main St", Postcode: "04524", City: "Seoul", Country: "Korea"}},
			member.AddressSet{Address: member.Address{Label: "home", Name: "Mina", City: "Busan", Country: "Korea"}}, member.AddressRemoved{Label: "none"})},
			map[string]string{
				"M": `{"id":"M","name":"Mina","email":"m@shop.example","contact":"Lee","city":"Busan","country":"Korea","phone":"1","addresses":[` +
					`{"label":"home","name":"Mina","city":"Busan","country":"Korea"},` +
					`{"label":"work","name":"Mina Kim","street":"1 Main St","postcode":"04524","city":"Seoul","country":"Korea"}],"closed":false,` +
					`"orders":0,"open_orders":0,"spent":0,"favourite_category":null,"first_order_on":null,"last_order_on":null}`,
				"/email/m@shop.example": `{"items":[{"id":"M","name":"Mina","email":"m@shop.example"}]}`,
			}, nil},
		{"closed, and the address is another's", []step{on("member-M", member.Registered{Name: "Mina", Email: "m@shop.example"}, member.Closed{Reason: "bored"}),
			on("member-N", member.Registered{Name: "Nils", Email: "m@shop.example"})},
			map[string]string{
				"M": `{"id":"M","name":"Mina","email":"","contact":"","city":"","country":"","phone":"","addresses":[],"closed":true,` +
					`"orders":0,"open_orders":0,"spent":0,"favourite_category":null,"first_order_on":null,"last_order_on":null}`,
				"N": `{"id":"N","name":"Nils","email":"m@shop.example","contact":"","city":"","country":"","phone":"","addresses":[],"closed":false,` +
					`"orders":0,"open_orders":0,"spent":0,"favourite_category":null,"first_order_on":null,"last_order_on":null}`,
				"/email/m@shop.example": `{"items":[{"id":"N","name":"Nils","email":"m@shop.example"}]}`,
			}, nil},
	})
}

func TestProducts(t *testing.T) {
	const what = `{"id":"pen","name":"Pen","category":"Desk","description":"","tags":[],"images":[],"price":150,"currency":"USD","sale":null,"discontinued":false,`
	const none = `"stock":{"on_hand":0,"reserved":0,"available":0},`
	play(t, view.Products, []scene{
		{"not sold", []step{pen}, map[string]string{"pen": what + none + `"sold":{"orders":0,"units":0,"sales":0}}`}, nil},
		{"sold, and a product nobody has created", []step{pen, on("order-1", placed(of(line("pen", "Desk", 2, 300), line("ghost", "", 1, 1))))},
			map[string]string{"pen": what + none + `"sold":{"orders":1,"units":2,"sales":300}}`}, nil},
		{"twice in one order", []step{pen, on("order-1", placed(of(line("pen", "Desk", 2, 300), line("pen", "Desk", 1, 75)))), on("order-2", placed())},
			map[string]string{"pen": what + none + `"sold":{"orders":2,"units":5,"sales":675}}`}, nil},
		{"cancelled", []step{pen, on("order-1", placed(), cancelled), on("order-2", placed(), order.Shipped{})},
			map[string]string{"pen": what + none + `"sold":{"orders":1,"units":2,"sales":300}}`}, nil},
		{"changed in every way", []step{pen, on("order-1", placed()), on("product-pen", product.Renamed{Name: "Quill"}, product.Repriced{Price: 0}, product.Discontinued{})},
			map[string]string{"pen": `{"id":"pen","name":"Quill","category":"Desk","description":"","tags":[],"images":[],"price":0,"currency":"USD","sale":null,"discontinued":true,` + none + `"sold":{"orders":1,"units":2,"sales":300}}`}, nil},
		{"free", []step{on("product-gift", product.Created{Name: "Gift", Currency: "JPY"}), on("order-1", placed(of(line("gift", "", 3, 0))))},
			map[string]string{"gift": `{"id":"gift","name":"Gift","category":"","description":"","tags":[],"images":[],"price":0,"currency":"JPY","sale":null,"discontinued":false,` + none + `"sold":{"orders":1,"units":3,"sales":0}}`}, nil},
		{"returned units are not sold, and an order of which all came back is none", []step{pen,
			on("order-1", placed(of(line("pen", "Desk", 3, 100), line("pan", "Kitchen", 1, 5))), order.Shipped{},
				order.Returned{Lines: some(1, 1), Amount: 33}, order.Returned{Lines: some(1, 1), Amount: 33}),
			on("order-2", placed(of(line("pen", "Desk", 2, 50), line("pan", "Kitchen", 1, 5))), order.Shipped{}, order.Returned{Lines: some(1, 2), Amount: 50})},
			map[string]string{"pen": what + none + `"sold":{"orders":1,"units":1,"sales":34}}`}, nil},
		{"described in every way", []step{pen, on("product-pen", product.Described{Description: "It writes."}, product.Categorised{Category: "Office"},
			product.Tagged{Tags: []string{"blue", "new"}}, product.Pictured{Images: []string{"https://x/2", "https://x/1"}},
			product.SaleSet{Price: 99, From: day(1), Until: day(8)})},
			map[string]string{"pen": `{"id":"pen","name":"Pen","category":"Office","description":"It writes.","tags":["blue","new"],"images":["https://x/2","https://x/1"],` +
				`"price":150,"currency":"USD","sale":{"price":99,"from":"2026-03-01T00:00:00Z","until":"2026-03-08T00:00:00Z"},"discontinued":false,` + none +
				`"sold":{"orders":0,"units":0,"sales":0}}`}, nil},
		{"as it was", []step{pen, on("product-pen", product.Tagged{Tags: []string{"new"}}, product.Tagged{Tags: []string{}}, product.SaleSet{Price: 1, From: day(1), Until: day(2)},
			product.SaleEnded{}, product.Discontinued{}, product.Relisted{})},
			map[string]string{"pen": what + none + `"sold":{"orders":0,"units":0,"sales":0}}`}, nil},
		{"stock that comes and goes", []step{pen, on("stock-pen", stock.Restocked{Quantity: 20}, stock.Reserved{OrderID: "1", Quantity: 5},
			stock.Reserved{OrderID: "2", Quantity: 4}, stock.ReservationRefused{OrderID: "3", Quantity: 12, Available: 11}, stock.Released{OrderID: "2", Quantity: 4},
			stock.Shipped{OrderID: "1", Parcel: 1, Quantity: 3}, stock.Returned{OrderID: "1", Return: 1, Quantity: 1}, stock.Counted{OnHand: 17, Was: 18, Reason: "one broke"})},
			map[string]string{"pen": what + `"stock":{"on_hand":17,"reserved":2,"available":15},"sold":{"orders":0,"units":0,"sales":0}}`}, nil},
		{"stock of nothing known", []step{on("stock-ghost", stock.Restocked{Quantity: 1})}, nil, nil},
	})
}

func TestLowStock(t *testing.T) {
	low := func(id string, mark, onHand int64) step {
		return on("stock-"+id, stock.LowWaterSet{LowWater: mark}, stock.Restocked{Quantity: onHand})
	}
	named := func(id string, more ...any) step {
		return on("product-"+id, append([]any{product.Created{Name: "The " + id, Category: "Desk", Currency: "USD"}}, more...)...)
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  string
	}{
		{"nothing has a mark", []step{named("a"), on("stock-a", stock.Restocked{Quantity: 1})}, ""},
		{"at the mark, below, and above; the scarcest first", []step{named("a"), named("b"), named("c"), low("a", 5, 5), low("b", 5, 2), low("c", 5, 6)},
			`{"items":[{"product_id":"b","name":"The b","available":2,"low_water":5},{"product_id":"a","name":"The a","available":5,"low_water":5}]}`},
		{"as many left, by id", []step{named("b"), named("a"), low("b", 1, 1), low("a", 1, 1)},
			`{"items":[{"product_id":"a","name":"The a","available":1,"low_water":1},{"product_id":"b","name":"The b","available":1,"low_water":1}]}`},
		{"what is reserved is not available", []step{named("a"), low("a", 5, 9), on("stock-a", stock.Reserved{OrderID: "1", Quantity: 9})},
			`{"items":[{"product_id":"a","name":"The a","available":0,"low_water":5}]}`},
		{"sold out", []step{named("a"), on("stock-a", stock.LowWaterSet{LowWater: 1})}, `{"items":[{"product_id":"a","name":"The a","available":0,"low_water":1}]}`},
		{"restocked", []step{named("a"), low("a", 5, 2), on("stock-a", stock.Restocked{Quantity: 4})}, ""},
		{"the mark is gone", []step{named("a"), low("a", 5, 2), on("stock-a", stock.LowWaterSet{})}, ""},
		{"renamed", []step{named("a"), low("a", 5, 2), on("product-a", product.Renamed{Name: "Quill"})}, `{"items":[{"product_id":"a","name":"Quill","available":2,"low_water":5}]}`},
		{"discontinued", []step{named("a"), named("b"), low("a", 5, 2), low("b", 5, 2), on("product-a", product.Discontinued{})},
			`{"items":[{"product_id":"b","name":"The b","available":2,"low_water":5}]}`},
		{"relisted", []step{named("a"), low("a", 5, 2), on("product-a", product.Discontinued{}, product.Relisted{})}, `{"items":[{"product_id":"a","name":"The a","available":2,"low_water":5}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := view.Fold(view.Products, record(t, c.steps))
			if err != nil || string(got.Documents[view.LowStock]) != c.want {
				t.Errorf("got %s (%v)\nwant %s", got.Documents[view.LowStock], err, c.want)
			}
		})
	}
}

func TestCategoryCounts(t *testing.T) {
	in := func(id, category string, more ...any) step {
		return on("product-"+id, append([]any{product.Created{Name: id, Category: category, Currency: "USD"}}, more...)...)
	}
	got, err := view.Fold(view.Products, record(t, []step{in("a", "Desk"), in("b", "Desk"), in("c", "Kitchen"), in("d", "Gone", product.Discontinued{}),
		in("e", "Desk", product.Categorised{Category: "Art"}), in("f", "Back", product.Discontinued{}, product.Relisted{})}))
	const want = `{"items":[{"category":"Art","products":1},{"category":"Back","products":1},{"category":"Desk","products":2},{"category":"Kitchen","products":1}]}`
	if body := string(got.Documents[view.CategoryCounts]); err != nil || body != want {
		t.Errorf("got %s (%v)\nwant %s", body, err, want)
	}
	if got, err := view.Fold(view.Products, record(t, []step{in("a", "Desk", product.Discontinued{})})); err != nil || got.Documents[view.CategoryCounts] != nil {
		t.Errorf("nothing is sold: %s (%v)", got.Documents[view.CategoryCounts], err)
	}
}
