package command_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/domain/event"
)

// grow makes a stream of n events: a member that is registered and renamed.
func grow(t testing.TB, store command.Store, stream string, n int) {
	t.Helper()
	growOn(t, store, stream, 0, n)
}

// growOn makes a stream of some events one of n.
func growOn(t testing.TB, store command.Store, stream string, from, n int) {
	t.Helper()
	var events []event.Proposed
	for i := from; i < n; i++ {
		e := event.Proposed{ID: uuid.New(), Type: "member.renamed.v1", Data: fmt.Appendf(nil, `{"name":"%d"}`, i)}
		if i == 0 {
			e.Type, e.Data = "member.registered.v1", []byte(`{"name":"0","country":"Peru"}`)
		}
		events = append(events, e)
	}
	for batch := range slices.Chunk(events, 1000) {
		if _, err := store.Append(t.Context(), stream, int64(from)-1, batch); err != nil {
			t.Fatal(err)
		}
		from += len(batch)
	}
}

// readFor counts the events that a process without memory reads for a command, and checks that it decides rightly.
func readFor(t *testing.T, log *fakeLog) int64 {
	t.Helper()
	last := log.Stream("member-m")
	n := len(last)
	before := log.read.Load()
	a := commandtest.NewClient(t, log, command.Config{SnapshotEvery: 1 << 30}).Post("/members/m/rename", fmt.Sprintf(`{"name":"%d"}`, n), "Prefer: return=representation")
	if want := fmt.Sprintf(`{"id":"m","stream":"member-m","revision":%d,"state":{"exists":true,"name":"%d","country":"Peru"}}`, n, n); a.Body != want {
		t.Fatalf("%s, want %s", a.Body, want)
	}
	return log.read.Load() - before
}

// TestSnapshot: a long stream is read from its snapshot, which is renewed as it grows.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		grow(t, log, heldStream, 5000)
		if n := readFor(t, log); n < 5000 {
			t.Fatalf("%d events were read", n)
		}
		c := commandtest.NewClient(t, log, command.Config{SnapshotEvery: 50})
		var snapshots []int64
		for range 4 {
			for range 30 {
				c.Must("/members/m/rename", fmt.Sprintf(`{"name":"%d"}`, len(log.Stream("member-m"))))
				synctest.Wait()
			}
			if n := readFor(t, log); n > 32+1+50 {
				t.Errorf("%d events were read", n)
			}
		}
		for _, e := range log.Stream("snapshot-member-m") {
			var s struct{ Revision int64 }
			if err := json.Unmarshal(e.Data, &s); err != nil {
				t.Fatal(err)
			}
			snapshots = append(snapshots, s.Revision)
		}
		if len(snapshots) != 3 || snapshots[1]-snapshots[0] != 50 || snapshots[2]-snapshots[1] != 50 {
			t.Errorf("snapshots at %v", snapshots)
		}
	})
}

// TestSnapshotsOfNoUse: whatever stands in the snapshot's stream, the state is what the stream itself adds up to.
func TestSnapshotsOfNoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		grow(t, log, heldStream, 1000)
		commandtest.NewClient(t, log, command.Config{SnapshotEvery: 50}).Must("/members/m/rename", `{"name":"1000"}`)
		synctest.Wait()
		good, err := log.LastOf("snapshot-member-m")
		if err != nil {
			t.Fatal(err)
		}
		if n := readFor(t, log); n > 32+1+50 {
			t.Fatalf("%d events were read with a good snapshot", n)
		}
		change := func(key, value string) string {
			var s map[string]json.RawMessage
			if err := json.Unmarshal(good.Data, &s); err != nil {
				t.Fatal(err)
			}
			s[key] = json.RawMessage(value)
			changed, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			return string(changed)
		}
		for name, data := range map[string]string{
			"not JSON":                  `{`,
			"another format":            change("format", `"0-abc"`),
			"a state of another shape":  change("state", `{"name":7}`),
			"ahead of the stream":       change("revision", `5000`),
			"of a revision below zero":  change("revision", `-7`),
			"of another event":          change("event_id", `"`+uuid.NewString()+`"`),
			"of an event that is older": change("revision", `500`),
		} {
			if _, err := log.History.Append(t.Context(), "snapshot-member-m", event.Any, []event.Proposed{{ID: uuid.New(), Type: "snapshot.taken.v1", Data: []byte(data)}}); err != nil {
				t.Fatal(err)
			}
			if n := readFor(t, log); n < 1000 {
				t.Errorf("%s: %d events were read, so it was used", name, n)
			}
		}
		log.onRead = away("snapshot-member-m")
		if n := readFor(t, log); n < 1000 {
			t.Errorf("%d events were read without a snapshot", n)
		}
	})
}

