package property_test

import (
	"fmt"
	"net/http"
	"strings"
)

// request is a POST. What stands in braces in it is drawn (run.names).
type request struct{ path, body string }

// commands are what clients ask for one after the other, and how often.
var commands = []struct {
	weight   int
	requests []request
}{
	{2, []request{{"/members", `{"id":"{member}","name":"Name of {member}","email":"{email}","country":"Peru"}`}}},
	{3, []request{{"/members/{member}/rename", `{"name":"{member}, once more <{n}>"}`}}},
	{2, []request{{"/members/{member}/email", `{"email":"{email}"}`}}},
	{2, []request{{"/members/{member}/contact", `{"contact":"Mr. Kim","country":"{country}"}`}}},
	{3, []request{{"/members/{member}/addresses", `{"label":"{country}","name":"{member}","city":"City {n}","country":"{country}"}`}}},
	{2, []request{{"/members/{member}/addresses/remove", `{"label":"{country}"}`}}},
	{1, []request{{"/members/M2/close", ``}}},

	{2, []request{{"/products", `{"id":"{product}","name":"Name of {product}","category":"{category}","price":{price},"currency":"USD","tags":{tags}}`}}},
	{2, []request{{"/products/{product}/rename", `{"name":"{product} with {n} pages"}`}}},
	{1, []request{{"/products/{product}/describe", `{"description":"It has {n} pages."}`}}},
	{2, []request{{"/products/{product}/categorise", `{"category":"{category}"}`}}},
	{5, []request{{"/products/{product}/tag", `{"tags":{tags}}`}}},
	{1, []request{{"/products/{product}/picture", `{"images":["https://shop.example/{n}.png"]}`}}},
	{3, []request{{"/products/{product}/reprice", `{"price":{price}}`}}},
	{2, []request{{"/products/{product}/sale", `{"price":{price},"from":"2000-01-01T00:00:00Z","until":"2100-01-01T00:00:00Z"}`}}},
	{1, []request{{"/products/{product}/sale/end", ``}}},
	{1, []request{{"/products/{product}/discontinue", ``}}},
	{2, []request{{"/products/{product}/relist", ``}}},

	{2, []request{{"/products/{product}/restock", `{"quantity":{n}}`}}},
	{2, []request{{"/products/{product}/count", `{"on_hand":{n},"reason":"counted"}`}}},
	{3, []request{{"/products/{product}/low-water", `{"low_water":{n}}`}}},

	{8, []request{{"/orders", `{"id":"{new}","member_id":"{member}","manual":true,"lines":[{"product_id":"{product}","quantity":{units}}],"placed_on":"{day}"}`}}},
	{8, []request{ // which is soon at rest
		{"/orders", `{"id":"{new}","member_id":"{member}","manual":true,"lines":[{"product_id":"{product}","quantity":{units}},{"product_id":"P0","quantity":2}],"placed_on":"{day}"}`},
		{"/orders/{new}/ship", `{"carrier":"Post"}`},
		{"/orders/{new}/deliver", ``},
	}},
	{8, []request{{"/orders", `{"id":"{new}","member_id":"{member}","lines":[{"product_id":"{product}","quantity":{units}}],"shipping_fee":{fee},"placed_on":"{day}"}`}}},
	{4, []request{{"/orders", `{"id":"{new}","member_id":"{member}","payment_method":"invoice","lines":[{"product_id":"{product}","quantity":{units},"discount_percent":50},{"product_id":"P0","quantity":2}],"placed_on":"{day}"}`}}},
	{10, []request{{"/orders/{order}/ship", `{"carrier":"Post"}`}}},
	{4, []request{{"/orders/{order}/ship", `{"carrier":"Post","tracking":"T{n}","lines":[{"line":1,"quantity":1}]}`}}},
	{10, []request{{"/orders/{order}/deliver", ``}}},
	{2, []request{{"/orders/{order}/deliver", `{"parcel":1}`}}},
	{6, []request{{"/orders/{order}/return", `{"restock":{yes}}`}}},
	{8, []request{{"/orders/{order}/return", `{"lines":[{"line":1,"quantity":1}],"restock":{yes},"reason":"too small"}`}}},
	{4, []request{{"/orders/{order}/cancel", `{"reason":"changed my mind"}`}}},
}

// opening is what each history begins with, so that there is something to order.
var opening = []request{
	{"/members", `{"id":"M0","name":"Name of M0","country":"Peru"}`},
	{"/members", `{"id":"M1","name":"Name of M1","country":"Korea"}`},
	{"/products", `{"id":"P0","name":"Name of P0","category":"C0","price":100,"currency":"USD","tags":["new"]}`},
	{"/products", `{"id":"P1","name":"Name of P1","category":"C1","price":300,"currency":"USD"}`},
	{"/products/P0/restock", `{"quantity":50}`},
	{"/products/P1/restock", `{"quantity":20}`},
}

func (r *run) open() {
	for _, c := range opening {
		r.say(c)
	}
}

// command sends one of the commands, which may be refused.
func (r *run) command() {
	names, all := r.names(), 0
	for _, c := range commands {
		all += c.weight
	}
	n := r.IntN(all)
	for _, c := range commands {
		if n -= c.weight; n < 0 {
			for _, q := range c.requests {
				r.say(request{names.Replace(q.path), names.Replace(q.body)})
			}
			return
		}
	}
}

// names draws what stands for what in a command. There is little of everything, so that commands meet; an order is one of the last.
func (r *run) names() *strings.Replacer {
	oneOf := func(all ...string) string { return all[r.IntN(len(all))] }
	return strings.NewReplacer(
		"{member}", oneOf("M0", "M0", "M0", "M1", "M1", "M2"),
		"{email}", oneOf("", "a@shop.example", "b@shop.example"),
		"{country}", oneOf("Peru", "Korea"),
		"{product}", oneOf("P0", "P0", "P0", "P1", "P1", "P2"),
		"{category}", oneOf("C0", "C1"),
		"{tags}", oneOf(`[]`, `["new"]`, `["new","red/blue"]`),
		"{price}", fmt.Sprint(100*r.IntN(10)),
		"{new}", fmt.Sprintf("O%d", r.orders),
		"{order}", fmt.Sprintf("O%d", max(0, r.orders-1-r.IntN(3))),
		"{units}", fmt.Sprint(1+r.IntN(9)),
		"{fee}", oneOf("0", "0", "2", "4", "5", "6", "8", "9"), // by which the simulated gateway tells what is to go wrong
		"{day}", fmt.Sprintf("2026-%02d-11", 1+r.IntN(12)),
		"{yes}", oneOf("true", "false"),
		"{n}", fmt.Sprint(1+r.IntN(99)),
	)
}

// say POSTs a request, maybe twice.
func (r *run) say(q request) {
	status := r.post(q.path, q.body)
	r.tell("POST %s %s: %d", q.path, q.body, status)
	if q.path == "/orders" && status == http.StatusCreated {
		r.orders++
	}
}
