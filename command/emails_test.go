package command_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jangbu/command"
	"jangbu/command/commandtest"
	"jangbu/domain/email"
	"jangbu/domain/event"
	"jangbu/domain/member"
)

// The fake log records in 1970: by the first clock every reservation is fresh, by the second none is.
func soon() command.Config {
	return command.Config{Now: func() time.Time { return time.Unix(25, 0) }}
}

func later() command.Config {
	return command.Config{Now: func() time.Time { return time.Unix(3600, 0) }}
}

const (
	kimHas   = `{"id":"kim","name":"Kim","email":"old@example.com"}`
	kimWants = `{"email":"new@example.com"}`
)

func TestReservationsAge(t *testing.T) {
	log := &fakeLog{}
	log.onAppend = func(stream string, _ []event.Proposed) fault {
		if strings.HasPrefix(stream, "member-") {
			return fault{err: event.ErrUnavailable}
		}
		return fault{}
	}
	c := commandtest.NewClient(t, log, soon())
	wantProblem(t, c.Post("/members", kimHas), 503, "unavailable")
	log.onAppend = nil
	if held := commandtest.HeldBy(t, log, "old@example.com"); held != "kim" {
		t.Fatalf("reserved for %q", held)
	}
	const lee = `{"id":"lee","name":"Lee","email":"old@example.com"}`
	recorded := log.Stream(email.Stream("old@example.com"))[0].Time
	at := func(age time.Duration) *commandtest.Client {
		return commandtest.NewClient(t, log, command.Config{Now: func() time.Time { return recorded.Add(age) }})
	}
	wantProblem(t, at(30*time.Second-1).Post("/members", lee), 409, "email-taken")
	at(30*time.Second).Post("/members", lee).Done(t)
	if given := log.Stream("member-kim"); len(given) != 1 || given[0].Type != "member.email_given_up.v1" {
		t.Errorf("kim's stream: %+v", given)
	}
	wantProblem(t, at(time.Hour).Post("/members", kimHas), 409, "email-taken")
	at(time.Hour).Post("/members", `{"id":"kim","name":"Kim"}`).Done(t)
	commandtest.Emails(t, log, "kim", "lee")
}

// TestSleeper: the address is taken over while its member's command sleeps between its reservation and its event.
func TestSleeper(t *testing.T) {
	for _, r := range []struct{ name, before, path, body string }{
		{"register", "", "/members", `{"id":"kim","name":"Kim","email":"new@example.com"}`},
		{"change", kimHas, "/members/kim/email", kimWants},
	} {
		for _, headers := range [][]string{nil, {"Idempotency-Key: k"}} {
			t.Run(fmt.Sprint(r.name, headers), func(t *testing.T) {
				log := &fakeLog{}
				if r.before != "" {
					commandtest.NewClient(t, log, soon()).Must("/members", r.before)
				}
				log.onAppend = func(stream string, _ []event.Proposed) fault {
					if stream == "member-kim" {
						log.onAppend = nil
						commandtest.NewClient(t, log, later()).Must("/members", `{"id":"lee","name":"Lee","email":"new@example.com"}`)
					}
					return fault{}
				}
				wantProblem(t, commandtest.NewClient(t, log, soon()).Post(r.path, r.body, headers...), 409, "email-taken")
				if of := commandtest.Emails(t, log, "kim", "lee"); of["new@example.com"] != "lee" {
					t.Errorf("%v", of)
				}
			})
		}
	}
}

// TestSleepingTakeOver: while somebody takes an address over, the member for whom it is reserved wakes up and makes it
// theirs, before or after they were to give it up.
func TestSleepingTakeOver(t *testing.T) {
	address := email.Stream("new@example.com")
	for _, at := range []string{"member-kim", address} {
		t.Run(at, func(t *testing.T) {
			log := &fakeLog{}
			c := commandtest.NewClient(t, log, soon())
			c.Must("/members", kimHas)
			log.onAppend = func(stream string, _ []event.Proposed) fault {
				if stream == "member-kim" {
					return fault{err: event.ErrUnavailable}
				}
				return fault{}
			}
			wantProblem(t, c.Post("/members/kim/email", kimWants), 503, "unavailable")
			log.onAppend = func(stream string, _ []event.Proposed) fault {
				if stream == at {
					log.onAppend = nil
					c.Must("/members/kim/email", kimWants)
				}
				return fault{}
			}
			lee := commandtest.NewClient(t, log, later())
			wantProblem(t, lee.Post("/members", `{"id":"lee","name":"Lee","email":"new@example.com"}`), 409, "email-taken")
			if of := commandtest.Emails(t, log, "kim", "lee"); of["new@example.com"] != "kim" {
				t.Errorf("%v", of)
			}
		})
	}
}

