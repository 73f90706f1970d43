package modeltest

import "time"

func leases(s *suite) {
	lease := func(name, token string, term time.Duration, want bool) {
		s.Helper()
		if held, err := s.m.Lease(s.ctx, name, token, term); err != nil || held != want {
			s.Errorf("lease of %s to %s: %v, %v; want %v", name, token, held, err, want)
		}
	}
	release := func(name, token string) {
		s.Helper()
		s.must(s.m.Release(s.ctx, name, token))
	}
	lease("relay", "a", time.Hour, true)
	lease("relay", "b", time.Hour, false)
	lease("relay", "a", time.Hour, true) // renewed
	lease("sweep", "b", time.Hour, true)
	release("relay", "b") // not b's to release
	lease("relay", "b", time.Hour, false)
	release("relay", "a")
	lease("relay", "b", time.Millisecond, true)
	for { // b says nothing more
		held, err := s.m.Lease(s.ctx, "relay", "a", time.Hour)
		s.must(err)
		if held {
			break
		}
	}
	lease("relay", "b", time.Hour, false)
	release("nobody's", "a")
	lease("nobody's", "b", time.Hour, true)
}

func healed(s *suite) {
	g := s.live()
	if n := s.registry().Healed; n != 0 {
		s.Errorf("%d events were healed in a new generation", n)
	}
	s.must(s.m.Swept(s.ctx, g, 2, false, time.Time{}))
	s.must(s.m.Swept(s.ctx, g, 40, false, time.Time{}))
	if n := s.registry().Healed; n != 42 {
		s.Errorf("%d events were healed, want 42", n)
	}
	s.live()
	if n := s.registry().Healed; n != 0 {
		s.Errorf("%d events were healed in the next generation", n)
	}
}
