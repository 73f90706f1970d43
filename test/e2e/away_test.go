package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"jangbu/test/program"
	"jangbu/test/servers"
	"jangbu/test/shopgen"
)

// The event store, SNS, SQS and Redis go away under running services, and come back, SNS, SQS and Redis empty. No service
// is restarted, and no reader ever sees a part of a view.
func TestDependenciesAway(t *testing.T) {
	long(t, "services wait longer and longer for what is away")
	t.Parallel()
	s := openApart(t, program.AsProcess, t.TempDir(), "")
	s.importFolder(t, demo)
	s.fill(t, shopgen.Config{Seed: 11, Events: 1000})
	want := s.wantFold(t)

	for _, outage := range []struct {
		name  string
		while func(t *testing.T)
	}{
		{"for a moment", func(*testing.T) {}},
		{"for a moment again", func(*testing.T) {}},
		{"until everybody has noticed", s.wantAway},
	} {
		readers := s.readers(want, wholeOrAway(t, want))
		s.programs["stack"].Stop(t)
		outage.while(t)
		s.restart(t, "stack")
		s.awaitReady(t)
		t.Logf("%s: %d reads", outage.name, readers.end(t))
		s.wantViews(t, want)
	}

	readers := s.readers(want, wholeOrAway(t, want))
	s.programs["projector"].Stop(t)
	s.programs["stack"].Stop(t)
	s.restart(t, "stack")
	s.wantRebuilding(t)
	s.restart(t, "projector")
	s.awaitReady(t)
	readers.end(t)
	s.wantViews(t, want)
	s.post(t, "/members", `{"id":"after","name":"After"}`).done(t)
	s.wantFold(t)
}

// wholeOrAway is the check that a read is answered with the expected body, or says in due form that it cannot be.
func wholeOrAway(t *testing.T, want expectation) func(path, body string, err error) error {
	same := unchanged(want)
	return func(path, body string, err error) error {
		var r *refusal
		if !errors.As(err, &r) {
			return same(path, body, err)
		}
		if code := r.problem(t); r.status != 503 || code != "unavailable" && code != "view-rebuilding" {
			return err
		}
		return nil
	}
}

// wantAway requires each service to say that what it needs is away.
func (s *shop) wantAway(t *testing.T) {
	t.Helper()
	for i, names := range [][]string{{"eventstore"}, {"redis"}, {"eventstore", "redis"}} {
		s.awaitRed(t, s.health[i], names...)
		if a, err := tryGet(s.health[i], "/healthz"); err != nil || a.status != 200 {
			t.Errorf("/healthz: %s, %v", a, err)
		}
	}
	s.post(t, "/members", `{"id":"nobody","name":"Nobody"}`).wantProblem(t, 503, "unavailable")
	for _, path := range []string{"/orders/1001", "/members/MIRAE", "/members/MIRAE/orders", "/products/P-1", "/sales/months", "/orders/none"} {
		s.get(t, path).wantProblem(t, 503, "unavailable")
	}
	s.get(t, "/orders/1001", "Consistency-Token: order-1001@0", "Prefer: wait=1").wantProblem(t, 503, "unavailable")
}

// awaitRed waits until /readyz of a service is 503 and has these checks red.
func (s *shop) awaitRed(t *testing.T, url string, names ...string) {
	t.Helper()
	servers.Until(t, fmt.Sprintf("%s says that %v are away", url, names), func() error {
		a, err := tryGet(url, "/readyz")
		if err != nil {
			return err
		}
		if a.status != 503 {
			return errors.New(a.String())
		}
		if code := a.problem(t); code != "not-ready" {
			t.Errorf("%s", a)
		}
		var body struct {
			Detail string
			Checks map[string]struct {
				OK    bool
				Error string
			}
		}
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			return err
		}
		for _, name := range names {
			if c := body.Checks[name]; c.OK || c.Error == "" || !strings.Contains(body.Detail, name) {
				return fmt.Errorf("%s is not red in %s", name, a)
			}
		}
		return nil
	})
}

// wantRebuilding requires every read to say that the view is being rebuilt, of a thing nobody knows too.
func (s *shop) wantRebuilding(t *testing.T) {
	t.Helper()
	paths := []string{"/orders/1001", "/orders/none", "/members/MIRAE", "/members/MIRAE/orders", "/products/P-1", "/sales/months"}
	servers.Until(t, "Redis is back, empty", func() error {
		if a := s.get(t, paths[0]); a.problem(t) != "view-rebuilding" {
			return errors.New(a.String())
		}
		return nil
	})
	for _, path := range slices.Concat(paths, paths) {
		s.get(t, path).wantProblem(t, 503, "view-rebuilding")
	}
	s.awaitRed(t, s.query, "generations")
}
