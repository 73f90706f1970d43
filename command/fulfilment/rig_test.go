package fulfilment

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"jangbu/command"
	"jangbu/domain/event"
	"jangbu/domain/order"
	"jangbu/domain/payment"
	"jangbu/domain/stock"
	"jangbu/infra/gateway/simulator"
	"jangbu/test/books"
	"jangbu/test/history"
)

// world is what outlives processes: the log, the gateway, the schedule, the clock.
type world struct {
	t        testing.TB
	log      history.History
	gateway  *simulator.Simulator
	schedule fakeSchedule

	mu  sync.Mutex
	now time.Time // zero: it is that of the bubble
}

const payWithin = 15 * time.Minute

func newWorld(t testing.TB) *world {
	return &world{t: t, gateway: simulator.New(simulator.Config{Strict: true}), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now.IsZero() {
		return time.Now()
	}
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// record appends events to a stream, whatever stands there.
func (w *world) record(codec *event.Codec, stream string, events ...any) {
	w.t.Helper()
	var proposed []event.Proposed
	for _, e := range events {
		name, data, err := codec.Encode(e)
		if err != nil {
			w.t.Fatal(err)
		}
		proposed = append(proposed, event.Proposed{ID: uuid.New(), Type: name, Data: data})
	}
	if _, err := w.log.Append(context.Background(), stream, event.Any, proposed); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) restock(product string, quantity int64) {
	w.t.Helper()
	w.record(stock.Codec, stock.Stream(product), stock.Restocked{Quantity: quantity})
}

// place places an order of so many units of each product at a price that makes the total end as it is to.
func (w *world) place(id string, total int64, method string, quantities ...order.ProductQuantity) {
	w.t.Helper()
	e := order.Placed{MemberID: "ada", Currency: "EUR", PlacedOn: "2026-03-01", PlacedAt: w.clock(), PaymentMethod: method, ShippingFee: total}
	for _, q := range quantities {
		e.Lines = append(e.Lines, order.Line{ProductID: q.ProductID, Name: q.ProductID, Category: "c", UnitPrice: 100, Quantity: q.Quantity, Amount: 100 * q.Quantity})
		e.ShippingFee -= 100 * q.Quantity
	}
	w.record(order.Codec, order.Stream(id), e)
}

func units(product string, n int64) order.ProductQuantity {
	return order.ProductQuantity{ProductID: product, Quantity: n}
}

// order runs a client's command of an order; it reports whether it was taken.
func (w *world) order(c order.Command, id string) error {
	for {
		state, events := order.State{}, w.log.Stream(order.Stream(id))
		for _, recorded := range events {
			e, err := order.Codec.Decode(recorded.Type, recorded.Data)
			if err != nil {
				w.t.Fatal(err)
			}
			state = order.Apply(state, e)
		}
		decided, err := order.Decide(state, c, w.clock())
		if err != nil || len(decided) == 0 {
			return err
		}
		var proposed []event.Proposed
		for _, e := range decided {
			name, data, err := order.Codec.Encode(e)
			if err != nil {
				w.t.Fatal(err)
			}
			proposed = append(proposed, event.Proposed{ID: uuid.New(), Type: name, Data: data})
		}
		if _, err := w.log.Append(context.Background(), order.Stream(id), int64(len(events))-1, proposed); err == nil {
			return nil
		}
	}
}

func (w *world) mustOrder(c order.Command, id string) {
	w.t.Helper()
	if err := w.order(c, id); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) state(id string) order.State {
	w.t.Helper()
	return w.books().Orders[id]
}

func (w *world) books() *books.Books {
	w.t.Helper()
	b, err := books.Read(w.log.ReadAll(context.Background(), event.Position{}))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) wantBalance() {
	w.t.Helper()
	for _, wrong := range w.books().Check(w.clock(), payWithin, w.gateway.Balances()) {
		w.t.Error(wrong)
	}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// process is a manager with a write side of its own, which reaches the world through what may fail.
func (w *world) process(at faults) *Manager {
	return w.processWith(at, Config{})
}

func (w *world) processWith(at faults, cfg Config) *Manager {
	cfg.PayWithin, cfg.Now, cfg.Logger = payWithin, w.clock, quiet()
	shop := command.New(faultyStore{&w.log, at}, command.Config{Now: w.clock})
	return New(shop, faultyGateway{w.gateway, at}, &w.schedule, cfg)
}

// faults is asked before each call of a process to the outside: whether it is made, and whether its answer arrives.
type faults func(call string) (made, answered bool)

func sound(string) (bool, bool) { return true, true }

var errAway = fmt.Errorf("fake: %w", event.ErrUnavailable)

type faultyStore struct {
	log *history.History
	at  faults
}

func (s faultyStore) ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	if made, answered := s.at("read " + stream); !made || !answered {
		return func(yield func(event.Recorded, error) bool) { yield(event.Recorded{}, errAway) }
	}
	return s.log.ReadStream(ctx, stream, from)
}

func (s faultyStore) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error) {
	made, answered := s.at("append " + stream)
	if !made {
		return event.Position{}, errAway
	}
	position, err := s.log.Append(ctx, stream, expected, events)
	if !answered {
		return event.Position{}, errAway
	}
	return position, err
}

type faultyGateway struct {
	gateway Gateway
	at      faults
}

func (g faultyGateway) do(call string, made func() (string, error)) (string, error) {
	make, answered := g.at("gateway " + call)
	if !make {
		return "", errAway
	}
	reference, err := made()
	if !answered {
		return "", errAway
	}
	return reference, err
}

func (g faultyGateway) Authorise(ctx context.Context, c payment.Charge) (string, error) {
	return g.do("authorise", func() (string, error) { return g.gateway.Authorise(ctx, c) })
}

func (g faultyGateway) Void(ctx context.Context, c payment.Charge) error {
	_, err := g.do("void", func() (string, error) { return "", g.gateway.Void(ctx, c) })
	return err
}

func (g faultyGateway) Capture(ctx context.Context, c payment.Charge) error {
	_, err := g.do("capture", func() (string, error) { return "", g.gateway.Capture(ctx, c) })
	return err
}

func (g faultyGateway) Refund(ctx context.Context, c payment.Charge, n int, amount int64) (string, error) {
	return g.do("refund", func() (string, error) { return g.gateway.Refund(ctx, c, n, amount) })
}

// fakeSchedule is a schedule and checkpoint in memory, which may be away or be emptied.
type fakeSchedule struct {
	mu         sync.Mutex
	due        map[string]time.Time
	checkpoint event.Position
	away       bool
	forgets    int  // so many notes: it is restarted right after each, and does not have it any more
	restarted  bool // since the last Advance
}

func (s *fakeSchedule) call(do func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	if s.due == nil {
		s.due = map[string]time.Time{}
	}
	do()
	return nil
}

func (s *fakeSchedule) Note(_ context.Context, id string, due time.Time) error {
	return s.call(func() {
		if s.forgets > 0 {
			s.forgets, s.restarted = s.forgets-1, true
			return
		}
		s.due[id] = due.Truncate(time.Millisecond)
	})
}

func (s *fakeSchedule) Take(_ context.Context, now, until time.Time, limit int) (ids []string, err error) {
	err = s.call(func() {
		for id, due := range s.due {
			if !due.After(now) {
				ids = append(ids, id)
			}
		}
		slices.SortFunc(ids, func(a, b string) int {
			if c := s.due[a].Compare(s.due[b]); c != 0 {
				return c
			}
			return slices.Compare([]byte(a), []byte(b))
		})
		ids = ids[:min(limit, len(ids))]
		for _, id := range ids {
			s.due[id] = until
		}
	})
	return ids, err
}

func (s *fakeSchedule) Done(_ context.Context, id string, due time.Time) error {
	return s.call(func() {
		if s.due[id].Equal(due) {
			delete(s.due, id)
		}
	})
}

func (s *fakeSchedule) Checkpoint(context.Context) (at event.Position, err error) {
	err = s.call(func() { at = s.checkpoint })
	return at, err
}

func (s *fakeSchedule) Advance(_ context.Context, known, to event.Position) (at event.Position, lost bool, err error) {
	err = s.call(func() {
		if lost = s.restarted || s.checkpoint.Compare(known) < 0; !lost && to.Compare(s.checkpoint) > 0 {
			s.checkpoint = to
		}
		at, s.restarted = s.checkpoint, false
	})
	return at, lost, err
}

func (s *fakeSchedule) Forget(_ context.Context, at event.Position) error {
	return s.call(func() {
		if s.checkpoint == at {
			s.checkpoint = event.Position{}
		}
	})
}

func (s *fakeSchedule) noted() map[string]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]time.Time{}
	for id, due := range s.due {
		all[id] = due
	}
	return all
}

func (s *fakeSchedule) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *fakeSchedule) empty() {
	s.set(func() { s.due, s.checkpoint = nil, event.Position{} })
}

func (s faultyStore) Last(_ context.Context, stream string) (event.Recorded, error) {
	if made, answered := s.at("read " + stream); !made || !answered {
		return event.Recorded{}, errAway
	}
	return s.log.LastOf(stream)
}

func (s faultyStore) SetMaxCount(context.Context, string, int) error { return nil }
