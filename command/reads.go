package command

import (
	"context"
	"sync"
)

// reads is the streams being read on behalf of commands for other streams. Of one stream there is one read at a time: who comes
// while it is under way shares the next, which begins after that. So a product that everybody orders is read now and
// then, and still nobody sees it as it was before the order came in.
type reads struct {
	mu sync.Mutex
	of map[string]*reading
}

type reading struct {
	next *read // of those who have come since the one under way began; nil: nobody has
}

type read struct {
	done  chan struct{} // closed when the rest is set
	known known
	err   error
}

// freshShared is fresh, for many callers at once.
func (s *Service) freshShared(ctx context.Context, stream string, f folder) (known, error) {
	r := s.shareRead(stream, f)
	select {
	case <-r.done:
		return r.known, r.err
	case <-ctx.Done():
		return known{}, ctx.Err()
	}
}

func (s *Service) shareRead(stream string, f folder) *read {
	s.reads.mu.Lock()
	defer s.reads.mu.Unlock()
	underWay, ok := s.reads.of[stream]
	if !ok {
		first := &read{done: make(chan struct{})}
		s.reads.of[stream] = &reading{}
		go s.serveReads(stream, f, first)
		return first
	}
	if underWay.next == nil {
		underWay.next = &read{done: make(chan struct{})}
	}
	return underWay.next
}

// serveReads reads the stream until nobody wants it read any more. It is nobody's own goroutine, since whoever came first may
// leave.
func (s *Service) serveReads(stream string, f folder, r *read) {
	for r != nil {
		s.readShared(stream, f, r)
		s.reads.mu.Lock()
		underWay := s.reads.of[stream]
		if r, underWay.next = underWay.next, nil; r == nil {
			delete(s.reads.of, stream)
		}
		s.reads.mu.Unlock()
	}
}

func (s *Service) readShared(stream string, f folder, r *read) {
	defer close(r.done)
	defer recovered(&r.err)
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Timeout)
	defer cancel()
	r.known, r.err = s.fresh(ctx, stream, f)
}
