package query_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/query"
	"jangbu/query/row"
	"jangbu/query/view"
)

const header = "Consistency-Token"

var shippedBody = strings.NewReplacer(`"status":"placed"`, `"status":"shipped"`,
	`"parcels":[]`, `"parcels":[{"number":1,"carrier":"Post","tracking":"","shipped_on":"2026-01-09","delivered_on":null,"lines":[{"line":1,"quantity":2}]}]`,
	`}],"revision":0`, `},{"at":"1970-01-01T00:00:00.080Z","actor":"","what":"shipped","number":1}],"revision":1`).Replace(orderBody)

// ship records that order 1 was shipped, which no view has landed.
func (s *shop) ship() {
	s.Helper()
	s.log.Add(s, "order-1", order.Shipped{Carrier: "Post", ShippedOn: "2026-01-09"})
}

func TestTokens(t *testing.T) {
	s := openShop(t)
	s.ship()
	behind, landed := s.token("order-1"), "order-1@0"
	for _, test := range []struct {
		name    string
		path    string
		headers []string
		status  int
		code    string
	}{
		{"landed", "/orders/1", []string{header, landed}, 200, ""},
		{"behind, without waiting", "/orders/1", []string{header, behind}, 503, "view-behind"},
		{"behind, after waiting", "/orders/1", []string{header, behind, "Prefer", "wait=0"}, 503, "view-behind"},
		{"a token for another document of the view", "/orders/2", []string{header, behind}, 503, "view-behind"},
		{"a stream nobody has seen", "/orders/1", []string{header, "order-none@0"}, 503, "view-behind"},
		{"a document that is not there", "/orders/none", []string{header, behind}, 503, "view-behind"},
		{"a list", "/members/M/orders", []string{header, behind}, 503, "view-behind"},
		{"a tally", "/sales/months", []string{header, behind}, 503, "view-behind"},
		{"several, all landed", "/orders/1", []string{header, landed + ", member-M@0 ,order-2@0"}, 200, ""},
		{"several, one behind", "/orders/1", []string{header, landed + "," + behind}, 503, "view-behind"},
		{"several headers, one behind", "/orders/1", []string{header, behind, header, landed}, 503, "view-behind"},
		{"of a stream that does not feed the view", "/orders/1", []string{header, "product-P@99"}, 200, ""},
		{"of a stream that feeds no view", "/orders/1", []string{header, "payment-1@99"}, 200, ""},
		{"empty", "/orders/1", []string{header, ""}, 200, ""},
		{"empty elements", "/orders/1", []string{header, ", ," + landed + ","}, 200, ""},
		{"no token at all", "/orders/1", []string{header, "x"}, 400, "malformed-header"},
		{"no revision", "/orders/1", []string{header, "order-1@"}, 400, "malformed-header"},
		{"no stream", "/orders/1", []string{header, "@1"}, 400, "malformed-header"},
		{"negative", "/orders/1", []string{header, "order-1@-1"}, 400, "malformed-header"},
		{"tokens without a comma", "/orders/1", []string{header, "order-1@0 member-M@0"}, 400, "malformed-header"},
		{"two revisions", "/orders/1", []string{header, "order-1@0@0"}, 400, "malformed-header"},
		{"no id", "/orders/1", []string{header, "order-@0"}, 400, "malformed-header"},
		{"no dash", "/orders/1", []string{header, "order@0"}, 400, "malformed-header"},
		{"an id that none has", "/orders/1", []string{header, "order-é@0"}, 400, "malformed-header"},
		{"malformed among good ones", "/orders/1", []string{header, landed + ",order-1@x"}, 400, "malformed-header"},
		{"a preference that is not understood", "/orders/1", []string{header, behind, "Prefer", "wait=soon, handling=strict"}, 503, "view-behind"},
		{"preferences without a token", "/orders/1", []string{"Prefer", "wait=10"}, 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.T = t
			a := s.get(test.path, test.headers...)
			if test.code != "" {
				s.isProblem(a, test.status, test.code)
			} else {
				s.is(a, test.status, orderBody)
			}
			if got := a.Header().Get("Consistency-Behind"); got != "" {
				t.Errorf("Consistency-Behind: %s", got)
			}
		})
	}
}

func TestLenient(t *testing.T) {
	s := openShop(t)
	s.ship()
	a := s.get("/orders/1", header, s.token("order-1")+", order-none@4, member-M@0", "Prefer", "handling=lenient")
	s.is(a, 200, orderBody)
	if got := a.Header().Values("Consistency-Behind"); !slices.Equal(got, []string{"order-1@1; landed=0", "order-none@4; landed=nothing"}) {
		t.Errorf("Consistency-Behind: %q", got)
	}
	if got := a.Header().Get("Preference-Applied"); got != "handling=lenient" {
		t.Errorf("Preference-Applied: %q", got)
	}
	s.land(view.Orders)
	a = s.get("/orders/1", header, s.token("order-1"), "Prefer", "handling=lenient")
	s.is(a, 200, shippedBody)
	if got := a.Header().Get("Consistency-Behind") + a.Header().Get("Preference-Applied"); got != "" {
		t.Errorf("a view that is not behind says %q", got)
	}
}

