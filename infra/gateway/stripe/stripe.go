// Package stripe is a payment gateway over Stripe's PaymentIntents with manual capture.
//
// A payment is one intent: created, and then confirmed, which holds the amount; captured or cancelled; refunded by parts.
// Each request carries an idempotency key of its step. So an intent whose id was lost with an answer is found again by
// sending its creation once more: that is how a payment is voided of which we know nothing but the order. Creating does
// not hold anything yet.
//
// # Caveats
//
//   - Stripe remembers keys for at least 24 hours. A payment that was authorised, whose answer was lost, and that nobody went on
//     with for longer than that, is created anew; the hold of the first one ends by itself, after seven days for most cards.
//     Refunds are found by their metadata, however old.
//   - A refund that Stripe answered 5xx, without effect, is tried in vain until Stripe has forgotten its key.
//   - Where Stripe counts a currency in coarser units than ISO 4217 (see units), not every amount can be charged; and what is paid back
//     for a return is rounded up to such a unit, all refunds of the payment together.
//   - While Stripe takes longer than RequestTimeout over each request, no step is heard of: what is held is let go of only when it is faster.
//   - A hold lapses after some days, seven for most cards. What is captured later cannot be taken.
//   - A refund that Stripe takes, and that fails after its event was written, goes unnoticed.
//   - The shop has no page for a customer's card. Config.PaymentMethod stands for it.
package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v85"

	"jangbu/domain/event"
	"jangbu/domain/payment"
)

// DefaultPaymentMethod is Stripe's test card that approves.
const DefaultPaymentMethod = "pm_card_visa"

// RequestTimeout bounds each request. Stripe's own libraries wait 80 seconds, longer than Stripe itself works on one, lest a charge is made that
// nobody hears of. Here whoever asks again finds it, and one that waits keeps a worker of fulfilment from other orders. Of much longer ones 16
// workers end too few for the circuit breaker to open when Stripe is silent.
const RequestTimeout = 5 * time.Second

// CallTimeout is enough for a call each of whose requests takes as long as it may: to create the intent and to see what has become of it, to
// take the step, and to see what has become of that; to pay back, to see the intent and two pages of its refunds, and to make one. In less
// a call may end at the same request each time, and never take a step, nor hear of one that was taken.
const CallTimeout = 4 * RequestTimeout

// Config says how to use Stripe. The zero Config is ready for use.
type Config struct {
	URL           string            // base of the API; "": Stripe's own
	PaymentMethod string            // what is charged; "": DefaultPaymentMethod
	Transport     http.RoundTripper // nil: one with a pool of its own
}

// Gateway is a client of one Stripe account. It is safe for concurrent use. It makes each call once and bounds the
// requests of it, but not their number: that is its caller's part, with CallTimeout.
type Gateway struct {
	api    *stripe.Client
	method string
}

// New returns a gateway that uses the account of that secret key. It makes no connection yet.
func New(key string, cfg Config) *Gateway {
	if cfg.PaymentMethod == "" {
		cfg.PaymentMethod = DefaultPaymentMethod
	}
	if cfg.Transport == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 64
		cfg.Transport = transport
	}
	backend := &stripe.BackendConfig{
		HTTPClient:        &http.Client{Transport: cfg.Transport, Timeout: RequestTimeout},
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull}, // what matters comes back as an error
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   stripe.Bool(false),
	}
	if cfg.URL != "" {
		backend.URL = stripe.String(strings.TrimSuffix(cfg.URL, "/"))
	}
	return &Gateway{api: stripe.NewClient(key, stripe.WithBackends(stripe.NewBackendsWithConfig(backend))), method: cfg.PaymentMethod}
}

const (
	cancelled = "the payment was cancelled"
	byBank    = "the bank refused it"
	tooSmall  = "the amount is too small for a card payment"
	tooFine   = "the amount has more decimals than a card payment can have"
	tooLarge  = "the amount is too large for a card payment"
	noAmount  = "the amount is none that can be paid by card"
	noMoney   = "no card payments are taken in the currency"
)