// TestStreamsCutShort: over the real store, a stream of which a process knows a state, and which has a snapshot, is deleted, and
// written again.
func TestStreamsCutShort(t *testing.T) {
	store, _ := embeddedStore(t)
	var trusts atomic.Int64 // how many times Trust have gone by
	now := func() time.Time { return commandtest.Now.Add(time.Duration(trusts.Load()) * command.Trust) }
	remove := func() {
		t.Helper()
		trusts.Add(1)
		if _, err := store.Append(t.Context(), "$$member-m", event.Any, []event.Proposed{{ID: uuid.New(), Type: "$metadata", Data: []byte(`{"$tb":9223372036854775807}`)}}); err != nil {
			t.Fatal(err)
		}
	}
	cfg := command.Config{Now: now}
	a, b := commandtest.NewClient(t, store, cfg), commandtest.NewClient(t, store, cfg)
	for round := range 3 {
		a.Must("/members", `{"id":"m","name":"A"}`)
		for _, c := range []*commandtest.Client{a, b, a} {
			c.Must("/members/m/rename", `{"name":"B"}`)
			c.Must("/members/m/rename", `{"name":"C"}`)
		}
		remove()
		if round == 1 {
			b.Must("/members", `{"id":"m","name":"Z"}`)
			got := a.Must("/members/m/rename", `{"name":"B"}`, "Prefer: return=representation").Body
			if !strings.Contains(got, `"revision":15,"state":{"exists":true,"name":"B"}`) {
				t.Errorf("after it was written again: %s", got)
			}
			remove()
		}
		for _, c := range []*commandtest.Client{a, b} {
			wantProblem(t, c.Post("/members/m/rename", `{"name":"B"}`), 404, "member-not-found")
		}
	}
}

// torn is a log of which a read of the held stream is torn after some events, as the stream changes meanwhile.
type torn struct {
	*fakeLog
	after int
	rest  func(yield func(event.Recorded, error) bool) // what comes then; nil: reads are not torn
}

func (l *torn) ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	whole := l.fakeLog.ReadStream(ctx, stream, from)
	if stream != heldStream || l.rest == nil {
		return whole
	}
	rest := l.rest
	l.rest = nil
	return func(yield func(event.Recorded, error) bool) {
		n := 0
		for e, err := range whole {
			if n++; n > l.after {
				rest(yield)
				return
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// TestCutShortWhileRead: a stream is deleted while it is read, and perhaps written again. No state is made of the events of both.
func TestCutShortWhileRead(t *testing.T) {
	log := &torn{fakeLog: &fakeLog{}, after: 10}
	grow(t, log, heldStream, 20)
	cold := commandtest.NewClient(t, log, command.Config{})
	log.rest = func(yield func(event.Recorded, error) bool) { yield(event.Recorded{}, event.ErrStreamNotFound) }
	wantProblem(t, cold.Post("/members/m/rename", `{"name":"B"}`), 404, "member-not-found")

	knowing := commandtest.NewClient(t, log, command.Config{})
	knowing.Must("/members/m/rename", `{"name":"19"}`)
	growOn(t, log, heldStream, 20, 50)
	log.rest = func(yield func(event.Recorded, error) bool) {
		yield(event.Recorded{Stream: heldStream, Revision: 70, ID: uuid.New(), Type: "member.closed.v1", Data: []byte(`{}`)}, nil)
	}
	got := knowing.Must("/members/m/rename", `{"name":"49"}`, "Prefer: return=representation").Body
	if want := `{"id":"m","stream":"member-m","revision":49,"state":{"exists":true,"name":"49","country":"Peru"}}`; got != want || log.rest != nil {
		t.Errorf("%s, want %s", got, want)
	}
}

// slow is a log that has no time left after it has handed out a thousand events.
type slow struct{ *fakeLog }

func (l slow) ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error] {
	return func(yield func(event.Recorded, error) bool) {
		n := 0
		for e, err := range l.fakeLog.ReadStream(ctx, stream, from) {
			if n++; n > 1000 {
				yield(event.Recorded{}, event.ErrUnavailable)
				return
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// TestLoadGoesOn: the next that wants a stream goes on from where a load failed.
func TestLoadGoesOn(t *testing.T) {
	log := &fakeLog{}
	grow(t, log, heldStream, 5000)
	c := commandtest.NewClient(t, slow{log}, command.Config{})
	fails := 0
	for fails < 10 && c.Post("/members/m/rename", `{"name":"4999"}`).Status != 200 {
		fails++
	}
	if fails < 4 || fails > 6 {
		t.Errorf("the stream of 5,000 events was known after %d loads of 1,000", fails)
	}
}

// TestSnapshotTooLarge: what a store does not take is reported, once for each stream.
func TestSnapshotTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		log.onAppend = func(stream string, _ []event.Proposed) fault {
			if event.Category(stream) == command.SnapshotCategory {
				return fault{err: event.ErrTooLarge}
			}
			return fault{}
		}
		var reports strings.Builder
		c := commandtest.NewClient(t, log, command.Config{SnapshotEvery: 5, Logger: slog.New(slog.NewTextHandler(&reports, nil))})
		c.Must("/members", `{"id":"m","name":"A"}`)
		for i := range 50 {
			c.Must("/members/m/rename", fmt.Sprintf(`{"name":"%d"}`, i))
			synctest.Wait()
		}
		if got := reports.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "stream=member-m") {
			t.Errorf("reported:\n%s", got)
		}
	})
}

// TestSnapshotInTheStore: of a snapshot's stream the real store keeps the last event only.
func TestSnapshotInTheStore(t *testing.T) {
	store, _ := embeddedStore(t)
	grow(t, store, heldStream, 300)
	c := commandtest.NewClient(t, store, command.Config{SnapshotEvery: 5})
	for i := 0; ; i++ {
		c.Must("/members/m/rename", fmt.Sprintf(`{"name":"B%d"}`, i))
		if last, err := store.Last(t.Context(), "snapshot-member-m"); err == nil && last.Revision >= 2 {
			break
		}
	}
	n := 0
	for _, err := range store.ReadStream(t.Context(), "snapshot-member-m", 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("the store keeps %d snapshots", n)
	}
}
