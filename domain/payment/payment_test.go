package payment

import (
	"strings"
	"testing"

	"jangbu/domain/domaintest"
	"jangbu/domain/money"

	"pgregory.net/rapid"
)

func decide(given []any, command any) ([]any, error) { return Decide(fold(given), command.(Command)) }

func fold(events []any) State { return domaintest.Fold(Apply, events) }

func TestDecide(t *testing.T) {
	asked := Requested{OrderID: "o", Amount: 1000, Currency: "EUR", Method: "card"}
	request := Request(asked)
	requested := []any{asked}
	authorised := []any{asked, Authorised{Reference: "pi_1"}}
	declined := []any{asked, Declined{Reason: "no money"}}
	captured := []any{asked, Authorised{Reference: "pi_1"}, Captured{Amount: 1000}}
	voided := []any{asked, Voided{}}
	neverAsked := []any{Voided{}}
	refunded := append(captured[:3:3], Refunded{Return: 1, Amount: 600, Reference: "re_1"})
	dearer := request
	dearer.Amount++
	domaintest.Run(t, []domaintest.Case{
		{Name: "request", When: request, Then: requested},
		{Name: "request nothing", When: Request{OrderID: "o", Currency: "EUR", Method: "invoice"}, Then: []any{Requested{OrderID: "o", Currency: "EUR", Method: "invoice"}}},
		{Name: "request again", Given: requested, When: request},
		{Name: "request again when it is authorised", Given: authorised, When: request},
		{Name: "request again when it is declined", Given: declined, When: request},
		{Name: "request again when it is captured", Given: captured, When: request},
		{Name: "request another amount", Given: requested, When: dearer, Err: domaintest.Refused("payment-exists")},
		{Name: "request what is void", Given: voided, When: request, Err: domaintest.Refused("payment-voided")},
		{Name: "request what was void before", Given: neverAsked, When: request, Err: domaintest.Refused("payment-voided")},
		{Name: "request nonsense", When: Request{OrderID: "a b", Amount: -1, Currency: "eur"}, Err: domaintest.Invalid("/order_id", "/amount", "/currency", "/method")},
		{Name: "request too much", When: Request{OrderID: "o", Amount: money.Max + 1, Currency: "EUR", Method: "card"}, Err: domaintest.Invalid("/amount")},

		{Name: "authorise", Given: requested, When: Authorise{OrderID: "o", Reference: "pi_1"}, Then: []any{Authorised{Reference: "pi_1"}}},
		{Name: "authorise again", Given: authorised, When: Authorise{OrderID: "o", Reference: "pi_1"}},
		{Name: "authorise what is captured", Given: captured, When: Authorise{OrderID: "o", Reference: "pi_1"}},
		{Name: "authorise what nobody requested", When: Authorise{OrderID: "o"}, Err: domaintest.Refused("payment-not-requested")},
		{Name: "authorise what is void", Given: voided, When: Authorise{OrderID: "o"}, Err: domaintest.Refused("payment-voided")},
		{Name: "authorise what is declined", Given: declined, When: Authorise{OrderID: "o"}, Err: domaintest.Refused("payment-declined")},
		{Name: "authorise under an endless name", Given: requested, When: Authorise{OrderID: "o", Reference: strings.Repeat("x", 201)}, Err: domaintest.Invalid("/reference")},

		{Name: "decline", Given: requested, When: Decline{OrderID: "o", Reason: "no money"}, Then: []any{Declined{Reason: "no money"}}},
		{Name: "decline again", Given: declined, When: Decline{OrderID: "o", Reason: "other words"}},
		{Name: "decline what is authorised", Given: authorised, When: Decline{OrderID: "o", Reason: "x"}, Err: domaintest.Refused("payment-authorised")},
		{Name: "decline what is captured", Given: captured, When: Decline{OrderID: "o", Reason: "x"}, Err: domaintest.Refused("payment-authorised")},
		{Name: "decline what is void", Given: voided, When: Decline{OrderID: "o", Reason: "x"}, Err: domaintest.Refused("payment-voided")},
		{Name: "decline what nobody requested", When: Decline{OrderID: "o", Reason: "x"}, Err: domaintest.Refused("payment-not-requested")},
		{Name: "decline for no reason", Given: requested, When: Decline{OrderID: "o"}, Err: domaintest.Invalid("/reason")},

		{Name: "capture", Given: authorised, When: Capture{OrderID: "o"}, Then: []any{Captured{Amount: 1000}}},
		{Name: "capture again", Given: captured, When: Capture{OrderID: "o"}},
		{Name: "capture before the gateway answers", Given: requested, When: Capture{OrderID: "o"}, Err: domaintest.Refused("payment-not-authorised")},
		{Name: "capture what is declined", Given: declined, When: Capture{OrderID: "o"}, Err: domaintest.Refused("payment-declined")},
		{Name: "capture what is void", Given: voided, When: Capture{OrderID: "o"}, Err: domaintest.Refused("payment-voided")},
		{Name: "capture what nobody requested", When: Capture{OrderID: "o"}, Err: domaintest.Refused("payment-not-requested")},

		{Name: "void what nobody requested", When: Void{OrderID: "o"}, Then: []any{Voided{}}},
		{Name: "void what is requested", Given: requested, When: Void{OrderID: "o"}, Then: []any{Voided{}}},
		{Name: "void what is authorised", Given: authorised, When: Void{OrderID: "o"}, Then: []any{Voided{}}},
		{Name: "void what is declined", Given: declined, When: Void{OrderID: "o"}, Then: []any{Voided{}}},
		{Name: "void again", Given: voided, When: Void{OrderID: "o"}},
		{Name: "void what is captured", Given: captured, When: Void{OrderID: "o"}, Err: domaintest.Refused("payment-captured")},

		{Name: "refund a part", Given: captured, When: Refund{OrderID: "o", Return: 1, Amount: 600, Reference: "re_1"},
			Then: []any{Refunded{Return: 1, Amount: 600, Reference: "re_1"}}},
		{Name: "refund the rest", Given: refunded, When: Refund{OrderID: "o", Return: 2, Amount: 400}, Then: []any{Refunded{Return: 2, Amount: 400}}},
		{Name: "refund a return again", Given: refunded, When: Refund{OrderID: "o", Return: 1, Amount: 600}},
		{Name: "refund more than was captured", Given: refunded, When: Refund{OrderID: "o", Return: 2, Amount: 401}, Err: domaintest.Refused("refund-too-large")},
		{Name: "refund what is not captured", Given: authorised, When: Refund{OrderID: "o", Return: 1, Amount: 1}, Err: domaintest.Refused("payment-not-captured")},
		{Name: "refund what is void", Given: voided, When: Refund{OrderID: "o", Return: 1, Amount: 1}, Err: domaintest.Refused("payment-not-captured")},
		{Name: "refund what nobody requested", When: Refund{OrderID: "o", Return: 1, Amount: 1}, Err: domaintest.Refused("payment-not-requested")},
		{Name: "refund nothing for no return", Given: captured, When: Refund{OrderID: "o"}, Err: domaintest.Invalid("/return", "/amount")},
	}, decide)
}