// Authorise holds the amount.
func (g *Gateway) Authorise(ctx context.Context, c payment.Charge) (reference string, err error) {
	intent, err := g.intent(ctx, c)
	if err != nil {
		return "", err
	}
	if !uncharged(intent) {
		return authorised(intent)
	}
	params := &stripe.PaymentIntentConfirmParams{PaymentMethod: stripe.String(g.method), ErrorOnRequiresAction: stripe.Bool(true)}
	confirmed, err := keyed(&params.Params, c.Key("confirm"), func() (*stripe.PaymentIntent, error) {
		return g.api.V1PaymentIntents.Confirm(ctx, intent.ID, params)
	})
	if unexpectedState(err) || otherRequest(err) || err == nil && replayed(confirmed.LastResponse) {
		// Somebody else confirmed or cancelled it, perhaps with another payment method.
		now, failed := g.api.V1PaymentIntents.Retrieve(ctx, intent.ID, nil)
		if failed != nil {
			return "", classify("confirm", failed)
		}
		if !uncharged(now) {
			confirmed, err = now, nil
		}
	}
	if err != nil {
		return "", classify("confirm", err)
	}
	return authorised(confirmed)
}

// uncharged reports whether nothing has come yet of charging an intent. One that earlier releases created has its payment method.
func uncharged(intent *stripe.PaymentIntent) bool {
	return intent.Status == stripe.PaymentIntentStatusRequiresConfirmation ||
		intent.Status == stripe.PaymentIntentStatusRequiresPaymentMethod && intent.LastPaymentError == nil
}

// authorised reads the answer to an authorisation off an intent.
func authorised(intent *stripe.PaymentIntent) (reference string, err error) {
	switch intent.Status {
	case stripe.PaymentIntentStatusRequiresCapture, stripe.PaymentIntentStatusSucceeded:
		return intent.ID, nil
	case stripe.PaymentIntentStatusCanceled:
		return "", &payment.Refusal{Reason: cancelled}
	case stripe.PaymentIntentStatusRequiresPaymentMethod, stripe.PaymentIntentStatusRequiresAction:
		return "", &payment.Refusal{Reason: reason(intent.LastPaymentError)}
	}
	return "", fmt.Errorf("stripe: payment intent %s is %s: %w", intent.ID, intent.Status, event.ErrUnavailable)
}

// intent creates the payment's intent, or finds it, as it is now. An amount or a currency that Stripe does not take is refused.
// Its creation tells of the payment alone, and not how it is charged: that may change, and a key is for one request.
func (g *Gateway) intent(ctx context.Context, c payment.Charge) (*stripe.PaymentIntent, error) {
	if c.Reference != "" {
		intent, err := g.api.V1PaymentIntents.Retrieve(ctx, c.Reference, nil)
		return intent, classify("find", err)
	}
	amount, exact := atStripe(c.Amount, c.Currency)
	if !exact {
		return nil, &payment.Refusal{Reason: tooFine}
	}
	params := &stripe.PaymentIntentCreateParams{
		Amount:             stripe.Int64(amount),
		Currency:           stripe.String(strings.ToLower(c.Currency)),
		CaptureMethod:      stripe.String(string(stripe.PaymentIntentCaptureMethodManual)),
		PaymentMethodTypes: stripe.StringSlice([]string{"card"}),
		Description:        stripe.String("Order " + c.OrderID),
	}
	params.AddMetadata("order_id", c.OrderID)
	intent, err := keyed(&params.Params, c.Key("authorise"), func() (*stripe.PaymentIntent, error) {
		return g.api.V1PaymentIntents.Create(ctx, params)
	})
	if reason := never(err); reason != "" {
		return nil, &payment.Refusal{Reason: reason}
	}
	if err == nil && replayed(intent.LastResponse) { // the answer is as old as the first one
		intent, err = g.api.V1PaymentIntents.Retrieve(ctx, intent.ID, nil)
	}
	return intent, classify("create", err)
}

// never says why an intent that Stripe did not create can never be created, whatever we put right; "": it may be.
func never(err error) string {
	var answer *stripe.Error
	switch {
	case !errors.As(err, &answer) || answer.Type != stripe.ErrorTypeInvalidRequest:
		return ""
	case answer.Code == stripe.ErrorCodeAmountTooSmall:
		return tooSmall
	case answer.Code == stripe.ErrorCodeAmountTooLarge:
		return tooLarge
	case answer.Param == "amount":
		return noAmount
	case answer.Param == "currency": // it has no code
		return noMoney
	}
	return ""
}

// units is how many minor units of ours make how many of Stripe's, of which it takes whole multiples only. Ours are those of ISO 4217, and so are
// Stripe's in all other currencies (https://docs.stripe.com/currencies#minor-units).
func units(currency string) (ours, stripes int64) {
	switch currency {
	case "MGA": // without decimals there
		return 100, 1
	case "ISK", "UGX": // with two decimals there, both 0
		return 1, 100
	case "BHD", "JOD", "KWD", "OMR", "TND": // the last of three decimals must be 0
		return 10, 10
	}
	return 1, 1
}