// TestReleaseIsExact: what a member gets back while another of their commands lets go of it stays theirs.
func TestReleaseIsExact(t *testing.T) {
	log := &fakeLog{}
	c := commandtest.NewClient(t, log, soon())
	c.Must("/members", kimHas)
	log.onAppend = func(stream string, events []event.Proposed) fault {
		if stream == email.Stream("old@example.com") && events[0].Type == "email.released.v1" {
			log.onAppend = nil
			c.Must("/members/kim/email", `{"email":"old@example.com"}`)
		}
		return fault{}
	}
	c.Must("/members/kim/email", kimWants)
	if of := commandtest.Emails(t, log, "kim"); of["old@example.com"] != "kim" {
		t.Errorf("%v", of)
	}
}

// TestTakenFromTheDeleted: the stream of the member for whom an address is reserved was deleted for good.
func TestTakenFromTheDeleted(t *testing.T) {
	log := &fakeLog{}
	log.onAppend = func(stream string, _ []event.Proposed) fault {
		if stream == "member-kim" {
			return fault{err: event.ErrStreamNotFound}
		}
		return fault{}
	}
	wantProblem(t, commandtest.NewClient(t, log, soon()).Post("/members", kimHas), 409, "id-retired")
	commandtest.NewClient(t, log, later()).Must("/members", `{"id":"lee","name":"Lee","email":"old@example.com"}`)
	if of := commandtest.Emails(t, log, "lee"); of["old@example.com"] != "lee" {
		t.Errorf("%v", of)
	}
}

var emailCommands = []struct{ name, path, body string }{
	{"register", "/members", `{"id":"new","name":"New","email":"new@example.com"}`},
	{"change", "/members/kim/email", kimWants},
	{"remove", "/members/kim/email", `{"email":""}`},
	{"close", "/members/kim/close", ``},
}

// TestEmailCrashAnywhere cuts the process off from the log at its n-th step, for every n, before the step or between the
// step and its answer. Either the same request comes again, and is carried out; or it never does, and whoever wants an
// address that nobody has gets it in the end.
func TestEmailCrashAnywhere(t *testing.T) {
	for _, r := range emailCommands {
		for _, persist := range []bool{false, true} {
			for _, again := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s persist=%v again=%v", r.name, persist, again), func(t *testing.T) {
					n := int64(1)
					for ; emailCrash(t, n, persist, again, r.path, r.body); n++ {
						if n > 50 {
							t.Fatal("the command takes more than 50 steps")
						}
					}
					if n < 5 {
						t.Errorf("the command crashed in %d places only", n-1)
					}
				})
			}
		}
	}
}

// emailCrash reports whether the n-th step was reached.
func emailCrash(t *testing.T, n int64, persist, again bool, path, body string) bool {
	t.Helper()
	log := &fakeLog{}
	commandtest.NewClient(t, log, soon()).Must("/members", kimHas)
	revive := log.crashAt(n, persist)
	const key = "Idempotency-Key: k"
	commandtest.NewClient(t, log, soon()).Post(path, body, key) // may well be answered: the last steps are for others
	crashed := revive()

	everybody := []string{"kim", "new", "lee", "park"}
	of := commandtest.Emails(t, log, everybody...)
	early := commandtest.NewClient(t, log, soon())
	for i, address := range []string{"old@example.com", "new@example.com"} {
		if held := commandtest.HeldBy(t, log, address); held != "" {
			wantProblem(t, early.Post("/members", fmt.Sprintf(`{"id":"early%d","name":"E","email":%q}`, i, address)), 409, "email-taken")
		}
	}
	if again {
		answer := early.Post(path, body, key)
		answer.Done(t)
		if third := early.Post(path, body, key); !third.Equal(answer) {
			t.Errorf("crash at %d: third answer %+v, second %+v", n, third, answer)
		}
		of = commandtest.Emails(t, log, everybody...)
		if want := map[string]string{"/members": "new", "/members/kim/email": "kim"}[path]; strings.Contains(body, "new@example.com") && of["new@example.com"] != want {
			t.Errorf("crash at %d: %v", n, of)
		}
	}
	late := commandtest.NewClient(t, log, later())
	for id, address := range map[string]string{"lee": "old@example.com", "park": "new@example.com"} {
		a := late.Post("/members", fmt.Sprintf(`{"id":%q,"name":"L","email":%q}`, id, address))
		if of[address] != "" {
			wantProblem(t, a, 409, "email-taken")
		} else {
			a.Done(t)
		}
	}
	commandtest.Emails(t, log, everybody...)
	return crashed
}