func TestGolden(t *testing.T) {
	domaintest.Golden(t, Codec, map[string]any{
		"payment.requested.v1":  Requested{OrderID: "10248", Amount: 47238, Currency: "USD", Method: "card"},
		"payment.authorised.v1": Authorised{Reference: "pi_3MtwBwLkdIwHu7ix28a3tqPa"},
		"payment.declined.v1":   Declined{Reason: "insufficient funds"},
		"payment.captured.v1":   Captured{Amount: 47238},
		"payment.voided.v1":     Voided{},
		"payment.refunded.v1":   Refunded{Return: 1, Amount: 3600, Reference: "re_1Nispe2eZvKYlo2Cd31jOCgZ"},
	})
}

// TestAnyCommands: what is paid back is never more than what was taken, a return is paid back once, a void payment stays
// void, and each command said again changes nothing.
func TestAnyCommands(t *testing.T) {
	amount := rapid.Int64Range(-1, 20)
	command := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) Command { return Request{"o", amount.Draw(t, "amount"), "EUR", "card"} }),
		rapid.Just[Command](Request{"o", 20, "EUR", "card"}),
		rapid.Just[Command](Authorise{"o", "pi"}), rapid.Just[Command](Authorise{"o", "pi"}),
		rapid.Just[Command](Decline{"o", "no"}),
		rapid.Just[Command](Capture{"o"}), rapid.Just[Command](Capture{"o"}),
		rapid.Just[Command](Void{"o"}),
		rapid.Custom(func(t *rapid.T) Command {
			return Refund{"o", rapid.IntRange(0, 4).Draw(t, "return"), amount.Draw(t, "refund"), "re"}
		}),
	)
	rapid.Check(t, func(t *rapid.T) {
		commands := rapid.SliceOfN(command, 1, 40).Draw(t, "commands")
		domaintest.Commands(t, Codec, Apply, Decide, commands, func(before, s State, _ int) {
			returns := map[int]bool{}
			for _, r := range s.Refunds {
				if returns[r.Return] || !s.RefundedFor(r.Return) {
					t.Fatalf("return %d in %#v", r.Return, s)
				}
				returns[r.Return] = true
			}
			if s.Refunded() > s.Captured || s.Captured > s.Amount || (s.Captured > 0 && s.Status != StatusCaptured) ||
				(before.Status == StatusVoided && s.Status != StatusVoided) || (before.Status == StatusCaptured && s.Status != StatusCaptured) {
				t.Fatalf("%#v became %#v", before, s)
			}
		})
	})
}