// TestManyTokens: what a query with many tokens costs is bounded, and the tokens of the largest batch are taken.
func TestManyTokens(t *testing.T) {
	s := openShop(t)
	many := func(n int, token string) string {
		tokens := make([]string, n)
		for i := range tokens {
			tokens[i] = fmt.Sprintf(token, i)
		}
		return strings.Join(tokens, ",")
	}
	unseen := many(20, "order-none-%d@7") + "," + many(1000, "order-none-%d@3") // two of some streams
	for _, test := range []struct {
		name     string
		tokens   string
		commands int // of Redis
		status   int
		code     string
	}{
		{"none", "", 1, 200, ""},
		{"one", "order-1@0", 2, 200, ""},
		{"one that is behind", "order-1@9", 2, 503, "view-behind"},
		{"several of one stream", many(4000, "order-1@%d"), 2, 503, "view-behind"},
		{"the highest of a stream first", "order-1@9,order-1@0", 2, 503, "view-behind"},
		{"as many as a batch has", unseen, 33, 503, "view-behind"}, // one for each bucket
		{"too many", many(1001, "order-%d@0"), 0, 400, "malformed-header"},
		{"many that do not feed the view", many(2000, "product-%d@0"), 1, 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.T = t
			s.get("/orders/1") // remembers the generation
			before := s.redis.CommandCount()
			a := s.get("/orders/1", header, test.tokens)
			if n := s.redis.CommandCount() - before; n != test.commands {
				t.Errorf("%d commands, want %d", n, test.commands)
			}
			if test.code != "" {
				s.isProblem(a, test.status, test.code)
			} else {
				s.is(a, test.status, orderBody)
			}
		})
	}
	s.T = t
	a := s.get("/orders/1", header, unseen, "Prefer", "handling=lenient")
	s.is(a, 200, orderBody)
	late := a.Header().Values("Consistency-Behind")
	if len(late) != 21 || late[0] != "order-none-0@7; landed=nothing" || late[20] != "more=980" {
		t.Errorf("Consistency-Behind: %q", late)
	}
}

// hooked lets a test act in the middle of a query.
type hooked struct {
	query.Model
	onLive     func(row.Generation)
	onLanded   func(streams []string)
	onDocument func(g row.Generation, doc string)
}

func (m hooked) Document(ctx context.Context, g row.Generation, doc string) ([]byte, error) {
	if m.onDocument != nil {
		m.onDocument(g, doc)
	}
	return m.Model.Document(ctx, g, doc)
}

func (m hooked) Live(ctx context.Context, view string, fresh bool) (row.Generation, error) {
	g, err := m.Model.Live(ctx, view, fresh)
	if m.onLive != nil {
		m.onLive(g)
	}
	return g, err
}

func (m hooked) Landed(ctx context.Context, g row.Generation, streams []string) ([]int64, error) {
	at, err := m.Model.Landed(ctx, g, streams)
	if m.onLanded != nil {
		m.onLanded(streams)
	}
	return at, err
}

// TestWaits: a query waits until the view has what the client has seen.
func TestWaits(t *testing.T) {
	for _, path := range []string{"/orders/1", "/members/M/orders", "/sales/months"} {
		t.Run(path, func(t *testing.T) {
			s := openShop(t)
			s.ship()
			asked := 0
			s.over(hooked{Model: s.model, onLanded: func([]string) {
				if asked++; asked == 5 {
					for _, v := range view.All() {
						s.land(v)
					}
				}
			}})
			a := s.get(path, header, s.token("order-1"), "Prefer", "wait=30")
			if a.Code != 200 || asked <= 5 {
				t.Errorf("after being asked %d times: %d %s", asked, a.Code, a.Body)
			}
			if path == "/orders/1" {
				s.is(a, 200, shippedBody)
			}
		})
	}
}