// TestAnyEmailInterleaving runs commands of a few members who want the same addresses, in an order of steps drawn from a
// seed, with steps that fail and answers that get lost. By their clock every reservation may be taken over at once. Nobody
// ever has an address that is not reserved for them alone, and in the end every address that nobody has can be had.
func TestAnyEmailInterleaving(t *testing.T) {
	seeds := uint64(1500)
	if testing.Short() {
		seeds = 100
	}
	takeOvers := 0
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { takeOvers += emailInterleave(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if takeOvers < int(seeds/20) {
		t.Errorf("the seeds hardly ever lead to a take-over: %d", takeOvers)
	}
}

func emailInterleave(t *testing.T, seed uint64) (takeOvers int) {
	random := rand.New(rand.NewPCG(seed, 11))
	log := &fakeLog{}
	quiet := commandtest.NewClient(t, log, later())
	everybody := []string{"kim", "lee", "new"}
	quiet.Must("/members", `{"id":"kim","name":"Kim","email":"a@example.com"}`)
	quiet.Must("/members", `{"id":"lee","name":"Lee"}`)
	gates, running := make(chan chan verdict), make(chan struct{}, 16)
	commands := 3 + random.IntN(4)
	for range commands {
		path, body := anyEmailCommand(random)
		var headers []string
		if random.IntN(3) == 0 {
			headers = []string{"Idempotency-Key: " + path + body}
		}
		c := commandtest.NewClient(t, gated{log, gates}, later())
		go func() {
			if a := c.Post(path, body, headers...); a.Status >= 500 && a.Status != 503 {
				t.Errorf("%s %s: %d %s", path, body, a.Status, a.Body)
			}
			running <- struct{}{}
		}()
	}
	faults := random.IntN(2) == 0
	schedule(random, gates, running, commands, func() verdict {
		if faults && random.IntN(8) == 0 {
			return lose + verdict(random.IntN(2))
		}
		return proceed
	}, func() { checkHolders(t, log, everybody) })
	of := commandtest.Emails(t, log, everybody...)
	for i, address := range []string{"a@example.com", "b@example.com"} {
		a := quiet.Post("/members", fmt.Sprintf(`{"id":"last%d","name":"L","email":%q}`, i, address))
		if (of[address] == "") != (a.Status == 201) {
			t.Errorf("%s is %q's, and was asked for: %d %s", address, of[address], a.Status, a.Body)
		}
	}
	for _, e := range log.Events() {
		if e.Type == "member.email_given_up.v1" {
			takeOvers++
		}
	}
	return takeOvers
}

func anyEmailCommand(random *rand.Rand) (path, body string) {
	address := []string{"a@example.com", "b@example.com", ""}[random.IntN(3)]
	id := []string{"kim", "lee"}[random.IntN(2)]
	switch random.IntN(6) {
	case 0:
		return "/members", fmt.Sprintf(`{"id":"new","name":"New","email":%q}`, address)
	case 1:
		return "/members/" + id + "/close", ``
	case 2:
		return "/members/" + id + "/rename", `{"name":"R"}`
	}
	return "/members/" + id + "/email", fmt.Sprintf(`{"email":%q}`, address)
}

// checkHolders is Emails for a moment at which commands are half-way: an address somebody has is reserved for them.
func checkHolders(t *testing.T, log *fakeLog, members []string) {
	t.Helper()
	for _, id := range members {
		var m member.State
		for _, r := range log.Stream(member.Stream(id)) {
			e, err := member.Codec.Decode(r.Type, r.Data)
			if err != nil {
				t.Error(err)
			}
			m = member.Apply(m, e)
		}
		if m.Email != "" && commandtest.HeldBy(t, log, m.Email) != id {
			t.Errorf("%s has %s, reserved for %q", id, m.Email, commandtest.HeldBy(t, log, m.Email))
		}
	}
}

// schedule lets one of the waiting steps go on at a time, as random says, until so many commands are done; check sees the
// log after every step.
func schedule(random *rand.Rand, gates <-chan chan verdict, running <-chan struct{}, left int, judge func() verdict, check func()) {
	var waiting []chan verdict
	for {
		synctest.Wait()
		select {
		case gate := <-gates:
			waiting = append(waiting, gate)
			continue
		case <-running:
			left--
			continue
		default:
		}
		check()
		if len(waiting) == 0 && left == 0 {
			return // nor does a row go on whose clients have left
		}
		if len(waiting) == 0 {
			time.Sleep(10 * time.Millisecond) // everybody pauses before the next attempt: let the bubble's clock go on
			continue
		}
		i := random.IntN(len(waiting))
		gate := waiting[i]
		waiting = slices.Delete(waiting, i, i+1)
		gate <- judge()
	}
}