// atStripe is an amount as Stripe counts it, rounded up where it has no such amount and exact is false.
func atStripe(amount int64, currency string) (_ int64, exact bool) {
	ours, stripes := units(currency)
	return (amount + ours - 1) / ours * stripes, amount%ours == 0
}

// Void lets go of what is held, and of what would be.
func (g *Gateway) Void(ctx context.Context, c payment.Charge) error {
	intent, err := g.intent(ctx, c)
	if c.Reference == "" && errors.As(err, new(*payment.Refusal)) {
		return nil // nothing was created, so nothing is held
	}
	if err != nil || intent.Status == stripe.PaymentIntentStatusCanceled {
		return err
	}
	params := &stripe.PaymentIntentCancelParams{}
	_, err = keyed(&params.Params, c.Key("void"), func() (*stripe.PaymentIntent, error) {
		return g.api.V1PaymentIntents.Cancel(ctx, intent.ID, params)
	})
	return g.settled(ctx, "cancel", intent.ID, stripe.PaymentIntentStatusCanceled, err)
}

// Capture takes all that is held.
func (g *Gateway) Capture(ctx context.Context, c payment.Charge) error {
	intent, err := g.intent(ctx, c)
	if err != nil || intent.Status == stripe.PaymentIntentStatusSucceeded {
		return err
	}
	if intent.Status == stripe.PaymentIntentStatusCanceled {
		return fmt.Errorf("stripe: capture: %w: the hold has lapsed, or was cancelled at Stripe: collect the money in another way, and say so (Lapsed holds in docs/payments.md)",
			payment.ErrRejected)
	}
	params := &stripe.PaymentIntentCaptureParams{}
	_, err = keyed(&params.Params, c.Key("capture"), func() (*stripe.PaymentIntent, error) {
		return g.api.V1PaymentIntents.Capture(ctx, intent.ID, params)
	})
	return g.settled(ctx, "capture", intent.ID, stripe.PaymentIntentStatusSucceeded, err)
}

// settled passes over the refusal of a step that somebody else took at the same moment.
func (g *Gateway) settled(ctx context.Context, step, id string, want stripe.PaymentIntentStatus, err error) error {
	if !unexpectedState(err) {
		return classify(step, err)
	}
	intent, failed := g.api.V1PaymentIntents.Retrieve(ctx, id, nil)
	if failed != nil {
		return classify("find", failed)
	}
	if intent.Status == want {
		return nil
	}
	return classify(step, err)
}

// Refund pays a part back. Refunds name the return they are for, so one that was made is found for ever. One that failed or was cancelled
// is made anew.
//
// All refunds together are rounded up to what Stripe can pay, each by what is missing to that: nobody gets less than is due, and in all never more
// than was charged, which is such an amount. Where earlier refunds cover the part, nothing is to be paid, and there is no reference.
func (g *Gateway) Refund(ctx context.Context, c payment.Charge, n int, amount int64) (reference string, err error) {
	before, _ := atStripe(c.Refunded, c.Currency)
	part, _ := atStripe(c.Refunded+amount, c.Currency)
	if part -= before; part == 0 {
		return "", nil
	}
	intent, err := g.intent(ctx, c)
	if err != nil {
		return "", err
	}
	failed := 0
	made := &stripe.RefundListParams{PaymentIntent: stripe.String(intent.ID)}
	made.Limit = stripe.Int64(100) // the most of a page; an order of many returns is looked through in the time of one try
	for refund, err := range g.api.V1Refunds.List(ctx, made).All(ctx) {
		if err != nil {
			return "", classify("list refunds", err)
		}
		switch {
		case refund.Metadata["return"] != strconv.Itoa(n) || refund.Metadata["order_id"] != c.OrderID:
		case paysNothing(refund):
			failed++
		default:
			return refund.ID, nil
		}
	}
	step := "refund-" + strconv.Itoa(n)
	if failed > 0 { // whoever finds as many takes the same key
		step += "-" + strconv.Itoa(failed+1)
	}
	params := &stripe.RefundCreateParams{PaymentIntent: stripe.String(intent.ID), Amount: stripe.Int64(part)}
	params.AddMetadata("order_id", c.OrderID)
	params.AddMetadata("return", strconv.Itoa(n))
	params.SetIdempotencyKey(c.Key(step))
	refund, err := g.api.V1Refunds.Create(ctx, params)
	if err != nil {
		return "", classify("refund", err)
	}
	if paysNothing(refund) {
		return "", fmt.Errorf("stripe: refund: %w: refund %s is %s: %s", payment.ErrRejected, refund.ID, refund.Status, refund.FailureReason)
	}
	return refund.ID, nil
}

