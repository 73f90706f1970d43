package commandtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"jangbu/command"
	"jangbu/domain/email"
	"jangbu/domain/event"
	"jangbu/domain/member"
)

// Emails reads the log and says which members have an address, by their own streams, and fails unless each of these
// addresses is reserved for the one member who has it.
func Emails(t testing.TB, store command.Store, members ...string) map[string]string {
	t.Helper()
	of := map[string]string{}
	for _, id := range members {
		var m member.State
		for _, r := range loadAny(t, store, member.Stream(id)) {
			e, err := member.Codec.Decode(r.Type, r.Data)
			if err != nil {
				t.Fatal(err)
			}
			m = member.Apply(m, e)
		}
		if m.Email == "" {
			continue
		}
		if other := of[m.Email]; other != "" {
			t.Errorf("%s and %s both have %s", other, id, m.Email)
		}
		of[m.Email] = id
		if held := HeldBy(t, store, m.Email); held != id {
			t.Errorf("%s has %s, which is reserved for %q", id, m.Email, held)
		}
	}
	return of
}

// HeldBy is the member for whom the log says that an address is reserved, "" for nobody.
func HeldBy(t testing.TB, store command.Store, address string) string {
	t.Helper()
	var s email.State
	for _, r := range loadAny(t, store, email.Stream(address)) {
		e, err := email.Codec.Decode(r.Type, r.Data)
		if err != nil {
			t.Fatal(err)
		}
		s = email.Apply(s, e)
	}
	return s.MemberID
}

// loadAny is load of a stream that need not have events.
func loadAny(t testing.TB, store command.Store, stream string) []event.Recorded {
	t.Helper()
	var recorded []event.Recorded
	for r, err := range store.ReadStream(context.Background(), stream, 0) {
		if errors.Is(err, event.ErrStreamNotFound) {
			return nil
		}
		if err != nil {
			t.Fatalf("read %s: %v", stream, err)
		}
		recorded = append(recorded, r)
	}
	return recorded
}

func testEmails(t *testing.T, store command.Store) {
	c := NewClient(t, store, command.Config{})
	taken := func(path, body string) {
		t.Helper()
		a := c.Post(path, body)
		if code, _ := a.Problem(t); a.Status != 409 || code != "email-taken" {
			t.Errorf("POST %s %s: %d %s", path, body, a.Status, a.Body)
		}
	}
	held := func(address, want string) {
		t.Helper()
		if got := HeldBy(t, store, address); got != want {
			t.Errorf("%s is reserved for %q, want %q", address, got, want)
		}
	}
	c.Must("/members", `{"id":"kim","name":"Kim","email":"kim@example.com"}`)
	c.Must("/members", `{"id":"lee","name":"Lee"}`)
	taken("/members", `{"id":"park","name":"Park","email":"KIM@example.com"}`)
	taken("/members/lee/email", `{"email":"kim@example.com "}`)
	held("kim@example.com", "kim")

	t.Run("changed, the old one is free", func(t *testing.T) {
		c.Must("/members/kim/email", `{"email":"kim@example.org"}`)
		held("kim@example.com", "")
		c.Must("/members/lee/email", `{"email":"kim@example.com"}`)
		taken("/members/kim/email", `{"email":"kim@example.com"}`)
		Emails(t, store, "kim", "lee")
	})
	t.Run("removed, it is free", func(t *testing.T) {
		c.Must("/members/kim/email", `{"email":""}`)
		held("kim@example.org", "")
		c.Must("/members", `{"id":"park","name":"Park","email":"kim@example.org"}`)
	})
	t.Run("closed, it is free", func(t *testing.T) {
		c.Must("/members/park/close", ``)
		held("kim@example.org", "")
		c.Must("/members/kim/email", `{"email":"kim@example.org"}`)
	})
	t.Run("refused, nothing is reserved", func(t *testing.T) {
		for _, r := range []struct {
			path, body string
			headers    []string
		}{
			{"/members", `{"id":"kim","name":"Kim","email":"free@example.com"}`, nil},
			{"/members", `{"id":"a b","name":"Kim","email":"free@example.com"}`, nil},
			{"/members/park/email", `{"email":"free@example.com"}`, nil},
			{"/members/nobody/email", `{"email":"free@example.com"}`, nil},
			{"/members/kim/email", `{"email":"free@example.com"}`, []string{`If-Match: "0"`}},
		} {
			if a := c.Post(r.path, r.body, r.headers...); a.Status < 400 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		}
		held("free@example.com", "")
	})
	t.Run("under a key, after it has moved on", func(t *testing.T) {
		const key, body = "Idempotency-Key: k", `{"name":"Choi","email":"choi@example.com"}`
		first := c.Must("/members", body, key)
		c.Must("/members/"+first.Done(t).ID+"/email", `{"email":"choi@example.org"}`)
		c.Must("/members/lee/email", `{"email":"choi@example.com"}`)
		if again := NewClient(t, store, command.Config{}).Post("/members", body, key); !again.Equal(first) {
			t.Errorf("again %+v, first %+v", again, first)
		}
		Emails(t, store, "lee", "kim", first.Done(t).ID)
	})
}

// testEmailRace: members race for one address many times, from two processes; each time exactly one has it.
func testEmailRace(t *testing.T, store command.Store) {
	clients := []*Client{NewClient(t, store, command.Config{}), NewClient(t, store, command.Config{})}
	const rounds, rivals = 20, 4
	for round := range rounds {
		address := fmt.Sprintf("%d@example.com", round)
		var all sync.WaitGroup
		won := make([]bool, rivals)
		ids := make([]string, rivals)
		for i := range rivals {
			ids[i] = fmt.Sprintf("m%d-%d", round, i)
			path, body := "/members", fmt.Sprintf(`{"id":%q,"name":"M","email":%q}`, ids[i], address)
			if i%2 == 1 { // half of them are there already
				clients[0].Must("/members", fmt.Sprintf(`{"id":%q,"name":"M"}`, ids[i]))
				path, body = "/members/"+ids[i]+"/email", fmt.Sprintf(`{"email":%q}`, address)
			}
			all.Go(func() {
				a := clients[i/2].Post(path, body)
				var p struct{ Type string }
				if err := json.Unmarshal([]byte(a.Body), &p); err != nil {
					t.Error(err)
				}
				won[i] = a.Status < 300
				if !won[i] && p.Type != "urn:jangbu:problem:email-taken" {
					t.Errorf("%d %s", a.Status, a.Body)
				}
			})
		}
		all.Wait()
		winner := Emails(t, store, ids...)[address]
		for i := range rivals {
			if won[i] != (winner == ids[i]) {
				t.Errorf("%s was told %v, and %s has %s", ids[i], won[i], winner, address)
			}
		}
		if winner == "" {
			t.Errorf("nobody has %s", address)
		}
	}
}
