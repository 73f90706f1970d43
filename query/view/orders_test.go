package view_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"jangbu/domain/event"
	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/query/view"
	"jangbu/test/history"
)

const (
	orderLines = `"lines":[{"product_id":"pen","name":"Pen","category":"Desk","unit_price":150,"quantity":2,"discount_percent":0,"amount":300}],"units":2,"subtotal":300,"shipping_fee":0,"total":300,"currency":"USD","ship_to":null,`
	unpaid     = `"payment":{"method":"card","status":"none","authorised":0,"captured":0,"refunded":0},`
	nothing    = `"parcels":[],"returns":[],`
)

// ordered is the beginning of an order's document, up to its payment.
func ordered(id, status, name string) string {
	return `{"id":"` + id + `","status":"` + status + `","placed_on":"2026-03-05","member":{"id":"M","name":"` + name + `","country":"Korea"},` + orderLines
}

// timeline is the end of an order's document: of each moment how many events there were before it, and what it says.
func timeline(moments ...any) string {
	var all []string
	for i := 0; i < len(moments); i += 2 {
		what, number, _ := strings.Cut(moments[i+1].(string), " ")
		if number != "" {
			number = `,"number":` + number
		}
		all = append(all, fmt.Sprintf(`{"at":"1970-01-01T00:00:00.%03dZ","actor":"","what":%q%s}`, 10*(moments[i].(int)+1), what, number))
	}
	return fmt.Sprintf(`"timeline":[%s],"revision":%d}`, strings.Join(all, ","), len(all)-1)
}