// TestWaitsForSeveral: of several tokens one is asked about until it has landed, and then the others.
func TestWaitsForSeveral(t *testing.T) {
	s := openShop(t)
	s.ship()
	s.log.Add(t, "order-2", order.Shipped{Carrier: "Post", ShippedOn: "2026-01-09"})
	var asked []string
	s.over(hooked{Model: s.model, onLanded: func(streams []string) {
		if asked = append(asked, strings.Join(streams, " ")); len(asked) == 3 {
			s.land(view.Orders)
		}
	}})
	s.is(s.get("/orders/1", header, "order-3@0,order-1@1,order-2@1", "Prefer", "wait=30"), 200, shippedBody)
	if want := []string{"order-3 order-1 order-2", "order-1", "order-1", "order-1", "order-2"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}

// TestWaitInVain: what a lenient answer lacks is found out when the wait is over.
func TestWaitInVain(t *testing.T) {
	s := openShop(t)
	s.ship()
	s.log.Add(t, "order-2", order.Shipped{Carrier: "Post", ShippedOn: "2026-01-09"})
	live, err := s.model.Live(t.Context(), view.Orders.Name, true)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	s.over(hooked{Model: s.model, onLanded: func([]string) {
		if asked++; asked == 1 {
			if err := s.landIn(view.Orders, live, s.log.Stream("order-2")); err != nil {
				t.Error(err)
			}
		}
	}})
	a := s.get("/orders/1", header, "order-1@1,order-2@1", "Prefer", "wait=1, handling=lenient")
	s.is(a, 200, orderBody)
	if got := a.Header().Values("Consistency-Behind"); !slices.Equal(got, []string{"order-1@1; landed=0"}) {
		t.Errorf("Consistency-Behind: %q", got)
	}
}

// TestWaitEnds: a client that leaves is not waited for.
func TestWaitEnds(t *testing.T) {
	s := openShop(t)
	s.ship()
	ctx, leave := context.WithCancel(t.Context())
	s.over(hooked{Model: s.model, onLanded: func([]string) { leave() }})
	a := s.askContext(ctx, "GET", "/orders/1", header, s.token("order-1"), "Prefer", "wait=30")
	s.isProblem(a, 503, "unavailable")
}

// TestSwitchBetweenLookUps: a query that knows an old generation finds what only the new one has, and what is gone from
// the old one.
func TestSwitchBetweenLookUps(t *testing.T) {
	s := openShop(t)
	for _, route := range routes {
		s.is(s.get(route.path), 200, route.body) // remembers the first generations
	}
	s.log.Add(t, "order-4", s.order(4))
	s.replay()
	if a := s.get("/orders/4"); a.Code != 200 {
		t.Errorf("an order that only the new generation has: %d %s", a.Code, a.Body)
	}
	s.pass(time.Second)
	for _, path := range []string{"/orders/4", "/sales/months", "/members/M/orders"} {
		if now := s.get(path); now.Code != 200 {
			t.Errorf("%s, when the old pointer has run out: %d %s", path, now.Code, now.Body)
		}
	}
	s.replay()
	s.replay() // what the pointers name is removed now
	for _, path := range []string{"/orders/1", "/orders/4", "/members/M", "/products/P", "/sales/months", "/sales/categories", "/sales/countries"} {
		if a := s.get(path); a.Code != 200 || strings.Contains(a.Body.String(), `"items":[]`) {
			t.Errorf("%s after its generation was removed: %d %s", path, a.Code, a.Body)
		}
	}
}

// TestTokenAcrossSwitch: a query answers from the generation that has what the token says, even if the pointer that was
// remembered meanwhile names an older one.
func TestTokenAcrossSwitch(t *testing.T) {
	s := openShop(t)
	s.get("/orders/1")
	s.ship()
	s.replay() // the API still remembers the generation before
	s.is(s.get("/orders/1", header, s.token("order-1")), 200, shippedBody)

	old, err := s.model.Live(t.Context(), view.Orders.Name, true)
	if err != nil {
		t.Fatal(err)
	}
	s.replay()
	s.log.Add(t, "member-M", member.Renamed{Name: "Mina Kim"})
	s.land(view.Orders) // in the new generation alone
	s.over(staleModel{Model: s.model, old: old})
	renamed := strings.Replace(shippedBody, `"Mina"`, `"Mina Kim"`, 1)
	s.is(s.get("/orders/1", header, s.token("member-M")), 200, renamed)
	s.is(s.get("/orders/1", header, s.token("member-M")+",order-2@0"), 200, renamed)
	s.is(s.get("/orders/1", header, "order-2@0,"+s.token("member-M")), 200, renamed)
}

// TestTokensInOneGeneration: what one generation has of the tokens says nothing about the next.
func TestTokensInOneGeneration(t *testing.T) {
	s := openShop(t)
	old, err := s.model.Live(t.Context(), view.Orders.Name, true)
	if err != nil {
		t.Fatal(err)
	}
	s.replay()
	s.log.Add(t, "member-M", member.Renamed{Name: "Mina Kim"})
	s.land(view.Orders)
	s.ship()
	if err := s.landIn(view.Orders, old, s.log.Stream("order-1")); err != nil {
		t.Fatal(err)
	}
	s.over(staleModel{Model: s.model, old: old})
	for _, tokens := range []string{s.token("order-1") + "," + s.token("member-M"), s.token("member-M") + "," + s.token("order-1")} {
		s.isProblem(s.get("/orders/1", header, tokens), 503, "view-behind")
	}
}

// staleModel remembers an old generation whenever it is not asked for a fresh one, as another query's slow answer can
// make a Store do for a moment.
type staleModel struct {
	query.Model
	old row.Generation
}

func (m staleModel) Live(ctx context.Context, view string, fresh bool) (row.Generation, error) {
	if !fresh && view == m.old.View {
		return m.old, nil
	}
	return m.Model.Live(ctx, view, true)
}