// paysNothing reports whether a refund has ended without paying: the money is the account's again.
func paysNothing(r *stripe.Refund) bool {
	return r.Status == stripe.RefundStatusFailed || r.Status == stripe.RefundStatusCanceled
}

// maxKeys bounds the keys of one step. During an outage each try may use one up, and a try goes through all that are.
const maxKeys = 20

// keyed sends a request under its key. Stripe saves the answer by the key, a 5xx as well; after one that was saved the request is
// sent again under the key with "-2", then "-3", and so on.
//
// The step may have been taken all the same, and taking it twice does no harm: to create an intent holds nothing, and whoever asks
// goes through the same keys to the same intent; an intent is confirmed, captured and cancelled once, as its state, which was
// read before, allows. A second refund would pay twice, so a refund keeps its one key: it waits until Stripe has forgotten it.
func keyed(params *stripe.Params, key string, send func() (*stripe.PaymentIntent, error)) (*stripe.PaymentIntent, error) {
	params.SetIdempotencyKey(key)
	intent, err := send()
	for n := 2; n <= maxKeys && savedFailure(err); n++ {
		params.SetIdempotencyKey(key + "-" + strconv.Itoa(n))
		intent, err = send()
	}
	return intent, err
}

func savedFailure(err error) bool {
	var answer *stripe.Error
	return errors.As(err, &answer) && answer.HTTPStatusCode >= 500 && replayed(answer.LastResponse)
}

// replayed reports whether an answer is that of an earlier request with the same key.
func replayed(r *stripe.APIResponse) bool {
	return r != nil && r.Header.Get("Idempotent-Replayed") == "true"
}

func hasCode(err error, code stripe.ErrorCode) bool {
	var answer *stripe.Error
	return errors.As(err, &answer) && answer.Code == code
}

func unexpectedState(err error) bool {
	return hasCode(err, stripe.ErrorCodePaymentIntentUnexpectedState)
}

// otherRequest reports whether a key has come with another request before.
func otherRequest(err error) bool {
	var answer *stripe.Error
	return errors.As(err, &answer) && answer.Type == stripe.ErrorTypeIdempotency
}

// classify puts an error of Stripe's into one of the three classes.
func classify(step string, err error) error {
	if err == nil {
		return nil
	}
	var answer *stripe.Error
	if !errors.As(err, &answer) {
		return fmt.Errorf("stripe: %s: %w: %w", step, event.ErrUnavailable, err)
	}
	switch status := answer.HTTPStatusCode; {
	case status == http.StatusPaymentRequired:
		return &payment.Refusal{Reason: reason(answer)}
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusConflict:
		return fmt.Errorf("stripe: %s: %w: %d %s %s", step, event.ErrUnavailable, status, answer.Code, answer.Msg)
	default:
		return fmt.Errorf("stripe: %s: %w: %d %s %s", step, payment.ErrRejected, status, answer.Code, answer.Msg)
	}
}

// reason puts a decline in a customer's words. Why a bank suspects a card is not for whoever holds it.
func reason(e *stripe.Error) string {
	if e == nil {
		return byBank
	}
	switch e.DeclineCode {
	case stripe.DeclineCodeInsufficientFunds, stripe.DeclineCodeWithdrawalCountLimitExceeded, stripe.DeclineCodeCardVelocityExceeded:
		return "insufficient funds"
	case stripe.DeclineCodeExpiredCard:
		return "the card has expired"
	case stripe.DeclineCodeAuthenticationRequired:
		return "the bank wants to ask the cardholder"
	case stripe.DeclineCodeCardNotSupported, stripe.DeclineCodeCurrencyNotSupported, stripe.DeclineCodeTransactionNotAllowed:
		return "the card does not do such payments"
	case stripe.DeclineCodeIncorrectNumber, stripe.DeclineCodeInvalidNumber, stripe.DeclineCodeIncorrectCVC, stripe.DeclineCodeInvalidCVC,
		stripe.DeclineCodeInvalidExpiryMonth, stripe.DeclineCodeInvalidExpiryYear, stripe.DeclineCodeIncorrectZip:
		return "the card's data are wrong"
	}
	return byBank
}