func TestOrders(t *testing.T) {
	const two = `[{"line":1,"quantity":2}]`
	play(t, view.Orders, []scene{
		{"nothing", nil, nil, nil},
		{"a member alone is no order", []step{mina}, nil, nil},
		{"placed", []step{mina, on("order-1", placed())}, map[string]string{"1": ordered("1", "placed", "Mina") + unpaid + nothing + timeline(1, "placed")}, nil},
		{"placed before its member is known", []step{on("order-1", placed()), mina},
			map[string]string{"1": ordered("1", "placed", "Mina") + unpaid + nothing + timeline(0, "placed")}, nil},
		{"placed by nobody known", []step{on("order-1", placed())},
			map[string]string{"1": strings.Replace(ordered("1", "placed", ""), "Korea", "", 1) + unpaid + nothing + timeline(0, "placed")}, nil},
		{"renamed", []step{mina, on("order-1", placed()), on("order-2", placed()), on("member-M", member.Renamed{Name: `"M" <&> 미나`})}, map[string]string{
			"1": ordered("1", "placed", `\"M\" \u003c\u0026\u003e 미나`) + unpaid + nothing + timeline(1, "placed"),
			"2": ordered("2", "placed", `\"M\" \u003c\u0026\u003e 미나`) + unpaid + nothing + timeline(2, "placed"),
		}, nil},
		{"moved", []step{mina, on("order-1", placed()), on("member-M", member.ContactChanged{Country: "Peru"})}, map[string]string{
			"1": strings.Replace(ordered("1", "placed", "Mina"), "Korea", "Peru", 1) + unpaid + nothing + timeline(1, "placed")}, nil},
		{"by hand", []step{mina, on("order-1", placed(func(e *order.Placed) { e.Manual = true }), order.Shipped{Carrier: "Post", Tracking: "T1", ShippedOn: "2026-03-09"})},
			map[string]string{"1": ordered("1", "shipped", "Mina") + `"manual":true,` + unpaid +
				`"parcels":[{"number":1,"carrier":"Post","tracking":"T1","shipped_on":"2026-03-09","delivered_on":null,"lines":` + two + `}],"returns":[],` +
				timeline(1, "placed", 2, "shipped 1")}, nil},
		{"cancelled", []step{mina, on("order-1", placed(), cancelled)}, map[string]string{"1": ordered("1", "cancelled", "Mina") + unpaid + nothing +
			`"cancel_reason":"changed my mind",` + timeline(1, "placed", 2, "cancelled")}, nil},
		{"sold out", []step{mina, on("order-1", placed(), order.StockRefused{ProductID: "pen", Wanted: 2}, order.Cancelled{Reason: "Pen is sold out.", Code: order.SoldOut})},
			map[string]string{"1": ordered("1", "cancelled", "Mina") + unpaid + nothing + `"cancel_reason":"Pen is sold out.","cancel_code":"sold-out",` +
				timeline(1, "placed", 2, "stock-refused", 3, "cancelled")}, nil},
		{"declined, and undone", []step{mina, on("order-1", placed(), order.StockReserved{}, order.PaymentRefused{Reason: "too little"},
			order.Cancelled{Reason: "The payment was declined: too little.", Code: order.PaymentDeclined}, order.StockReleased{}, order.PaymentVoided{})},
			map[string]string{"1": ordered("1", "cancelled", "Mina") + strings.Replace(unpaid, "none", "declined", 1) + nothing +
				`"cancel_reason":"The payment was declined: too little.","cancel_code":"payment-declined",` +
				timeline(1, "placed", 2, "stock-reserved", 3, "payment-declined", 4, "cancelled", 5, "stock-released", 6, "payment-voided")}, nil},
		{"called off after it was confirmed", []step{mina, on("order-1", placed(func(e *order.Placed) { e.PaymentMethod = order.Invoice }), order.StockReserved{},
			order.PaymentAuthorised{Amount: 300}, order.Confirmed{}, cancelled, order.PaymentVoided{})},
			map[string]string{"1": ordered("1", "cancelled", "Mina") + `"payment":{"method":"invoice","status":"voided","authorised":300,"captured":0,"refunded":0},` + nothing +
				`"cancel_reason":"changed my mind",` +
				timeline(1, "placed", 2, "stock-reserved", 3, "payment-authorised", 4, "confirmed", 5, "cancelled", 6, "payment-voided")}, nil},
		{"two parcels, of which one came back in part", []step{mina, on("order-1", placed(), order.StockReserved{}, order.PaymentAuthorised{Amount: 300}, order.Confirmed{},
			order.Shipped{Carrier: "Post", ShippedOn: "2026-03-09", Lines: some(1, 1)}, order.StockShipped{Parcel: 1}, order.PaymentCaptured{Amount: 300},
			order.Shipped{Carrier: "Bike", ShippedOn: "2026-03-10"}, order.Delivered{Parcel: 2, DeliveredOn: "2026-03-11"},
			order.Returned{Lines: some(1, 1), Amount: 150, Restock: true, Reason: "broken", ReturnedOn: "2026-03-20"}, order.StockReturned{Return: 1},
			order.PaymentRefunded{Return: 1, Amount: 150})},
			map[string]string{"1": ordered("1", "shipped", "Mina") + `"payment":{"method":"card","status":"captured","authorised":300,"captured":300,"refunded":150},` +
				`"parcels":[{"number":1,"carrier":"Post","tracking":"","shipped_on":"2026-03-09","delivered_on":null,"lines":[{"line":1,"quantity":1}]},` +
				`{"number":2,"carrier":"Bike","tracking":"","shipped_on":"2026-03-10","delivered_on":"2026-03-11","lines":[{"line":1,"quantity":1}]}],` +
				`"returns":[{"number":1,"lines":[{"line":1,"quantity":1}],"amount":150,"refunded":true,"restock":true,"restocked":true,"reason":"broken","returned_on":"2026-03-20"}],` +
				timeline(1, "placed", 2, "stock-reserved", 3, "payment-authorised", 4, "confirmed", 5, "shipped 1", 6, "stock-shipped 1", 7, "payment-captured", 8, "shipped 2",
					9, "delivered 2", 10, "returned 1", 11, "stock-returned 1", 12, "payment-refunded 1")}, nil},
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
			`"units":4,"subtotal":849,"shipping_fee":49,"total":898,"currency":"USD","ship_to":{"name":"Mr. Lee","city":"Busan","country":"Korea"},` +
			unpaid + nothing + timeline(1, "placed")}, nil},
	})
}

// TestTimelineTellsWho: the actor is that of the event's metadata, and an event without any was nobody's.
func TestTimelineTellsWho(t *testing.T) {
	h := &history.History{}
	h.Add(t, "order-1", placed(), order.Confirmed{})
	log := h.Events()
	log[0].Metadata = []byte(`{"actor":"Mina <m@shop.example>"}`)
	got, err := view.Fold(view.Orders, log)
	const want = `"timeline":[{"at":"1970-01-01T00:00:00.010Z","actor":"Mina \u003cm@shop.example\u003e","what":"placed"},{"at":"1970-01-01T00:00:00.020Z","actor":"","what":"confirmed"}],"revision":1}`
	if err != nil || !strings.HasSuffix(string(got.Documents["1"]), want) {
		t.Errorf("got %s (%v)\nwant … %s", got.Documents["1"], err, want)
	}
}

func TestFunnel(t *testing.T) {
	confirmed := []any{placed(), order.StockReserved{}, order.PaymentAuthorised{}, order.Confirmed{}}
	then := func(more ...any) []any { return append(slices.Clone(confirmed), more...) }
	half := order.Shipped{Lines: some(1, 1)}
	got, err := view.Fold(view.Orders, record(t, []step{
		on("order-placed", placed()),
		on("order-confirmed", confirmed...),
		on("order-begun", then(half)...),
		on("order-half", then(half, order.Delivered{Parcel: 1})...),
		on("order-shipped", then(order.Shipped{})...),
		on("order-by-hand", placed(), order.Shipped{}),
		on("order-delivered", then(half, half, order.Delivered{Parcel: 2}, order.Delivered{Parcel: 1})...),
		on("order-part-back", then(order.Shipped{}, order.Delivered{Parcel: 1}, order.Returned{Lines: some(1, 1)})...),
		on("order-back", then(order.Shipped{}, order.Delivered{Parcel: 1}, order.Returned{Lines: some(1, 2)})...),
		on("order-refused", then(order.Shipped{}, order.Returned{Lines: some(1, 2)})...),
		on("order-off", placed(), cancelled),
		on("order-off-late", then(cancelled)...),
		on("order-sold-out", placed(), order.Cancelled{Code: order.SoldOut}),
	}))
	const want = `{"placed":13,"confirmed":10,"shipped":8,"delivered":3,"returned":2,"cancelled":{"on-request":2,"sold-out":1}}`
	if body := string(got.Documents[view.Funnel]); err != nil || body != want {
		t.Errorf("got %s (%v)\nwant %s", body, err, want)
	}
}

// TestStatusIsTheDomains: of any order, the views that keep less than its state tell the status that the domain does.
func TestStatusIsTheDomains(t *testing.T) {
	history.Seeds(t, 20, func(t *testing.T, r *rand.Rand) {
		log := history.Random(t, r, 400).Events()
		orders, err := view.Fold(view.Orders, log)
		if err != nil {
			t.Fatal(err)
		}
		lists, err := view.Fold(view.OrderLists, log)
		if err != nil {
			t.Fatal(err)
		}
		states := domainOrders(t, log)
		statuses, byStatus := map[order.Status]int{}, 0
		for id, s := range states {
			statuses[s.Status]++
			if !strings.Contains(string(orders.Documents[id]), fmt.Sprintf(`"status":%q`, s.Status)) {
				t.Errorf("order %s is %s, and its document %s", id, s.Status, orders.Documents[id])
			}
		}
		for _, status := range slices.Sorted(maps.Keys(statuses)) {
			doc, ok := view.OrderList(string(status))
			if !ok || len(lists.Lists[doc]) != statuses[status] {
				t.Errorf("the list %s has %d orders, want %d", doc, len(lists.Lists[doc]), statuses[status])
			}
			byStatus += len(lists.Lists[doc])
		}
		if all, _ := view.OrderList(""); len(lists.Lists[all]) != len(states) || byStatus != len(states) {
			t.Errorf("%d orders are listed, %d by status, want %d", len(lists.Lists[all]), byStatus, len(states))
		}
	})
}

func domainOrders(t *testing.T, log []event.Recorded) map[string]order.State {
	t.Helper()
	states := map[string]order.State{}
	for _, e := range log {
		if event.Category(e.Stream) != order.Category {
			continue
		}
		decoded, err := order.Codec.Decode(e.Type, e.Data)
		if err != nil {
			t.Fatal(err)
		}
		id := event.StreamID(e.Stream)
		states[id] = order.Apply(states[id], decoded)
	}
	return states
}
